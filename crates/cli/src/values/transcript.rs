//! `probity values transcript`: shows and deletes conversations.

use probity_elicit::Interview;

use super::StoreArgs;
use crate::errors::Usage;
use crate::output::say;

/// List the conversations of a store, show one, or delete one for good.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values transcript --store values.db\n         probity values transcript interview-1 --forget --store values.db"
)]
pub struct Args {
    /// The conversation's name; without it, a list of all.
    name: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Delete the conversation for good; its card stays.
    ///
    /// The bytes are overwritten in the store, and SQLite's log is emptied.
    #[arg(long, requires = "name")]
    forget: bool,
    /// Print the conversation as JSON.
    #[arg(long, requires = "name")]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut store = args.store.open()?;
    let Some(name) = &args.name else {
        store.transcripts()?.iter().for_each(|name| say!("{name}"));
        return Ok(());
    };
    let missing = || Usage(format!("there is no conversation {name:?}"));
    if args.forget {
        if !store.forget(name)? {
            return Err(missing().into());
        }
        say!("{name} is deleted");
        return Ok(());
    }
    let text = store.transcript(name)?.ok_or_else(missing)?;
    if text.is_empty() {
        return Err(probity_elicit::Error::Forgotten { name: name.clone() }.into());
    }
    if args.json {
        say!("{text}");
        return Ok(());
    }
    let interview = Interview::from_json(&text)?;
    for exchange in &interview.exchanges {
        say!("{}\n", exchange.question);
        exchange.answer.iter().for_each(|answer| say!("    {}\n", answer.replace('\n', "\n    ")));
    }
    Ok(())
}
