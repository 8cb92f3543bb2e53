//! Status codes and the error struct.
#![allow(non_camel_case_types, reason = "these are the names C sees")]

use std::ffi::c_char;

use crate::Error;
use crate::game::GameError;

/// Outcome of a call: one of the `PROBITY_STATUS_*` numbers. A number keeps its meaning for good.
pub type probity_status_t = i32;

/// Longest message in a [`probity_error_t`], its NUL included, bytes.
pub const PROBITY_ERROR_MESSAGE_SIZE: usize = 504;

/// What went wrong: filled on failure where a pointer to one is given, untouched on success. Owns nothing.
#[repr(C)]
pub struct probity_error_t {
    /// The same number that the function returns.
    pub status: probity_status_t,
    /// One line, UTF-8, NUL-terminated: what was wrong, where, and what would be right.
    pub message: [c_char; PROBITY_ERROR_MESSAGE_SIZE],
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: probity_status_t = $value;)*

        /// Every code, for tests: none may be used twice.
        #[doc(hidden)]
        pub const ALL_CODES: &[(&str, probity_status_t)] = &[$((stringify!($name), $name)),*];
    };
}

codes! {
    /// Done.
    PROBITY_STATUS_OK = 0;
    /// A pointer that must not be NULL is.
    PROBITY_STATUS_NULL_ARGUMENT = 1;
    /// A string is not UTF-8.
    PROBITY_STATUS_INVALID_UTF8 = 2;
    /// A handle that no object ever had.
    PROBITY_STATUS_INVALID_HANDLE = 3;
    /// A handle whose object was freed already.
    PROBITY_STATUS_STALE_HANDLE = 4;
    /// A handle of another kind of object, or of another copy of the library.
    PROBITY_STATUS_FOREIGN_HANDLE = 5;
    /// An array has another length than the game needs.
    PROBITY_STATUS_BUFFER_SIZE = 6;
    /// The agent is in use by another thread.
    PROBITY_STATUS_BUSY = 7;
    /// Stopped because the caller asked for it.
    PROBITY_STATUS_CANCELLED = 8;
    /// A defect of the library; the process goes on, the object should be freed.
    PROBITY_STATUS_PANIC = 9;
    /// Too many live objects.
    PROBITY_STATUS_LIMIT = 10;
    /// Reading or writing failed.
    PROBITY_STATUS_IO = 20;
    /// Not a GGUF file.
    PROBITY_STATUS_NOT_GGUF = 21;
    /// A file that ends too early.
    PROBITY_STATUS_TRUNCATED = 22;
    /// A GGUF header that breaks the format or a limit.
    PROBITY_STATUS_MALFORMED_GGUF = 23;
    /// A GGUF file that is no model this library runs.
    PROBITY_STATUS_UNSUPPORTED_MODEL = 24;
    /// A GGUF file that is no adapter this library applies.
    PROBITY_STATUS_UNSUPPORTED_ADAPTER = 25;
    /// An adapter made for another base model.
    PROBITY_STATUS_ADAPTER_MISMATCH = 26;
    /// An adapter that does not do what its manifest says, or has none.
    PROBITY_STATUS_UNVERIFIED = 27;
    /// The inference engine refused; the message carries its reason.
    PROBITY_STATUS_ENGINE = 28;
    /// This processor lacks instructions the library was built with.
    PROBITY_STATUS_PROCESSOR = 29;
    /// A payoff table that is not rectangular.
    PROBITY_STATUS_GAME_SHAPE = 40;
    /// A payoff that is NaN, infinite or beyond 1e12.
    PROBITY_STATUS_GAME_PAYOFF = 41;
    /// Too few or too many actions.
    PROBITY_STATUS_GAME_ACTIONS = 42;
    /// A label that is empty, too long or unfit.
    PROBITY_STATUS_LABEL = 43;
    /// A label given twice.
    PROBITY_STATUS_LABEL_REPEATED = 44;
    /// A label that is the beginning of another.
    PROBITY_STATUS_LABEL_PREFIX = 45;
    /// An action the game does not have.
    PROBITY_STATUS_UNKNOWN_ACTION = 46;
    /// A belief that is no distribution over the other player's actions.
    PROBITY_STATUS_BELIEF = 47;
    /// No catalogue game of that name.
    PROBITY_STATUS_UNKNOWN_GAME = 48;
    /// A strategy that this game does not allow.
    PROBITY_STATUS_STRATEGY = 49;
    /// A reward that does not exist or whose constants are off.
    PROBITY_STATUS_REWARD = 50;
    /// The prompt with its options is longer than the context.
    PROBITY_STATUS_PROMPT_TOO_LONG = 60;
    /// More options than one decision may have.
    PROBITY_STATUS_TOO_MANY_OPTIONS = 61;
    /// The model's chat template or vocabulary cannot carry the conversation.
    PROBITY_STATUS_TEMPLATE = 62;
    /// A document that does not parse, or of another version.
    PROBITY_STATUS_DOCUMENT = 63;
    /// An option out of its range.
    PROBITY_STATUS_OPTION = 64;
    /// A snapshot that is damaged or of something else.
    PROBITY_STATUS_SNAPSHOT = 65;
    /// There is no decision yet.
    PROBITY_STATUS_NO_DECISION = 66;
    /// Training failed; never returned by this ABI, which has no trainer.
    PROBITY_STATUS_TRAINING = 67;
}

/// The number of an error.
pub(super) fn code_of(error: &Error) -> probity_status_t {
    match error {
        Error::Io { .. } => PROBITY_STATUS_IO,
        Error::NotGguf { .. } => PROBITY_STATUS_NOT_GGUF,
        Error::Truncated { .. } => PROBITY_STATUS_TRUNCATED,
        Error::MalformedGguf { .. } => PROBITY_STATUS_MALFORMED_GGUF,
        Error::UnsupportedModel { .. } => PROBITY_STATUS_UNSUPPORTED_MODEL,
        Error::UnsupportedAdapter { .. } => PROBITY_STATUS_UNSUPPORTED_ADAPTER,
        Error::AdapterMismatch { .. } => PROBITY_STATUS_ADAPTER_MISMATCH,
        Error::Unverified { .. } => PROBITY_STATUS_UNVERIFIED,
        Error::Engine { .. } => PROBITY_STATUS_ENGINE,
        Error::Processor { .. } => PROBITY_STATUS_PROCESSOR,
        Error::Cancelled { .. } => PROBITY_STATUS_CANCELLED,
        Error::Busy { .. } => PROBITY_STATUS_BUSY,
        Error::PromptTooLong { .. } => PROBITY_STATUS_PROMPT_TOO_LONG,
        Error::TooManyOptions { .. } => PROBITY_STATUS_TOO_MANY_OPTIONS,
        Error::LabelPrefix { .. } => PROBITY_STATUS_LABEL_PREFIX,
        Error::Template { .. } => PROBITY_STATUS_TEMPLATE,
        Error::Game(game) => code_of_game(game),
        Error::Reward(_) => PROBITY_STATUS_REWARD,
        Error::Document { .. } => PROBITY_STATUS_DOCUMENT,
        Error::Option { .. } => PROBITY_STATUS_OPTION,
        Error::Snapshot { .. } => PROBITY_STATUS_SNAPSHOT,
        Error::Training { .. } => PROBITY_STATUS_TRAINING,
    }
}

fn code_of_game(error: &GameError) -> probity_status_t {
    match error {
        GameError::ActionCount { .. } => PROBITY_STATUS_GAME_ACTIONS,
        GameError::Shape { .. } => PROBITY_STATUS_GAME_SHAPE,
        GameError::Payoff { .. } => PROBITY_STATUS_GAME_PAYOFF,
        GameError::Label { .. } => PROBITY_STATUS_LABEL,
        GameError::RepeatedLabel { .. } => PROBITY_STATUS_LABEL_REPEATED,
        GameError::UnknownAction { .. } => PROBITY_STATUS_UNKNOWN_ACTION,
        GameError::NotMirrored { .. } => PROBITY_STATUS_STRATEGY,
        GameError::Belief { .. } => PROBITY_STATUS_BELIEF,
        GameError::UnknownGame { .. } => PROBITY_STATUS_UNKNOWN_GAME,
        GameError::Document { .. } | GameError::Version { .. } => PROBITY_STATUS_DOCUMENT,
    }
}
