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
    /// A conversation whose name is still in the store, after its deletion.
    #[error("conversation {name:?}: deleted, but the log may still hold it; delete it again")]
    Forgotten {
        /// Its name.
        name: String,
    },
    /// A conversation that another program has changed or deleted.
    #[error(
        "conversation {name:?}: another program continued or deleted it; the answers of this session since then are not saved"
    )]
    Overtaken {
        /// Its name.
        name: String,
    },
    /// A conversation without an agreed card.
    #[error("conversation {name:?}: has no agreed card, expected an answer yes to a card")]
    Unagreed {
        /// Its name.
        name: String,
    },
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
            Self::Values(_) | Self::Forgotten { .. } | Self::Overtaken { .. } | Self::Unagreed { .. } => true,
            Self::Store(e) => e.is_bad_input(),
            Self::Embedder { .. } => false,
        }
    }
}
