//! `probity values import` and `export`: graphs and deliberations in and out.

use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use probity_engine::files::write_whole;
use probity_values::Deliberation;
use probity_values::compat::Thresholds;

use super::StoreArgs;
use crate::input;
use crate::output::say;

/// Add a graph to a store: a published graph, or a file of `export`.
///
/// Entries that are in the store already must be equal in the file; otherwise nothing is added.
#[derive(clap::Args)]
#[command(after_help = "Example: probity values import graph.json --store values.db")]
pub struct ImportArgs {
    /// The graph, JSON.
    graph: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn import(args: &ImportArgs) -> anyhow::Result<()> {
    // The file is read before the store is created: an invalid file leaves no empty store behind.
    let read = input::read(&args.graph, Deliberation::from_json)?;
    let mut store = args.store.open_or_create()?;
    let [before, after] = store
        .change(|held| {
            let before = Held::of(held);
            held.add(read)?;
            Ok([before, Held::of(held)])
        })
        .with_context(|| args.graph.display().to_string())?;
    let Held { cards, contexts, stories, votes, edges } = after;
    say!(
        "added {} cards, {} contexts, {} stories, {} votes, {} edges known by their sums",
        cards - before.cards,
        contexts - before.contexts,
        stories - before.stories,
        votes - before.votes,
        edges - before.edges
    );
    say!(
        "{} holds {cards} cards, {contexts} contexts, {stories} stories, {votes} votes, {edges} edges",
        args.store.store.display()
    );
    Ok(())
}

/// How much a store holds.
struct Held {
    cards: usize,
    contexts: usize,
    stories: usize,
    votes: usize,
    edges: usize,
}

impl Held {
    fn of(held: &Deliberation) -> Self {
        Self {
            cards: held.cards.len(),
            contexts: held.all_contexts().len(),
            stories: held.stories.len(),
            votes: held.votes.len(),
            edges: held.edges.len(),
        }
    }
}

/// Write a store's contents as a file.
///
/// Conversations are never exported. Voters are exported under the names they gave.
#[derive(clap::Args)]
#[command(after_help = "Example: probity values export --store values.db --out values.json")]
pub struct ExportArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The deliberation, or a published graph: sums of votes without voters.
    #[arg(long, value_enum, default_value_t = Format::Deliberation)]
    format: Format,
    /// The file to write [default: standard output]
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Cards, contexts, stories and every vote (docs/schema/deliberation.json).
    Deliberation,
    /// The published form: cards, and edges that enough votes uphold.
    Published,
}

pub fn export(args: &ExportArgs) -> anyhow::Result<()> {
    args.store.spare(args.out.as_deref())?;
    let held = args.store.open()?.read()?;
    let text = match args.format {
        Format::Deliberation => held.to_json(),
        Format::Published => held.published(Thresholds::default())?.to_json(),
    };
    match &args.out {
        Some(path) => write_whole(path, |out| out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")))?,
        None => say!("{text}"),
    }
    Ok(())
}
