//! `probity pretrain`: the default model from nothing but a seed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use probity_engine::Error as EngineError;
use probity_engine::gguf::GgmlType;
use probity_train::checkpoint::Checkpoint;
use probity_train::model_file::write_model;
use probity_train::pretrain::{PretrainConfig, Pretraining, open_vocabulary};
use probity_train::run::{open_log, write_line};
use probity_train::vocab;
use serde_json::json;

use crate::output::say;
use crate::{input, output};

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
    #[arg(long)]
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
    let checkpoint = args.run.join("checkpoint.bin");
    if !args.resume && checkpoint.exists() {
        return Err(input::occupied(&args.run).into());
    }
    // A checkpoint of another run is refused before anything in its folder is touched.
    let saved = args.resume.then(|| Checkpoint::read(&checkpoint, &config, "")).transpose()?;
    let done = saved.as_ref().map_or(0, Checkpoint::step);
    let (mut log, _) = open_log(&args.run, &toml::to_string(&config)?, done)?;

    let bar = output::bar(config.steps, "vocabulary");
    let words = vocab::train(config.vocabulary, config.seed, 4000)?;
    let mut training = Pretraining::new(config.clone());
    // The vocabulary is used through the engine from the first step on, so that training and runtime tokenise alike.
    let vocabulary_file = args.run.join("vocabulary.gguf");
    write_model(&vocabulary_file, training.decoder(), &training.state().theta, &words, GgmlType::F16, &[])?;
    let vocabulary = open_vocabulary(&vocabulary_file)?;
    if let Some(saved) = saved {
        training.resume(saved);
    }

    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let start = Instant::now();
    let mut smooth: Option<f64> = None;
    while training.state().step() < config.steps && !args.export {
        let timeout = args.minutes.is_some_and(|m| start.elapsed().as_secs_f64() > 60.0 * m);
        if stop.load(Ordering::Relaxed) || timeout {
            save(&training, &checkpoint)?;
            bar.abandon();
            eprintln!("stopped at step {} of {}; continue with --resume", training.state().step(), config.steps);
            return if timeout { Ok(()) } else { Err(EngineError::Cancelled { what: "pretraining" }.into()) };
        }
        let report = training.step(&vocabulary)?;
        write_line(&mut log, &report)?;
        if args.json {
            output::json_line(&report)?;
        }
        let loss = smooth.map_or(report.loss, |s| s + 0.02 * (report.loss - s));
        smooth = Some(loss);
        bar.set_position(report.step);
        bar.set_message(format!("loss {loss:.3}"));
        if report.step % args.checkpoint_every == 0 {
            save(&training, &checkpoint)?;
            let accuracy = training.evaluate(&vocabulary, 128)?;
            let line = json!({ "step": report.step, "accuracy": accuracy, "seconds": start.elapsed().as_secs_f64() });
            write_line(&mut log, &line)?;
            if args.json {
                output::json_line(&line)?;
            } else {
                bar.suspend(|| say!("step {}: {}", report.step, spell(&accuracy)));
            }
        }
    }
    bar.finish_and_clear();
    save(&training, &checkpoint)?;
    let ty = match args.r#type.as_str() {
        "f32" => GgmlType::F32,
        "f16" => GgmlType::F16,
        _ => GgmlType::Q8_0,
    };
    let notes = [("pretraining", serde_json::to_string(&config)?), ("tokens", training.state().tokens.to_string())];
    let notes: Vec<(&str, String)> = notes.into_iter().collect();
    write_model(&args.out, training.decoder(), &training.state().theta, &words, ty, &notes)?;
    let accuracy = training.evaluate(&vocabulary, 512)?;
    let line = json!({ "model": args.out, "steps": training.state().step(), "tokens": training.state().tokens, "accuracy": accuracy });
    if args.json {
        return output::json_line(&line);
    }
    say!(
        "{} tokens in {} steps; on unseen labels and games: {}",
        training.state().tokens,
        training.state().step(),
        spell(&accuracy)
    );
    say!("written: {}", args.out.display());
    Ok(())
}

fn save(training: &Pretraining, path: &std::path::Path) -> probity_train::Result<()> {
    training.state().write(path, &training.config, "")
}

fn spell(accuracy: &std::collections::BTreeMap<probity_train::corpus::Kind, f64>) -> String {
    accuracy.iter().map(|(k, a)| format!("{k} {:.0}%", 100.0 * a)).collect::<Vec<_>>().join(", ")
}
