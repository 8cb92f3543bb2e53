//! The `probity` command line: one file a subcommand.

mod builtin;
mod card;
mod compare;
mod course;
mod decide;
mod demo;
mod errors;
mod eval;
mod export;
mod import;
mod input;
mod inspect;
mod interrupt;
mod kept;
mod literacy;
mod merge;
mod model;
mod names;
mod output;
mod paper;
mod plan;
mod pretrain;
mod train;
mod values;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Moral decisions on a local language model: decide, account for it, train it.
///
#[derive(Parser)]
#[command(
    version,
    propagate_version = true,
    long_about = about(),
    after_help = "Example: probity decide --game ipd --labels zork,blip --adapter deontological\n\nExit codes: 0 done, 1 the work failed, 2 wrong usage or bad input, 3 an answer that is not reliable."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn about() -> String {
    format!(
        "Moral decisions on a local language model: decide, account for it, train it.\n\nModels and adapters are GGUF files, or \
         names. Built in are the model default and the adapters {}; `probity model fetch` brings {}.",
        names::adapters(),
        names::models()
    )
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Decide(decide::Args),
    Model(model::Args),
    Inspect(inspect::Args),
    Plan(plan::Args),
    Verify(verify::Args),
    Train(train::Args),
    Literacy(literacy::Args),
    Pretrain(pretrain::Args),
    Import(import::Args),
    Export(export::Args),
    Merge(merge::Args),
    Compare(compare::Args),
    Paper(paper::Args),
    Card(card::Args),
    Eval(eval::Args),
    Values(values::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Decide(args) => decide::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Literacy(args) => literacy::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Paper(args) => paper::run(&args),
        Command::Card(args) => card::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Values(args) => values::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("probity: {}", errors::told(&e));
            errors::exit_code(&e)
        }
    }
}
