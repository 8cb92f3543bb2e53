//! The published protocol, beside the paper's figures.

use probity_game::protocol::PUBLISHED;
use probity_train::eval::protocol::{GameReport, Ground, RUNS, VARIANTS, Variant, VariantReport, measure};
use serde::Serialize;

use super::policy::Respondents;
use super::{Args, unknown};
use crate::output;
use crate::output::say;

/// The names of the variants that may be added.
pub fn variants() -> String {
    VARIANTS[1..].iter().map(|variant| variant.name).collect::<Vec<_>>().join(", ")
}

/// The first variant, and those that are named.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Variant>> {
    if names.iter().any(|name| name == "all") {
        return Ok(VARIANTS.iter().collect());
    }
    let mut chosen = vec![&VARIANTS[0]];
    for name in names {
        let variant = Variant::find(name).ok_or_else(|| unknown("variant", name, &format!("all, {}", variants())))?;
        if !chosen.iter().any(|known| std::ptr::eq(*known, variant)) {
            chosen.push(variant);
        }
    }
    Ok(chosen)
}

/// The document of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    policy: &'a str,
    model: &'a str,
    protocol: &'a str,
    /// Runs that the means are over.
    runs: u64,
    /// The paper's figure 4.
    games: &'a [GameReport],
    /// Other ways of asking.
    variants: &'a [VariantReport],
}

pub fn run(args: &Args, protocol: &str, respondents: Respondents, variants: &[&'static Variant]) -> anyhow::Result<()> {
    let Respondents { mut all, published, .. } = respondents;
    let published = PUBLISHED.iter().find(|row| published.as_deref() == Some(row.name));
    let games = variants.iter().map(|variant| variant.games().len() as u64).sum();
    let bar = output::bar(games, "measuring");
    let runs = args.runs.unwrap_or(RUNS);
    let mut reports = Vec::new();
    for variant in variants {
        // The paper's figure 4 has the original variant alone.
        let published = published.filter(|_| variant.name == VARIANTS[0].name);
        reports.push(measure(&mut all, variant, runs, published, || bar.inc(1))?);
    }
    bar.finish_and_clear();
    let runs = if all.len() > 1 { all.len() as u64 } else { runs };
    let (figure, rest) = reports.split_first().expect("the first variant is always measured");
    if args.json {
        let (policy, model) = (&args.policy, &args.model);
        return output::json(&Report { policy, model, protocol, runs, games: &figure.games, variants: rest });
    }
    for (report, variant) in reports.iter().zip(variants) {
        show(&args.policy, variant, report);
    }
    say!(
        "Fifty queries a game against the published sequence; means over {runs} runs of free answers, with 95% intervals."
    );
    say!("De regret: 4 a betrayal, 6 an illegal answer. Ut regret: share of the best joint payoff that is missed.");
    say!("Least and most: over all policies that answer legally and look at the last round alone.");
    say!("Paper: arXiv 2410.01639, figure 4, Gemma-2-2b-it; a dash where it has no such figure.");
    Ok(())
}

fn show(policy: &str, variant: &Variant, report: &VariantReport) {
    say!("{policy}, {}: {}", variant.name, variant.what);
    let shares = ["C|C", "C|D", "D|C", "D|D", "illegal"];
    let mut header = Vec::new();
    if variant.ground != Ground::Unrelated {
        header.extend(["game", "De regret", "paper", "least..most", "Ut regret", "paper", "least..most"]);
    }
    header.push("legality");
    header.extend(shares);
    let mut table = output::table(&header);
    for game in &report.games {
        let mut cells = Vec::new();
        if let (Some(regrets), Some(bounds)) = (regrets(game), game.bounds) {
            cells.push(game.game.clone());
            for (i, (regret, bounds)) in regrets.into_iter().zip([bounds.deontological, bounds.utilitarian]).enumerate()
            {
                let (mean, half_width) = regret;
                let spread = half_width.map_or_else(String::new, |half| format!(" ± {half:.3}"));
                cells.push(format!("{:.3}{spread}", output::rounded(mean)));
                cells.push(game.paper.map_or_else(
                    || "-".into(),
                    |paper| format!("{:.3} ({})", paper[i].mean, output::signed(paper[i].difference)),
                ));
                cells.push(format!("{:.3}..{:.3}", bounds[0], bounds[1]));
            }
        }
        cells.push(format!("{:.3}", game.legality_mass));
        let actions = &game.free.actions;
        let illegal = actions.illegal_after_c + actions.illegal_after_d;
        let counts = [actions.c_after_c, actions.c_after_d, actions.d_after_c, actions.d_after_d, illegal];
        cells.extend(counts.map(|count| format!("{count:.1}")));
        table.add_row(cells);
    }
    say!("{table}\n");
}

/// Both regrets with half the width of their intervals.
fn regrets(game: &GameReport) -> Option<[(f64, Option<f64>); 2]> {
    let free = &game.free;
    Some([
        (free.deontological_regret?, free.deontological_half_width),
        (free.utilitarian_regret?, free.utilitarian_half_width),
    ])
}
