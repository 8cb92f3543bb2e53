//! A context: a key-value cache on a shared model.
//!
//! It has its own adapters, threads and cancel flag.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_sys_2 as sys;

use super::backend::with_reason;
use super::{Adapter, Model, Token};
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
    /// 0 means one a processor, at most 8, and fewer for a model too small to keep them busy.
    pub threads: usize,
    /// Keep keys and values as 32-bit floats instead of 16-bit.
    ///
    /// This takes twice the memory, and serves exact comparisons.
    pub exact_cache: bool,
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

/// Stops the decode a context is in, from any thread.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the running decode to stop; it then fails with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Takes the request back; an agent does so when a decision begins.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// One token to decode.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub token: Token,
    pub position: usize,
    /// Sequences it belongs to.
    pub sequences: std::ops::Range<usize>,
    /// Whether its next-token logits are wanted.
    pub output: bool,
}

/// A llama.cpp context. `Send`, used by one thread at a time.
pub struct Context {
    raw: NonNull<sys::llama_context>,
    pool: Option<NonNull<sys::ggml_threadpool>>,
    cancel: CancelToken,
    capacity: usize,
    adapters: Vec<(Adapter, f32)>,
    model: Model,
}

// SAFETY: a context has no thread affinity; `&mut self` on everything that runs keeps it to one thread at a time.
unsafe impl Send for Context {}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("model", &self.model).field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl Context {
    /// Makes a context on a model.
    ///
    /// Contexts on one model share its weights and may run on different threads.
    ///
    /// # Errors
    /// [`Error::Option`] for a context longer than the model's training length, [`Error::Llama`] with the reason.
    pub fn new(model: &Model, options: ContextOptions) -> Result<Self> {
        Self::make(model, options, false)
    }

    /// A context of one sequence whose entries all output their hidden state.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub(super) fn of_states(model: &Model, options: ContextOptions) -> Result<Self> {
        Self::make(model, options, true)
    }

    fn make(model: &Model, options: ContextOptions, states: bool) -> Result<Self> {
        if model.is_vocab_only() {
            return Err(Error::Option {
                name: "model",
                given: "loaded for its vocabulary only".into(),
                expected: "a model with its weights".into(),
            });
        }
        let trained = model.shape().context;
        let capacity = if options.context == 0 { trained.min(2048) } else { options.context };
        if capacity > trained {
            let expected = format!("at most the {trained} tokens the model was trained for");
            return Err(Error::Option { name: "context", given: capacity.to_string(), expected });
        }
        let threads = if options.threads == 0 { default_threads(model) } else { options.threads.min(512) };
        let cancel = CancelToken::default();
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
        params.abort_callback = Some(stop_requested);
        params.abort_callback_data = Arc::as_ptr(&cancel.0).cast_mut().cast();
        let lock = model.adapter_lock().write();
        let raw = with_reason("make a context", || {
            // SAFETY: the model is alive and fully loaded; the flag behind the callback lives as long as the context,
            // which holds it; the write lock keeps adapter loads and frees out.
            NonNull::new(unsafe { sys::llama_init_from_model(model.raw(), params) })
        });
        drop(lock);
        let mut context = Self { raw: raw?, pool: None, cancel, capacity, adapters: Vec::new(), model: model.clone() };
        context.attach_pool(threads)?;
        Ok(context)
    }

    /// Without a pool of its own, ggml starts and joins threads for every graph.
    fn attach_pool(&mut self, threads: usize) -> Result<()> {
        // SAFETY: the parameters are a plain struct; the pool outlives the context, whose drop frees it afterwards.
        unsafe {
            let mut params = sys::ggml_threadpool_params_default(threads as i32);
            if cfg!(any(target_os = "ios", target_os = "android")) {
                // Spinning between graphs drains a battery.
                params.poll = 0;
            }
            let pool = with_reason("start threads", || NonNull::new(sys::ggml_threadpool_new(&raw mut params)))?;
            sys::llama_attach_threadpool(self.raw.as_ptr(), pool.as_ptr(), pool.as_ptr());
            self.pool = Some(pool);
        }
        Ok(())
    }

    /// The model it runs.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Tokens it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The flag that stops a decode.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// The adapters in force with their scales.
    #[must_use]
    pub fn adapters(&self) -> &[(Adapter, f32)] {
        &self.adapters
    }

    /// Replaces the whole set of adapters.
    ///
    /// The caller must clear or discard the cache of the old set.
    ///
    /// # Errors
    /// [`Error::Option`] for a scale that is not finite or an adapter given twice, [`Error::AdapterMismatch`] for an
    /// adapter that was loaded for another model; the old set then stays.
    pub(super) fn set_adapters(&mut self, adapters: &[(Adapter, f32)]) -> Result<()> {
        for (adapter, scale) in adapters {
            if !scale.is_finite() {
                let expected = "a finite number".into();
                return Err(Error::Option { name: "adapter scale", given: scale.to_string(), expected });
            }
            if adapter.model().raw() != self.model.raw() {
                return Err(Error::AdapterMismatch {
                    file: adapter.path().display().to_string(),
                    problem: "it was loaded for another model object, expected the agent's own".into(),
                });
            }
        }
        let mut raw: Vec<_> = adapters.iter().map(|(a, _)| a.raw()).collect();
        if (1..raw.len()).any(|i| raw[..i].contains(&raw[i])) {
            // llama.cpp would keep the first scale and drop the second.
            let expected = "each once, with the scales added up".into();
            return Err(Error::Option { name: "adapters", given: "one of them twice".into(), expected });
        }
        let mut scales: Vec<f32> = adapters.iter().map(|(_, s)| *s).collect();
        let set = with_reason("set adapters", || {
            // SAFETY: both arrays have the length passed; every adapter belongs to this model and is kept alive below.
            let code = unsafe {
                sys::llama_set_adapters_lora(self.raw.as_ptr(), raw.as_mut_ptr(), raw.len(), scales.as_mut_ptr())
            };
            (code == 0).then_some(())
        });
        set?;
        self.adapters = adapters.to_vec();
        Ok(())
    }

    /// Decodes entries; [`Context::logits`] then has a row for each output entry.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the cancel token was pulled, [`Error::Llama`] otherwise; part of the entries may then
    /// be in the cache, and the caller clears it.
    ///
    /// # Panics
    /// For a broken limit that llama.cpp would assert: a caller's mistake, stopped before it aborts the process.
    pub(super) fn decode(&mut self, entries: &[Entry]) -> Result<()> {
        assert!(!entries.is_empty() && entries.len() <= BATCH, "batch of {} tokens", entries.len());
        assert!(entries.iter().filter(|e| e.output).count() <= OUTPUTS, "too many outputs");
        let vocabulary = self.model.shape().n_vocab as Token;
        let mut tokens = Vec::with_capacity(entries.len());
        let mut positions = Vec::with_capacity(entries.len());
        let mut counts = Vec::with_capacity(entries.len());
        let mut outputs = Vec::with_capacity(entries.len());
        let mut ids: Vec<i32> = (0..SEQUENCES as i32).collect();
        let mut sequences = Vec::with_capacity(entries.len());
        for e in entries {
            assert!((0..vocabulary).contains(&e.token) && e.position < self.capacity, "token or position out of range");
            assert!(!e.sequences.is_empty() && e.sequences.end <= SEQUENCES, "sequences out of range");
            tokens.push(e.token);
            positions.push(e.position as i32);
            counts.push(e.sequences.len() as i32);
            // Consecutive ids are a window of one list.
            sequences.push(ids[e.sequences.clone()].as_mut_ptr());
            outputs.push(i8::from(e.output));
        }
        let batch = sys::llama_batch {
            n_tokens: entries.len() as i32,
            token: tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: positions.as_mut_ptr(),
            n_seq_id: counts.as_mut_ptr(),
            seq_id: sequences.as_mut_ptr(),
            logits: outputs.as_mut_ptr(),
        };
        let _lock = self.model.adapter_lock().read();
        let mut code = 0;
        let decoded = with_reason("decode", || {
            // SAFETY: every array has an entry a token and outlives the call; tokens, positions, sequences and outputs
            // are in range (asserted above).
            code = unsafe { sys::llama_decode(self.raw.as_ptr(), batch) };
            (code == 0).then_some(())
        });
        if code == 2 {
            return Err(Error::Cancelled { what: "decision" });
        }
        decoded
    }

    /// The logits after entry `i` of the last decode.
    pub(super) fn logits(&self, i: usize) -> Result<&[f32]> {
        let n = self.model.shape().n_vocab;
        let row = with_reason("read logits", || {
            // SAFETY: the context is alive; an index without output gives null, which is refused.
            NonNull::new(unsafe { sys::llama_get_logits_ith(self.raw.as_ptr(), i as i32) })
        })?;
        // SAFETY: a row has one float a vocabulary entry and stays until the next decode, which needs `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(row.as_ptr(), n) })
    }

    /// The hidden state of entry `i`, in a context [of states](Context::of_states).
    pub(super) fn state(&self, i: usize) -> Result<&[f32]> {
        let row = with_reason("read hidden states", || {
            // SAFETY: the context is alive; an index without output, or a context without states, gives null.
            NonNull::new(unsafe { sys::llama_get_embeddings_ith(self.raw.as_ptr(), i as i32) })
        })?;
        // SAFETY: the model is alive; the row has as many floats as it says and stays until the next decode, which
        // needs `&mut self`.
        Ok(unsafe {
            let width = sys::llama_model_n_embd_out(self.model.raw()) as usize;
            std::slice::from_raw_parts(row.as_ptr(), width)
        })
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        // SAFETY: the memory object belongs to the live context.
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(self.raw.as_ptr()), false) }
    }

    /// Forgets a sequence from a position on; `false` where the cache cannot do that.
    pub(super) fn truncate(&mut self, sequence: usize, from: usize) -> bool {
        assert!(sequence < SEQUENCES, "sequence out of range");
        // SAFETY: sequence and range are in bounds; -1 means to the end.
        unsafe { sys::llama_memory_seq_rm(sys::llama_get_memory(self.raw.as_ptr()), sequence as i32, from as i32, -1) }
    }

    /// Lets sequence `to` share all of sequence 0's cells.
    pub(super) fn share(&mut self, to: usize) {
        assert!((1..SEQUENCES).contains(&to), "sequence out of range");
        // SAFETY: both ids are in bounds, and a unified cache copies no data.
        unsafe { sys::llama_memory_seq_cp(sys::llama_get_memory(self.raw.as_ptr()), 0, to as i32, -1, -1) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: freed once, the context before its threads; the fields drop adapters and model afterwards.
        unsafe {
            sys::llama_free(self.raw.as_ptr());
            if let Some(pool) = self.pool {
                sys::ggml_threadpool_free(pool.as_ptr());
            }
        }
    }
}

/// Weights that keep a thread busy.
///
/// ggml's threads spin after every operation until all have finished. On a small model a second thread gains little,
/// and if another program occupies a processor, spinning costs a hundred times the work.
const WEIGHTS_A_THREAD: u64 = 4_000_000;

fn default_threads(model: &Model) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    // SAFETY: the model is alive.
    let weights = unsafe { sys::llama_model_n_params(model.raw()) };
    processors.min((weights / WEIGHTS_A_THREAD) as usize).max(1)
}

unsafe extern "C" fn stop_requested(flag: *mut c_void) -> bool {
    // SAFETY: the pointer is to the flag that the context keeps alive.
    unsafe { &*flag.cast::<AtomicBool>() }.load(Ordering::Relaxed)
}
