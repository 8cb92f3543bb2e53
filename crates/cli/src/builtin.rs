//! The default model and its adapters, carried inside the program.

use std::path::{Path, PathBuf};

use anyhow::Context;
use probity::agent::verify;
use probity_engine::{Adapter, Model, ModelOptions};
use probity_train::lora::AdapterWeights;

use crate::errors::Usage;
use crate::model;

const DEFAULT: &[u8] = include_bytes!("../models/default.gguf");

/// Built-in adapters by name.
pub const ADAPTERS: [(&str, &[u8]); 6] = [
    ("game", include_bytes!("../models/game.gguf")),
    ("deontological", include_bytes!("../models/deontological.gguf")),
    ("utilitarian", include_bytes!("../models/utilitarian.gguf")),
    ("game+deontological", include_bytes!("../models/game+deontological.gguf")),
    ("game-then-deontological", include_bytes!("../models/game-then-deontological.gguf")),
    ("game-then-utilitarian", include_bytes!("../models/game-then-utilitarian.gguf")),
];

/// The file of a name: a path, or a built-in file unpacked until drop.
pub struct Resolved {
    path: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Resolved {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn unpack(name: &str, bytes: &[u8]) -> anyhow::Result<Resolved> {
    let folder = tempfile::Builder::new().prefix("probity-").tempdir()?;
    let path = folder.path().join(format!("{name}.gguf"));
    std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    Ok(Resolved { path, _folder: Some(folder) })
}

/// Whether a name is that of a model.
pub fn is_model(name: &str) -> bool {
    name == "default" || model::CATALOGUE.iter().any(|entry| entry.name == name)
}

/// The model file a name or path stands for.
pub fn model_file(name: &str) -> anyhow::Result<Resolved> {
    if name == "default" {
        return unpack(name, DEFAULT);
    }
    let path = model::known(name)?.unwrap_or_else(|| name.into());
    if is_word(&path) {
        let known: Vec<&str> = model::CATALOGUE.iter().map(|entry| entry.name).collect();
        let known = known.join(", ");
        return Err(
            Usage(format!("model {name:?} is neither a file nor a known name; known are default, {known}")).into()
        );
    }
    Ok(Resolved { path, _folder: None })
}

/// Whether a path is a word like a name, and no file.
fn is_word(path: &Path) -> bool {
    path.components().count() == 1 && path.extension().is_none() && !path.exists()
}

/// The adapter file a name or path stands for.
pub fn adapter_file(name: &str) -> anyhow::Result<Resolved> {
    if let Some((_, bytes)) = ADAPTERS.iter().find(|(n, _)| *n == name) {
        return unpack(name, bytes);
    }
    let path = PathBuf::from(name);
    if is_word(&path) {
        let known = ADAPTERS.map(|(n, _)| n).join(", ");
        return Err(Usage(format!("adapter {name:?} is neither a file nor built in; built in are {known}")).into());
    }
    Ok(Resolved { path, _folder: None })
}

/// Opens a model by name or path.
pub fn open_model(name: &str) -> anyhow::Result<Model> {
    let file = model_file(name)?;
    Ok(Model::open(file.path(), ModelOptions::default(), |_| true)?)
}

/// Opens a model's vocabulary by name or path, for training.
pub fn open_vocabulary(name: &str) -> anyhow::Result<Model> {
    let file = model_file(name)?;
    let options = ModelOptions::default().with(|o| o.vocab_only = true);
    Ok(Model::open(file.path(), options, |_| true)?)
}

/// Loads an adapter by name or path.
pub fn load_adapter(model: &Model, name: &str) -> anyhow::Result<Adapter> {
    let loaded = verify::load(model, adapter_file(name)?.path());
    match ADAPTERS.iter().any(|(known, _)| *known == name) {
        true => loaded.with_context(|| format!("adapter {name:?}, built in for the built-in model")),
        false => Ok(loaded?),
    }
}

/// The weights of an adapter by name or path.
pub fn adapter_weights(model: &Model, name: &str) -> anyhow::Result<AdapterWeights> {
    Ok(AdapterWeights::load(model, adapter_file(name)?.path())?)
}
