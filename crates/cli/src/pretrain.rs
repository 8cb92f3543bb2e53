//! `probity pretrain`: the default model from nothing but a seed.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use probity_engine::gguf::GgmlType;
use probity_train::games::Reading;
use probity_train::pretrain::{PretrainConfig, PretrainRun};
use serde_json::json;

use crate::output::say;
use crate::{course, input, output};

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
    #[command(flatten)]
    session: course::SessionArgs,
    /// Print every step as a line of JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut config = match &args.config {
        None => PretrainConfig::default(),
        Some(path) => input::toml("pretraining config", path)?,
    };
    config.steps = args.steps.unwrap_or(config.steps);
    config.seed = args.seed.unwrap_or(config.seed);
    config.check()?;
    probity_engine::numeric::keep_freed_memory();
    fs::create_dir_all(&args.run).with_context(|| args.run.display().to_string())?;
    input::run_folder(&args.run, args.resume)?;
    let (steps, bar) = (config.steps, output::bar(config.steps, "vocabulary"));
    let mut run = PretrainRun::open(&args.run, config, args.start.as_deref(), args.resume)?;
    if !args.export {
        let end = course::take_steps(&args.session, &bar, args.json, |session, each| run.steps(session, each));
        if course::paused(end, run.training().state().step(), steps)? {
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
        say!("{kind}: {}", course::spell(accuracy));
    }
    say!("written: {}", args.out.display());
    Ok(())
}
