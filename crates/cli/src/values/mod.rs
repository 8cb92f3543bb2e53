//! `probity values`: elicit values, vote, rank, and score actions.

mod answers;
mod card;
mod dedupe;
mod explain;
mod explore;
mod graph;
mod interview;
mod models;
mod propose;
mod rank;
mod score;
mod transcript;
mod transfer;
mod vote;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use probity_engine::files::resolved;
use probity_values::robust::Settings;
use probity_values::store::{self, Store};
use probity_values::{Graph, ValuesCard};

use crate::errors::Usage;

/// Gather values in a store, vote on upgrades, and rank the values.
///
/// A store is one file on this device. The first command that adds to a store creates it. Several programs may use a
/// store at once. The process is that of "What are human values, and how do we align AI to them?" (arXiv 2404.10636).
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values import graph.json --store values.db\n         probity values rank --store values.db --method robust\n         probity values explain 12 --store values.db"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Import(transfer::ImportArgs),
    Export(transfer::ExportArgs),
    Interview(interview::Args),
    Transcript(transcript::Args),
    Card(card::Args),
    Dedupe(dedupe::Args),
    Propose(propose::Args),
    Vote(vote::Args),
    Graph(graph::Args),
    Rank(rank::Args),
    Explain(explain::Args),
    Explore(explore::Args),
    Score(score::Args),
}

/// Where the values are.
#[derive(clap::Args)]
struct StoreArgs {
    /// The store: one file.
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
}

impl StoreArgs {
    fn open(&self) -> store::Result<Store> {
        Store::open(&self.store)
    }

    fn open_or_create(&self) -> store::Result<Store> {
        Store::open_or_create(&self.store)
    }

    /// Refuses to overwrite the store or SQLite's files beside it.
    fn spare(&self, out: Option<&Path>) -> anyhow::Result<()> {
        let Some(out) = out else { return Ok(()) };
        let with = |store: &Path, part: &str| {
            let mut name = store.as_os_str().to_owned();
            name.push(part);
            PathBuf::from(name)
        };
        let (store, place) = (resolved(&self.store), resolved(out));
        match ["", "-wal", "-shm", "-journal"].iter().any(|part| with(&store, part) == place) {
            true => Err(Usage(format!("--out {} is the store itself, expected another file", out.display())).into()),
            false => Ok(()),
        }
    }

    fn graph(&self) -> probity::Result<Graph> {
        Ok(Graph::new(self.open()?.read_counted()?, &Settings::default())?)
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Import(args) => transfer::import(args),
        Command::Export(args) => transfer::export(args),
        Command::Interview(args) => interview::run(args),
        Command::Transcript(args) => transcript::run(args),
        Command::Card(args) => card::run(args),
        Command::Dedupe(args) => dedupe::run(args),
        Command::Propose(args) => propose::run(args),
        Command::Vote(args) => vote::run(args),
        Command::Graph(args) => graph::run(args),
        Command::Rank(args) => rank::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Explore(args) => explore::run(args),
        Command::Score(args) => score::run(args),
    }
}

/// The votes to look at, and how to print them.
#[derive(clap::Args)]
struct ViewArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The votes of one context [default: all votes]
    #[arg(long)]
    context: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ViewArgs {
    /// The graph, and the number of the context.
    fn open(&self) -> probity::Result<(Graph, Option<u32>)> {
        let graph = self.store.graph()?;
        let context = self.context.as_ref().map(|text| graph.context(text)).transpose()?;
        Ok((graph, context))
    }
}

/// A card in a line: its title and its id.
fn named(card: &ValuesCard) -> String {
    format!("{} ({})", card.title, card.id)
}
