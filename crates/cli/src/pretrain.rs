//! `probity pretrain`: the default model from nothing but a seed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use probity_engine::Error as EngineError;
use probity_engine::gguf::GgmlType;
use probity_train::games::Reading;
use probity_train::pretrain::{Accuracy, PretrainConfig, PretrainEvent, PretrainRun};
use probity_train::run::{End, Session};
use serde_json::json;

use crate::output::say;
use crate::{errors, input, output};

/// Train the built-in model: a small llama that reads payoff tables.
///
/// It learns no morals.
///
/// Vocabulary, corpus and weights follow from the config's seed. An interrupted run continues with --resume, bit for
/// bit.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity pretrain --run run --out default.gguf\n         probity pretrain --steps 40 --run run --out tiny.gguf"
)]
pub struct Args {
    /// A config file (TOML) [default: the default model's config]
    #[arg(long)]
    config: Option<PathBuf>,
    /// Override the config's number of steps.
    #[arg(long)]
    steps: Option<u64>,
    /// Override the config's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// A model to begin with, in place of random weights.
    ///
    /// It has the config's width and vocabulary, and as many blocks or fewer.
    #[arg(long, value_name = "MODEL")]
    start: Option<PathBuf>,
    /// Run folder, with the config, a line of JSON a step, and a checkpoint.
    #[arg(long)]
    run: PathBuf,
    /// Where to write the model.
    #[arg(long)]
    out: PathBuf,
    /// Element type of its matrices: f32, f16 or q8_0.
    #[arg(long, default_value = "q8_0", value_parser = ["f32", "f16", "q8_0"])]
    r#type: String,
    /// Continue from the run folder's checkpoint.
    #[arg(long)]
    resume: bool,
    /// Write the checkpoint's model without further steps.
    #[arg(long, requires = "resume")]
    export: bool,
    /// Steps between checkpoints, evaluations on unseen labels and games included.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Stop after this many minutes in this session, with a checkpoint.
    #[arg(long, value_parser = minutes)]
    minutes: Option<f64>,
    /// Print every step as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut config = match &args.config {
        None => PretrainConfig::default(),
        Some(path) => input::read(path, |text| {
            let problem = |e: toml::de::Error| e.to_string().replace('\n', " ");
            toml::from_str(text).map_err(|e| EngineError::Document { what: "pretraining config", problem: problem(e) })
        })?,
    };
    config.steps = args.steps.unwrap_or(config.steps);
    config.seed = args.seed.unwrap_or(config.seed);
    config.check()?;
    probity_engine::numeric::keep_freed_memory();
    fs::create_dir_all(&args.run).with_context(|| args.run.display().to_string())?;
    if !args.resume && args.run.join("checkpoint.bin").exists() {
        return Err(input::occupied(&args.run).into());
    }
    let (steps, bar) = (config.steps, output::bar(config.steps, "vocabulary"));
    let mut run = PretrainRun::open(&args.run, config, args.start.as_deref(), args.resume)?;
    if !args.export {
        let end = take_steps(args, &mut run, &bar);
        if matches!(end, Ok(End::Paused)) || end.as_ref().is_err_and(errors::is_cancelled) {
            eprintln!("stopped at step {} of {steps}; continue with --resume", run.training().state().step());
        }
        if matches!(end?, End::Paused) {
            return Ok(());
        }
    }
    let ty = match args.r#type.as_str() {
        "f32" => GgmlType::F32,
        "f16" => GgmlType::F16,
        _ => GgmlType::Q8_0,
    };
    let measured = output::bar(Reading::all().count() as u64, "measure");
    let accuracy = run.export(&args.out, ty, |kind| {
        measured.inc(1);
        measured.set_message(kind.to_string());
    })?;
    measured.finish_and_clear();
    let state = run.training().state();
    if args.json {
        return output::json_line(
            &json!({ "model": args.out, "steps": state.step(), "tokens": state.tokens, "accuracy": accuracy }),
        );
    }
    say!("{} tokens in {} steps; on unseen labels and games:", state.tokens, state.step());
    for (kind, accuracy) in &accuracy {
        say!("{kind}: {}", spell(accuracy));
    }
    say!("written: {}", args.out.display());
    Ok(())
}

/// Reads a number of minutes.
fn minutes(given: &str) -> Result<f64, String> {
    let minutes = given.parse().ok().filter(|minutes: &f64| (0.0..=1e6).contains(minutes));
    minutes.ok_or_else(|| "expected a number from 0 to 1000000".into())
}

/// Takes the steps that are left, and shows them as they come.
fn take_steps(args: &Args, run: &mut PretrainRun, bar: &indicatif::ProgressBar) -> anyhow::Result<End> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let session = Session::new(&stop).with(|o| {
        o.checkpoint_every = Some(args.checkpoint_every);
        o.deadline = args.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(60.0 * minutes));
    });
    let mut smooth: Option<f64> = None;
    let end = run.steps(&session, |event| {
        if args.json {
            output::json_line(event)?;
        }
        match event {
            PretrainEvent::Step(report) => {
                let loss = smooth.map_or(report.loss, |s| s + 0.02 * (report.loss - s));
                smooth = Some(loss);
                bar.set_position(report.step);
                bar.set_message(format!("loss {loss:.3}"));
            }
            PretrainEvent::Measured(measured) if !args.json => {
                bar.suspend(|| say!("step {}: {}", measured.step, spell(&measured.accuracy)));
            }
            PretrainEvent::Measured(_) => {}
        }
        anyhow::Ok(())
    });
    match &end {
        Ok(End::Finished) => bar.finish_and_clear(),
        _ => bar.abandon(),
    }
    end
}

fn spell(accuracy: &Accuracy) -> String {
    accuracy.iter().map(|(k, a)| format!("{k} {:.0}%", 100.0 * a)).collect::<Vec<_>>().join(", ")
}
