//! `probity export`: a GGUF adapter as PEFT.

use std::path::PathBuf;

use probity::Error;
use probity_train::lora::{Pair, peft};
use serde_json::json;

use crate::output::say;
use crate::{builtin, output};

/// Turn a GGUF adapter into a PEFT folder that transformers loads.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity export deontological --out deontological-peft\n         probity export mine.gguf --model gemma-2-2b-it-Q4_K_M.gguf --base google/gemma-2-2b-it --out mine-peft"
)]
pub struct Args {
    /// The adapter: a GGUF file or a built-in name.
    adapter: String,
    /// The base model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    /// The base model's name in transformers.
    #[arg(long, default_value = "")]
    base: String,
    /// The folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let model = builtin::open_vocabulary(&args.model)?;
    let weights = builtin::adapter_weights(&model, &args.adapter)?;
    peft::write(&weights, model.shape(), &args.base, &args.out)?;
    // The written adapter must equal the given adapter; a scale may differ by rounding.
    let back = peft::read(&args.out, model.shape())?;
    let same = |a: &Pair, b: &Pair| {
        Pair { scale: b.scale, ..a.clone() } == *b && (a.scale - b.scale).abs() <= 1e-6 * b.scale.abs()
    };
    if back.pairs.len() != weights.pairs.len() || !back.pairs.iter().zip(&weights.pairs).all(|(a, b)| same(a, b)) {
        let file = args.out.display().to_string();
        return Err(Error::Unverified { file, problem: "read back, it is another adapter".into() }.into());
    }
    if args.json {
        return output::json(&json!({ "folder": args.out, "pairs": weights.pairs.len() }));
    }
    say!("written and read back: {} ({} pairs)", args.out.display(), weights.pairs.len());
    Ok(())
}
