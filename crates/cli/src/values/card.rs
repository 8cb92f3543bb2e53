//! `probity values card`: shows, adds, changes, merges and splits cards.

use std::path::PathBuf;

use probity_values::{CardId, Deliberation, ValuesCard, ValuesError};

use super::{StoreArgs, named};
use crate::input;
use crate::output::{self, say};

/// List, show, add, change, merge or split cards.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values card --store values.db\n         probity values card --put card.json --store values.db\n         probity values card 12 --merge-into 7 --store values.db"
)]
pub struct Args {
    /// The card's id; without it, a list of all.
    card: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Add the card of this file (JSON as of --json), or replace its id's card.
    #[arg(long, value_name = "FILE", conflicts_with = "card")]
    put: Option<PathBuf>,
    /// Merge this card into a card with the same meaning, which gets its votes.
    #[arg(long, value_name = "ID", requires = "card")]
    merge_into: Option<String>,
    /// Undo a merge; `dedupe` does not repeat it.
    #[arg(long, requires = "card", conflicts_with = "merge_into")]
    split: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(path) = &args.put {
        let card = input::read(path, |text| {
            let card: ValuesCard = input::json("card", text)?;
            card.check()?;
            Ok::<_, probity::Error>(card)
        })?;
        let mut store = args.store.open_or_create()?;
        let told = named(&card);
        let replaced = store.change(|held| {
            let place = held.cards.iter().position(|other| other.id == card.id);
            match place {
                Some(i) => held.cards[i] = card,
                None => held.cards.push(card),
            }
            Ok(place.is_some())
        })?;
        say!("{} {told}", if replaced { "changed" } else { "added" });
        return Ok(());
    }
    let Some(id) = args.card.as_deref().map(CardId::from) else {
        let held = args.store.open()?.read()?;
        if args.json {
            return output::json(&held.cards);
        }
        for card in &held.cards {
            match held.merged.get(&card.id) {
                Some(into) => say!("{}, merged into {into}", named(card)),
                None => say!("{}", named(card)),
            }
        }
        return Ok(());
    };
    let known = |held: &Deliberation, id: &CardId| match held.cards.iter().any(|card| card.id == *id) {
        true => Ok(()),
        false => Err(ValuesError::NoCard { place: "store".into(), id: id.to_string() }),
    };
    if let Some(into) = args.merge_into.as_deref().map(CardId::from) {
        args.store.open()?.change(|held| Ok(held.merge(&id, &into)?))?;
        say!("votes for {id} count for {into}");
        return Ok(());
    }
    if args.split {
        let was = args.store.open()?.change(|held| Ok(held.split(&id)?))?;
        match was {
            Some(into) => say!("votes for {id} count for itself, no longer for {into}"),
            None => say!("{id} was merged into no other"),
        }
        return Ok(());
    }
    let held = args.store.open()?.read()?;
    known(&held, &id)?;
    for card in held.cards.iter().filter(|card| card.id == id) {
        if args.json {
            return output::json(card);
        }
        say!("{}\n\n  {}\n", named(card), card.description);
        card.policies.iter().for_each(|policy| say!("  - {}", policy.as_str()));
    }
    Ok(())
}
