//! `probity values vote`: a voter's answers, asked for or given.

use std::io::{IsTerminal, stdin};
use std::path::PathBuf;

use probity_values::store::Store;
use probity_values::{Answer, CardId, Deliberation, Vote, pairs_to_judge};

use super::StoreArgs;
use super::answers::Answers;
use crate::errors::Usage;
use crate::output::say;

/// Vote: did somebody become wiser by going from one value to another?
///
/// The command asks about upgrades that this voter has not judged yet. With --from, --to, --context and --answer it
/// records one answer instead. The store keeps every answer at once. A later answer to the same question counts in
/// place of the earlier answer.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values vote --store values.db --voter ann\n         probity values vote --store values.db --voter ann --from 3 --to 7 --context \"When parenting\" --answer yes"
)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Who votes: a name or a pseudonym.
    #[arg(long)]
    voter: String,
    /// The group this voter belongs to, for bridging scores.
    #[arg(long)]
    group: Option<String>,
    /// The number of questions.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// Read the answers from this file, one a line, in place of the keyboard.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Record one answer: the value before (an id).
    #[arg(long, requires_all = ["to", "context", "answer"])]
    from: Option<String>,
    /// The value after (an id).
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// The context.
    #[arg(long, requires = "from")]
    context: Option<String>,
    /// The answer: yes, no or unsure.
    #[arg(long, requires = "from", value_parser = answer)]
    answer: Option<Answer>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    // A wrong group fails before anything is recorded.
    let groups = args.group.iter().map(|group| (args.voter.clone(), group.clone())).collect();
    Deliberation { groups, ..Deliberation::default() }.check()?;
    let mut store = args.store.open()?;
    let join = |store: &mut Store| match &args.group {
        Some(group) => store.put_group(&args.voter, group),
        None => Ok(()),
    };
    let vote = |from: &CardId, to: &CardId, context: &str, answer| Vote {
        voter: args.voter.clone(),
        from: from.clone(),
        to: to.clone(),
        context: context.into(),
        answer,
    };
    if let (Some(from), Some(to), Some(context), Some(answer)) = (&args.from, &args.to, &args.context, args.answer) {
        store.vote(&vote(&from.as_str().into(), &to.as_str().into(), context, answer))?;
        join(&mut store)?;
        say!("recorded");
        return Ok(());
    }
    // A missing file of answers adds no voter.
    let mut answers = Answers::open(args.answers.as_ref())?;
    join(&mut store)?;
    let held = store.read_counted()?;
    // The seed is the number of counted votes: a new vote changes the draw, and a crash does not.
    let asked = pairs_to_judge(&held, &args.voter, args.count.into(), held.votes.len() as u64)?;
    if asked.is_empty() {
        say!("{} has judged every pair; there is nothing to vote on", args.voter);
        return Ok(());
    }
    let patient = args.answers.is_none() && stdin().is_terminal();
    let mut recorded = 0;
    'questions: for (i, question) in asked.iter().enumerate() {
        say!("\n{} of {}. {}\n", i + 1, asked.len(), question.context);
        show(&held, &question.from, "Somebody used to live by this");
        show(&held, &question.to, "and now lives by that");
        if let Some(story) = held.stories.iter().find(|story| Some(&story.id) == question.story.as_ref()) {
            say!("  {}\n", story.text);
        }
        loop {
            say!("Did they become wiser? [y]es, [n]o, [u]nsure, s[k]ip, [q]uit");
            let Some(line) = answers.next()? else { break 'questions };
            let answer = match (Answer::from_word(&line), line.to_lowercase().as_str()) {
                (Some(answer), _) => answer,
                (None, "k" | "skip" | "keep") => break,
                (None, "q" | "quit") => break 'questions,
                (None, _) if patient => continue,
                (None, other) => {
                    let other = &other[..other.floor_char_boundary(60)];
                    let problem = format!("answer {}: {other:?}, expected yes, no, unsure, skip or quit", i + 1);
                    return Err(Usage(problem).into());
                }
            };
            store.vote(&vote(&question.from, &question.to, &question.context, answer))?;
            recorded += 1;
            break;
        }
    }
    say!("{recorded} votes recorded");
    Ok(())
}

/// Reads an answer.
fn answer(given: &str) -> Result<Answer, String> {
    Answer::from_word(given).ok_or_else(|| "expected yes, no or unsure".into())
}

fn show(held: &Deliberation, id: &CardId, lead: &str) {
    for card in held.cards.iter().filter(|card| card.id == *id) {
        say!("  {lead}: {}. {}", card.title, card.description);
        card.policies.iter().for_each(|policy| say!("    - {}", policy.as_str()));
        say!("");
    }
}
