//! `probity paper`: figure 4 of arXiv 2410.01639 on one's own machine.

mod figure;
pub mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use probity_engine::Model;
use probity_engine::files::write_whole;
use probity_game::moral::Framework;
use probity_game::protocol::PUBLISHED;
use probity_train::curriculum::{Labels, TrainConfig};
use probity_train::eval::Respondent;
use probity_train::eval::protocol::{GameReport, Ground, RUNS, TEST_LABELS, Variant, measure};
use serde::{Deserialize, Serialize};

use self::report::Report;
use crate::errors::Usage;
use crate::kept::Kept;
use crate::{builtin, input, output, train};

/// Train and measure the paper's policies beside its figure 4 (arXiv 2410.01639).
///
/// It trains an adapter for each reward and seed by the recipe `paper`, and asks each policy the paper's fifty queries
/// a game, under labels that no step trains on. Free answers count, illegal ones included. An adapter that is in the
/// folder already is not trained again, and a policy that was measured is not measured again, so that an interrupted
/// command goes on where it stopped.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity model fetch gemma3-270m && probity paper --model gemma3-270m\n         probity paper --model gemma3-270m --policy utilitarian\n         probity paper --model smollm2 --seeds 5 --out figures"
)]
pub struct Args {
    /// The model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "gemma3-270m")]
    model: String,
    /// The policies to train [default: all six].
    ///
    /// The page has those that lie in the folder, too.
    #[arg(long, value_delimiter = ',', value_parser = POLICIES.map(|policy| policy.name))]
    policy: Vec<String>,
    /// Training seeds of each policy; five as in the paper.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// A config (TOML) in place of the recipe `paper`; its phases are the command's.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The folder for the adapters, the figures as a page and as a picture.
    #[arg(long, default_value = "probity-paper")]
    out: PathBuf,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// A policy of the paper's figure 4.
pub struct Policy {
    /// As adapters are named.
    pub name: &'static str,
    /// The rewards of its phases.
    rewards: &'static [&'static str],
}

/// Figure 4's policies, in the paper's order.
pub const POLICIES: [Policy; 6] = [
    Policy { name: "game", rewards: &["game"] },
    Policy { name: "deontological", rewards: &["deontological"] },
    Policy { name: "utilitarian", rewards: &["utilitarian"] },
    Policy { name: "game+deontological", rewards: &["game-deontological"] },
    Policy { name: "game-then-deontological", rewards: &["game", "deontological"] },
    Policy { name: "game-then-utilitarian", rewards: &["game", "utilitarian"] },
];

/// What an adapter's training took, beside its file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Training {
    /// The config it was trained by.
    config: String,
    /// The content of the model that it was trained on.
    base: String,
    /// The step whose parameters it has, and the last step.
    step: u64,
    steps: u64,
    tokens: u64,
    /// Of the training alone, and with loading, writing and verifying.
    seconds: f64,
    all_seconds: f64,
}

/// A policy under labels that the players do not share as in training.
#[derive(Serialize)]
pub struct Unseen {
    variant: &'static str,
    /// Probability of cooperating after cooperation and after a defection.
    ///
    /// The choice is among the legal answers.
    cooperation: [f64; 2],
    legality_mass: f64,
}

/// The labels of [`Unseen`], with those of the paper's test beside them.
const LABELS: [&str; 3] = ["original", "other-swapped", "other-distinct"];

/// A policy's figures.
#[derive(Serialize)]
pub struct Row {
    pub policy: &'static str,
    pub games: Vec<GameReport>,
    /// The prisoner's dilemma under other labels, which the paper does not ask.
    pub unseen: Vec<Unseen>,
    /// Empty for the bare model, and where it is not known.
    pub trained: Vec<Training>,
}

/// What [`row`] measures, as steps of a progress bar.
pub const ROW: u64 = 7;

pub fn run(args: &Args) -> anyhow::Result<()> {
    let base = match &args.config {
        Some(path) => input::config(path)?,
        None => train::recipe("paper").context("the recipe paper comes with the program")?,
    };
    // The page has every policy of the folder, so that a call for one more leaves none out.
    let asked = |policy: &Policy| args.policy.is_empty() || args.policy.iter().any(|name| name == policy.name);
    let there =
        |policy: &Policy| (1..).take_while(|seed| adapter_file(&args.out, policy, *seed).exists()).count() as u64;
    let seeds = |policy: &Policy| there(policy).max(if asked(policy) { args.seeds } else { 0 });
    let chosen: Vec<(&Policy, u64)> = POLICIES.iter().map(|p| (p, seeds(p))).filter(|(_, seeds)| *seeds > 0).collect();
    if let Labels::Fixed(labels) = &base.labels
        && let Some(label) = labels.iter().find(|label| TEST_LABELS.contains(&label.as_str()))
    {
        let test = TEST_LABELS.join(" and ");
        return Err(Usage(format!("the config trains on {label:?}, expected labels beside the test's, {test}")).into());
    }
    let content = builtin::open_vocabulary(&args.model)?.content()?.to_owned();
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    // All training comes first: the trainer's memory is given back before the runtime's model takes its own.
    let mut trained = Vec::new();
    for (policy, most) in &chosen {
        let mut seeds = Vec::new();
        for seed in 1..=*most {
            let rewards = policy.rewards.iter().map(|name| Ok(Framework::find(name)?.into()));
            let config = base.clone().in_turn(rewards.collect::<anyhow::Result<_>>()?)?.with(|o| {
                o.name = format!("paper-{}", policy.name);
                o.seed = seed;
            });
            let path = adapter_file(&args.out, policy, seed);
            seeds.push((adapter(&args.model, &content, config, &path)?, path));
        }
        trained.push((policy.name, seeds));
    }
    let model = builtin::open_model(&args.model)?;
    let bar = output::bar(ROW * (1 + trained.len() as u64), "measuring");
    let page = args.out.join("figure-4.md");
    let mut kept = Kept::beside(&page)?;
    let mut rows = vec![row(&model, &[], "bare", Vec::new(), &mut kept, &bar)?];
    for (policy, seeds) in trained {
        let (trained, paths): (Vec<_>, Vec<_>) = seeds.into_iter().unzip();
        rows.push(row(&model, &paths, policy, trained, &mut kept, &bar)?);
        output::stage(&bar, format_args!("{policy} is measured"));
    }
    bar.finish_and_clear();
    let picture = args.out.join("figure-4.svg");
    figure::draw(&picture, &rows)?;
    let labels = match &base.labels {
        Labels::Fixed(labels) => labels.join(" and "),
        Labels::Pool => "labels drawn anew for every game".into(),
        Labels::Own => "the games' own labels".into(),
    };
    let seeds = chosen.iter().map(|(_, seeds)| *seeds).min().unwrap_or(args.seeds);
    let report = Report { model: &args.model, seeds, labels: &labels, rows: &rows };
    write_whole(&page, |sink| sink.write_all(report.markdown().as_bytes()))?;
    kept.forget()?;
    if args.json {
        return output::json(&report);
    }
    report.show();
    output::line(format_args!("Page and picture: {}, {}", page.display(), picture.display()));
    Ok(())
}

/// A policy's figures by the paper's protocol.
///
/// They are over a run a seed, or over several runs of the only one.
pub fn row(
    model: &Model,
    adapters: &[PathBuf],
    policy: &'static str,
    trained: Vec<Training>,
    kept: &mut Kept,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<Row> {
    bar.set_message(policy);
    let (mut all, mut content) = (Vec::new(), model.content()?.to_owned());
    for path in adapters {
        let adapter = builtin::load_adapter(model, &path.display().to_string())?;
        content = format!("{content} {}", adapter.fingerprint());
        all.push(Respondent::model(model, &[(adapter, 1.0)], "")?);
    }
    if all.is_empty() {
        all.push(Respondent::model(model, &[], "")?);
    }
    let mut asked =
        LABELS.into_iter().map(|name| anyhow::Ok((name, games(&mut all, name, policy, &content, kept, bar)?)));
    let (_, games) = asked.next().context("the paper's own labels")??;
    let unseen = std::iter::once(Unseen::of(LABELS[0], &games[0]));
    let unseen = unseen.map(Ok).chain(asked.map(|asked| asked.map(|(name, games)| Unseen::of(name, &games[0]))));
    let unseen = unseen.collect::<anyhow::Result<_>>()?;
    Ok(Row { policy, games, unseen, trained })
}

/// A policy's figures in one variant.
///
/// The paper's stand beside those of its five games. `content` tells the model and adapters apart from all others.
pub fn games(
    respondents: &mut [Respondent],
    variant: &str,
    policy: &str,
    content: &str,
    kept: &mut Kept,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<Vec<GameReport>> {
    let before = bar.position();
    let found: Vec<GameReport> = kept.get(&format!("{variant}; {policy}; {content}"), || {
        let variant = Variant::find(variant).context("a variant of the protocol")?;
        let published = PUBLISHED.iter().find(|row| row.name == policy && variant.ground == Ground::Games);
        Ok(measure(respondents, variant, RUNS, published, || bar.inc(1))?.games)
    })?;
    bar.set_position(before + found.len() as u64);
    Ok(found)
}

impl Unseen {
    fn of(variant: &'static str, game: &GameReport) -> Self {
        let actions = game.constrained.expected.map(|outcome| outcome.actions).unwrap_or_default();
        let share = |c: f64, d: f64| if c + d > 0.0 { c / (c + d) } else { f64::NAN };
        let cooperation = [share(actions.c_after_c, actions.d_after_c), share(actions.c_after_d, actions.d_after_d)];
        Self { variant, cooperation, legality_mass: game.legality_mass }
    }
}

/// Where the adapter of a policy and seed lies.
fn adapter_file(folder: &Path, policy: &Policy, seed: u64) -> PathBuf {
    folder.join(format!("{}-{seed}.gguf", policy.name))
}

/// The adapter of a config at a path: trained now, or by an earlier call.
fn adapter(model: &str, base: &str, config: TrainConfig, path: &Path) -> anyhow::Result<Training> {
    let note = path.with_extension("json");
    let wanted = config.to_toml();
    if path.exists() && note.exists() {
        let known: Training = input::read(&note, |text| input::json("training note", text))?;
        if known.config != wanted || known.base != base {
            let problem = format!("{} is of another config or model; another --out starts anew", path.display());
            return Err(Usage(problem).into());
        }
        return Ok(known);
    }
    if path.exists() {
        let problem = format!("{} has no note of its training beside it; another --out starts anew", path.display());
        return Err(Usage(problem).into());
    }
    let begin = Instant::now();
    // An adapter is in its place once its note is: a command that ends in between trains it again.
    let draft = path.with_extension("draft.gguf");
    let run = train::whole(model, config, &draft)?;
    let trained = Training {
        config: wanted,
        base: base.to_owned(),
        step: run.kept,
        steps: run.steps,
        tokens: run.tokens,
        seconds: run.seconds,
        all_seconds: begin.elapsed().as_secs_f64(),
    };
    let text = serde_json::to_string_pretty(&trained)?;
    write_whole(&note, |sink| sink.write_all(text.as_bytes()))?;
    fs::rename(&draft, path).with_context(|| path.display().to_string())?;
    Ok(trained)
}
