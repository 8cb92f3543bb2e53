//! What a model and an adapter are, as every language tells it.

use std::path::Path;

use probity_engine::preflight::{AdapterShape, ModelShape};
use probity_engine::{Adapter, Model};
use serde::Serialize;

use super::Manifest;
use crate::Result;

/// A model in a few words.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::ModelInfo;
///
/// # fn main() -> probity::Result<()> {
/// let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// assert!(ModelInfo::of(&model).chat_template);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelInfo<'a> {
    /// Whether the file has a chat template.
    pub chat_template: bool,
    /// [`Model::fingerprint`].
    pub fingerprint: &'a str,
    /// The file, or the name of the memory.
    pub path: &'a Path,
    /// Its architecture and sizes.
    pub shape: &'a ModelShape,
}

impl<'a> ModelInfo<'a> {
    /// Describes a model.
    #[must_use]
    pub fn of(model: &'a Model) -> Self {
        Self {
            chat_template: model.template().is_own(),
            fingerprint: model.fingerprint(),
            path: model.path(),
            shape: model.shape(),
        }
    }
}

/// An adapter in a few words.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::{AdapterInfo, verify};
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let kind = verify::load(&model, Path::new("models/deontological.gguf"))?;
/// assert_eq!(AdapterInfo::of(&kind)?.manifest.unwrap().name, "deontological");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdapterInfo<'a> {
    /// [`Adapter::fingerprint`].
    pub fingerprint: &'a str,
    /// How it was trained, where the file says so.
    pub manifest: Option<Manifest>,
    /// The file, or the name of the memory.
    pub path: &'a Path,
    /// Its rank and targets.
    pub shape: &'a AdapterShape,
}

impl<'a> AdapterInfo<'a> {
    /// Describes an adapter.
    ///
    /// # Errors
    /// As [`Manifest::of`].
    pub fn of(adapter: &'a Adapter) -> Result<Self> {
        Ok(Self {
            fingerprint: adapter.fingerprint(),
            manifest: Manifest::of(adapter.gguf())?,
            path: adapter.path(),
            shape: adapter.shape(),
        })
    }
}
