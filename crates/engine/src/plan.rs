//! A byte plan: the memory of a model and a context, before they take it.
//!
//! llama.cpp makes the plan: it goes through the loading of the model and the making of the context without an
//! allocation for weights, cache or buffers.

use std::fmt;
use std::path::Path;

use llama_cpp_sys_2 as sys;
use serde::Serialize;

use super::backend::start;
use super::gguf::{Gguf, GgufWriter};
use super::model::llama_params;
use super::params::{ContextOptions, OUTPUTS, Params};
use super::preflight::{ModelShape, check_model};
use super::{ModelOptions, Source, shim};
use crate::{Error, Result};

/// The memory of a model and of one context on it, bytes.
///
/// A model's weights are counted once, however many contexts share them. A mapped file counts as a whole. Not counted:
/// the vocabulary, a few times its size in the file; adapters, which take what their files do, and several at once
/// twice as much again in 32 bits; a mebibyte or two of small objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The weights.
    pub weights: u64,
    /// The cache of keys and values.
    pub cache: u64,
    /// The buffers of a decode and its outputs.
    pub buffers: u64,
}

impl Plan {
    /// Plans a model that is not open, and a context on it.
    ///
    /// The limit of the context's options is not applied.
    ///
    /// # Errors
    /// [`Error::Io`], the GGUF errors, [`Error::UnsupportedModel`], [`Error::Option`] for a context longer than the
    /// model's training length, [`Error::Llama`] with llama.cpp's own reason.
    pub fn of(source: &Source, model: ModelOptions, context: ContextOptions) -> Result<Self> {
        start()?;
        let gguf = source.header()?;
        let shape = check_model(&gguf)?;
        Self::make(source, (&gguf, &shape), model, (context, false))
    }

    /// Plans a checked model, and a context on it.
    ///
    /// The context is one of hidden states or, as `false` says, of logits.
    pub(super) fn make(
        source: &Source,
        (gguf, shape): (&Gguf, &ModelShape),
        model: ModelOptions,
        (context, states): (ContextOptions, bool),
    ) -> Result<Self> {
        let Params { params, .. } = Params::of(gguf, shape, context, states)?;
        let mut model = llama_params(model);
        model.vocab_only = false;
        model.no_alloc = true;
        // A mapped file counts as a whole, and llama.cpp asserts that it plans no mapping.
        model.load_mode = sys::LLAMA_LOAD_MODE_NONE;
        let size_key = format!("{}.vocab_size\0", shape.architecture.name);
        let mut bytes = [0_u64; 3];
        let (key, tokens, out) = (size_key.as_ptr().cast(), shape.n_vocab as i64, bytes.as_mut_ptr());
        // SAFETY: the source outlives the call, the key ends in NUL, and the result has room for three numbers.
        let plan = |lent: &shim::Lent| unsafe { shim::probity_engine_plan(lent, model, params, key, tokens, out) };
        shim::call("plan the memory", || source.lend(&GgufWriter::of(gguf), gguf.data_start(), plan))?;
        let [weights, cache, buffers] = bytes;
        // llama.cpp leaves out the rows of logits and, where there are some, of hidden states.
        let row = shape.n_vocab + if states { shape.n_embd } else { 0 };
        Ok(Self { weights, cache, buffers: buffers + (OUTPUTS * row * size_of::<f32>()) as u64 })
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.cache).saturating_add(self.buffers)
    }

    /// Refuses a plan beyond a limit.
    ///
    /// 0 is the limit that [`ContextOptions::memory`] states.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn check(&self, file: &Path, limit: u64) -> Result<()> {
        let limit = if limit == 0 { (1 << 30) + 3 * self.weights } else { limit };
        if self.total() <= limit {
            return Ok(());
        }
        Err(Error::Memory { file: file.display().to_string(), plan: *self, limit })
    }
}

/// The total, and its parts.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { weights, cache, buffers } = self;
        write!(f, "{} bytes ({weights} of weights, {cache} of cache, {buffers} of buffers)", self.total())
    }
}
