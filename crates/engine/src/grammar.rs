//! A grammar that generated text keeps to, in llama.cpp's notation (GBNF).
//!
//! Only this library writes grammars: llama.cpp overflows its stack on hostile ones.

use std::ffi::CString;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use super::{Model, Token, shim};
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
        // SAFETY: the model outlives the sampler; the text ends in NUL.
        let raw = shim::call_for("read a grammar", |out| unsafe {
            shim::probity_engine_grammar_new(model.vocabulary(), text.as_ptr(), out)
        })?;
        // SAFETY: the tokens are in the vocabulary's range.
        let ends = |&token: &Token| unsafe { sys::llama_vocab_is_eog(model.vocabulary(), token) };
        let end = (0..model.shape().n_vocab as Token).filter(ends).collect();
        Ok(Self { raw, end, _model: model.clone() })
    }

    /// Drops candidates that the grammar forbids here, an early end included.
    ///
    /// # Errors
    /// [`crate::Error::Llama`] if the memory ends.
    pub(super) fn retain(&self, candidates: &mut Vec<sys::llama_token_data>) -> Result<()> {
        let mut array = sys::llama_token_data_array {
            data: candidates.as_mut_ptr(),
            size: candidates.len(),
            selected: -1,
            sorted: false,
        };
        // SAFETY: the array is as long as it says; the grammar writes logits in it and moves nothing.
        shim::call("apply a grammar", || unsafe {
            shim::probity_engine_grammar_apply(self.raw.as_ptr(), &raw mut array)
        })?;
        candidates.retain(|candidate| candidate.logit != f32::NEG_INFINITY);
        Ok(())
    }

    /// Whether the text may go on with a token.
    pub(super) fn allows(&self, id: Token) -> Result<bool> {
        let mut one = vec![sys::llama_token_data { id, logit: 0.0, p: 0.0 }];
        self.retain(&mut one)?;
        Ok(!one.is_empty())
    }

    /// Whether the text may end here.
    pub(super) fn may_end(&self) -> Result<bool> {
        self.end.first().map_or(Ok(false), |&token| self.allows(token))
    }

    /// Goes on with a token.
    ///
    /// # Errors
    /// [`crate::Error::Llama`] if the memory ends.
    ///
    /// # Panics
    /// For an end: llama.cpp would abort.
    pub(super) fn accept(&mut self, token: Token) -> Result<()> {
        assert!(!self.end.contains(&token), "the end of a text is not accepted");
        // SAFETY: the sampler is alive, and the token is one of the vocabulary's.
        Ok(shim::call("go on in a grammar", || unsafe {
            shim::probity_engine_grammar_accept(self.raw.as_ptr(), token)
        })?)
    }
}

impl Drop for Grammar {
    fn drop(&mut self) {
        // SAFETY: freed once, before the model, which the fields drop.
        unsafe { shim::probity_engine_grammar_free(self.raw.as_ptr()) };
    }
}
