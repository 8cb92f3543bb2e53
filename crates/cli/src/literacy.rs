//! `probity literacy`: an adapter that reads games, for a model of one's own.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use probity_engine::numeric::{give_freed_memory_back, keep_freed_memory};
use probity_train::corpus::Kind;
use probity_train::course::{named, reads};
use probity_train::curriculum::Precision;
use probity_train::games::Reading;
use probity_train::literacy::{LiteracyConfig, LiteracyRun, plan};
use probity_train::run::Needs;
use serde_json::json;

use crate::output::say;
use crate::{builtin, course, input, output, train};

/// Teach a model to read games: an adapter to train moral adapters from.
///
/// A model that was trained on other texts answers a decision and does not read its payoffs. The lessons ask what a
/// cell pays, which action brings more for whom, and what was played last. They have no morals. Train it once a model,
/// then each reward with `probity train --recipe real --from ADAPTER --reward NAME`.
///
/// An interrupted run continues with --resume, bit for bit.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity literacy --model smollm2 --run run --out smollm2-literacy.gguf\n         probity literacy --model smollm2 --run run --resume --out smollm2-literacy.gguf"
)]
pub struct Args {
    /// The model that learns.
    ///
    /// It is a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long)]
    model: String,
    /// A config file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Override the config's number of steps.
    #[arg(long)]
    steps: Option<u64>,
    /// Override the config's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Override the config's peak learning rate.
    #[arg(long)]
    rate: Option<f32>,
    /// Run folder, with the config, a line of JSON a step, and a checkpoint.
    #[arg(long, required_unless_present = "plan")]
    run: Option<PathBuf>,
    /// Where to write the adapter.
    #[arg(long, required_unless_present = "plan")]
    out: Option<PathBuf>,
    /// Print the memory and time of the run, and train nothing.
    #[arg(long)]
    plan: bool,
    /// Most memory in GiB [default: the free memory].
    #[arg(long, value_parser = train::gib)]
    memory: Option<u64>,
    /// Continue from the run folder's checkpoint.
    #[arg(long)]
    resume: bool,
    /// Write the checkpoint's adapter without further steps.
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
        None => LiteracyConfig::default(),
        Some(path) => input::toml("literacy config", path)?,
    };
    config.steps = args.steps.unwrap_or(config.steps);
    config.seed = args.seed.unwrap_or(config.seed);
    config.rate = args.rate.unwrap_or(config.rate);
    config.check()?;
    keep_freed_memory();
    let model = builtin::open_vocabulary(&args.model)?;
    let needs = Needs::planned(config.steps, args.memory, |memory| plan(&model, &config, memory))?;
    let (Some(out), Some(folder)) = (args.out.as_ref().filter(|_| !args.plan), &args.run) else {
        return train::show_needs(&needs, args.json);
    };
    needs.refuse()?;
    input::writable(out)?;
    input::run_folder(folder, args.resume)?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    if !args.json {
        eprintln!("{needs}, {}", needs.times());
    }
    let (steps, bar) = (config.steps, output::bar(config.steps, "lessons"));
    let mut run = LiteracyRun::open(folder, &model, config, needs.schedule(), args.resume)?;
    if !args.export {
        let end = course::take_steps(&args.session, &bar, args.json, |session, each| run.steps(session, each));
        if course::paused(end, run.training().state().step(), steps)? {
            return Ok(());
        }
    }
    let measured = output::bar(Reading::all().count() as u64, "measuring");
    let accuracy = run.reading(|kind| {
        measured.inc(1);
        measured.set_message(kind.to_string());
        output::stage(&measured, format_args!("measuring {kind}"));
    })?;
    measured.finish_and_clear();
    let (taken, tokens) = (run.training().state().step(), run.training().state().tokens);
    // The trainer's memory is given back before the runtime's model takes its own.
    let trained = run.finish(accuracy.clone());
    give_freed_memory_back();
    let verified = trained.write(&builtin::open_model(&args.model)?, Precision::Q8_0, out)?;
    if args.json {
        return output::json_line(
            &json!({ "adapter": out, "verified": verified, "steps": taken, "tokens": tokens, "accuracy": accuracy }),
        );
    }
    say!("{tokens} tokens in {taken} steps; on unseen labels and games:");
    for (kind, accuracy) in &accuracy {
        say!("{kind}: {}", course::spell(accuracy));
    }
    say!("{}", output::reads(&reads(&named(&accuracy), &Kind::READING)));
    say!("written and verified: {}", out.display());
    Ok(())
}
