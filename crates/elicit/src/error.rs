//! What can go wrong when models work on people's values.

use probity_engine as engine;
use probity_values::ValuesError;
use probity_values::store::StoreError;

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of elicitation, or of what it stands on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the engine, or of a file, option or document.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A card, vote or graph that is wrong.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// A store of values that could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No ONNX Runtime, or a graph or tokenizer that it cannot use.
    #[error("{problem}")]
    Embedder {
        /// What is wrong and what to do.
        problem: String,
    },
}

impl Error {
    /// Whether the input was wrong, rather than the work failing on good input.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Engine(e) => e.is_bad_input(),
            Self::Values(_) => true,
            Self::Store(e) => e.is_bad_input(),
            Self::Embedder { .. } => false,
        }
    }
}
