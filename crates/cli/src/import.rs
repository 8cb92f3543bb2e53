//! `probity import`: an adapter of PEFT or MLX as GGUF.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use probity_train::curriculum::Precision;
use probity_train::finetune::TrainedElsewhere;
use probity_train::finish::{foreign_manifest, write_proven, write_verified};
use probity_train::lora::read_folder;
use serde_json::json;

use crate::errors::Usage;
use crate::model::sha256;
use crate::output::say;
use crate::{builtin, input, output};

/// Turn a PEFT or MLX adapter folder into a verified GGUF adapter.
///
/// The folder holds adapter_config.json, and adapter_model.safetensors (PEFT) or adapters.safetensors (MLX). The
/// command accepts plain LoRA pairs of this model and refuses anything else by name. The written file records
/// decisions, which `probity verify` repeats. An adapter that `python -m probity.train` trained comes with the manifest
/// of its run.
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
    /// The adapter's name [default: that of its run, or the folder's]
    #[arg(long)]
    name: Option<String>,
    /// Element type of the written adapter: f32, f16 or q8_0.
    ///
    /// The default is that of its run, or f32.
    #[arg(long, value_parser = output::precision)]
    precision: Option<Precision>,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    input::writable(&args.out)?;
    let model = builtin::open_model(&args.model)?;
    let weights = read_folder(&args.folder, model.shape())?;
    let verified = if let Some(trained) = TrainedElsewhere::in_folder(&args.folder)? {
        let file = args.folder.join("adapter_model.safetensors");
        let found =
            File::open(&file).and_then(|mut file| sha256(&mut file)).with_context(|| file.display().to_string())?;
        if found != trained.weights {
            let problem = "other weights than trained.json is of; without that file they are imported without a run";
            return Err(Usage(format!("{}: {problem}", file.display())).into());
        }
        let mut run = trained.with_weights(&model, &weights, &args.folder)?;
        run.config.name = args.name.clone().unwrap_or(run.config.name);
        run.config.precision = args.precision.unwrap_or(run.config.precision);
        write_verified(&run, &model, &args.out)?
    } else {
        let folder = args.folder.file_name().map_or_else(|| "imported".into(), |n| n.to_string_lossy().into_owned());
        let manifest = foreign_manifest(&model, args.name.as_deref().unwrap_or(&folder), "imported")?;
        write_proven(&weights, args.precision.unwrap_or_default(), manifest, &model, &args.out)?
    };
    if args.json {
        return output::json(&json!({ "adapter": args.out, "pairs": weights.pairs.len(), "verified": verified }));
    }
    say!("written and verified: {} ({} pairs)", args.out.display(), weights.pairs.len());
    Ok(())
}
