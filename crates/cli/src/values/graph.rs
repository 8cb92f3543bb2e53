//! `probity values graph`: every voted upgrade and its verdict.

use probity_values::CardId;
use probity_values::robust::Verdict;
use serde_json::json;

use super::ViewArgs;
use crate::output::{self, say};

/// Show the moral graph: every pair with its votes and its verdict.
///
/// For voters with groups, the bridging score of a pair is the least share of yes in any group. Each share is shrunk
/// towards the share of all groups.
#[derive(clap::Args)]
#[command(after_help = "Example: probity values graph --store values.db --context \"When parenting\"")]
pub struct Args {
    #[command(flatten)]
    view: ViewArgs,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let (graph, context) = args.view.open()?;
    let accounts = graph.accounts(context);
    let bridges = graph.bridges(context);
    if args.view.json {
        return output::json(&json!({
            "context": args.view.context,
            "contexts": graph.ballots().contexts,
            "acquiescence": graph.fit().acquiescence,
            "upgrades": accounts,
            "bridges": bridges,
        }));
    }
    let title = |id: &CardId| graph.number(id).map_or_else(|_| id.to_string(), |card| graph.card(card).title.clone());
    let mut table =
        output::table(&["less wise -> wiser", "wiser", "not", "unsure", "in reverse", "sure", "bridge", "verdict"]);
    for account in &accounts {
        let bridge = bridges.iter().find(|b| (&b.from, &b.to) == (&account.from, &account.to));
        let (counts, reversed) = (account.counts, account.reversed);
        table.add_row([
            format!("{} -> {}", title(&account.from), title(&account.to)),
            counts.wiser.to_string(),
            counts.not_wiser.to_string(),
            counts.unsure.to_string(),
            format!("{} / {} / {}", reversed.wiser, reversed.not_wiser, reversed.unsure),
            format!("{:.2}", account.probability),
            bridge.map_or_else(String::new, |b| format!("{:.2}", b.score)),
            account.verdict.to_string(),
        ]);
    }
    say!("{table}");
    let how_many = |verdict| accounts.iter().filter(|account| account.verdict == verdict).count();
    say!(
        "{} pairs: {} upheld, {} overruled, {} contested, {} open. Acquiescence: {:.2} logits.",
        accounts.len(),
        how_many(Verdict::Upheld),
        how_many(Verdict::Overruled),
        how_many(Verdict::Contested),
        how_many(Verdict::Open),
        graph.fit().acquiescence
    );
    Ok(())
}
