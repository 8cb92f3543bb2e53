//! `probity import`: an adapter of PEFT or MLX as GGUF.

use std::path::PathBuf;

use probity_train::finish::{foreign_manifest, write_proven};
use probity_train::lora::read_folder;
use serde_json::json;

use crate::output::say;
use crate::{builtin, input, output};

/// Turn a PEFT or MLX adapter folder into a verified GGUF adapter.
///
/// The folder holds adapter_config.json, and adapter_model.safetensors (PEFT) or adapters.safetensors (MLX). The
/// command accepts plain LoRA pairs of this model and refuses anything else by name. The written file records
/// decisions, which `probity verify` repeats.
#[derive(clap::Args)]
#[command(after_help = "Example: probity import my-peft-adapter --model gemma-2-2b-it-Q4_K_M.gguf --out mine.gguf")]
pub struct Args {
    /// The folder.
    folder: PathBuf,
    /// The base model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    /// Where to write the adapter.
    #[arg(long)]
    out: PathBuf,
    /// The adapter's name [default: the folder's name]
    #[arg(long)]
    name: Option<String>,
    /// Element type of the written adapter: f32, f16 or q8_0.
    #[arg(long, default_value = "f32", value_parser = output::precision)]
    precision: probity_train::curriculum::Precision,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    input::writable(&args.out)?;
    let model = builtin::open_model(&args.model)?;
    let weights = read_folder(&args.folder, model.shape())?;
    let folder = args.folder.file_name().map_or_else(|| "imported".into(), |n| n.to_string_lossy().into_owned());
    let name = args.name.clone().unwrap_or(folder);
    let manifest = foreign_manifest(&model, &name, "imported")?;
    let verified = write_proven(&weights, args.precision, manifest, &model, &args.out)?;
    if args.json {
        return output::json(&json!({ "adapter": args.out, "pairs": weights.pairs.len(), "verified": verified }));
    }
    say!("written and verified: {} ({} pairs)", args.out.display(), weights.pairs.len());
    Ok(())
}
