//! `probity demo`: one small model, selfish or principled by its adapter.

use std::path::{Path, PathBuf};

use anyhow::Context;
use plotters::prelude::*;
use probity::agent::{Agent, Scenario};
use probity_engine::ContextOptions;
use probity_game::{CatalogGame, Profile, Strategy};
use probity_train::eval::{Candidate, RoundRobin};
use probity_train::labels::{Split, split_of};
use serde::Serialize;

use crate::output::say;
use crate::{builtin, decide, input, output};

/// Play the prisoner's dilemma, bare and under adapters.
///
/// The built-in adapters are the default.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity demo --rounds 50 --picture policies.svg\n         probity demo --model your.gguf --adapter yours.gguf --labels share,keep"
)]
pub struct Args {
    /// The model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    /// An adapter: a GGUF file or a built-in name. May be repeated.
    #[arg(long)]
    adapter: Vec<String>,
    /// Rounds against each opponent.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Labels of the two actions, cooperation first.
    #[arg(long, value_delimiter = ',', default_value = "zork,blip")]
    labels: Vec<String>,
    /// Seed of every random stream.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Where to write the picture.
    #[arg(long, default_value = "probity-demo.svg")]
    picture: PathBuf,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    policy: String,
    #[serde(flatten)]
    figures: RoundRobin,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let [c, d] = input::two_labels(&args.labels)?;
    let game = CatalogGame::find("ipd")?.labelled([c, d])?;
    let model = builtin::open_model(&args.model)?;
    let own = args.model != "default";
    let adapters: Vec<&str> = if own || !args.adapter.is_empty() {
        args.adapter.iter().map(String::as_str).collect()
    } else {
        builtin::ADAPTERS.iter().map(|(name, _)| *name).collect()
    };
    let names: Vec<Option<&str>> = std::iter::once(None).chain(adapters.iter().copied().map(Some)).collect();
    let bar = output::bar((names.len() * Strategy::all().len()) as u64, "playing");
    let mut scenario = Scenario::new(game);
    scenario.seed = args.seed;
    let mut rows = Vec::new();
    for name in &names {
        let policy = name.unwrap_or("bare model");
        bar.set_message(policy.to_owned());
        let adapters = match name {
            Some(name) => vec![(builtin::load_adapter(&model, name)?, 1.0)],
            None => Vec::new(),
        };
        let candidate = Candidate::of(adapters);
        let figures = RoundRobin::play(&model, &scenario, &candidate, args.rounds, || bar.inc(1))?;
        rows.push(Row { policy: policy.into(), figures });
    }
    bar.finish_and_clear();
    plot(&args.picture, &rows).with_context(|| args.picture.display().to_string())?;
    if args.json {
        return output::json(&rows);
    }

    let unseen = !own && args.labels.iter().all(|l| split_of(l) == Split::Test);
    let note = if unseen { ": labels the model never saw in training" } else { "" };
    say!("The iterated prisoner's dilemma, {c:?} to cooperate and {d:?} to defect{note}.\n");
    let opponents: Vec<String> = Strategy::names().iter().map(|name| format!("vs {name}")).collect();
    let states = ["P(C|CC)", "P(C|CD)", "P(C|DC)", "P(C|DD)"];
    let mut header = vec!["policy"];
    header.extend(states.into_iter().chain(opponents.iter().map(String::as_str)));
    header.extend(["deontological regret", "utilitarian regret"]);
    let mut table = output::table(&header);
    for row in &rows {
        let regrets = &row.figures.regrets;
        let mut cells = vec![row.policy.clone()];
        cells.extend(row.figures.cooperation.iter().chain(&row.figures.scores).map(|v| format!("{v:.2}")));
        cells.extend([format!("{:.3}", regrets.deontological), format!("{:.3}", regrets.utilitarian)]);
        table.add_row(cells);
    }
    say!("{table}");
    say!(
        "P(C|xy): probability of cooperating after own x and the other's y. Scores: mean points a round over {} rounds.",
        args.rounds
    );
    say!("Regrets: expected over the four states against a fair coin; 0 is best (the protocol's measures, xi = 4).\n");

    scenario.history = vec![Profile { own: 1, other: 0 }];
    let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
    let shown = adapters.iter().find(|a| **a == "deontological").or(adapters.last());
    if let Some(name) = shown {
        agent.set_adapters(&[(builtin::load_adapter(&model, name)?, 1.0)])?;
    }
    agent.decide()?;
    let record = agent.record().context("a decision leaves a record")?;
    let who = shown.map_or("bare model", |name| name);
    say!("One decision under {who}, after it chose {d:?} and the other {c:?}:");
    say!("{}", decide::account_table(&record));
    say!("It takes {:?}.\n", record.decision.label());

    say!("Picture of the policies: {}", args.picture.display());
    let program = std::env::args().next().unwrap_or_else(|| "probity".into());
    say!("With your own model: {program} demo --model your.gguf --labels share,keep");
    say!("Train an adapter:    {program} train --recipe deontological --model your.gguf --out yours.gguf");
    say!("And see it play:     {program} demo --model your.gguf --adapter yours.gguf");
    decide::reliable(&record)
}

/// A bar for each state, a panel for each policy.
fn plot(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    const PANEL: (u32, u32) = (220, 190);
    let columns = rows.len().min(4);
    let lines = rows.len().div_ceil(columns);
    let size = (PANEL.0 * columns as u32, PANEL.1 * lines as u32 + 40);
    let colours = [RGBColor(38, 110, 170), RGBColor(120, 170, 210), RGBColor(200, 120, 60), RGBColor(225, 180, 130)];
    let failed = |e: &dyn std::fmt::Display| anyhow::anyhow!("{e}");
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE).map_err(|e| failed(&e))?;
    let titled = area
        .titled("Probability of cooperating, by last round (own, other)", ("sans-serif", 18))
        .map_err(|e| failed(&e))?;
    for (panel, row) in titled.split_evenly((lines, columns)).iter().zip(rows) {
        let mut chart = ChartBuilder::on(panel)
            .caption(&row.policy, ("sans-serif", 14))
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(30)
            .build_cartesian_2d(0.0..4.0, 0.0..1.0)
            .map_err(|e| failed(&e))?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .y_labels(3)
            .x_labels(0)
            .draw()
            .map_err(|e| failed(&e))?;
        let bars = row.figures.cooperation.iter().enumerate().map(|(i, &p)| {
            let x = i as f64;
            Rectangle::new([(x + 0.15, 0.0), (x + 0.85, p)], colours[i % 4].filled())
        });
        chart.draw_series(bars).map_err(|e| failed(&e))?;
        let names = ["CC", "CD", "DC", "DD"]
            .into_iter()
            .enumerate()
            .map(|(i, name)| Text::new(name, (i as f64 + 0.33, -0.04), ("sans-serif", 12)));
        let labels = chart.plotting_area();
        for name in names {
            labels.draw(&name).map_err(|e| failed(&e))?;
        }
    }
    area.present().map_err(|e| failed(&e))?;
    Ok(())
}
