//! What a call came to: a number with a name, the same in every language.

use std::ffi::CStr;
use std::io::ErrorKind;

use probity_engine::Error as EngineError;
use probity_game::GameError;
#[cfg(feature = "graphs")]
use probity_values::store::StoreError;

use crate::Error;

/// What a call came to.
///
/// A number keeps its meaning for good.
///
/// ```
/// use probity::{Error, Status};
///
/// let error: Error = probity::game::CatalogGame::find("chess").unwrap_err().into();
/// assert_eq!(error.status(), Status::UNKNOWN_GAME);
/// assert_eq!((error.status().number(), error.status().name()), (48, "UNKNOWN_GAME"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(i32);

macro_rules! statuses {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Status {
            $(#[doc = concat!(stringify!($name), ": ", stringify!($text))] pub const $name: Self = Self($number);)*

            /// Every status with its name and its meaning.
            const ALL: &[(Self, &str, &CStr)] = &[$((Self($number), stringify!($name), $text)),*];
        }
    };
}

statuses! {
    OK = 0, c"Done";
    NULL_ARGUMENT = 1, c"A pointer that must not be NULL is";
    INVALID_UTF8 = 2, c"A string is not UTF-8";
    INVALID_HANDLE = 3, c"A handle that no object ever had";
    STALE_HANDLE = 4, c"A handle whose object was freed already";
    FOREIGN_HANDLE = 5, c"A handle of another copy of the library";
    BUFFER_SIZE = 6, c"An array has another length than the game needs";
    BUSY = 7, c"The agent is in use by another thread";
    CANCELLED = 8, c"Stopped because the caller asked for it";
    PANIC = 9, c"A defect of the library; the process continues, the object should be freed";
    LIMIT = 10, c"Too many live objects";
    DOUBLE_FREE = 11, c"An object freed a second time";
    WRONG_TYPE = 12, c"A handle of another kind of object";
    IO = 20, c"Reading or writing failed";
    NOT_GGUF = 21, c"Not a GGUF file";
    TRUNCATED = 22, c"A file that ends too early";
    MALFORMED_GGUF = 23, c"A GGUF header that breaks the format or a limit";
    UNSUPPORTED_MODEL = 24, c"A GGUF file that is no model this library runs";
    UNSUPPORTED_ADAPTER = 25, c"A GGUF file that is no adapter this library applies";
    ADAPTER_MISMATCH = 26, c"An adapter made for another base model";
    UNVERIFIED = 27, c"An adapter that does not do what its manifest says, or has none";
    ENGINE = 28, c"The inference engine refused; the message carries its reason";
    PROCESSOR = 29, c"This processor lacks instructions the library was built with";
    DISK_FULL = 30, c"No space left on a device, for example for a vote";
    FORKED = 31, c"The process was forked after the library was used";
    MEMORY = 32, c"The model and a session on it take more memory than they may";
    UNRELIABLE = 33, c"A decision that is not to be relied on";
    GAME_SHAPE = 40, c"A payoff table that is not rectangular";
    GAME_PAYOFF = 41, c"A payoff that is NaN, infinite or beyond 1e12";
    GAME_ACTIONS = 42, c"Too few or too many actions";
    LABEL = 43, c"A label with control characters, quotes or outer white space";
    LABEL_REPEATED = 44, c"A label given twice";
    LABEL_PREFIX = 45, c"A label that is the beginning of another; never returned any more";
    UNKNOWN_ACTION = 46, c"An action the game does not have";
    BELIEF = 47, c"A belief that is no distribution over the other player's actions";
    UNKNOWN_GAME = 48, c"No catalogue game of that name";
    STRATEGY = 49, c"A strategy that this game does not allow";
    REWARD = 50, c"A reward that does not exist or whose constants are off";
    LABEL_EMPTY = 51, c"An empty label";
    LABEL_TOO_LONG = 52, c"A label that is too long";
    PROMPT_TOO_LONG = 60, c"The prompt with its options is longer than the context";
    TOO_MANY_OPTIONS = 61, c"More options than one decision may have";
    TEMPLATE = 62, c"The model's chat template or vocabulary cannot carry the conversation";
    DOCUMENT = 63, c"A document that does not parse, or of another version";
    OPTION = 64, c"An option out of its range";
    SNAPSHOT = 65, c"A snapshot that is damaged or of something else";
    NO_DECISION = 66, c"There is no decision yet";
    TRAINING = 67, c"Training failed; never returned by this ABI, which has no trainer";
    CHECKPOINT = 68, c"A checkpoint that is damaged or of another run; never returned by this ABI";
    UNTRAINABLE = 69, c"A model that the trainer does not have; never returned by this ABI";
    VALUES = 70, c"A values card, vote or moral graph that is wrong";
    STORE = 71, c"A store of values that is invalid, damaged, newer, locked or read-only";
    EMBEDDER = 72, c"No ONNX Runtime, or a graph or tokenizer that it cannot use";
}

impl Status {
    /// The status of a number, if there is one.
    #[must_use]
    pub fn of(number: i32) -> Option<Self> {
        Self::all().find(|status| status.0 == number)
    }

    /// Every status, by rising number.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(status, ..)| *status)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// Its name, which is `PROBITY_STATUS_...` in C.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it means, in a few words.
    #[must_use]
    pub fn text(self) -> &'static CStr {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static CStr) {
        Self::ALL.iter().find(|(status, ..)| *status == self).expect("no status is made but those of the table")
    }
}

impl Error {
    /// The status of this error, as the C ABI gives it.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Engine(e) => of_engine(e),
            Self::Game(e) => of_game(e),
            Self::Reward(_) => Status::REWARD,
            Self::Unverified { .. } => Status::UNVERIFIED,
            Self::Snapshot { .. } => Status::SNAPSHOT,
            Self::Busy { .. } => Status::BUSY,
            #[cfg(feature = "graphs")]
            Self::Values(_) => Status::VALUES,
            #[cfg(feature = "graphs")]
            Self::Store(e) => of_store(e),
            #[cfg(feature = "graphs")]
            Self::Embedder { .. } => Status::EMBEDDER,
        }
    }
}

fn of_io(error: &std::io::Error) -> Status {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Status::DISK_FULL,
        _ => Status::IO,
    }
}

fn of_engine(error: &EngineError) -> Status {
    match error {
        EngineError::Io { source, .. } => of_io(source),
        EngineError::NotGguf { .. } => Status::NOT_GGUF,
        EngineError::Truncated { .. } => Status::TRUNCATED,
        EngineError::MalformedGguf { .. } => Status::MALFORMED_GGUF,
        EngineError::UnsupportedModel { .. } => Status::UNSUPPORTED_MODEL,
        EngineError::UnsupportedAdapter { .. } => Status::UNSUPPORTED_ADAPTER,
        EngineError::AdapterMismatch { .. } => Status::ADAPTER_MISMATCH,
        EngineError::Processor { .. } => Status::PROCESSOR,
        EngineError::Cancelled { .. } => Status::CANCELLED,
        EngineError::Forked => Status::FORKED,
        EngineError::Memory { .. } => Status::MEMORY,
        EngineError::PromptTooLong { .. } => Status::PROMPT_TOO_LONG,
        EngineError::TooManyOptions { .. } => Status::TOO_MANY_OPTIONS,
        EngineError::Template { .. } => Status::TEMPLATE,
        EngineError::Option { .. } => Status::OPTION,
        EngineError::Document { .. } => Status::DOCUMENT,
        // The engine's other refusals; the enum is non-exhaustive.
        _ => Status::ENGINE,
    }
}

#[cfg(feature = "graphs")]
fn of_store(error: &StoreError) -> Status {
    match error {
        StoreError::Io { source, .. } => of_io(source),
        StoreError::Values(_) => Status::VALUES,
        _ => Status::STORE,
    }
}

fn of_game(error: &GameError) -> Status {
    match error {
        GameError::ActionCount { .. } => Status::GAME_ACTIONS,
        GameError::Shape { .. } => Status::GAME_SHAPE,
        GameError::Payoff { .. } => Status::GAME_PAYOFF,
        GameError::EmptyLabel => Status::LABEL_EMPTY,
        GameError::LongLabel { .. } => Status::LABEL_TOO_LONG,
        GameError::Label { .. } => Status::LABEL,
        GameError::RepeatedLabel { .. } => Status::LABEL_REPEATED,
        GameError::UnknownAction { .. } => Status::UNKNOWN_ACTION,
        GameError::NotMirrored { .. } => Status::STRATEGY,
        GameError::Belief { .. } => Status::BELIEF,
        GameError::UnknownGame { .. } => Status::UNKNOWN_GAME,
        // Documents and their versions; the enum is non-exhaustive.
        _ => Status::DOCUMENT,
    }
}
