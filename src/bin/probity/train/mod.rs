//! `probity train`: an adapter from a config.

mod curves;
mod watch;

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use probity::Error;
use probity::moral::Framework;
use probity::train::Schedule;
use probity::train::checkpoint::Checkpoint;
use probity::train::curriculum::TrainConfig;
use probity::train::finetune::{self, Finetuning, References, StepReport};
use probity::train::finish::write_verified;
use probity::train::objective::Parts;
use probity::train::plan::Plan;
use serde::Serialize;
use serde_json::json;

use self::curves::Curves;
use self::watch::Watch;

use crate::output::say;
use crate::{builtin, output};

/// The configs that come with the program.
pub const RECIPES: [(&str, &str); 12] = [
    ("game", include_str!("../../../../configs/game.toml")),
    ("deontological", include_str!("../../../../configs/deontological.toml")),
    ("utilitarian", include_str!("../../../../configs/utilitarian.toml")),
    ("game+deontological", include_str!("../../../../configs/game+deontological.toml")),
    ("game-then-deontological", include_str!("../../../../configs/game-then-deontological.toml")),
    ("game-then-utilitarian", include_str!("../../../../configs/game-then-utilitarian.toml")),
    ("game-repeated", include_str!("../../../../configs/game-repeated.toml")),
    ("paper-game", include_str!("../../../../configs/paper-game.toml")),
    ("paper-deontological", include_str!("../../../../configs/paper-deontological.toml")),
    ("paper-utilitarian", include_str!("../../../../configs/paper-utilitarian.toml")),
    ("paper-game+deontological", include_str!("../../../../configs/paper-game+deontological.toml")),
    ("paper-ppo", include_str!("../../../../configs/paper-ppo.toml")),
];

/// Train a moral LoRA adapter: with exact gradients, or on sampled answers, as the paper does.
///
/// The run folder keeps the resolved config, a line of JSON a step, curves and a checkpoint; an interrupted run goes on with
/// --resume, bit for bit. The finished adapter is loaded back and verified before success is reported.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity train --recipe deontological --out mine.gguf\n         probity train --config run/config.toml --run run --resume --out mine.gguf"
)]
pub struct Args {
    /// A config that comes with the program: game, deontological, utilitarian, game+deontological,
    /// game-then-deontological, game-then-utilitarian, game-repeated; or as in the paper, on one game with fixed labels: paper-game,
    /// paper-deontological, paper-utilitarian, paper-game+deontological; or by the paper's own algorithm: paper-ppo.
    #[arg(long, conflicts_with = "config", required_unless_present = "config")]
    recipe: Option<String>,
    /// A config file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// The base model: a GGUF file or `default`.
    #[arg(long, default_value = "default")]
    model: String,
    /// Where to write the adapter.
    #[arg(long, required_unless_present = "plan")]
    out: Option<PathBuf>,
    /// Only say what memory and time it would take.
    #[arg(long)]
    plan: bool,
    /// GiB of memory it may take; what is free where not given. Less than a fast run needs means a slower one that
    /// computes each block twice; the result is the same to the bit.
    #[arg(long)]
    memory: Option<f64>,
    /// Run folder; `OUT.run` where not given.
    #[arg(long)]
    run: Option<PathBuf>,
    /// Go on from the run folder's checkpoint.
    #[arg(long)]
    resume: bool,
    /// Override the reward of a config with one phase: game, deontological, utilitarian, game-deontological, ...
    #[arg(long)]
    reward: Option<String>,
    /// Override the config's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Draw the run in the terminal as it goes.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Steps between checkpoints: what a crash may lose.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Stop after this many steps in this session, with a checkpoint.
    #[arg(long)]
    pause_after: Option<u64>,
    /// Print every step as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let text = match (&args.recipe, &args.config) {
        (Some(name), _) => {
            let found = RECIPES.iter().find(|(n, _)| n == name);
            let known = RECIPES.map(|(n, _)| n).join(", ");
            found
                .map(|(_, text)| (*text).to_owned())
                .ok_or_else(|| output::Usage(format!("recipe {name:?} is not built in, expected one of {known}")))?
        }
        (None, Some(path)) => fs::read_to_string(path).with_context(|| path.display().to_string())?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    let mut config = TrainConfig::from_toml(&text)?;
    if let Some(seed) = args.seed {
        config.seed = seed;
    }
    if let Some(name) = &args.reward {
        let reward = Framework::find(name).map_err(Error::from)?;
        let [phase] = config.phases.as_mut_slice() else {
            let problem = format!("--reward {name} with {} phases, expected a config with one", config.phases.len());
            return Err(output::Usage(problem).into());
        };
        phase.reward = reward.into();
        config.name = format!("{}-{name}", config.name);
    }
    let model = builtin::open_vocabulary(&args.model)?;
    let free = match args.memory {
        Some(gib) if gib.is_finite() && gib > 0.0 => (gib * GIB) as u64,
        Some(gib) => return Err(output::Usage(format!("memory {gib}, expected GiB above 0")).into()),
        None => free_memory(),
    };
    let plan = finetune::plan(&model, &config, free)?;
    let Some(out) = args.out.as_ref().filter(|_| !args.plan) else {
        if args.json {
            return output::json(&plan);
        }
        show(&plan);
        return Ok(());
    };
    refuse(&plan, free, if args.memory.is_some() { "are allowed" } else { "are free" })?;
    if args.watch && !std::io::stderr().is_terminal() {
        return Err(output::Usage("--watch draws in a terminal, and there is none".into()).into());
    }
    let folder = args.run.clone().unwrap_or_else(|| out.with_extension("run"));
    let checkpoint = folder.join("checkpoint.bin");
    let mut training = Finetuning::new(&model, config.clone(), plan.schedule)?;
    if args.resume {
        let saved = Checkpoint::read(&checkpoint, &config, model.fingerprint())?;
        training.resume(saved);
    } else if checkpoint.exists() {
        let problem =
            format!("{} holds a checkpoint already; --resume goes on, another --run starts anew", folder.display());
        return Err(output::Usage(problem).into());
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    training.keep_references(References::in_file(&folder.join("references.bin"))?);
    if !args.json {
        eprintln!("{}, about {:.1} s a step, {} steps", needs(&plan), plan.seconds, config.steps());
    }
    let Some(last) = steps(args, &mut training, &folder, &checkpoint)? else { return Ok(()) };
    // The trainer's memory is given back before the runtime's model takes its own.
    let trained = training.finish()?;
    let model = builtin::open_model(&args.model)?;
    // The second of two learners stands beside the first.
    let other = out.extension().map_or("other".into(), |e| format!("other.{}", e.display()));
    let outs = [out.clone(), out.with_extension(other)];
    let mut verified = Vec::new();
    for (trained, out) in trained.iter().zip(&outs) {
        verified.push(write_verified(trained, &model, out)?);
    }
    if args.json {
        return output::json_line(
            &json!({ "adapter": out, "verified": verified[0], "other": verified.get(1), "last": last }),
        );
    }
    if let Some(report) = &last {
        say!("{}: {} steps{}", config.name, report.step, report.parts.as_ref().map_or(String::new(), spell));
    }
    for out in outs.iter().take(verified.len()) {
        say!("written and verified: {}", out.display());
    }
    say!("curves: {}", folder.join("curves.svg").display());
    Ok(())
}

/// Takes the steps that are left, and keeps the run folder up to date. Returns the last report there was, or `None` where
/// the run only pauses.
fn steps(
    args: &Args,
    training: &mut Finetuning,
    folder: &Path,
    checkpoint: &Path,
) -> anyhow::Result<Option<Option<StepReport>>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let (total, first) = (training.config.steps(), training.done());
    let (mut log, lines) = output::run_log(folder, &training.config.to_toml(), first)?;
    let mut curves = Curves::of(&training.config.name, total, &lines);
    let picture = folder.join("curves.svg");
    let mut keeper = Keeper { path: checkpoint, step: args.resume.then_some(first) };
    let bar = if args.watch { indicatif::ProgressBar::hidden() } else { output::bar(total, &training.config.name) };
    let mut watch = args.watch.then(Watch::open).transpose()?;
    let mut last: Option<StepReport> = None;
    while !training.finished() {
        let paused = args.pause_after.is_some_and(|n| training.done() - first >= n);
        if stop.load(Ordering::Relaxed) || paused {
            keeper.write(training)?;
            bar.abandon();
            drop(watch);
            curves.draw(&picture)?;
            eprintln!("stopped at step {} of {total}; go on with --resume", training.done());
            return if paused { Ok(None) } else { Err(Error::Cancelled { what: "training" }.into()) };
        }
        let begin = Instant::now();
        let report = training.step().map_err(|e| keeper.after(training, e))?;
        let line = Line { report: &report, seconds: begin.elapsed().as_secs_f64() };
        writeln!(log, "{}", serde_json::to_string(&line)?)?;
        if args.json {
            output::json_line(&line)?;
        }
        curves.push(&report, line.seconds);
        if let Some(watch) = &mut watch {
            watch.draw(&curves)?;
        }
        bar.set_position(report.step);
        if let Some(p) = report.parts {
            bar.set_message(format!("reward {:.3} off {:.3}", p.reward, p.distance));
        }
        if report.step % args.checkpoint_every == 0 {
            keeper.save(training)?;
        }
        last = Some(report);
    }
    bar.finish_and_clear();
    drop(watch);
    keeper.write(training)?;
    curves.draw(&picture)?;
    Ok(Some(last))
}

/// A step as the run folder logs it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    report: &'a StepReport,
    /// Seconds it took.
    seconds: f64,
}

/// Keeps the checkpoint of the last good step.
struct Keeper<'a> {
    path: &'a Path,
    /// The step that is kept.
    step: Option<u64>,
}

impl Keeper<'_> {
    /// Writes a checkpoint, unless training has gone astray: what was good before stays then.
    fn save(&mut self, training: &Finetuning) -> probity::Result<()> {
        if training.astray() { Ok(()) } else { self.write(training) }
    }

    /// Writes a checkpoint, unless it is there already.
    fn write(&mut self, training: &Finetuning) -> probity::Result<()> {
        if self.step == Some(training.done()) {
            return Ok(());
        }
        training.state().write(self.path, &training.config, training.model().fingerprint())?;
        self.step = Some(training.done());
        Ok(())
    }

    /// The error of a step, with what is left of the run.
    fn after(&mut self, training: &Finetuning, e: Error) -> Error {
        let Error::Training { problem } = e else { return e };
        if let Err(e) = self.save(training) {
            return e;
        }
        let kept = self
            .step
            .map_or("there was no checkpoint yet".into(), |step| format!("the checkpoint is that of step {step}"));
        Error::Training { problem: format!("{problem}; {kept}") }
    }
}

fn spell(p: &Parts) -> String {
    format!(
        ", expected reward {:.3} of at most {:.3}, divergence {:.3}, {:.3} from the optimum, legality {:.4}",
        p.reward, p.best, p.kl, p.distance, p.legality
    )
}

const GIB: f64 = (1_u64 << 30) as f64;

/// Refuses a run that does not fit into so many bytes.
pub fn refuse(plan: &Plan, bytes: u64, why: &str) -> probity::Result<()> {
    if plan.bytes as u64 <= bytes {
        return Ok(());
    }
    let may = format!("{:.2} GiB {why}", bytes as f64 / GIB);
    let problem = format!("{}, {may}; fewer games in a step, more shards or a smaller rank take less", needs(plan));
    Err(Error::Training { problem })
}

/// Bytes that are free for this process.
pub fn free_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // A container may have less than its machine. Files that the system keeps in memory count as used there, though they
    // would make room.
    let container = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory.saturating_sub(limits.rss));
    system.available_memory().min(container)
}

fn needs(plan: &Plan) -> String {
    let how = match plan.schedule {
        Schedule::Wide => "everything kept",
        Schedule::Narrow => "each block computed twice",
    };
    format!("needs {:.2} GiB ({how})", plan.bytes as f64 / GIB)
}

fn show(plan: &Plan) {
    let mut table = output::table(&["what", "GiB"]);
    for (what, bytes) in [
        ("the base model, as in its file", plan.weights),
        ("adapter, gradient, optimiser", plan.adapter),
        ("activations", plan.activations),
        ("logits", plan.logits),
        ("together", plan.bytes),
    ] {
        table.add_row([what.to_owned(), format!("{:.3}", bytes as f64 / GIB)]);
    }
    say!("{table}");
    say!("{}; {} tokens a step, about {:.1} s on {} threads", needs(plan), plan.nodes, plan.seconds, plan.threads);
}
