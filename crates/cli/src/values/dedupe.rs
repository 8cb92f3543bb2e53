//! `probity values dedupe`: merges cards with the same meaning.

use probity_elicit::{duplicates, merge};
use probity_values::CardId;

use super::models::{ElicitArgs, calibration, judge, step};
use super::named;
use crate::output::{self, say};

/// Merge cards with the same meaning.
///
/// The command measures the threshold of similarity, and the accuracy of the model's verdicts, on labelled cards. It
/// does so once for the models at hand and keeps the result in the store. `card ID --split` undoes a merge; later
/// searches respect the split.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values dedupe --store values.db --model qwen2.5-1.5b-instruct-q4_k_m.gguf --dry-run"
)]
pub struct Args {
    #[command(flatten)]
    elicit: ElicitArgs,
    /// Decide by similarity alone, without the model's verdict.
    #[arg(long)]
    no_verdict: bool,
    /// Show the duplicates, and merge nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut store = args.elicit.store.open()?;
    let mut asked = if args.no_verdict { None } else { Some(judge(&args.elicit.model.open()?)?) };
    let mut embedder = args.elicit.embedder.open(|| match &asked {
        Some(judge) => Ok(judge.model().clone()),
        None => args.elicit.model.open(),
    })?;
    let measured = calibration(&mut store, &mut *embedder, asked.as_mut())?;
    if let Some(verdicts) = measured.verdicts.as_ref().filter(|verdicts| !verdicts.count()) {
        eprintln!(
            "The model's verdicts on labelled cards are {:.0}% right, below the threshold: similarity decides alone.",
            100.0 * verdicts.odds.accuracy
        );
    }
    let held = store.read()?;
    let bar = output::bar(0, "asking about neighbours");
    let found = duplicates(&held, &mut *embedder, asked.as_mut(), &measured, &mut step(&bar))?;
    bar.finish_and_clear();
    let made = if args.dry_run { found.clone() } else { store.change(|held| Ok(merge(held, &found)))? };
    if args.json {
        return output::json(
            &serde_json::json!({ "calibration": measured, "merged": !args.dry_run, "duplicates": made }),
        );
    }
    let title = |id: &CardId| held.cards.iter().find(|card| card.id == *id).map_or_else(|| id.to_string(), named);
    for duplicate in &made {
        let verdict = duplicate.verdict.map(|odds| format!(", verdict {odds:+.2}")).unwrap_or_default();
        say!("{} -> {} (likeness {:.2}{verdict})", title(&duplicate.card), title(&duplicate.into), duplicate.likeness);
    }
    say!("{} {}", made.len(), if args.dry_run { "would be merged" } else { "merged" });
    if made.len() < found.len() {
        say!("{} were merged or taken apart by somebody else meanwhile, and stay so", found.len() - made.len());
    }
    Ok(())
}
