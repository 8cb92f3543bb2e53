//! Errors of files, the engine, options and documents.

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the engine, or of a file, option or document.
///
/// The packages above use it for their files, options and documents, too.
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
    /// llama.cpp refused; the text is its own.
    #[error("llama.cpp could not {action}: {reason}")]
    Llama {
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
    /// The process is the child of a fork, and its parent has used the engine.
    ///
    /// Threads do not survive a fork.
    #[error(
        "process: forked after the engine was used, expected the engine to be used first in the child, or after an exec"
    )]
    Forked,
    /// The caller's progress callback or another thread asked to stop.
    #[error("{what}: cancelled")]
    Cancelled {
        /// What was stopped.
        what: &'static str,
    },
    /// The model and a context on it take more memory than they may.
    #[error("{file}: takes {plan}, expected at most {limit}: shorten the context, or raise the limit of memory")]
    Memory {
        /// The model's file.
        file: String,
        /// What they take.
        plan: crate::Plan,
        /// Bytes they may take.
        limit: u64,
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
    /// The model's chat template could not be used.
    #[error("chat template: {problem}")]
    Template {
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
    /// A document (scenario, options, config) that does not parse.
    #[error("{what}: {problem}")]
    Document {
        /// Which document.
        what: &'static str,
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
            Self::Io { .. } | Self::Llama { .. } | Self::Processor { .. } | Self::Forked | Self::Cancelled { .. }
        )
    }

    /// Wraps a system error with the path it happened at.
    pub fn io(path: impl AsRef<std::path::Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().display().to_string();
        move |source| Self::Io { path, source }
    }
}
