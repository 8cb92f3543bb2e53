//! `probity values vote`: a voter's answers, asked for or given.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdin};
use std::path::PathBuf;

use clap::ValueEnum;
use probity_values::store::Store;
use probity_values::{Answer, CardId, Deliberation, Vote, draw};

use super::StoreArgs;
use super::answers::Answers;
use crate::errors::Usage;
use crate::output::say;

/// Vote: did somebody become wiser by going from one value to another?
///
/// Asks about upgrades that this voter has not judged yet, or records one answer given by --from, --to, --context and
/// --answer. Every answer is kept as soon as it is given; a later one to the same question counts in its place.
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
    /// Ask so many questions.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// Read the answers from this file, one a line, in place of the keyboard.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Record one answer: the value that was left.
    #[arg(long, requires_all = ["to", "context", "answer"])]
    from: Option<String>,
    /// The value that was gone to.
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// Where.
    #[arg(long, requires = "from")]
    context: Option<String>,
    /// What is answered.
    #[arg(long, value_enum, requires = "from")]
    answer: Option<Given>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Given {
    Yes,
    No,
    Unsure,
}

impl Given {
    fn answer(self) -> Answer {
        match self {
            Self::Yes => Answer::Upgrade,
            Self::No => Answer::NoUpgrade,
            Self::Unsure => Answer::NotSure,
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let groups: BTreeMap<String, String> = args.group.iter().map(|group| (args.voter.clone(), group.clone())).collect();
    // Before anything is recorded.
    Deliberation { groups: groups.clone(), ..Deliberation::default() }.check()?;
    let mut store = args.store.open()?;
    let join = |store: &mut Store| match groups.is_empty() {
        true => Ok(()),
        false => store.change(|held| {
            held.groups.extend(groups.clone());
            Ok(())
        }),
    };
    let vote = |from: &CardId, to: &CardId, context: &str, answer| Vote {
        voter: args.voter.clone(),
        from: from.clone(),
        to: to.clone(),
        context: context.into(),
        answer,
    };
    if let (Some(from), Some(to), Some(context), Some(answer)) = (&args.from, &args.to, &args.context, args.answer) {
        store.vote(&vote(&from.as_str().into(), &to.as_str().into(), context, answer.answer()))?;
        join(&mut store)?;
        say!("recorded");
        return Ok(());
    }
    // Nobody joins where the file of answers is not there.
    let mut answers = Answers::open(args.answers.as_ref())?;
    join(&mut store)?;
    let held = store.read_counted()?;
    // By how many votes count: another draw as they come in, and the same one after a crash.
    let asked = draw(&held, &args.voter, args.count.into(), held.votes.len() as u64)?;
    if asked.is_empty() {
        say!("there is nothing to vote on that {} has not judged yet", args.voter);
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
            say!("Did they become wiser? [y]es, [n]o, not [s]ure, [k]eep for later, [q]uit");
            let Some(line) = answers.next()? else { break 'questions };
            let answer = match line.to_lowercase().as_str() {
                "y" | "yes" => Answer::Upgrade,
                "n" | "no" => Answer::NoUpgrade,
                "s" | "unsure" | "not sure" => Answer::NotSure,
                "k" | "skip" | "keep" => break,
                "q" | "quit" => break 'questions,
                _ if patient => continue,
                other => {
                    let other = &other[..other.floor_char_boundary(60)];
                    return Err(
                        Usage(format!("answer {}: {other:?}, expected yes, no, unsure, skip or quit", i + 1)).into()
                    );
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

fn show(held: &Deliberation, id: &CardId, lead: &str) {
    for card in held.cards.iter().filter(|card| card.id == *id) {
        say!("  {lead}: {}. {}", card.title, card.description);
        card.policies.iter().for_each(|policy| say!("    - {}", policy.as_str()));
        say!("");
    }
}
