//! Adapters of PEFT, in and out.

use std::path::PathBuf;

use probity::Status;
use probity_train::curriculum::Precision;
use probity_train::finish::{foreign_manifest, write_proven};
use probity_train::lora::{AdapterWeights, peft, read_folder};
use pyo3::prelude::*;

use super::errors::{self, Failure};
use super::interrupt;
use super::model::Model;

/// Writes a PEFT or MLX folder as a GGUF adapter of a model.
///
/// The adapter records decisions, which `Adapter.verify` repeats.
/// The folder holds plain LoRA pairs of this model; anything else is refused by name. `precision` is f32, f16 or q8_0.
#[pyfunction]
#[pyo3(signature = (folder, model, out, *, name=None, precision="f32"))]
pub fn import_peft(
    py: Python<'_>,
    folder: PathBuf,
    model: &Model,
    out: PathBuf,
    name: Option<String>,
    precision: &str,
) -> PyResult<()> {
    let precision: Precision = serde_json::from_value(precision.into())
        .map_err(|_| Failure::new(Status::OPTION, format!("precision {precision:?}, expected f32, f16 or q8_0")))?;
    let last = || folder.file_name().map_or_else(|| "imported".into(), |name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(last);
    let write = || {
        let weights = read_folder(&folder, model.inner.shape())?;
        let manifest = foreign_manifest(&model.inner, &name, "imported")?;
        write_proven(&weights, precision, manifest, &model.inner, &out).map(drop)
    };
    interrupt::run(py, || (), || write().map_err(|e| errors::of_training(&e)))
}

/// Writes a GGUF adapter of a model as a PEFT folder that transformers loads.
///
/// `base` is the model's name there.
#[pyfunction]
#[pyo3(signature = (adapter, model, folder, *, base=""))]
pub fn export_peft(py: Python<'_>, adapter: PathBuf, model: &Model, folder: PathBuf, base: &str) -> PyResult<()> {
    let write = || {
        let weights = AdapterWeights::load(&model.inner, &adapter)?;
        peft::write(&weights, model.inner.shape(), base, &folder)
    };
    interrupt::run(py, || (), || write().map_err(|e| errors::of_training(&e)))
}
