//! The library's error type; `status` numbers its kinds.

use probity_engine as engine;
use probity_game::GameError;
use probity_game::moral::RewardError;
#[cfg(feature = "graphs")]
use probity_values::{ValuesError, store::StoreError};

/// Result of every fallible operation of the library.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong.
///
/// A message is one impersonal sentence with the thing, the cause and the remedy.
///
/// ```
/// use probity::Error;
/// use probity::agent::Scenario;
///
/// let error = Scenario::from_json(r#"{ "game": "go" }"#).unwrap_err();
/// assert!(matches!(error, Error::Game(_)));
/// assert!(error.to_string().contains("ipd"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the engine, or of a file, option or document.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A game, label, belief or action that is wrong.
    #[error(transparent)]
    Game(#[from] GameError),
    /// A reward that is wrong.
    #[error(transparent)]
    Reward(#[from] RewardError),
    /// An adapter without a manifest, or whose self-test vectors are not met.
    #[error("{file}: {problem}")]
    Unverified {
        /// The file.
        file: String,
        /// What is missing or differs, with the figures.
        problem: String,
    },
    /// A snapshot that is damaged or was taken of something else.
    #[error("snapshot: {problem}")]
    Snapshot {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The object is in use by another thread.
    #[error("{what}: in use by another thread, expected one thread at a time")]
    Busy {
        /// Which object.
        what: &'static str,
    },
    /// A card, vote or graph that is wrong.
    #[cfg(feature = "graphs")]
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// A store of values that could not be used.
    #[cfg(feature = "graphs")]
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No ONNX Runtime, or a graph or tokenizer that it cannot use.
    #[cfg(feature = "graphs")]
    #[error("{problem}")]
    Embedder {
        /// What is wrong and what to do.
        problem: String,
    },
}

#[cfg(feature = "graphs")]
impl From<probity_elicit::Error> for Error {
    fn from(e: probity_elicit::Error) -> Self {
        match e {
            probity_elicit::Error::Engine(e) => Self::Engine(e),
            probity_elicit::Error::Values(e) => Self::Values(e),
            probity_elicit::Error::Store(e) => Self::Store(e),
            probity_elicit::Error::Embedder { problem } => Self::Embedder { problem },
            // The enum is non-exhaustive.
            e => Self::Embedder { problem: e.to_string() },
        }
    }
}

impl Error {
    /// Whether the input was wrong, rather than the work failing on good input.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Engine(e) => e.is_bad_input(),
            Self::Game(_) | Self::Reward(_) | Self::Snapshot { .. } => true,
            Self::Unverified { .. } | Self::Busy { .. } => false,
            #[cfg(feature = "graphs")]
            Self::Values(_) => true,
            #[cfg(feature = "graphs")]
            Self::Store(e) => e.is_bad_input(),
            #[cfg(feature = "graphs")]
            Self::Embedder { .. } => false,
        }
    }
}
