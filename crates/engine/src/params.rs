//! The options of a context, and llama.cpp's parameters that follow from them.

use llama_cpp_sys_2 as sys;

use super::gguf::{Gguf, Tensor};
use super::preflight::ModelShape;
use crate::{Error, Result};

/// Sequences in one context: the prompt's, and one an option of a batch.
///
/// llama.cpp aborts if this exceeds [`OUTPUTS`].
pub(super) const SEQUENCES: usize = 32;
/// Rows of logits one decode may ask for.
///
/// It bounds the output and compute buffers. At 151,936 tokens of vocabulary the default of a row a token costs 299
/// MiB, this value 20 MiB.
pub(super) const OUTPUTS: usize = 32;
/// Tokens of one decode.
///
/// It bounds the attention's scores, a float a token, cached position and head: 28 MiB for 14 heads and 2048 positions.
pub(super) const BATCH: usize = 256;

/// How to make a context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextOptions {
    /// Tokens of prompt and options together.
    ///
    /// 0 means the smaller of 2048 and the model's training length.
    pub context: usize,
    /// Threads.
    ///
    /// 0 means one a processor, at most 8, and fewer for a model too small to keep them busy. Never more than the
    /// processors that the process may use: its affinity and its cgroup's quota count.
    pub threads: usize,
    /// Keep keys and values as 32-bit floats instead of 16-bit.
    ///
    /// This takes twice the memory, and serves exact comparisons.
    pub exact_cache: bool,
    /// Most bytes of weights, cache and buffers together ([`Plan`](crate::Plan)).
    ///
    /// 0 means three times the weights and a gibibyte.
    pub memory: u64,
}

impl ContextOptions {
    /// Changes some options.
    ///
    /// `ContextOptions::default().with(|o| o.threads = 1)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// llama.cpp's parameters of a context.
pub(super) struct Params {
    pub params: sys::llama_context_params,
    /// Tokens that the context holds.
    pub capacity: usize,
}

impl Params {
    /// The parameters of a context on a model.
    ///
    /// `states` asks for hidden states of one sequence in place of logits.
    ///
    /// # Errors
    /// [`Error::Option`] for a context longer than the model's training length.
    pub fn of(gguf: &Gguf, shape: &ModelShape, options: ContextOptions, states: bool) -> Result<Self> {
        let trained = shape.context;
        let capacity = if options.context == 0 { trained.min(2048) } else { options.context };
        if capacity > trained {
            let expected = format!("at most the {trained} tokens the model was trained for");
            return Err(Error::Option { name: "context", given: capacity.to_string(), expected });
        }
        let threads = if options.threads == 0 { default_threads(gguf) } else { options.threads.min(processors()) };
        // SAFETY: plain default constructors of C structs.
        let mut params = unsafe { sys::llama_context_default_params() };
        // The trie's sequences share the prompt's cells, and each may use the whole cache.
        params.kv_unified = true;
        // llama.cpp cuts the batch down to the context; `capacity` is what is enforced here.
        params.n_ctx = capacity.max(BATCH) as u32;
        params.n_batch = BATCH as u32;
        params.n_ubatch = BATCH as u32;
        params.n_seq_max = if states { 1 } else { SEQUENCES as u32 };
        params.n_outputs_max = OUTPUTS as u32;
        params.n_threads = threads as i32;
        params.n_threads_batch = threads as i32;
        params.no_perf = true;
        // Rewinding a sliding-window cache beyond its window silently loses context; the full cache does not.
        params.swa_full = true;
        // Over the few hundred tokens of a decision plain attention is faster than flash attention on a processor: 359
        // ms and 375 ms for a warm decision of `make bench`.
        params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
        params.embeddings = states;
        params.pooling_type = sys::LLAMA_POOLING_TYPE_NONE;
        if options.exact_cache {
            params.type_k = sys::GGML_TYPE_F32;
            params.type_v = sys::GGML_TYPE_F32;
        }
        Ok(Self { params, capacity })
    }
}

/// Weights that keep a thread busy.
///
/// ggml's threads wait for each other after every operation. On a small model a second thread gains little, and if
/// another program occupies a processor, the wait costs more than the work.
const WEIGHTS_A_THREAD: u64 = 4_000_000;

/// Processors that this process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn default_threads(gguf: &Gguf) -> usize {
    let weights: u64 = gguf.tensors().iter().map(Tensor::elements).sum();
    processors().min(8).min((weights / WEIGHTS_A_THREAD) as usize).max(1)
}
