//! A grammar that generated text keeps to, in llama.cpp's notation (GBNF).
//!
//! Only this library writes grammars: llama.cpp overflows its stack on hostile ones.

use std::ffi::CString;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use super::backend::with_reason;
use super::{Model, Token};
use crate::Result;

/// How far a text has come in its grammar.
#[derive(Debug)]
pub(super) struct Grammar {
    raw: NonNull<sys::llama_sampler>,
    end: Vec<Token>,
    /// llama.cpp keeps a pointer into its vocabulary.
    _model: Model,
}

impl Grammar {
    /// The start of a grammar whose first rule is `root`.
    ///
    /// # Errors
    /// [`crate::Error::Llama`] with llama.cpp's reason for an invalid grammar.
    pub(super) fn new(model: &Model, text: &str) -> Result<Self> {
        let text = CString::new(text).unwrap_or_default();
        let raw = with_reason("read a grammar", || {
            // SAFETY: the model outlives the sampler; both strings end in NUL.
            NonNull::new(unsafe { sys::llama_sampler_init_grammar(vocabulary(model), text.as_ptr(), c"root".as_ptr()) })
        })?;
        // SAFETY: the tokens are in the vocabulary's range.
        let ends = |&token: &Token| unsafe { sys::llama_vocab_is_eog(vocabulary(model), token) };
        let end = (0..model.shape().n_vocab as Token).filter(ends).collect();
        Ok(Self { raw, end, _model: model.clone() })
    }

    /// Drops candidates that the grammar forbids here, an early end included.
    pub(super) fn retain(&self, candidates: &mut Vec<sys::llama_token_data>) {
        let mut array = sys::llama_token_data_array {
            data: candidates.as_mut_ptr(),
            size: candidates.len(),
            selected: -1,
            sorted: false,
        };
        // SAFETY: the array is as long as it says; the grammar writes logits in it and moves nothing.
        unsafe { sys::llama_sampler_apply(self.raw.as_ptr(), &raw mut array) };
        candidates.retain(|candidate| candidate.logit != f32::NEG_INFINITY);
    }

    /// Whether the text may go on with a token.
    pub(super) fn allows(&self, id: Token) -> bool {
        let mut one = vec![sys::llama_token_data { id, logit: 0.0, p: 0.0 }];
        self.retain(&mut one);
        !one.is_empty()
    }

    /// Whether the text may end here.
    pub(super) fn may_end(&self) -> bool {
        self.end.first().is_some_and(|&token| self.allows(token))
    }

    /// Goes on with a token.
    ///
    /// # Panics
    /// For a token that the grammar does not allow, and for an end: llama.cpp would abort.
    pub(super) fn accept(&mut self, token: Token) {
        assert!(!self.end.contains(&token) && self.allows(token), "a token that the grammar does not allow");
        // SAFETY: the grammar allows the token, so that it does not throw.
        unsafe { sys::llama_sampler_accept(self.raw.as_ptr(), token) };
    }
}

impl Drop for Grammar {
    fn drop(&mut self) {
        // SAFETY: freed once, before the model, which the fields drop.
        unsafe { sys::llama_sampler_free(self.raw.as_ptr()) }
    }
}

/// The vocabulary of a model, valid as long as that lives.
pub(super) fn vocabulary(model: &Model) -> *const sys::llama_vocab {
    // SAFETY: the model is alive.
    unsafe { sys::llama_model_get_vocab(model.raw()) }
}
