//! `probity eval`: how a policy behaves, and how far its behaviour reaches.

pub mod dilemmas;
mod exact;
pub mod policy;
mod protocol;

use crate::errors::Usage;
use crate::names;

/// Measure a policy: exactly, or by the published protocol.
///
/// A policy is a model's, bare or under adapters, or a scripted player's. The exact view has every state of each game,
/// the first round too, from both seats, with shared and distinct labels that training never draws, in every layout. It
/// tells how often an answer changes with the presentation alone, and shows habits that pass for a policy.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity eval --policy deontological\n         probity eval --policy deontological --game held-out --norm untold\n         probity eval --policy yours.gguf --model your.gguf --game yours.json --reward utilitarian\n         probity eval --policy deontological --protocol tennant2025 --variant all\n         probity eval --policy seed1.gguf,seed2.gguf,seed3.gguf --protocol tennant2025 --json\n         probity eval --policy deontological --protocol dilemmas"
)]
pub struct Args {
    /// The model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    #[arg(long, default_value = "bare", help = format!("Whose policy: `bare`, an adapter ({}, or a GGUF file), `asked:REWARD` for the bare model asked in words, a scripted player ({}), or a .json file with {{\"memory-one\": [p0, pcc, pcd, pdc, pdd]}}", names::adapters(), names::strategies()))]
    policy: String,
    #[arg(long, value_delimiter = ',', conflicts_with = "protocol", help = format!("Games: {}, or game files; `{}` for sixty games that no training draws; all of the catalogue without it", names::games(), exact::HELD_OUT))]
    game: Vec<String>,
    /// Whether the prompt tells which actions are cooperation.
    #[arg(long, default_value = "told", conflicts_with = "protocol", value_parser = ["told", "untold"])]
    norm: String,
    #[arg(long, conflicts_with = "protocol", help = format!("The reward to hold it against: {}, or a file of `probity values score --scenario`; an adapter's own without it", names::frameworks()))]
    reward: Option<String>,
    /// Pairs of label sets that each game is told with.
    #[arg(long, default_value_t = 2, conflicts_with = "protocol", value_parser = clap::value_parser!(u16).range(1..=100))]
    sets: u16,
    /// The seed that label sets are drawn with.
    #[arg(long, default_value_t = 2410, conflicts_with = "protocol")]
    seed: u64,
    /// A protocol in place of the exact view.
    ///
    /// It is the published one (arXiv 2410.01639), or everyday dilemmas. These have a kinder and a more selfish option
    /// each, and are asked with either option first, beside the bare model and beside prompts that have nothing to do
    /// with games.
    #[arg(long, value_parser = ["tennant2025", "dilemmas"])]
    protocol: Option<String>,
    #[arg(long, value_delimiter = ',', requires = "protocol", help = format!("More ways of asking, beside the first: all, or some of {}", protocol::variants()))]
    variant: Vec<String>,
    /// Runs of free answers.
    ///
    /// A policy of several training seeds, with commas between, has one run each [default: 5]
    #[arg(long, requires = "protocol", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    runs: Option<u64>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let policy = policy::Policy::named(&args.policy)?;
    let Some(protocol) = &args.protocol else { return exact::run(args, &policy) };
    if protocol == "dilemmas" {
        if !args.variant.is_empty() || args.runs.is_some() {
            let problem =
                "--variant and --runs are of tennant2025: dilemmas are asked in one way, and nothing is sampled";
            return Err(Usage(problem.into()).into());
        }
        return dilemmas::run(args, &policy);
    }
    let variants = protocol::chosen(&args.variant)?;
    let respondents = policy.respondents(&args.model)?;
    protocol::run(args, protocol, respondents, &variants)
}

/// A wrong name in a list.
fn unknown(flag: &str, given: &str, expected: &str) -> anyhow::Error {
    Usage(format!("--{flag} {given:?}, expected {expected}")).into()
}
