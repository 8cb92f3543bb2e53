//! `probity values propose`: stories for voters to judge.

use probity_elicit::{Scribe, Untold, story, untold};
use probity_values::{CardId, Story};

use super::models::ElicitArgs;
use crate::output::{self, say};

/// Write stories to vote on, in both directions of each pair of values.
///
/// Pairs are similar values, in the contexts that their authors named. --from, --to and --context name one pair. The
/// store keeps each story as soon as it is written.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values propose --store values.db --model qwen2.5-1.5b-instruct-q4_k_m.gguf --pairs 5"
)]
pub struct Args {
    #[command(flatten)]
    elicit: ElicitArgs,
    /// The number of pairs.
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// One value of a pair (an id).
    #[arg(long, requires_all = ["to", "context"])]
    from: Option<String>,
    /// The other value (an id).
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// The context.
    #[arg(long, requires = "from")]
    context: Option<String>,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut store = args.elicit.store.open()?;
    let held = store.read()?;
    let model = args.elicit.model.open()?;
    let chosen = match (&args.from, &args.to, &args.context) {
        (Some(from), Some(to), Some(context)) => {
            let [one, other] = [from, to].map(|id| CardId::from(id.as_str()));
            let there = Untold { from: one.clone(), to: other.clone(), context: context.clone() };
            vec![there, Untold { from: other, to: one, context: context.clone() }]
        }
        _ => untold(&held, &mut *args.elicit.embedder.open(|| Ok(model.clone()))?, args.pairs)?,
    };
    if chosen.is_empty() {
        say!("every pair has a story or lacks a context; add contexts by `interview`, or name a pair with --from");
        return Ok(());
    }
    let mut scribe = Scribe::new(&model)?;
    let bar = output::bar(chosen.len() as u64, "writing");
    for (i, upgrade) in chosen.iter().enumerate() {
        let seed = args.seed.wrapping_add((i as u64) << 8);
        let written = story(&held, upgrade, &mut scribe, seed)?;
        let Story { from, to, context, text, .. } = written.clone();
        store.change(|held| {
            if !held.stories.iter().any(|known| known.id == written.id) {
                held.stories.push(written);
            }
            Ok(())
        })?;
        bar.suspend(|| say!("{from} -> {to}, {context}\n  {text}\n"));
        bar.inc(1);
    }
    bar.finish_and_clear();
    say!("{} stories to vote on", chosen.len());
    Ok(())
}
