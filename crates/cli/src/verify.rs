//! `probity verify`: does an adapter do what its manifest says?

use probity::agent::verify::{EFFECT, TOLERANCE, verify};

use crate::output::say;
use crate::{builtin, output};

/// Take an adapter's recorded decisions again and compare.
///
/// Fails when a probability differs from the recorded one, when the adapter changes nothing, or when it was trained on
/// another base model.
#[derive(clap::Args)]
#[command(after_help = "Example: probity verify deontological\n         probity verify mine.gguf --model base.gguf")]
pub struct Args {
    /// The adapter: a GGUF file or a built-in name.
    adapter: String,
    /// The base model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let model = builtin::open_model(&args.model)?;
    let adapter = builtin::load_adapter(&model, &args.adapter)?;
    let found = verify(&adapter)?;
    if args.json {
        return output::json(&found);
    }
    say!(
        "verified: {} decisions, off by at most {:.5} (allowed {TOLERANCE}), moved by up to {:.3} (at least {EFFECT})",
        found.vectors,
        found.deviation,
        found.effect
    );
    Ok(())
}
