//! `probity train`: an adapter from a config.

mod curves;
mod watch;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use probity_engine::Source;
use probity_engine::numeric::{give_freed_memory_back, keep_freed_memory};
use probity_game::MatrixGame;
use probity_game::moral::{Framework, Mixture};
use probity_train::Schedule;
use probity_train::curriculum::{GivenGame, Reference, TrainConfig};
use probity_train::finetune::{Finetuning, References};
use probity_train::finish::write_verified;
use probity_train::lora::AdapterWeights;
use probity_train::objective::ObjectiveParts;
use probity_train::run::{Checkpoints, End, GIB, LoggedStep, Needs, Run, Session};
use serde_json::json;

use self::curves::Curves;
use self::watch::Watch;
use crate::errors::Usage;
use crate::interrupt::Interrupt;
use crate::output::say;
use crate::{builtin, errors, input, names, output};

/// The configs that come with the program.
pub const RECIPES: [(&str, &str); 17] = [
    ("game", include_str!("../../configs/game.toml")),
    ("deontological", include_str!("../../configs/deontological.toml")),
    ("utilitarian", include_str!("../../configs/utilitarian.toml")),
    ("game+deontological", include_str!("../../configs/game+deontological.toml")),
    ("game-then-deontological", include_str!("../../configs/game-then-deontological.toml")),
    ("game-then-utilitarian", include_str!("../../configs/game-then-utilitarian.toml")),
    ("game-repeated", include_str!("../../configs/game-repeated.toml")),
    ("real", include_str!("../../configs/real.toml")),
    ("laptop", include_str!("../../configs/laptop.toml")),
    ("paper", include_str!("../../configs/paper.toml")),
    ("paper-game", include_str!("../../configs/paper-game.toml")),
    ("paper-deontological", include_str!("../../configs/paper-deontological.toml")),
    ("paper-utilitarian", include_str!("../../configs/paper-utilitarian.toml")),
    ("paper-game+deontological", include_str!("../../configs/paper-game+deontological.toml")),
    ("paper-larger-payoffs", include_str!("../../configs/paper-larger-payoffs.toml")),
    ("paper-payoffs-without-zero", include_str!("../../configs/paper-payoffs-without-zero.toml")),
    ("paper-ppo", include_str!("../../configs/paper-ppo.toml")),
];

/// The config of this name that comes with the program.
pub fn recipe(name: &str) -> Option<TrainConfig> {
    let (_, text) = RECIPES.iter().find(|(known, _)| *known == name)?;
    Some(TrainConfig::from_toml(text).expect("what comes with the program is sound"))
}

/// Train a moral LoRA adapter, exactly or on sampled answers.
///
/// The run folder holds the resolved config, a line of JSON a step, curves and a checkpoint. An interrupted run
/// continues with --resume, bit for bit. The command loads the finished adapter back and verifies it before it reports
/// success.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity train --recipe deontological --out mine.gguf\n         probity train --recipe deontological --game ipd --reward reward.json --out valued.gguf\n         probity train --recipe real --reward game,utilitarian --model smollm2 --from smollm2-literacy.gguf --plan\n         probity train --config run/config.toml --run run --resume --out mine.gguf"
)]
pub struct Args {
    #[arg(long, conflicts_with = "config", required_unless_present = "config", help = format!("A built-in config: {}. The paper- configs train as the paper does", names::recipes()))]
    recipe: Option<String>,
    /// A config file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// The base model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    /// Where to write the adapter.
    #[arg(long, required_unless_present_any = ["plan", "dataset"])]
    out: Option<PathBuf>,
    /// Print the memory and time of the run, and train nothing.
    #[arg(long)]
    plan: bool,
    /// Write the run into a folder, for `python -m probity.train`, and train nothing.
    ///
    /// The folder holds the tokens, rewards and weights of every step: a training on other machines needs neither this
    /// program nor the GGUF file. `probity import` brings the adapter back.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["plan", "out", "resume", "watch", "run"])]
    dataset: Option<PathBuf>,
    /// Leave the reference's scores to the other machines.
    #[arg(long, requires = "dataset")]
    no_references: bool,
    /// Most memory in GiB [default: the free memory].
    ///
    /// With less memory than a fast run needs, shards go through one at a time. With less still, the trainer computes
    /// each block twice. The result is the same to the bit.
    #[arg(long, value_parser = gib)]
    memory: Option<u64>,
    /// The run folder [default: OUT.run]
    #[arg(long)]
    run: Option<PathBuf>,
    /// File of the bare model's answers [default: RUN/references.bin].
    ///
    /// Runs on the same base may share the file, one after another.
    #[arg(long)]
    references: Option<PathBuf>,
    /// Continue from the run folder's checkpoint.
    #[arg(long)]
    resume: bool,
    /// Take more steps than the config has, under its last reward.
    ///
    /// A finished run goes on where it stopped.
    #[arg(long, value_name = "STEPS", requires = "resume", value_parser = clap::value_parser!(u64).range(1..))]
    extend: Option<u64>,
    /// Start from an adapter in place of the bare model.
    ///
    /// It is a GGUF file or a built-in name.
    #[arg(long, value_name = "ADAPTER")]
    from: Option<String>,
    /// Override whose policy the divergence is measured from.
    ///
    /// It is the bare model's, or that of --from.
    #[arg(long, value_parser = ["bare", "start"])]
    reference: Option<String>,
    #[arg(long, value_delimiter = ',', help = format!("Override the reward of a config with one phase: {}, or a file of `probity values score --scenario`. Several are phases, one after the other", names::frameworks()))]
    reward: Vec<String>,
    /// Train on this game instead of the config's; may be repeated.
    ///
    /// It is a catalogue name or a game file. A reward from a moral graph holds for one game.
    #[arg(long, value_name = "GAME")]
    game: Vec<String>,
    /// Override the config's peak learning rate.
    #[arg(long)]
    rate: Option<f32>,
    /// Override the config's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Draw the run in the terminal as it goes.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Steps between checkpoints [default: every half minute].
    ///
    /// A crash loses at most the work since the last one.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: Option<u64>,
    /// Override the config's arrival: the farthest end from the optimum.
    ///
    /// A run that ends farther away writes its adapter all the same, and exits with 1. An arrival of 1 accepts any
    /// distance.
    #[arg(long)]
    arrival: Option<f64>,
    /// Stop after this many steps in this session, with a checkpoint.
    #[arg(long)]
    pause_after: Option<u64>,
    /// Print every step as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let made = config(args)?;
    let config = args.extend.map_or_else(|| made.clone(), |steps| made.clone().extended(steps));
    keep_freed_memory();
    let model = builtin::open_vocabulary(&args.model)?;
    let start = args.from.as_ref().map(|name| builtin::adapter_weights(&model, name)).transpose()?;
    if let (Some(folder), true) = (&args.dataset, args.no_references) {
        return dataset(args, folder, Finetuning::unread(&model, config)?, start.as_ref());
    }
    let needs = Needs::of(&model, &config, args.memory)?;
    if let Some(folder) = &args.dataset {
        needs.refuse()?;
        return dataset(args, folder, Finetuning::new(&model, config, needs.schedule())?, start.as_ref());
    }
    let Some(out) = args.out.as_ref().filter(|_| !args.plan) else {
        return show_needs(&needs, args.json);
    };
    needs.refuse()?;
    input::writable(out)?;
    if args.watch && !std::io::stderr().is_terminal() {
        return Err(Usage("--watch draws in a terminal, and there is none".into()).into());
    }
    let folder = args.run.clone().unwrap_or_else(|| match out.extension() {
        Some(extension) if extension == "gguf" => out.with_extension("run"),
        _ => out.with_added_extension("run"),
    });
    let mut checkpoints = Checkpoints::of(&folder)?;
    input::run_folder(&folder, args.resume)?;
    let mut training = Finetuning::new(&model, config.clone(), needs.schedule())?;
    started(&mut training, args, start.as_ref())?;
    if args.resume {
        checkpoints.resume(&mut training, &made)?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let references = args.references.clone().unwrap_or_else(|| folder.join("references.bin"));
    training.keep_references(References::in_file(&references)?);
    if !args.json {
        eprintln!("{needs}, {}", needs.times());
    }
    let mut run = Run::open(&folder, training, checkpoints)?;
    if matches!(steps(args, &mut run, &folder)?, End::Paused) {
        return Ok(());
    }
    let bar = output::bar(100, "measuring");
    // The adapter is written whatever the measurement says.
    let stands = run.measure_end(|share| bar.set_position((100.0 * share) as u64));
    bar.finish_and_clear();
    let steps = run.training.kept_steps();
    // The trainer's memory is given back before the runtime's model takes its own.
    let trained = run.training.finish()?;
    give_freed_memory_back();
    let model = builtin::open_model(&args.model)?;
    // The second learner's file stands beside the first learner's.
    let other = out.extension().map_or("other".into(), |e| format!("other.{}", e.display()));
    let outs = [out.clone(), out.with_extension(other)];
    let mut verified = Vec::new();
    let bar = output::bar(trained.len() as u64, "verifying");
    bar.enable_steady_tick(Duration::from_millis(200));
    for (trained, out) in trained.iter().zip(&outs) {
        verified.push(write_verified(trained, &model, out)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let stands = stands.with_context(|| format!("written and verified: {}; and not measured", out.display()))?;
    let distance = stands.iter().map(|parts| parts.distance).fold(0.0, f64::max);
    let arrived = distance <= config.arrival;
    if args.json {
        output::json_line(
            &json!({ "adapter": out, "verified": verified[0], "other": verified.get(1), "stands": stands, "arrived": arrived }),
        )?;
        return end(arrived, distance, &config);
    }
    for ((parts, out), verified) in stands.iter().zip(&outs).zip(&verified) {
        say!("{}: {steps} steps{}", config.name, spell(parts));
        if parts.objective < parts.bare {
            say!("  worse than the bare model by its own objective: {:.3}, not {:.3}", parts.objective, parts.bare);
        }
        if verified.effect < WEAK {
            say!("  a weak adapter: it moves no probability by more than {:.4}", verified.effect);
        }
        say!("written and verified: {}", out.display());
    }
    say!("curves: {}", folder.join("curves.svg").display());
    end(arrived, distance, &config)
}

/// Lets a training start from the adapter that --from names.
fn started(training: &mut Finetuning, args: &Args, start: Option<&AdapterWeights>) -> anyhow::Result<()> {
    if let (Some(name), Some(start)) = (&args.from, start) {
        training.start_from(start, builtin::adapter_file(name)?.path())?;
    }
    Ok(())
}

/// Writes the run as a dataset.
fn dataset(args: &Args, folder: &Path, mut training: Finetuning, start: Option<&AdapterWeights>) -> anyhow::Result<()> {
    if folder.join("run.json").exists() {
        return Err(Usage(format!("{} holds a dataset already; expected a new folder", folder.display())).into());
    }
    started(&mut training, args, start)?;
    let bar = output::bar(100, "writing");
    training.write_dataset(folder, !args.no_references, |share| bar.set_position((100.0 * share) as u64))?;
    bar.finish_and_clear();
    let steps = training.config.steps();
    if args.json {
        return output::json(&json!({ "dataset": folder, "steps": steps, "references": !args.no_references }));
    }
    say!("written: {} ({steps} steps); train with: python -m probity.train {0}", folder.display());
    Ok(())
}

/// An error where the run has not arrived.
fn end(arrived: bool, distance: f64, config: &TrainConfig) -> anyhow::Result<()> {
    anyhow::ensure!(
        arrived,
        "not arrived: {distance:.3} from the optimum, expected at most {}; more steps or another rate may help, --arrival 1 \
         accepts any distance",
        config.arrival
    );
    Ok(())
}

/// The config that is meant, with what the command line overrides in it.
fn config(args: &Args) -> anyhow::Result<TrainConfig> {
    let mut config = match (&args.recipe, &args.config) {
        (Some(name), _) => {
            let known = RECIPES.map(|(n, _)| n).join(", ");
            let unknown = || Usage(format!("recipe {name:?} is not built in, expected one of {known}"));
            recipe(name).ok_or_else(unknown)?
        }
        (None, Some(path)) => input::config(path)?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    if let Some(seed) = args.seed {
        config.seed = seed;
    }
    match &args.from {
        Some(name) => {
            let file = builtin::adapter_file(name)?;
            config.start = Some(Source::open(file.path())?.hash()?);
        }
        None if config.start.is_some() => {
            return Err(Usage("the config starts from an adapter, expected --from ADAPTER".into()).into());
        }
        None => {}
    }
    match args.reference.as_deref() {
        Some("start") => config.reference = Reference::Start,
        Some(_) => config.reference = Reference::Bare,
        None => {}
    }
    config.rate = args.rate.unwrap_or(config.rate);
    config.arrival = args.arrival.unwrap_or(config.arrival);
    if !args.game.is_empty() {
        play_on(&mut config, args.game.iter().map(|name| input::game(name)).collect::<anyhow::Result<_>>()?);
    }
    if !args.reward.is_empty() {
        let plays = config.games.catalogue.iter().map(GivenGame::name).collect::<Vec<_>>().join(", ");
        let reward = |name: &String| {
            let reward = input::reward(name)?;
            if let Framework::Values(scores) = &reward.framework
                && plays != scores.game
            {
                let game = &scores.game;
                let problem =
                    format!("--reward {name} is of {game:?}, and this run plays {plays}; --game {game} plays it alone");
                return Err(Usage(problem).into());
            }
            anyhow::Ok(reward.into())
        };
        let rewards = args.reward.iter().map(reward).collect::<anyhow::Result<Vec<Mixture>>>()?;
        let names: Vec<String> = rewards.iter().map(Mixture::name).collect();
        config.name = format!("{}-{}", config.name, names.join("-then-"));
        config = config.in_turn(rewards)?;
    }
    Ok(config)
}

/// A trained adapter on the disk, and what it took.
pub struct Whole {
    pub path: PathBuf,
    /// The step whose parameters it has, and the last step.
    pub kept: u64,
    pub steps: u64,
    pub tokens: u64,
    /// Of the training and the measurement of its end.
    pub seconds: f64,
    /// Distance to the optimum at the end, of the worst learner.
    pub distance: f64,
}

/// A whole run without a folder: trained, measured, written and verified.
pub fn whole(model_name: &str, config: TrainConfig, path: &Path) -> anyhow::Result<Whole> {
    if config.start.is_some() || config.learners() > 1 {
        let problem =
            "the config starts from an adapter, or trains two learners; expected one learner on the bare model";
        return Err(Usage(problem.into()).into());
    }
    keep_freed_memory();
    let model = builtin::open_vocabulary(model_name)?;
    let needs = Needs::of(&model, &config, None)?;
    needs.refuse()?;
    let begin = Instant::now();
    let mut training = Finetuning::new(&model, config, needs.schedule())?;
    let bar = output::bar(training.config.steps(), &training.config.name);
    if needs.schedule() == Schedule::Narrow {
        bar.suspend(|| eprintln!("little memory: {}", needs.times()));
    }
    while !training.finished() {
        training.step()?;
        give_freed_memory_back();
        bar.inc(1);
    }
    bar.finish_and_clear();
    let (kept, steps, tokens) = (training.kept_steps(), training.taken(), training.state().tokens);
    let distance = training.measure_end(|_| ())?.iter().map(|parts| parts.distance).fold(0.0, f64::max);
    let seconds = begin.elapsed().as_secs_f64();
    let trained = training.finish()?;
    give_freed_memory_back();
    write_verified(&trained[0], &builtin::open_model(model_name)?, path)?;
    Ok(Whole { path: path.to_owned(), kept, steps, tokens, seconds, distance })
}

/// Makes a config play some games, and no others.
pub fn play_on(config: &mut TrainConfig, games: Vec<MatrixGame>) {
    let names: Vec<&str> = games.iter().map(MatrixGame::name).collect();
    config.name = format!("{}-{}", config.name, names.join("-"));
    config.games.weights.retain(|name, _| names.contains(&name.as_str()));
    config.games.catalogue = games.into_iter().map(GivenGame).collect();
    config.games.random = 0.0;
}

/// Reads GiB as bytes.
pub fn gib(given: &str) -> Result<u64, String> {
    let gib = given.parse().ok().filter(|gib: &f64| gib.is_finite() && *gib > 0.0);
    gib.map(|gib| (gib * GIB) as u64).ok_or_else(|| "expected GiB above 0".into())
}

/// Prints what a run takes, as a table or as JSON.
pub fn show_needs(needs: &Needs, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(needs);
    }
    let plan = &needs.plan;
    let mut table = output::table(&["what", "GiB"]);
    for (what, bytes) in [
        ("the base model, as in its file", plan.weights as u64),
        ("adapter, gradient, optimiser", plan.adapter as u64),
        ("activations", plan.activations as u64),
        ("logits", plan.logits as u64),
        ("the program and the vocabulary", needs.process),
        ("together", needs.total),
    ] {
        table.add_row([what.to_owned(), format!("{:.3}", bytes as f64 / GIB)]);
    }
    say!("{table}");
    say!("{needs}; {} tokens a step on {} threads; {}", plan.nodes, plan.threads, needs.times());
    Ok(())
}

/// An adapter that moves no probability by more is said to be weak.
const WEAK: f64 = 0.05;

/// Takes the steps that are left, and draws them as they come.
fn steps(args: &Args, run: &mut Run, folder: &Path) -> anyhow::Result<End> {
    let interrupt = Interrupt::heard()?;
    let total = run.training.config.steps();
    let mut curves = Curves::of(&run.training.config.name, total, run.logged());
    let name = &run.training.config.name;
    let bar = if args.watch { indicatif::ProgressBar::hidden() } else { output::bar(total, name) };
    let mut watch = args.watch.then(Watch::open).transpose()?;
    let session = Session::new(interrupt.stop()).with(|o| {
        o.checkpoint_every = args.checkpoint_every;
        o.pause_after = args.pause_after;
    });
    let taken = run.steps(&session, |step| {
        let LoggedStep { report, seconds } = step;
        give_freed_memory_back();
        if args.json {
            output::json_line(step)?;
        }
        curves.push(report, *seconds);
        if let Some(watch) = &mut watch {
            watch.plot(&curves)?;
        }
        bar.set_position(report.step);
        let twentieth = |step: u64| step * 20 / total;
        if bar.is_hidden() && !args.watch && !args.json && twentieth(report.step) > twentieth(report.step - 1) {
            let stands = report.parts.as_ref().map_or(String::new(), spell);
            eprintln!("step {} of {total}{stands}", report.step);
        }
        if let Some(p) = report.parts {
            bar.set_message(format!("reward {:.3} off {:.3}", p.reward, p.distance));
        }
        anyhow::Ok(())
    });
    drop(watch);
    interrupt.steps_are_over();
    match &taken {
        Ok(End::Finished) => bar.finish_and_clear(),
        _ => bar.abandon(),
    }
    let drawn = curves.plot(&folder.join("curves.svg"));
    if matches!(taken, Ok(End::Paused)) || taken.as_ref().is_err_and(errors::is_cancelled) {
        eprintln!("stopped at step {} of {total}; continue with --resume", run.training.done());
    }
    // The run's own error takes precedence over an error of the picture.
    let end = taken?;
    drawn?;
    Ok(end)
}

fn spell(p: &ObjectiveParts) -> String {
    format!(
        ", expected reward {:.3} of at most {:.3}, divergence {:.3}, {:.3} from the optimum (untrained {:.3}), legality \
         {:.4}",
        p.reward, p.best, p.kl, p.distance, p.reference_distance, p.legality
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_recipe_is_sound() {
        assert!(super::RECIPES.iter().all(|(name, _)| super::recipe(name).is_some()));
    }
}
