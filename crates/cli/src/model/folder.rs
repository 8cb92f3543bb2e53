//! Where fetched models lie.

use std::path::PathBuf;

use anyhow::Context;
use etcetera::{BaseStrategy, choose_base_strategy};

use super::catalogue::{Entry, find};

/// Names another folder for fetched models.
pub const FOLDER: &str = "PROBITY_MODEL_FOLDER";

/// The folder of fetched models.
///
/// It is `$PROBITY_MODEL_FOLDER`, or `probity/models` among the user's data.
pub fn folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Ok(folder.into());
    }
    let base = choose_base_strategy().with_context(|| format!("no home folder; set {FOLDER}"))?;
    Ok(base.data_dir().join("probity/models"))
}

/// Where a model of the catalogue belongs.
pub fn place(entry: &Entry) -> anyhow::Result<PathBuf> {
    Ok(folder()?.join(format!("{}.gguf", entry.name)))
}

/// The file of a model that was fetched; `None` where it was not.
pub fn fetched(entry: &Entry) -> anyhow::Result<Option<PathBuf>> {
    let file = place(entry)?;
    Ok(file.exists().then_some(file))
}

/// The file of a name of the catalogue; `None` for another name.
///
/// # Errors
/// [`crate::errors::Usage`] for a model that was not fetched.
pub fn known(name: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(entry) = find(name) else { return Ok(None) };
    let file = fetched(entry)?;
    let missing = || crate::errors::Usage(format!("{name} was not fetched; `probity model fetch {name}` brings it"));
    Ok(Some(file.ok_or_else(missing)?))
}
