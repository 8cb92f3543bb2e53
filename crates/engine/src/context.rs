//! A context: a key-value cache on a shared model.
//!
//! It has its own adapters, threads and cancel flag.

use std::ffi::c_void;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use super::backend::check_process;
use super::params::{BATCH, ContextOptions, OUTPUTS, Params, SEQUENCES};
use super::shim::{self, Ending, Failed};
use super::{Adapter, AdapterSet, CancelToken, Model, Token};
use crate::{Error, Result};

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
    /// `None` after a call that threw: the next decode makes it anew.
    running: Option<Running>,
    params: sys::llama_context_params,
    /// The token that llama.cpp asks during a decode; its place does not move.
    cancel: Box<CancelToken>,
    capacity: usize,
    adapters: AdapterSet,
    model: Model,
}

// SAFETY: a context has no thread affinity; `&mut self` on everything that runs keeps it to one thread at a time. The
// pointer in `params` is to the token in `cancel`.
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
    /// [`Error::Option`] for a context longer than the model's training length, [`Error::Memory`] beyond the memory
    /// limit, [`Error::Llama`] with the reason.
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
        let Params { mut params, capacity } = Params::of(model.gguf(), model.shape(), options, states)?;
        model.plan_for(options, states)?.check(model.path(), options.memory)?;
        let cancel = Box::<CancelToken>::default();
        params.abort_callback = Some(stop_requested);
        params.abort_callback_data = std::ptr::from_ref::<CancelToken>(&cancel).cast_mut().cast();
        let mut context =
            Self { running: None, params, cancel, capacity, adapters: AdapterSet::default(), model: model.clone() };
        context.start()?;
        Ok(context)
    }

    /// llama.cpp's context, made anew where a call that threw has taken it.
    fn start(&mut self) -> Result<&Running> {
        check_process()?;
        let running = match self.running.take() {
            Some(running) => running,
            None => Running::new(&self.model, self.params, self.adapters.applied())?,
        };
        Ok(self.running.insert(running))
    }

    /// Lets llama.cpp's context go if a call left it unfit for use.
    fn survive(&mut self, failed: Failed) -> Error {
        match failed.ending {
            Ending::Refused => {}
            Ending::Threw => self.running = None,
            // Its memory is lost; the process is not.
            Ending::Damaged => std::mem::forget(self.running.take()),
        }
        failed.error
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
        (*self.cancel).clone()
    }

    /// Lets another token stop the next decodes.
    pub(super) fn obey(&mut self, token: &CancelToken) {
        *self.cancel = token.clone();
    }

    /// The adapters in force.
    #[must_use]
    pub fn adapters(&self) -> &AdapterSet {
        &self.adapters
    }

    /// Replaces the whole set of adapters by one of the context's own model.
    ///
    /// The caller must clear or discard the cache of the old set.
    ///
    /// # Errors
    /// [`Error::Llama`]; the old set then stays.
    pub(super) fn set_adapters(&mut self, adapters: &AdapterSet) -> Result<()> {
        self.start()?.set_adapters(adapters.applied()).map_err(|failed| self.survive(failed))?;
        self.adapters = adapters.clone();
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
        let mut code = 0;
        let context = self.start()?.raw.as_ptr();
        let lock = self.model.adapter_lock().read();
        // SAFETY: every array has an entry a token and outlives the call; tokens, positions, sequences and outputs are
        // in range (asserted above).
        let decoded = shim::call("decode", || unsafe { shim::probity_engine_decode(context, batch, &raw mut code) });
        drop(lock);
        decoded.map_err(|failed| {
            let error = self.survive(failed);
            if code == 2 { Error::Cancelled { what: "decision" } } else { error }
        })
    }

    /// The logits after entry `i` of the last decode.
    pub(super) fn logits(&mut self, i: usize) -> Result<&[f32]> {
        let n = self.model.shape().n_vocab;
        // SAFETY: an index without output gives null, which is refused.
        self.row("read logits", n, |context, out| unsafe { shim::probity_engine_logits(context, i as i32, out) })
    }

    /// The hidden state of entry `i`, in a context [of states](Context::of_states).
    pub(super) fn state(&mut self, i: usize) -> Result<&[f32]> {
        // SAFETY: the model is alive.
        let width = unsafe { sys::llama_model_n_embd_out(self.model.raw()) } as usize;
        // SAFETY: an index without output, or a context without states, gives null, which is refused.
        self.row("read hidden states", width, |context, out| unsafe {
            shim::probity_engine_state(context, i as i32, out)
        })
    }

    /// A row of `n` floats of the last decode.
    fn row(
        &mut self,
        action: &'static str,
        n: usize,
        read: impl FnOnce(*mut sys::llama_context, *mut *mut f32) -> i32,
    ) -> Result<&[f32]> {
        let context = self.start()?.raw.as_ptr();
        let row = shim::call_for(action, |out| read(context, out)).map_err(|failed| self.survive(failed))?;
        // SAFETY: the row has so many floats and stays until the next decode, which needs `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(row.as_ptr(), n) })
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        let Some(running) = self.running.as_ref().filter(|_| check_process().is_ok()) else { return };
        let context = running.raw.as_ptr();
        // SAFETY: the context is alive.
        if let Err(failed) = shim::call("clear the cache", || unsafe { shim::probity_engine_cache_clear(context) }) {
            // A context made anew is as empty.
            self.survive(Failed { ending: failed.ending.max(Ending::Threw), ..failed });
        }
    }

    /// Forgets a sequence from a position on; `false` where the cache cannot do that.
    pub(super) fn truncate(&mut self, sequence: usize, from: usize) -> Result<bool> {
        assert!(sequence < SEQUENCES, "sequence out of range");
        let context = self.start()?.raw.as_ptr();
        // SAFETY: sequence and range are in bounds.
        match shim::call("shorten the cache", || unsafe {
            shim::probity_engine_cache_truncate(context, sequence as i32, from as i32)
        }) {
            Ok(()) => Ok(true),
            Err(Failed { ending: Ending::Refused, .. }) => Ok(false),
            Err(failed) => Err(self.survive(failed)),
        }
    }

    /// Lets sequence `to` share all of sequence 0's cells.
    pub(super) fn share(&mut self, to: usize) -> Result<()> {
        assert!((1..SEQUENCES).contains(&to), "sequence out of range");
        let context = self.start()?.raw.as_ptr();
        // SAFETY: both sequences are in bounds, and a unified cache copies no data.
        let shared = shim::call("share the cache", || unsafe { shim::probity_engine_cache_share(context, to as i32) });
        shared.map_err(|failed| self.survive(failed))
    }
}

/// llama.cpp's context and the threads that compute for it.
struct Running {
    raw: NonNull<sys::llama_context>,
    pool: Option<NonNull<sys::ggml_threadpool>>,
}

impl Running {
    fn new(model: &Model, params: sys::llama_context_params, adapters: &[(Adapter, f32)]) -> Result<Self> {
        let lock = model.adapter_lock().write();
        // SAFETY: the model is alive and fully loaded; the flag behind the callback lives as long as the caller, which
        // holds it; the write lock keeps adapter loads and frees out.
        let raw = shim::call_for("make a context", |out| unsafe {
            shim::probity_engine_context_new(model.raw(), params, out)
        });
        drop(lock);
        let mut running = Self { raw: raw?, pool: None };
        running.attach_pool(params.n_threads)?;
        running.set_adapters(adapters)?;
        Ok(running)
    }

    /// Without a pool of its own, ggml starts and joins threads for every graph.
    fn attach_pool(&mut self, threads: i32) -> Result<()> {
        // SAFETY: fills a plain structure.
        let mut params = unsafe { sys::ggml_threadpool_params_default(threads) };
        if cfg!(any(target_os = "ios", target_os = "android")) {
            // Spinning between graphs drains a battery.
            params.poll = 0;
        }
        // SAFETY: a plain structure goes in, and a pool of its own comes out.
        let pool = shim::call_for("start threads", |out| unsafe { shim::probity_engine_pool_new(params, out) })?;
        self.pool = Some(pool);
        // SAFETY: both are alive; the drop frees the pool after the context.
        Ok(shim::call("attach threads", || unsafe {
            shim::probity_engine_pool_attach(self.raw.as_ptr(), pool.as_ptr())
        })?)
    }

    /// Replaces the whole set of adapters.
    ///
    /// Each is of the context's own model, and the caller keeps it alive.
    fn set_adapters(&self, adapters: &[(Adapter, f32)]) -> std::result::Result<(), Failed> {
        let (mut raw, mut scales): (Vec<_>, Vec<f32>) = adapters.iter().map(|(a, scale)| (a.raw(), *scale)).unzip();
        // SAFETY: both arrays have the length passed; every adapter belongs to this model and is kept alive.
        shim::call("set adapters", || unsafe {
            shim::probity_engine_adapters_set(self.raw.as_ptr(), raw.as_mut_ptr(), raw.len(), scales.as_mut_ptr())
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if check_process().is_err() {
            // The threads to wait for are the parent's.
            return;
        }
        // SAFETY: freed once, the context before its threads. A drop has nobody to tell of a failure, which leaks them.
        unsafe {
            shim::probity_engine_context_free(self.raw.as_ptr());
            if let Some(pool) = self.pool {
                sys::ggml_threadpool_free(pool.as_ptr());
            }
        }
    }
}

unsafe extern "C" fn stop_requested(token: *mut c_void) -> bool {
    // SAFETY: the pointer is to the token that the context keeps in its place.
    unsafe { &*token.cast::<CancelToken>() }.is_cancelled()
}
