//! A loaded model: the checked header, the weights in llama.cpp, the vocabulary.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use llama_cpp_sys_2 as sys;
use parking_lot::{Mutex, RwLock};

use super::backend::start;
use super::gguf::{Gguf, Tensor};
use super::preflight::{ModelShape, check_model};
use super::stack::on_a_stack;
use super::twins::{twins, without_twins};
use super::{ContextOptions, Plan, Source, Token, chat, shim};
use crate::{Error, Result};

/// The longest text that is tokenised at once, bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;
/// A text that any stack has room for, bytes.
const SHORT_TEXT: usize = 128;
/// Stack for tokenising, bytes.
const STACK: usize = 512 << 10;
/// Stack that a byte of text takes, bytes.
///
/// Less than 512 were measured. A test tokenises long words by every regular expression of llama.cpp.
const STACK_A_BYTE: usize = 2048;

/// How to load a model.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ModelOptions {
    /// Layers to place on a GPU, where the build has one. 0: all on the processor.
    pub gpu_layers: u32,
    /// Map the file instead of reading it.
    ///
    /// A mapped file loads faster, and processes share its memory. A mapped file that is truncated while the model
    /// lives kills the process (SIGBUS). Use it for files that nobody else can write.
    pub mmap: bool,
    /// Load the vocabulary only: tokenising and templates work, contexts do not.
    pub vocab_only: bool,
}

impl ModelOptions {
    /// Changes some options.
    ///
    /// `ModelOptions::default().with(|o| o.mmap = true)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// A shared model: clones are handles to the same weights.
///
/// It lives until its last context and adapter is gone.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    weights: Weights,
    gguf: Gguf,
    shape: ModelShape,
    source: Source,
    fingerprint: String,
    content: OnceLock<String>,
    template: chat::Template,
    /// Tokens whose text becomes another token, with that token.
    twins: HashMap<Token, Token>,
    options: ModelOptions,
    /// Plans of contexts by their options, made once.
    plans: Mutex<Vec<(ContextOptions, bool, Plan)>>,
    /// Guards the model's list of adapters.
    ///
    /// llama.cpp walks the list when a context is made or reserved; loading or freeing an adapter meanwhile is a data
    /// race. Decodes read; loading and freeing adapters and making contexts write.
    adapters: RwLock<()>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("path", &self.path()).field("shape", &self.inner.shape).finish()
    }
}

impl Model {
    /// Opens a GGUF file.
    ///
    /// # Errors
    /// As [`Model::from_source`].
    pub fn open(path: &Path, options: ModelOptions, progress: impl FnMut(f32) -> bool) -> Result<Self> {
        Self::from_source(Source::open(path)?, options, progress)
    }

    /// Loads a model.
    ///
    /// `progress` is told the share loaded, 0 to 1, and stops the load by returning `false`.
    ///
    /// llama.cpp reads the header that the preflight has checked, whatever becomes of the file. A mapped file alone is
    /// read again.
    ///
    /// # Errors
    /// [`Error::Io`], the GGUF errors, [`Error::UnsupportedModel`], [`Error::Cancelled`], [`Error::Option`] for mapping
    /// anything but a whole file, or [`Error::Llama`] with llama.cpp's own reason.
    pub fn from_source(source: Source, options: ModelOptions, mut progress: impl FnMut(f32) -> bool) -> Result<Self> {
        start()?;
        let gguf = source.header()?;
        let shape = check_model(&gguf)?;
        let fingerprint = fingerprint(&source, &gguf)?;
        let twins = twins(&gguf);

        let mut cancelled = false;
        let loaded = Weights::load(&source, (&gguf, &twins), options, |share| {
            // A panic must not cross into C++: it counts as a request to stop.
            let go = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| progress(share))).unwrap_or(false);
            cancelled |= !go;
            go
        });
        let weights = match loaded {
            Ok(weights) => weights,
            Err(_) if cancelled => return Err(Error::Cancelled { what: "model load" }),
            Err(e) => return Err(e),
        };
        let template = chat::Template::of(&gguf)?;
        let inner = Inner {
            weights,
            gguf,
            shape,
            source,
            fingerprint,
            content: OnceLock::new(),
            template,
            twins,
            options,
            plans: Mutex::default(),
            adapters: RwLock::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The checked header.
    #[must_use]
    pub fn gguf(&self) -> &Gguf {
        &self.inner.gguf
    }

    /// The numbers that define the decoder.
    #[must_use]
    pub fn shape(&self) -> &ModelShape {
        &self.inner.shape
    }

    /// The file it was loaded from, or the name that its source was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.source.name()
    }

    /// BLAKE3 over the header and the ends of every tensor, hex.
    ///
    /// It tells models apart in milliseconds, whatever their size. It guards against mistakes, not against forgery.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    /// BLAKE3 of the whole file, hex.
    ///
    /// It detects changes that the samples of [`Model::fingerprint`] miss. The first call reads the file, about a
    /// second for a few gigabytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn content(&self) -> Result<&str> {
        if let Some(content) = self.inner.content.get() {
            return Ok(content);
        }
        let content = self.inner.source.hash()?;
        Ok(self.inner.content.get_or_init(|| content))
    }

    /// How the model wants conversations written.
    #[must_use]
    pub fn template(&self) -> &chat::Template {
        &self.inner.template
    }

    /// Whether only the vocabulary was loaded.
    #[must_use]
    pub fn is_vocab_only(&self) -> bool {
        self.inner.options.vocab_only
    }

    /// A tensor's bytes, as stored.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read_tensor(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        self.inner.source.tensor(tensor)
    }

    /// Tokens of a text.
    ///
    /// `control` turns the names of control tokens into those tokens. It is for template parts only, never for texts of
    /// users or other agents.
    ///
    /// # Errors
    /// [`Error::Option`] for a text of more than a mebibyte; [`Error::Llama`] with llama.cpp's own reason, also if the
    /// memory ends.
    pub fn tokenize(&self, text: &str, control: bool) -> Result<Vec<Token>> {
        if text.len() > MAX_TEXT {
            let expected = format!("at most {MAX_TEXT}");
            return Err(Error::Option { name: "text", given: format!("{} bytes", text.len()), expected });
        }
        // llama.cpp splits a text by regular expressions, which recurse for every letter of a long word.
        match text.len() <= SHORT_TEXT {
            true => self.tokenize_here(text, control),
            false => on_a_stack(STACK + STACK_A_BYTE * text.len(), || self.tokenize_here(text, control))?,
        }
    }

    fn tokenize_here(&self, text: &str, control: bool) -> Result<Vec<Token>> {
        // Most tokens stand for several bytes; a vocabulary may add a token in front.
        filled(text.len() + 2, |tokens: &mut [Token], found| {
            // SAFETY: the text and the tokens are as long as it says.
            shim::call("tokenise a text", || unsafe {
                let (start, length, room) = (text.as_ptr().cast(), text.len() as i32, tokens.len() as i32);
                let tokens = tokens.as_mut_ptr();
                shim::probity_engine_tokenize(self.vocabulary(), start, length, tokens, room, control, found)
            })
        })
    }

    /// The token that ends a turn or, where the model has none, the text.
    #[must_use]
    pub fn end_of_turn(&self) -> Option<Token> {
        // Without the key llama.cpp guesses by the names of tokens.
        let turn = self.gguf().uint("tokenizer.ggml.eot_token_id").and_then(|token| Token::try_from(token).ok());
        turn.or_else(|| self.end_of_text())
    }

    /// The token that ends a text, where the model has one.
    #[must_use]
    pub fn end_of_text(&self) -> Option<Token> {
        // SAFETY: the vocabulary lives as long as the model.
        Some(unsafe { sys::llama_vocab_eos(self.vocabulary()) }).filter(|&token| token >= 0)
    }

    /// The token that starts every text, where the model wants one.
    #[must_use]
    pub fn start_of_text(&self) -> Option<Token> {
        // SAFETY: the vocabulary lives as long as the model.
        let (token, wanted) =
            unsafe { (sys::llama_vocab_bos(self.vocabulary()), sys::llama_vocab_get_add_bos(self.vocabulary())) };
        Some(token).filter(|&token| token >= 0 && wanted)
    }

    /// The text of a token, control tokens by name; for messages and `inspect`.
    ///
    /// It is empty for a token out of range.
    #[must_use]
    pub fn piece(&self, token: Token) -> String {
        if !(0..self.shape().n_vocab as Token).contains(&token) {
            return String::new();
        }
        let token = self.with_text(token);
        // SAFETY: the token is one of the vocabulary's; the text ends in NUL and lives as long as the vocabulary.
        let text = unsafe { CStr::from_ptr(sys::llama_vocab_get_text(self.vocabulary(), token)) };
        text.to_string_lossy().into_owned()
    }

    /// The token that a token's text becomes; llama.cpp knows no text of the others.
    fn with_text(&self, token: Token) -> Token {
        self.inner.twins.get(&token).copied().unwrap_or(token)
    }

    /// The bytes that a token stands for in a text; none for control tokens.
    ///
    /// # Errors
    /// [`Error::Llama`] if the memory ends.
    pub(super) fn spelling(&self, token: Token) -> Result<Vec<u8>> {
        let token = self.with_text(token);
        filled(64, |bytes: &mut [u8], found| {
            // SAFETY: the length is the buffer's; nothing is written beyond it.
            shim::call("spell a token", || unsafe {
                let (start, room) = (bytes.as_mut_ptr().cast(), bytes.len() as i32);
                shim::probity_engine_spell(self.vocabulary(), token, start, room, found)
            })
        })
    }

    /// The memory of the model with a context on it.
    ///
    /// The options' limit is not applied.
    ///
    /// # Errors
    /// [`Error::Option`] for a context longer than the model's training length, [`Error::Llama`].
    pub fn plan(&self, options: ContextOptions) -> Result<Plan> {
        self.plan_for(options, false)
    }

    /// As [`Model::plan`], for a context of logits or of hidden states.
    pub(super) fn plan_for(&self, options: ContextOptions, states: bool) -> Result<Plan> {
        let Inner { source, gguf, shape, .. } = &*self.inner;
        let options = options.with(|o| o.memory = 0);
        let mut plans = self.inner.plans.lock();
        if let Some((.., plan)) = plans.iter().find(|(known, of, _)| (*known, *of) == (options, states)) {
            return Ok(*plan);
        }
        let plan = Plan::make(source, (gguf, shape), self.inner.options, (options, states))?;
        plans.push((options, states, plan));
        Ok(plan)
    }

    pub(super) fn adapter_lock(&self) -> &RwLock<()> {
        &self.inner.adapters
    }

    /// The raw model, valid as long as `self` or a clone of it lives.
    pub(super) fn raw(&self) -> *mut sys::llama_model {
        self.inner.weights.0.as_ptr()
    }

    /// The raw vocabulary, valid as long as `self` or a clone of it lives.
    pub(super) fn vocabulary(&self) -> *const sys::llama_vocab {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_get_vocab(self.raw()) }
    }
}

/// Lets llama.cpp fill a buffer, which grows until it is long enough.
///
/// llama.cpp writes how much it has filled, or how much it needs as a negative number.
fn filled<T: Clone + Default>(
    room: usize,
    fill: impl Fn(&mut [T], *mut i32) -> std::result::Result<(), shim::Failed>,
) -> Result<Vec<T>> {
    let mut buffer = vec![T::default(); room];
    loop {
        let mut found = 0;
        fill(&mut buffer, &raw mut found)?;
        buffer.resize(found.unsigned_abs() as usize, T::default());
        if found >= 0 {
            return Ok(buffer);
        }
    }
}

/// The model in llama.cpp.
struct Weights(NonNull<sys::llama_model>);

// SAFETY: a loaded model has no thread affinity. Decodes read it; what changes its list of adapters happens under
// `Inner::adapters`.
unsafe impl Send for Weights {}
// SAFETY: as above.
unsafe impl Sync for Weights {}

impl Weights {
    /// Loads a source that passed the preflight.
    ///
    /// `progress` stops it by returning `false`.
    fn load<P: FnMut(f32) -> bool>(
        source: &Source,
        (gguf, twins): (&Gguf, &HashMap<Token, Token>),
        options: ModelOptions,
        mut progress: P,
    ) -> Result<Self> {
        unsafe extern "C" fn on_progress<P: FnMut(f32) -> bool>(share: f32, progress: *mut c_void) -> bool {
            // SAFETY: llama.cpp passes on the pointer set below, from the thread that loads, while it loads.
            unsafe { (*progress.cast::<P>())(share) }
        }
        let mut params = llama_params(options);
        params.progress_callback = Some(on_progress::<P>);
        params.progress_callback_user_data = std::ptr::from_mut(&mut progress).cast();
        if !options.mmap {
            let header = without_twins(gguf, twins);
            // SAFETY: the engine is started, and what is lent and everything behind `params` outlive the call.
            let load = |lent: &shim::Lent, out| unsafe { shim::probity_engine_model_load(lent, params, out) };
            let load = |out| source.lend(&header, gguf.data_start(), |lent| load(lent, out));
            return Ok(Self(shim::call_for("load the model", load)?));
        }
        if !twins.is_empty() {
            let expected = "false for a model in which several tokens have the same text".into();
            return Err(Error::Option { name: "mmap", given: "true".into(), expected });
        }
        let path = CString::new(source.mappable()?.as_os_str().as_encoded_bytes())
            .map_err(|e| Error::io(source.name())(std::io::Error::new(std::io::ErrorKind::InvalidInput, e)))?;
        // SAFETY: as above, and the path ends in NUL.
        let map = |out| unsafe { shim::probity_engine_model_map(path.as_ptr(), params, out) };
        Ok(Self(shim::call_for("map the model", map)?))
    }
}

impl Drop for Weights {
    fn drop(&mut self) {
        // SAFETY: freed once; contexts and adapters hold the model and are freed before. A drop has nobody to tell of a
        // failure, which leaks the model.
        unsafe { shim::probity_engine_model_free(self.0.as_ptr()) };
    }
}

/// llama.cpp's parameters of a model.
pub(super) fn llama_params(options: ModelOptions) -> sys::llama_model_params {
    // SAFETY: fills a plain structure.
    let mut params = unsafe { sys::llama_model_default_params() };
    params.n_gpu_layers = i32::try_from(options.gpu_layers).unwrap_or(i32::MAX);
    params.load_mode = if options.mmap { sys::LLAMA_LOAD_MODE_MMAP } else { sys::LLAMA_LOAD_MODE_NONE };
    params.vocab_only = options.vocab_only;
    // Of the extra buffers one is for Intel's AMX. GCC 12 compiles its kernels wrong: it removes the stores into the
    // tile configuration as dead (llama.cpp's pull request 26954, open), and the process dies of an illegal
    // instruction. SAFETY: asks for a constant.
    params.use_extra_bufts &= unsafe { sys::ggml_cpu_has_amx_int8() } == 0;
    params
}

/// Header and the first and last 4 KiB of every tensor.
fn fingerprint(source: &Source, gguf: &Gguf) -> Result<String> {
    const SAMPLE: u64 = 4096;
    let mut hash = blake3::Hasher::new();
    let mut sample = |from: u64, length: u64| -> Result<()> {
        hash.update(&source.piece(from, length)?);
        Ok(())
    };
    sample(0, gguf.data_start())?;
    for t in gguf.tensors() {
        sample(t.offset, t.bytes.min(SAMPLE))?;
        sample(t.offset + t.bytes.saturating_sub(SAMPLE), t.bytes.min(SAMPLE))?;
    }
    Ok(hash.finalize().to_hex().to_string())
}
