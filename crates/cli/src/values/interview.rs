//! `probity values interview`: a conversation that ends in a values card.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::Context;
use probity_elicit::embed::{Embedder, cosine};
use probity_elicit::{Interview, Scribe, Stage, contexts, duplicates, is_yes};
use probity_engine::Model;
use probity_values::store::Store;
use probity_values::{CardId, ValuesCard};

use super::answers::Answers;
use super::models::{EmbedderArgs, ModelArgs, calibration, waiting};
use super::transcript::half;
use super::{StoreArgs, named};
use crate::errors::Usage;
use crate::output::{say, shell};

/// Be interviewed about a story of yours, and agree on a values card.
///
/// The store keeps the conversation after every answer, until `transcript --forget` deletes it for good. With --name an
/// interrupted interview continues. When you agree with the card, the command adds it to the store, with the contexts
/// that you spoke of. `propose` then writes stories for others to vote on.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values interview --store values.db --model qwen2.5-1.5b-instruct-q4_k_m.gguf --topic \"How should children and screens go together?\"\n\nThe same file of answers, model and seed give the same card."
)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    embedder: EmbedderArgs,
    /// The topic [default: How do you want to live?]
    #[arg(long)]
    topic: Option<String>,
    /// Name of the conversation; an existing conversation continues.
    #[arg(long)]
    name: Option<String>,
    /// Read the answers from this file, one a line, in place of the keyboard.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Seed of all random choices [default: 0]
    #[arg(long)]
    seed: Option<u64>,
}

const TOPIC: &str = "How do you want to live?";

/// What tells texts apart, opened when it is first needed.
struct Likeness<'a> {
    args: &'a EmbedderArgs,
    model: &'a Model,
    embedder: Option<Box<dyn Embedder>>,
}

impl Likeness<'_> {
    fn embedder(&mut self) -> anyhow::Result<&mut dyn Embedder> {
        let embedder = match self.embedder.take() {
            Some(embedder) => embedder,
            None => self.args.open(|| Ok(self.model.clone()))?,
        };
        Ok(&mut **self.embedder.insert(embedder))
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    // A missing model or file of answers leaves no new store behind.
    let mut answers = Answers::open(args.answers.as_ref())?;
    let model = args.model.open()?;
    let mut scribe = Scribe::new(&model)?;
    let started = Interview::new(args.topic.as_deref().unwrap_or(TOPIC), args.seed.unwrap_or(0))?;
    let mut store = args.store.open_or_create()?;
    let mut likeness = Likeness { args: &args.embedder, model: &model, embedder: None };
    let held = store.read()?;
    if !held.cards.is_empty() || !held.all_contexts().is_empty() {
        // The card and its contexts will be compared: a missing embedder fails before the first question.
        likeness.embedder()?;
    }
    let mut kept = Kept::open(&mut store, args.name.as_deref(), &started)?;
    let mut interview = match &kept.body {
        Some(body) if body.is_empty() => return Err(half(&kept.name)),
        Some(body) => Interview::from_json(body).with_context(|| format!("the conversation {:?}", kept.name))?,
        None => started,
    };
    if args.topic.as_ref().is_some_and(|topic| topic.trim() != interview.topic) {
        let problem = format!("--name {:?} is a conversation about {:?}, not --topic", kept.name, interview.topic);
        return Err(Usage(problem).into());
    }
    if args.seed.is_some_and(|seed| seed != interview.seed) {
        let problem = format!("--name {:?} is a conversation of the seed {}, not --seed", kept.name, interview.seed);
        return Err(Usage(problem).into());
    }
    if !interview.exchanges.is_empty() {
        let known: Vec<&str> = interview.exchanges.iter().filter_map(|exchange| exchange.answer.as_deref()).collect();
        say!("Continuing {:?} with {} answers.", kept.name, known.len());
        if args.answers.is_some() {
            answers.skip(&known)?;
        }
    }
    loop {
        let bar = waiting("thinking");
        let asked = interview.ask(&mut scribe).map(|asked| asked.cloned());
        bar.finish_and_clear();
        let Some(exchange) = asked? else { break };
        if let (Stage::Card, Some(draft)) = (exchange.stage, &interview.draft) {
            say!("\n  {}\n\n  {}\n", draft.title, draft.description);
            draft.policies.iter().for_each(|policy| say!("  - {}", policy.as_str()));
        }
        say!("\n{}", exchange.question);
        kept.keep(&mut store, &interview)?;
        let Some(answer) = answers.next()? else {
            say!(
                "\nThe interview is kept: `probity values interview --store {} --name {}` continues it.",
                shell(&args.store.store.to_string_lossy()),
                shell(&kept.name)
            );
            return Ok(());
        };
        interview.answer(&answer)?;
        kept.keep(&mut store, &interview)?;
    }
    let card = finish(args, &mut store, &mut interview, &mut scribe, &mut likeness, &mut kept)?;
    if !interview.compared && same_as_another(&mut store, &card, &mut likeness, &mut answers)? {
        interview.compared = true;
        kept.keep(&mut store, &interview)?;
    }
    Ok(())
}

/// Asks the author whether a similar card says the same.
///
/// `false` if the author was asked and did not answer.
fn same_as_another(
    store: &mut Store,
    card: &ValuesCard,
    likeness: &mut Likeness<'_>,
    answers: &mut Answers,
) -> anyhow::Result<bool> {
    let held = store.read()?;
    if held.canonical_cards().count() < 2 {
        return Ok(true);
    }
    let embedder = likeness.embedder()?;
    let measured = calibration(store, embedder, None)?;
    if !measured.cards.counts() {
        // A calibration at the level of chance is no reason to ask.
        return Ok(true);
    }
    let found = duplicates(&held, embedder, None, &measured, &mut |_, _| true)?;
    let pair = found.into_iter().find(|duplicate| duplicate.card == card.id || duplicate.into == card.id);
    let Some(other) = pair.map(|d| if d.card == card.id { d.into } else { d.card }) else { return Ok(true) };
    for other in held.cards.iter().filter(|known| known.id == other) {
        say!("\nSomebody before you said something like it:\n\n  {}\n\n  {}\n", named(other), other.description);
        other.policies.iter().for_each(|policy| say!("  - {}", policy.as_str()));
        say!("\nDoes that card say what you mean as well, so that votes on either count for both? yes or no");
        match answers.next()? {
            Some(answer) if is_yes(&answer) => {
                store.change(|held| Ok(held.merge(&card.id, &other.id)?))?;
                say!("The cards are merged now; `card {} --split` undoes the merge.", card.id);
            }
            Some(_) => {
                store.change(|held| Ok(held.keep_apart(&card.id, &other.id)?))?;
                say!("They stay apart.");
            }
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Adds the card, with its contexts, where it was not added before.
fn finish(
    args: &Args,
    store: &mut Store,
    interview: &mut Interview,
    scribe: &mut Scribe,
    likeness: &mut Likeness<'_>,
    kept: &mut Kept,
) -> anyhow::Result<ValuesCard> {
    if let Some(id) = &interview.added
        && let Some(card) = store.read()?.cards.into_iter().find(|card| card.id == *id)
    {
        say!("\nThere is already {}.", named(&card));
        return Ok(card);
    }
    let bar = waiting("looking for contexts");
    let (mut found, provenance) = contexts(interview, scribe)?;
    let known: Vec<String> = store.read()?.all_contexts().into_iter().map(str::to_owned).collect();
    if !known.is_empty() {
        // A context with the meaning of a known context takes its words.
        let embedder = likeness.embedder()?;
        let threshold = calibration(store, embedder, None)?.contexts;
        let texts: Vec<&str> = found.iter().chain(&known).map(String::as_str).collect();
        let vectors = embedder.embed(&texts)?;
        let (own, others) = vectors.split_at(found.len());
        for (i, vector) in own.iter().enumerate() {
            let texts = own[..i].iter().zip(&found).chain(others.iter().zip(&known));
            let near = texts.map(|(other, text)| (cosine(vector, other), text)).max_by(|a, b| a.0.total_cmp(&b.0));
            if let Some(text) = near.filter(|(near, _)| *near >= threshold).map(|(_, text)| text.clone()) {
                found[i] = text;
            }
        }
        let mut seen = HashSet::new();
        found.retain(|context| seen.insert(context.clone()));
    }
    bar.finish_and_clear();
    let card = store.change(|held| {
        let id: CardId = held.new_id();
        let card = interview.card(id);
        let card = card.map(|card| ValuesCard { contexts: found, contexts_provenance: Some(provenance), ..card });
        if let Some(card) = &card {
            // After a crash the same card may come again. The store keeps one.
            let same = |other: &&ValuesCard| {
                (&other.title, &other.description, &other.policies) == (&card.title, &card.description, &card.policies)
            };
            if let Some(other) = held.cards.iter().find(same) {
                return Ok((Some(other.clone()), false));
            }
            held.cards.push(card.clone());
        }
        Ok((card, true))
    })?;
    let (Some(card), new) = card else {
        return Err(Usage("the interview has no accepted card, expected an answer yes to a card".into()).into());
    };
    say!("\n{} {}.", if new { "Added" } else { "There is already" }, named(&card));
    card.contexts.iter().for_each(|context| say!("  {context}"));
    interview.added = Some(card.id.clone());
    kept.keep(store, interview)?;
    let [store, name, id] = [&args.store.store.to_string_lossy(), kept.name.as_str(), card.id.as_str()].map(shell);
    say!(
        "\nChange it: probity values card {id} --json --store {store} > card.json, edit, probity values card --put card.json --store {store}\n\
         Delete the conversation: probity values transcript {name} --forget --store {store}"
    );
    Ok(card)
}

/// The conversation as the store keeps it.
struct Kept {
    name: String,
    /// What was kept of it last.
    body: Option<String>,
}

impl Kept {
    /// The conversation of a name, or a new one: `interview-1` and so on.
    fn open(store: &mut Store, name: Option<&str>, started: &Interview) -> anyhow::Result<Self> {
        if let Some(name) = name {
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                return Err(Usage(format!("--name {name:?}, expected some text on one line")).into());
            }
            return Ok(Self { name: name.into(), body: store.transcript(name)? });
        }
        let body = started.to_json();
        let mut name = String::new();
        let mut number = 0_u64;
        // Another program may take a name at the same moment.
        while name.is_empty() || !store.put_transcript(&name, None, &body)? {
            number += 1;
            name = format!("interview-{number}");
        }
        Ok(Self { name, body: Some(body) })
    }

    fn keep(&mut self, store: &mut Store, interview: &Interview) -> anyhow::Result<()> {
        let body = interview.to_json();
        if !store.put_transcript(&self.name, self.body.as_deref(), &body)? {
            let problem = format!(
                "another program continued or deleted the conversation {:?}; the answers of this session since then are not saved",
                self.name
            );
            return Err(Usage(problem).into());
        }
        self.body = Some(body);
        Ok(())
    }
}
