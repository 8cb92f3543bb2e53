//! `probity eval`: how a policy behaves, and how far its behaviour reaches.

mod policy;
mod protocol;

use anyhow::Context;

use crate::errors::Usage;
use crate::names;

/// Measure a policy by the published protocol.
///
/// A policy is a model's, bare or under adapters, or a scripted player's.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity eval --policy deontological --protocol tennant2025\n         probity eval --policy tit-for-tat --protocol tennant2025 --json\n         probity eval --model your.gguf --policy seed1.gguf,seed2.gguf,seed3.gguf --protocol tennant2025 --variant all"
)]
pub struct Args {
    /// The model: a GGUF file or `default`.
    #[arg(long, default_value = "default")]
    model: String,
    #[arg(long, default_value = "bare", help = format!("Whose policy: `bare`, adapters ({}, or GGUF files; several with commas are the training seeds of one policy), `asked:REWARD` for the bare model asked in words, a scripted player ({}), or a .json file with {{\"memory-one\": [p0, pcc, pcd, pdc, pdd]}}", names::adapters(), names::strategies()))]
    policy: String,
    /// The published protocol: tennant2025, of arXiv 2410.01639.
    #[arg(long, value_parser = ["tennant2025"])]
    protocol: String,
    #[arg(long, value_delimiter = ',', help = format!("More ways of asking, beside the first: all, or some of {}", protocol::variants()))]
    variant: Vec<String>,
    /// Runs of free answers; a policy of several training seeds has one run each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    runs: u64,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let variants = protocol::chosen(&args.variant)?;
    let policy = policy::Policy::named(&args.policy)?;
    let respondents = policy.respondents(&args.model).with_context(|| format!("--policy {}", args.policy))?;
    protocol::run(args, respondents, &variants)
}

/// A wrong name in a list.
fn unknown(flag: &str, given: &str, expected: &str) -> anyhow::Error {
    Usage(format!("--{flag} {given:?}, expected {expected}")).into()
}
