//! A loaded LoRA adapter, bound to the model it was checked against.

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use super::Model;
use super::gguf::{Gguf, Tensor};
use super::model::{read_header, same_file};
use super::preflight::{AdapterShape, check_adapter, check_fit};
use super::shim;
use crate::{Error, Result};

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
    file: File,
    path: PathBuf,
    fingerprint: String,
}

// SAFETY: llama.cpp only reads an adapter's weights after loading; loading and freeing change the model's adapter list
// and happen under the model's write lock.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adapter").field("path", &self.inner.path).field("shape", &self.inner.shape).finish()
    }
}

impl Adapter {
    /// Loads an adapter for `model`, which may be in use by other threads meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`], the GGUF errors, [`Error::UnsupportedAdapter`], [`Error::AdapterMismatch`], or
    /// [`Error::Llama`] with llama.cpp's own reason.
    pub fn load(model: &Model, path: &Path) -> Result<Self> {
        Self::of_file(model, File::open(path).map_err(Error::io(path))?, path)
    }

    /// As [`Adapter::load`], of an open file; `path` is its name in messages.
    pub(super) fn of_file(model: &Model, file: File, path: &Path) -> Result<Self> {
        let gguf = read_header(&file, path)?;
        let shape = check_adapter(&gguf, |t| t.read_from(&file).map_err(Error::io(path)))?;
        check_fit(&gguf, model.gguf(), model.shape())?;
        let fingerprint = fingerprint(&file).map_err(Error::io(path))?;
        let alias = same_file(&file, path);
        let name = std::ffi::CString::new(alias.as_os_str().as_encoded_bytes()).map_err(|_| {
            Error::UnsupportedAdapter { file: path.display().to_string(), problem: "the path holds a NUL byte".into() }
        })?;
        let lock = model.adapter_lock().write();
        // SAFETY: the model is alive, the path is NUL-terminated, the file passed the preflight, and the write lock
        // keeps every other user of the model's adapter list out.
        let raw = shim::call_for("load the adapter", |out| unsafe {
            shim::probity_engine_adapter_load(model.raw(), name.as_ptr(), out)
        });
        drop(lock);
        let inner = Inner { raw: raw?, model: model.clone(), gguf, shape, file, path: path.to_owned(), fingerprint };
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

    /// The file it was loaded from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
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
        tensor.read_from(&self.inner.file).map_err(Error::io(&self.inner.path))
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

/// BLAKE3 of the whole file, hex.
fn fingerprint(mut file: &File) -> std::io::Result<String> {
    file.rewind()?;
    let mut hash = blake3::Hasher::new();
    hash.update_reader(file)?;
    Ok(hash.finalize().to_hex().to_string())
}
