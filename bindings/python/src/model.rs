//! Models.

use probity::agent::ModelInfo;
use probity_engine::{ModelOptions, Plan};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::interrupt::Progress;
use super::session::settings;
use super::{convert, errors, source};

/// A GGUF model. May be used by many threads at once.
#[pyclass(frozen, module = "probity")]
pub struct Model {
    pub inner: probity_engine::Model,
}

#[pymethods]
impl Model {
    /// Opens a model: a path, the descriptor of an open file, or bytes.
    #[new]
    #[pyo3(signature = (source, *, offset=0, length=None, gpu_layers=0, mmap=false, progress=None))]
    fn new(
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        offset: u64,
        length: Option<u64>,
        gpu_layers: u32,
        mmap: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let source = source::of(source, offset, length)?;
        let options = ModelOptions::default().with(|o| (o.gpu_layers, o.mmap) = (gpu_layers, mmap));
        let open = |tell: &dyn Fn(f32) -> bool| Ok(probity_engine::Model::from_source(source, options, tell)?);
        Ok(Self { inner: Progress::new(progress).run(py, open)? })
    }

    /// Path, fingerprint, shape, and the presence of a chat template.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::object(py, &ModelInfo::of(&self.inner))
    }

    /// The model's fingerprint, hex.
    #[getter]
    fn fingerprint(&self) -> &str {
        self.inner.fingerprint()
    }

    /// The memory of the model and a session with these options, bytes.
    #[pyo3(signature = (**options))]
    fn plan<'py>(&self, py: Python<'py>, options: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        let context = settings(options)?.context();
        told(py, &self.inner.plan(context).map_err(errors::of)?)
    }

    fn __repr__(&self) -> String {
        format!("Model({:?})", self.inner.path())
    }
}

fn told<'py>(py: Python<'py>, plan: &Plan) -> PyResult<Bound<'py, PyAny>> {
    let Plan { weights, cache, buffers, .. } = *plan;
    convert::object(py, &serde_json::json!({ "weights": weights, "cache": cache, "buffers": buffers }))
}

/// The memory of a model and a session on it, before anything takes it.
///
/// Bytes of weights, cache and buffers.
#[pyfunction]
#[pyo3(signature = (source, *, offset=0, length=None, **options))]
pub fn plan<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    offset: u64,
    length: Option<u64>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let source = source::of(source, offset, length)?;
    let context = settings(options)?.context();
    told(py, &Plan::of(&source, ModelOptions::default(), context).map_err(errors::of)?)
}
