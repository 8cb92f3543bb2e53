//! Adapters.

use probity::agent::AdapterInfo;
use probity::agent::verify::{load_source, verify_with};
use pyo3::prelude::*;

use super::interrupt::Progress;
use super::model::Model;
use super::{convert, errors, source};

/// A LoRA adapter of a model. May be used by many threads at once.
#[pyclass(frozen, module = "probity")]
pub struct Adapter {
    pub inner: probity_engine::Adapter,
}

#[pymethods]
impl Adapter {
    /// Loads an adapter for a model: a path, the descriptor of an open file, or bytes.
    #[new]
    #[pyo3(signature = (model, source, *, offset=0, length=None))]
    fn new(
        py: Python<'_>,
        model: &Model,
        source: &Bound<'_, PyAny>,
        offset: u64,
        length: Option<u64>,
    ) -> PyResult<Self> {
        let source = source::of(source, offset, length)?;
        let inner = py.detach(|| load_source(&model.inner, source)).map_err(errors::of)?;
        Ok(Self { inner })
    }

    /// Path, fingerprint, shape and manifest (`None` without a manifest).
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::object(py, &AdapterInfo::of(&self.inner).map_err(errors::of)?)
    }

    /// The adapter's fingerprint, hex.
    #[getter]
    fn fingerprint(&self) -> &str {
        self.inner.fingerprint()
    }

    /// Takes the decisions that the manifest records again.
    ///
    /// Fails with UNVERIFIED where a probability differs, or where the adapter changes no probability.
    #[pyo3(signature = (progress=None))]
    fn verify(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<()> {
        Progress::new(progress).run(py, |tell| verify_with(&self.inner, tell).map(drop))
    }

    fn __repr__(&self) -> String {
        format!("Adapter({:?})", self.inner.path())
    }
}
