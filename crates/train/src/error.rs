//! Errors of training.

use probity::Status;
use probity_engine as engine;
use probity_game::GameError;
use probity_game::moral::RewardError;

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of training, or of what it stands on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the library.
    #[error(transparent)]
    Probity(#[from] probity::Error),
    /// A checkpoint that is damaged or of another run.
    #[error("{file}: {problem}")]
    Checkpoint {
        /// The file.
        file: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A model that runs but that the trainer does not have.
    #[error("{file}: cannot be trained: {problem}")]
    Untrainable {
        /// The file.
        file: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A training run that cannot go on.
    #[error("training: {problem}")]
    Training {
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Error {
    /// The status of this error, as the library numbers them.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Probity(e) => e.status(),
            Self::Checkpoint { .. } => Status::CHECKPOINT,
            Self::Untrainable { .. } => Status::UNTRAINABLE,
            Self::Training { .. } => Status::TRAINING,
        }
    }

    /// Whether the input was wrong, rather than the work failing on good input.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Probity(e) => e.is_bad_input(),
            Self::Checkpoint { .. } | Self::Untrainable { .. } => true,
            Self::Training { .. } => false,
        }
    }
}

impl From<engine::Error> for Error {
    fn from(e: engine::Error) -> Self {
        Self::Probity(e.into())
    }
}

impl From<GameError> for Error {
    fn from(e: GameError) -> Self {
        Self::Probity(e.into())
    }
}

impl From<RewardError> for Error {
    fn from(e: RewardError) -> Self {
        Self::Probity(e.into())
    }
}
