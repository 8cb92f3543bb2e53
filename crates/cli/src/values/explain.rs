//! `probity values explain`: a card's rank and the votes behind it.

use probity_values::{CardId, Counts};

use super::{ViewArgs, named};
use crate::output::{self, say};

/// Explain the place of a value: its card, its votes, and wiser values.
#[derive(clap::Args)]
#[command(after_help = "Example: probity values explain 12 --store values.db")]
pub struct Args {
    /// The card's id.
    card: String,
    #[command(flatten)]
    view: ViewArgs,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let (graph, context) = args.view.open()?;
    let number = graph.number(&CardId::from(args.card.as_str()))?;
    let explained = graph.explain(number, context);
    if args.view.json {
        return output::json(&explained);
    }
    let card = &explained.card;
    say!("{}\n\n  {}\n", named(card), card.description);
    for policy in &card.policies {
        say!("  - {}", policy.as_str());
    }
    say!("");
    for standing in &explained.standings {
        let place = match standing.place {
            Some(place) => format!("place {place} of {}", standing.of),
            None => "judged by too few to be ranked".into(),
        };
        say!(
            "{}: {place}, score {:.2} ± {:.2}, {} voters{}",
            standing.context.as_deref().unwrap_or("Everywhere"),
            standing.score,
            standing.trust.error,
            standing.trust.voters,
            if standing.trust.contested { ", contested" } else { "" }
        );
    }
    if let Some([place, of]) = explained.published {
        say!("In the published ranking: place {place} of {of}");
    }
    let title = |id: &CardId| graph.number(id).map_or_else(|_| id.to_string(), |number| named(graph.card(number)));
    let told = [
        ("Found wiser than it", &explained.wiser),
        ("Found less wise than it", &explained.less_wise),
        ("Votes do not say whether wiser or less wise", &explained.open),
    ];
    for (heading, accounts) in told.into_iter().filter(|(_, accounts)| !accounts.is_empty()) {
        say!("\n{heading}:");
        for account in accounts {
            let (other, wiser, less_wise) = match account.from == card.id {
                true => (&account.to, account.counts, account.reversed),
                false => (&account.from, account.reversed, account.counts),
            };
            let answers =
                |counts: Counts| format!("{} yes, {} no, {} unsure", counts.wiser, counts.not_wiser, counts.unsure);
            let (wiser, less_wise) = (answers(wiser), answers(less_wise));
            let unknown = match account.unknown {
                0 => String::new(),
                unknown => format!(" and {unknown} of another answer"),
            };
            say!("  {}: wiser? {wiser}; less wise? {less_wise}{unknown}; {}", title(other), account.verdict);
        }
    }
    if explained.path.len() > 1 {
        let way: Vec<String> = explained.path.iter().map(title).collect();
        say!("\nThe way up from it: {}", way.join(" -> "));
    }
    Ok(())
}
