//! `probity values rank`: which values are the wisest, by either ranking.

use clap::ValueEnum;
use probity_values::compat::Thresholds;
use probity_values::robust::Settings;
use probity_values::{Graph, Method, Stability, stability};
use serde_json::json;

use super::ViewArgs;
use crate::output::{self, say};

/// Rank the values of a store: the wisest first.
///
/// `robust` fits all votes at once and states the error of each score. `compat` is the published ranking, exactly, for
/// comparison.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values rank --store values.db\n         probity values rank --store values.db --method compat --context \"When parenting\" --json"
)]
pub struct Args {
    #[command(flatten)]
    view: ViewArgs,
    /// The ranking.
    #[arg(long, value_enum, default_value_t = Name::Robust)]
    method: Name,
    /// Show so many values [default: all]
    #[arg(long)]
    top: Option<usize>,
    /// Test both rankings with 2 and 10 false voters, and N resamples.
    ///
    /// It reports the climb of the last card, and how often the winner stays. It covers all contexts together.
    #[arg(long, value_name = "RESAMPLES", num_args = 0..=1, default_missing_value = "200", conflicts_with = "context",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    stability: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// A Bradley-Terry fit with standard errors; contested values are marked.
    Robust,
    /// The published aggregation and PageRank.
    Compat,
}

impl Name {
    fn method(self) -> Method {
        match self {
            Self::Robust => Method::Robust(Settings::default()),
            Self::Compat => Method::Compat(Thresholds::default()),
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let (graph, context) = args.view.open()?;
    let mut document = graph.ranking(&args.method.method(), context);
    let ranked = document.ranked;
    document.ranking.truncate(args.top.unwrap_or(ranked));
    let stability = args.stability.map(|resamples| both(&graph, resamples));
    if args.view.json {
        let mut document = json!(document);
        if let Some(stability) = stability {
            document["stability"] = json!(stability);
        }
        return output::json(&document);
    }
    let mut table = match args.method {
        Name::Robust => output::table(&["", "score", "± error", "voters", "card"]),
        Name::Compat => output::table(&["", "score", "card"]),
    };
    for (i, card) in document.ranking.iter().enumerate() {
        let name = format!("{} ({})", card.title, card.id);
        let (place, score) = (format!("{}", i + 1), format!("{:.3}", card.score));
        match card.standing {
            Some(trust) => {
                let name = if trust.contested { format!("{name}, contested") } else { name };
                table.add_row([place, score, format!("{:.3}", trust.error), trust.voters.to_string(), name])
            }
            None => table.add_row([place, score, name]),
        };
    }
    if let Some(column) = table.column_iter_mut().last() {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    say!("{table}");
    if ranked == 0 {
        say!(
            "Nothing is ranked: {}",
            match args.method {
                Name::Robust => "no card was judged by five voters",
                Name::Compat => "no edge has enough votes",
            }
        );
    } else if document.ranking.len() < ranked {
        say!("{} of {ranked}", document.ranking.len());
    }
    for Stability { method, ranked, attacks, winner_kept, .. } in stability.into_iter().flatten() {
        say!(
            "{method}: 2 false voters lift the last of {ranked} cards to place {}, 10 to place {}; {:.0}% of the resamples keep the winner",
            attacks[0].after,
            attacks[1].after,
            100.0 * winner_kept
        );
    }
    Ok(())
}

/// Both rankings under false votes and resampling, of two cards or more.
fn both(graph: &Graph, resamples: u32) -> Vec<Stability> {
    let of = |name: Name| stability(graph.ballots(), &name.method(), resamples as usize);
    [Name::Robust, Name::Compat].into_iter().filter_map(of).collect()
}
