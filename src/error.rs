//! The library's one error type; `ffi::status` gives each kind its stable number across the C ABI.

use crate::game::GameError;
use crate::moral::RewardError;
use crate::values::ValuesError;

/// Result of every fallible operation of the library.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong. A message is one impersonal line: what was wrong, where, and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or stream could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file does not start like a GGUF file.
    #[error("{file}: starts with {found:?}, expected the four bytes \"GGUF\"")]
    NotGguf {
        /// The file.
        file: String,
        /// Its first bytes, printable.
        found: String,
    },
    /// The file ends before what its header announces.
    #[error("{file}: ends after {length} bytes, expected {expected} ({what})")]
    Truncated {
        /// The file.
        file: String,
        /// Its length in bytes.
        length: u64,
        /// The length the header implies, bytes.
        expected: u64,
        /// What was being read.
        what: String,
    },
    /// A GGUF header that breaks the format or one of the limits.
    #[error("{file}: {problem}")]
    MalformedGguf {
        /// The file.
        file: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A well-formed GGUF file that is not a model this library runs.
    #[error("{file}: {problem}")]
    UnsupportedModel {
        /// The file.
        file: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A well-formed GGUF file that is not a LoRA adapter this library applies.
    #[error("{file}: {problem}")]
    UnsupportedAdapter {
        /// The file.
        file: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// An adapter that was made for another base model.
    #[error("{file}: made for another base model: {problem}")]
    AdapterMismatch {
        /// The file.
        file: String,
        /// What differs.
        problem: String,
    },
    /// An adapter without a manifest, or whose self-test vectors are not met.
    #[error("{file}: {problem}")]
    Unverified {
        /// The file.
        file: String,
        /// What is missing or differs, with the figures.
        problem: String,
    },
    /// llama.cpp refused; the text is its own.
    #[error("llama.cpp could not {action}: {reason}")]
    Engine {
        /// What was asked of it.
        action: &'static str,
        /// Its own reason, from its log.
        reason: String,
    },
    /// This processor lacks instructions that the library was built with.
    #[error("processor: lacks {missing}, which this build of the library needs")]
    Processor {
        /// The missing instruction sets.
        missing: String,
    },
    /// The caller's progress callback or another thread asked to stop.
    #[error("{what}: cancelled")]
    Cancelled {
        /// What was stopped.
        what: &'static str,
    },
    /// The object is in use by another thread.
    #[error("{what}: in use by another thread, expected one thread at a time")]
    Busy {
        /// Which object.
        what: &'static str,
    },
    /// The prompt and the options do not fit the context.
    #[error("prompt: {tokens} tokens with the options, expected at most {context}")]
    PromptTooLong {
        /// Tokens needed.
        tokens: usize,
        /// Tokens there is room for.
        context: usize,
    },
    /// More options than one decision may have.
    #[error("options: {found}, expected 1 to {most}")]
    TooManyOptions {
        /// How many were given.
        found: usize,
        /// The documented maximum.
        most: usize,
    },
    /// One label is the beginning of another, so that an answer could not be told from the start of another answer.
    #[error("labels: {short:?} is the beginning of {long:?}, expected labels that differ before either ends")]
    LabelPrefix {
        /// The shorter label.
        short: String,
        /// The longer label.
        long: String,
    },
    /// The model's chat template could not be used.
    #[error("chat template: {problem}")]
    Template {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A game, label, belief or action that is wrong.
    #[error(transparent)]
    Game(#[from] GameError),
    /// A reward that is wrong.
    #[error(transparent)]
    Reward(#[from] RewardError),
    /// A card, vote or graph that is wrong.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// A file that is no store of values, damaged, or of a newer version.
    #[error("{file}: {problem}")]
    NoStore {
        /// The file.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A store of values that is locked, or that cannot be read or written to.
    #[error("{file}: {problem}")]
    Store {
        /// The file.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// No ONNX Runtime, or a graph or tokenizer that it cannot use.
    #[error("{problem}")]
    Embedder {
        /// What is wrong and what to do.
        problem: String,
    },
    /// A document (scenario, options, config) that does not parse.
    #[error("{what}: {problem}")]
    Document {
        /// Which document.
        what: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// An option out of its range.
    #[error("{name}: {given}, expected {expected}")]
    Option {
        /// Which option.
        name: &'static str,
        /// The value given.
        given: String,
        /// What would be right.
        expected: String,
    },
    /// A snapshot that is damaged or was taken of something else.
    #[error("snapshot: {problem}")]
    Snapshot {
        /// What is wrong and what would be right.
        problem: String,
    },
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
    /// Whether the input was wrong, rather than the work failing on good input.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        !matches!(
            self,
            Self::Io { .. }
                | Self::Unverified { .. }
                | Self::Engine { .. }
                | Self::Processor { .. }
                | Self::Cancelled { .. }
                | Self::Busy { .. }
                | Self::Training { .. }
                | Self::Store { .. }
                | Self::Embedder { .. }
        )
    }

    /// Wraps a system error with the path it happened at.
    pub(crate) fn io(path: impl AsRef<std::path::Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().display().to_string();
        move |source| Self::Io { path, source }
    }
}
