//! `probity inspect`: the contents of a GGUF file, or its fault.

use std::collections::BTreeMap;

use probity::agent::Manifest;
use probity_engine::Source;
use probity_engine::gguf::{Tensor, Value};
use probity_engine::preflight::{AdapterShape, ModelShape, check_adapter, check_model};
use probity_game::moral::Mixture;
use serde::Serialize;

use crate::output::say;
use crate::{builtin, output};

/// Show the contents of a model or adapter file, or its fault.
///
/// The command reads the file and never loads it: a damaged or hostile file is safe to inspect.
#[derive(clap::Args)]
#[command(after_help = "Example: probity inspect model.gguf")]
pub struct Args {
    /// A GGUF file, or a built-in name.
    file: String,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    file: String,
    kind: String,
    shape: Shape,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Manifest>,
    metadata: BTreeMap<String, String>,
    tensors: Vec<TensorReport>,
    parameters: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shape {
    Model(ModelShape),
    Adapter(AdapterShape),
}

#[derive(Serialize)]
struct TensorReport {
    name: String,
    #[serde(rename = "type")]
    ty: &'static str,
    dimensions: Vec<u64>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let file = if builtin::is_model(&args.file) {
        builtin::model_file(&args.file)?
    } else {
        builtin::adapter_file(&args.file)?
    };
    let source = Source::open(file.path())?;
    let length = source.length();
    let gguf = source.header()?;
    let adapter = gguf.str("general.type") == Some("adapter");
    let shape = if adapter {
        Shape::Adapter(check_adapter(&gguf, |t| source.tensor(t))?)
    } else {
        Shape::Model(check_model(&gguf)?)
    };
    let manifest = if adapter { Manifest::of(&gguf)? } else { None };
    let report = Report {
        file: args.file.clone(),
        kind: if adapter { "LoRA adapter".into() } else { "model".into() },
        shape,
        manifest,
        metadata: gguf.keys().iter().map(|k| (k.clone(), describe(gguf.get(k)))).collect(),
        parameters: gguf.tensors().iter().map(Tensor::elements).sum(),
        tensors: gguf
            .tensors()
            .iter()
            .map(|t| TensorReport { name: t.name.clone(), ty: t.ty.name, dimensions: t.dims.clone() })
            .collect(),
    };
    if args.json {
        return output::json(&report);
    }
    say!(
        "{}: {}, {} tensors, {} parameters, {length} bytes",
        report.file,
        report.kind,
        report.tensors.len(),
        report.parameters
    );
    if let Some(m) = &report.manifest {
        let mut rewards: Vec<String> = m.rewards.iter().map(Mixture::name).collect();
        // A run that was extended has the same reward twice.
        rewards.dedup();
        let how = if m.algorithm.is_empty() { String::new() } else { format!(" ({})", m.algorithm) };
        match rewards.as_slice() {
            // Merged and imported adapters state their origin in place of games.
            [] => say!("origin: {}", m.games),
            [..] => {
                let rewards = rewards.join(" then ");
                say!("trained on {rewards}{how} for {} steps, games: {}, labels: {}", m.steps, m.games, m.labels);
            }
        }
    }
    if let Some(reads) = report.manifest.as_ref().and_then(|manifest| manifest.reading.as_ref()) {
        say!("{}", output::reads(reads));
    }
    let mut table = output::table(&["key", "value"]);
    for (key, value) in report.metadata.iter().filter(|(k, _)| *k != probity::agent::manifest::MANIFEST_KEY) {
        table.add_row([key.as_str(), value.as_str()]);
    }
    say!("{table}");
    let mut table = output::table(&["tensor", "type", "dimensions"]);
    for t in &report.tensors {
        let dims: Vec<String> = t.dimensions.iter().map(u64::to_string).collect();
        table.add_row([t.name.as_str(), t.ty, &dims.join(" x ")]);
    }
    say!("{table}");
    Ok(())
}

fn describe(value: Option<&Value>) -> String {
    const SHOWN: usize = 60;
    let cut = |s: String| {
        let short: String = s.chars().take(SHOWN).collect();
        if short.len() < s.len() { format!("{short}... ({} bytes)", s.len()) } else { s }
    };
    match value {
        Some(Value::Str(s)) => cut(s.replace('\n', "\\n")),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}
