//! `probity compare`: ways to change a model's behaviour, with their costs.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use probity::agent::policy::Tilt;
use probity::agent::prompt::{Layout, Style};
use probity::agent::{Scenario, verify};
use probity_game::moral::{OTHER, Reward, WORDINGS};
use probity_game::{CatalogGame, MatrixGame, Player};
use probity_train::curriculum::{Algorithm, TrainConfig};
use probity_train::eval::{Candidate, Evaluation, Figures};
use serde::Serialize;

use crate::output::say;
use crate::{builtin, input, names, output, train};

/// Compare ways to change a model's behaviour.
///
/// The ways are the bare model, a request in words, a tilt, supervised training, exact training, and adapters that you
/// name.
///
/// Every policy decides every state of the games in every layout; figures are exact means, against a fair coin.
/// Training never draws the labels zork and blip.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity compare --reward deontological --steps 100\n         probity compare --model your.gguf --steps 0 --adapter yours.gguf --labels share,keep"
)]
pub struct Args {
    /// The model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    #[arg(long, default_value = "deontological", help = format!("The reward that every policy aims for: {}, or a file of `probity values score --scenario`", names::frameworks()))]
    reward: String,
    /// Games to train and to measure on: catalogue names or game files.
    ///
    /// Without any, the five of the protocol measure, and the config's train.
    #[arg(long, value_delimiter = ',')]
    game: Vec<String>,
    /// Labels of games of two actions, in order.
    ///
    /// Without them, files keep their own, and games of the catalogue have zork,blip.
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    /// Steps of supervised and of exact training; 0 trains nothing.
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// The config to train by: a recipe's name or a TOML file.
    ///
    /// The command takes games (without --game), labels, styles, opponent, rank and rates from it. Algorithm, reward
    /// and steps are the command's own: one phase of single rounds. The default is the reward's recipe, or the
    /// deontological recipe.
    #[arg(long)]
    config: Option<String>,
    /// Another adapter to compare: a GGUF file or a built-in name. May be repeated.
    #[arg(long)]
    adapter: Vec<String>,
    /// A folder to keep the trained adapters in.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// A way, what it does, and what it took.
#[derive(Serialize)]
struct Row {
    policy: String,
    /// The text before the rules, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'static str>,
    #[serde(flatten)]
    figures: Figures,
    training_tokens: u64,
    training_seconds: f64,
    /// Distance to the optimum at the end of the training, in the training's own games.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<f64>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let reward = input::reward(&args.reward)?;
    let given = args.game.iter().map(|name| input::game(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let config = config(args, &given, reward.clone())?;
    let games = told(args, given)?;
    let styles = Layout::ALL.map(|layout| Style::default().with(|o| o.layout = layout)).to_vec();
    let ground = Evaluation::new(games, styles, reward);
    // Invalid arguments fail before any training.
    ground.games.iter().try_for_each(|game| Scenario::new(game.clone()).check())?;
    for name in &args.adapter {
        let file = builtin::adapter_file(name)?;
        fs::metadata(file.path()).with_context(|| name.clone())?;
    }
    let kept = args.out.as_ref().map(|out| fs::create_dir_all(out).with_context(|| out.display().to_string()));
    kept.transpose()?;
    let temporary = tempfile::tempdir()?;
    let folder = args.out.as_deref().unwrap_or(temporary.path());
    // Training comes first: its memory is given back before the runtime's model takes its own.
    let mut trained = Vec::new();
    if args.steps > 0 {
        for (name, algorithm) in
            [("supervised training", Algorithm::Supervised {}), ("exact training", Algorithm::Optimum {})]
        {
            let config = config.clone().with(|o| {
                o.algorithm = algorithm;
                o.name = name.replace(' ', "-");
            });
            let path = folder.join(format!("{}.gguf", config.name));
            trained.push((name, train::whole(&args.model, config, &path)?));
        }
    }

    let model = builtin::open_model(&args.model)?;
    let ways = 2 + WORDINGS + trained.len() + args.adapter.len();
    let bar = output::bar((ways * ground.games.len() * ground.styles.len()) as u64, "measuring");
    let row = |policy: &str, figures| Row {
        policy: policy.into(),
        prompt: None,
        figures,
        training_tokens: 0,
        training_seconds: 0.0,
        distance: None,
    };
    let measure = |policy: &str, player: &Candidate<'_>| -> probity_train::Result<Row> {
        Ok(row(policy, ground.measure(&model, player, || bar.inc(1))?))
    };
    let mut rows = vec![measure("bare model", &Candidate::default())?];
    let (text, figures) = ground.measure_best_wording(&model, || bar.inc(1))?;
    rows.push(Row { prompt: Some(text), ..row("asked in words", figures) });
    let tilt = Tilt { reward: ground.reward.clone(), beta: config.beta };
    rows.push(measure("tilted", &Candidate::default().with(|o| o.tilt = Some(tilt)))?);
    for (name, run) in &trained {
        let adapters = vec![(verify::load(&model, &run.path)?, 1.0)];
        let row = measure(&format!("{name}, {} steps", run.steps), &Candidate::of(adapters))?;
        let distance = Some(run.distance);
        rows.push(Row { training_tokens: run.tokens, training_seconds: run.seconds, distance, ..row });
    }
    for name in &args.adapter {
        let adapters = vec![(builtin::load_adapter(&model, name)?, 1.0)];
        rows.push(measure(name, &Candidate::of(adapters))?);
    }
    bar.finish_and_clear();
    if args.json {
        return output::json(&rows);
    }
    show(args, &config, &rows);
    Ok(())
}

/// The games that every policy decides, as they are told.
fn told(args: &Args, given: Vec<MatrixGame>) -> anyhow::Result<Vec<MatrixGame>> {
    let labels = match &args.labels[..] {
        [] => ["zork", "blip"],
        labels => input::two_labels(labels)?,
    };
    let labels = labels.map(str::to_owned);
    let relabelled = |(game, keeps): (MatrixGame, bool)| {
        let two = [Player::Row, Player::Column].map(|player| game.count(player)) == [2, 2];
        Ok(if two && !keeps { game.with_labels(&labels, &labels)? } else { game })
    };
    if given.is_empty() {
        return CatalogGame::protocol().map(|known| relabelled((known.game(), false))).collect();
    }
    let keeps = args.game.iter().map(|name| args.labels.is_empty() && CatalogGame::find(name).is_err());
    given.into_iter().zip(keeps).map(relabelled).collect()
}

/// The config both adapters are trained by.
fn config(args: &Args, games: &[MatrixGame], reward: Reward) -> anyhow::Result<TrainConfig> {
    let name = args.config.clone().unwrap_or_else(|| {
        // The recipes spell sums with a plus.
        let name = args.reward.replace("game-deontological", "game+deontological");
        if train::recipe(&name).is_some() { name } else { "deontological".into() }
    });
    let mut config = match train::recipe(&name) {
        Some(config) => config,
        None => input::config(&name)?,
    };
    if !games.is_empty() {
        train::play_on(&mut config, games.to_vec());
    }
    config.single_phase(reward.into(), args.steps.max(1)).with_context(|| format!("--config {name}"))
}

fn show(args: &Args, config: &TrainConfig, rows: &[Row]) {
    let games = if args.game.is_empty() { "the protocol's games".into() } else { args.game.join(", ") };
    say!("{} reward in {games}; every state, four layouts.\n", args.reward);
    let mut table = output::table(&[
        "policy",
        "reward",
        "of",
        "miss",
        "De regret",
        "Ut regret",
        "legality",
        "trained on",
        "in",
        "to optimum",
        "prompt",
        "decision",
    ]);
    for row in rows {
        let f = &row.figures;
        let trained = |text: String| if row.training_tokens > 0 { text } else { "-".into() };
        table.add_row([
            row.policy.clone(),
            format!("{:.3}", output::rounded(f.reward)),
            format!("{:.3}", f.best),
            format!("{:.3}", f.miss),
            format!("{:.3}", f.deontological),
            format!("{:.3}", f.utilitarian),
            format!("{:.3}", f.legality_mass),
            trained(format!("{:.2} M tokens", row.training_tokens as f64 / 1e6)),
            trained(format!("{:.0} s", row.training_seconds)),
            row.distance.map_or_else(|| "-".into(), |distance| format!("{distance:.3}")),
            format!("{:.0} tokens", f.prompt_tokens),
            format!("{:.1} ms", 1e3 * f.seconds),
        ]);
    }
    say!("{table}");
    if let Some(text) = rows.iter().find_map(|row| row.prompt) {
        let text = text.replace(OTHER, "the other player");
        say!("asked in words, the best of {}: {text:?}", WORDINGS);
    }
    say!(
        "Reward: expected points a round, of the possible maximum. Miss: probability of actions that are not the best."
    );
    say!("De and Ut regret: deontological and utilitarian as in arXiv 2410.01639, figure 4 (xi = 4); 0 is best.");
    say!(
        "To optimum: distance of the policy, at the end of its training and in its games, to bare exp(R / {}).",
        config.beta
    );
    say!("Legality: probability of the legal answers before the choice is narrowed to them.");
    say!("tilted: pi ~ bare exp(R / {}), no training; it needs the payoffs at every decision.", config.beta);
}
