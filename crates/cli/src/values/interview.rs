//! `probity values interview`: a conversation that ends in a values card.

use std::path::PathBuf;

use anyhow::Context;
use probity_elicit::embed::Embedder;
use probity_elicit::{Conversation, Interview, Scribe, Stage, contexts, in_known_words, is_yes, similar};
use probity_engine::Model;
use probity_values::ValuesCard;
use probity_values::store::Store;

use super::answers::Answers;
use super::models::{ElicitArgs, EmbedderArgs, calibration, waiting};
use super::named;
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
    elicit: ElicitArgs,
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
    let model = args.elicit.model.open()?;
    let mut scribe = Scribe::new(&model)?;
    let started = Interview::new(args.topic.as_deref().unwrap_or(TOPIC), args.seed.unwrap_or(0))?;
    let mut store = args.elicit.store.open_or_create()?;
    let mut likeness = Likeness { args: &args.elicit.embedder, model: &model, embedder: None };
    let held = store.read()?;
    if !held.cards.is_empty() || !held.all_contexts().is_empty() {
        // The card and its contexts will be compared: a missing embedder fails before the first question.
        likeness.embedder()?;
    }
    let mut talk = match args.name.as_deref() {
        Some(name) => {
            Conversation::resume(&store, name, started).with_context(|| format!("the conversation {name:?}"))?
        }
        None => Conversation::begin(&mut store, started)?,
    };
    let Conversation { interview, .. } = &talk;
    if args.topic.as_ref().is_some_and(|topic| topic.trim() != interview.topic) {
        let problem = format!("--name {:?} is a conversation about {:?}, not --topic", talk.name(), interview.topic);
        return Err(Usage(problem).into());
    }
    if args.seed.is_some_and(|seed| seed != interview.seed) {
        let problem = format!("--name {:?} is a conversation of the seed {}, not --seed", talk.name(), interview.seed);
        return Err(Usage(problem).into());
    }
    if !interview.exchanges.is_empty() {
        let known: Vec<&str> = interview.exchanges.iter().filter_map(|exchange| exchange.answer.as_deref()).collect();
        say!("Continuing {:?} with {} answers.", talk.name(), known.len());
        if args.answers.is_some() {
            answers.skip(&known)?;
        }
    }
    loop {
        let bar = waiting("thinking");
        let asked = talk.interview.ask(&mut scribe).map(|asked| asked.cloned());
        bar.finish_and_clear();
        let Some(exchange) = asked? else { break };
        if let (Stage::Card, Some(draft)) = (exchange.stage, &talk.interview.draft) {
            say!("\n  {}\n\n  {}\n", draft.title, draft.description);
            draft.policies.iter().for_each(|policy| say!("  - {}", policy.as_str()));
        }
        say!("\n{}", exchange.question);
        talk.save(&mut store)?;
        let Some(answer) = answers.next()? else {
            say!(
                "\nThe interview is kept: `probity values interview --store {} --name {}` continues it.",
                shell(&args.elicit.store.store.to_string_lossy()),
                shell(talk.name())
            );
            return Ok(());
        };
        talk.interview.answer(&answer)?;
        talk.save(&mut store)?;
    }
    let card = finish(args, &mut store, &mut talk, &mut scribe, &mut likeness)?;
    if !talk.interview.compared && same_as_another(&mut store, &card, &mut likeness, &mut answers)? {
        talk.interview.compared = true;
        talk.save(&mut store)?;
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
    let Some(other) = similar(&held, &card.id, embedder, &measured)? else { return Ok(true) };
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

/// Adds the agreed card with its contexts, unless an earlier session did.
fn finish(
    args: &Args,
    store: &mut Store,
    talk: &mut Conversation,
    scribe: &mut Scribe,
    likeness: &mut Likeness<'_>,
) -> anyhow::Result<ValuesCard> {
    let held = store.read()?;
    if let Some(card) = held.cards.iter().find(|card| Some(&card.id) == talk.interview.added.as_ref()) {
        say!("\nThere is already {}.", named(card));
        return Ok(card.clone());
    }
    let bar = waiting("looking for contexts");
    let (mut found, provenance) = contexts(&talk.interview, scribe)?;
    let held = store.read()?;
    let known = held.all_contexts();
    if !known.is_empty() {
        let embedder = likeness.embedder()?;
        let least = calibration(store, embedder, None)?.contexts;
        found = in_known_words(found, &known, embedder, least)?;
    }
    bar.finish_and_clear();
    let (card, new) = talk.add_card(store, found, provenance)?;
    say!("\n{} {}.", if new { "Added" } else { "There is already" }, named(&card));
    card.contexts.iter().for_each(|context| say!("  {context}"));
    let [store, name, id] = [&args.elicit.store.store.to_string_lossy(), talk.name(), card.id.as_str()].map(shell);
    say!(
        "\nChange it: probity values card {id} --json --store {store} > card.json, edit, probity values card --put card.json --store {store}\n\
         Delete the conversation: probity values transcript {name} --forget --store {store}"
    );
    Ok(card)
}
