//! `probity merge`: adapters mixed into one, or merged into their base.

use std::path::PathBuf;

use probity::agent::legality::{norm_told, reading_under};
use probity::agent::manifest::Manifest;
use probity_engine::gguf::GgmlType;
use probity_train::finish::{foreign_manifest, write_merged_proven, write_proven};
use probity_train::lora::merge::mix;
use serde_json::json;

use crate::errors::Usage;
use crate::output::say;
use crate::{builtin, input, names, output};

/// Mix adapters into one adapter, or merge them into a model.
///
/// A mixed adapter is exactly the weighted sum of its parts; its rank is the sum of their ranks. A merged model needs
/// no adapter. Its changed matrices are rounded to the base's element types, or to --type.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity merge deontological:0.5 utilitarian:0.5 --out both.gguf\n         probity merge deontological --into-model --out principled.gguf"
)]
pub struct Args {
    /// Adapters, each a GGUF file or a built-in name, as NAME[:WEIGHT].
    #[arg(required = true)]
    adapters: Vec<String>,
    /// The base model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    /// Where to write the adapter or model.
    #[arg(long)]
    out: PathBuf,
    /// Write a model with the adapters merged in.
    #[arg(long)]
    into_model: bool,
    /// Element type of changed matrices, such as F16 or Q8_0 [default: the base's].
    #[arg(long = "type", requires = "into_model")]
    ty: Option<String>,
    /// Element type of a mixed adapter: f32, f16 or q8_0.
    #[arg(long, default_value = "f32", value_parser = output::precision, conflicts_with = "into_model")]
    precision: probity_train::curriculum::Precision,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    input::writable(&args.out)?;
    let model = builtin::open_model(&args.model)?;
    let (mut parts, mut adapters) = (Vec::new(), Vec::new());
    for given in &args.adapters {
        let (name, weight) = names::scaled(given);
        parts.push((builtin::adapter_weights(&model, name)?, weight));
        adapters.push((name, weight));
    }
    let mixed = mix(&parts)?;
    let load = |(name, weight): &(&str, f32)| Ok((builtin::load_adapter(&model, name)?, *weight));
    let loaded = adapters.iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
    let mut off = None;
    if args.into_model {
        let named = |name: &String| {
            GgmlType::ALL
                .into_iter()
                .find(|t| t.name.eq_ignore_ascii_case(name))
                .ok_or_else(|| Usage(format!("type {name:?} is none of ggml's, expected one such as F16 or Q8_0")))
        };
        let ty = args.ty.as_ref().map(named).transpose()?;
        off = Some(write_merged_proven(&model, &mixed, &loaded, ty, &args.out)?);
    } else {
        let foreign = foreign_manifest(&model, &args.adapters.join(" + "), "a mixture of adapters")?;
        let (reading, norm_told) = (reading_under(&model, &loaded)?, norm_told(&loaded)?);
        let manifest = Manifest { reading, norm_told, ..foreign };
        write_proven(&mixed, args.precision, manifest, &model, &args.out)?;
    }
    if args.json {
        return output::json(&json!({ "written": args.out, "pairs": mixed.pairs.len(), "off": off }));
    }
    say!("written: {} ({} matrices changed)", args.out.display(), mixed.pairs.len());
    if let Some(off) = off {
        say!("its decisions differ by at most {off:.4} from the base model's under the adapters");
    }
    Ok(())
}
