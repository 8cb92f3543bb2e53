//! The `probity` command line: one file a subcommand.
#![forbid(unsafe_code)]

mod builtin;
mod compare;
mod decide;
mod demo;
mod export;
mod import;
mod input;
mod inspect;
mod merge;
mod output;
mod pretrain;
mod train;
mod values;
mod verify;

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Moral decisions on a local language model: decide, account for it, train it.
///
/// Models and adapters are GGUF files, or one of the built-in names: the model `default`, and the adapters `game`,
/// `deontological`, `utilitarian`, `game+deontological`, `game-then-deontological`, `game-then-utilitarian`.
#[derive(Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Example: probity decide --game ipd --labels zork,blip --adapter deontological\n\nExit codes: 0 done, 1 the work failed, 2 wrong usage or bad input."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Decide(decide::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Train(train::Args),
    Pretrain(pretrain::Args),
    Import(import::Args),
    Export(export::Args),
    Merge(merge::Args),
    Compare(compare::Args),
    Values(values::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Decide(args) => decide::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Values(args) => values::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("probity: {}", told(&e));
            let bad_input = e.chain().any(|c| {
                c.is::<output::Usage>()
                    || c.is::<probity::game::GameError>()
                    || c.downcast_ref::<probity::Error>().is_some_and(probity::Error::is_bad_input)
                    || c.downcast_ref::<io::Error>().is_some_and(wrong_file)
            });
            ExitCode::from(if bad_input { 2 } else { 1 })
        }
    }
}

/// An error with its causes, each said once: some errors tell their cause themselves.
fn told(e: &anyhow::Error) -> String {
    e.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        text if text.contains(&cause) => text.into(),
        text => format!("{text}: {cause}"),
    })
}

/// Whether a path was given that leads nowhere or to what is no text, rather than a disk or a permission failing on the
/// way.
fn wrong_file(e: &io::Error) -> bool {
    use ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound};
    matches!(e.kind(), NotFound | IsADirectory | NotADirectory | InvalidData)
}
