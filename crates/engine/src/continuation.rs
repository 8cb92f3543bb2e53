//! What may follow a prompt.

use std::sync::Arc;

use super::Token;

/// Some tokens, and then any one of a set.
///
/// The set ends an answer: a vocabulary may have several tokens for the end of a label, such as a quotation mark alone
/// and one with a full stop. The tokens of the set exclude each other, so that their probabilities add up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Continuation {
    tokens: Vec<Token>,
    last: Arc<[Token]>,
}

impl Continuation {
    /// Of tokens in order, and the set of last tokens.
    ///
    /// # Panics
    /// For an empty set.
    #[must_use]
    pub fn new(tokens: Vec<Token>, last: impl Into<Arc<[Token]>>) -> Self {
        let last = last.into();
        assert!(!last.is_empty(), "an answer has a last token");
        Self { tokens, last }
    }

    /// The tokens before the last.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The tokens of which one is the last.
    #[must_use]
    pub fn last(&self) -> &[Token] {
        &self.last
    }

    /// How many tokens an answer has, the last included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tokens.len() + 1
    }

    /// Whether an answer is one of those that are meant.
    #[must_use]
    pub fn matches(&self, answer: &[Token]) -> bool {
        answer.split_last().is_some_and(|(last, tokens)| *tokens == *self.tokens && self.last.contains(last))
    }

    /// Whether some answer is meant by both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.tokens == other.tokens && self.last.iter().any(|token| other.last.contains(token))
    }
}

impl<const N: usize> From<[Token; N]> for Continuation {
    fn from(tokens: [Token; N]) -> Self {
        tokens.to_vec().into()
    }
}

impl From<Vec<Token>> for Continuation {
    /// Tokens of which each is the only one in its place.
    fn from(mut tokens: Vec<Token>) -> Self {
        let last = tokens.pop().into_iter().collect::<Vec<_>>();
        Self::new(tokens, last)
    }
}
