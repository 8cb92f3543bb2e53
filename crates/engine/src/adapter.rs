//! A loaded LoRA adapter, bound to the model it was checked against.

use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use super::gguf::{Gguf, GgufWriter, Tensor};
use super::preflight::{AdapterShape, check_adapter, check_fit};
use super::shim;
use super::{Model, Source};
use crate::Result;

/// An adapter, shared: clones are handles to the same weights.
///
/// It keeps its model alive, and a context keeps its adapters alive. So all are freed in the order the engine needs.
#[derive(Clone)]
pub struct Adapter {
    inner: Arc<Inner>,
}

struct Inner {
    raw: NonNull<sys::llama_adapter_lora>,
    model: Model,
    gguf: Gguf,
    shape: AdapterShape,
    source: Source,
    fingerprint: String,
}

// SAFETY: llama.cpp only reads an adapter's weights after loading; loading and freeing change the model's adapter list
// and happen under the model's write lock.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adapter").field("path", &self.path()).field("shape", &self.inner.shape).finish()
    }
}

impl Adapter {
    /// Loads an adapter for `model`, which may be in use by other threads meanwhile.
    ///
    /// # Errors
    /// As [`Adapter::from_source`].
    pub fn load(model: &Model, path: &Path) -> Result<Self> {
        Self::from_source(model, Source::open(path)?)
    }

    /// As [`Adapter::load`], of bytes anywhere.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), the GGUF errors,
    /// [`Error::UnsupportedAdapter`](crate::Error::UnsupportedAdapter),
    /// [`Error::AdapterMismatch`](crate::Error::AdapterMismatch), or [`Error::Llama`](crate::Error::Llama) with
    /// llama.cpp's own reason.
    pub fn from_source(model: &Model, source: Source) -> Result<Self> {
        let gguf = source.header()?;
        let shape = check_adapter(&gguf, |t| source.tensor(t))?;
        check_fit(&gguf, model.gguf(), model.shape())?;
        let fingerprint = source.hash()?;
        let lock = model.adapter_lock().write();
        // SAFETY: model and source are alive, the source passed the preflight, and the write lock keeps every other
        // user of the model's adapter list out.
        let load = |lent: &shim::Lent, out| unsafe { shim::probity_engine_adapter_load(model.raw(), lent, out) };
        let lend = |out| source.lend(&GgufWriter::of(&gguf), gguf.data_start(), |lent| load(lent, out));
        let raw = shim::call_for("load the adapter", lend);
        drop(lock);
        let inner = Inner { raw: raw?, model: model.clone(), gguf, shape, source, fingerprint };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The model it changes.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.inner.model
    }

    /// The checked header.
    #[must_use]
    pub fn gguf(&self) -> &Gguf {
        &self.inner.gguf
    }

    /// Rank, scale and targets.
    #[must_use]
    pub fn shape(&self) -> &AdapterShape {
        &self.inner.shape
    }

    /// The file it was loaded from, or the name that its source was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.source.name()
    }

    /// BLAKE3 of the whole file, hex.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    /// Tells loaded adapters apart; clones are the same.
    #[must_use]
    pub fn id(&self) -> *const () {
        self.raw().cast_const().cast()
    }

    /// A tensor's bytes, as stored.
    pub(super) fn read_tensor(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        self.inner.source.tensor(tensor)
    }

    pub(super) fn raw(&self) -> *mut sys::llama_adapter_lora {
        self.inner.raw.as_ptr()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _lock = self.model.adapter_lock().write();
        // SAFETY: no context has it set, since a context holds a handle while it does; the model is still alive. A drop
        // has nobody to tell of a failure, which leaks the adapter.
        unsafe { shim::probity_engine_adapter_free(self.raw.as_ptr()) };
    }
}
