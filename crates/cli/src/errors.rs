//! The text and the exit code of an error.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use probity_engine::Error as EngineError;
use probity_game::GameError;
use probity_game::moral::RewardError;
use probity_values::ValuesError;
use probity_values::store::StoreError;

/// Wrong usage that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Work that is done, with an outcome that is not to be relied on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotReliable(pub String);

/// An error with its causes, each printed once.
pub fn told(e: &anyhow::Error) -> String {
    e.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        text if text.contains(&cause) => text.into(),
        text => format!("{text}: {cause}"),
    })
}

/// The exit code of an error.
///
/// 2 where usage or input was wrong, 3 where the outcome is not reliable, 1 where the work failed.
pub fn exit_code(e: &anyhow::Error) -> ExitCode {
    ExitCode::from(match e {
        e if e.is::<NotReliable>() => 3,
        e if e.chain().any(is_bad_input) => 2,
        _ => 1,
    })
}

/// Whether an error is a request to stop.
pub fn is_cancelled(e: &anyhow::Error) -> bool {
    e.chain().any(|cause| matches!(engine_error(cause), Some(EngineError::Cancelled { .. })))
}

type Cause = dyn std::error::Error + 'static;

/// The engine's error within an error of any crate above it.
fn engine_error(cause: &Cause) -> Option<&EngineError> {
    if let Some(probity_train::Error::Probity(probity::Error::Engine(e))) = cause.downcast_ref() {
        return Some(e);
    }
    if let Some(probity::Error::Engine(e)) = cause.downcast_ref() {
        return Some(e);
    }
    if let Some(probity_elicit::Error::Engine(e)) = cause.downcast_ref() {
        return Some(e);
    }
    cause.downcast_ref()
}

fn is_bad_input(cause: &Cause) -> bool {
    /// Asks an error of one type.
    fn of<E: std::error::Error + 'static>(cause: &Cause, bad: impl Fn(&E) -> bool) -> bool {
        cause.downcast_ref::<E>().is_some_and(bad)
    }
    cause.is::<Usage>()
        || cause.is::<GameError>()
        || cause.is::<RewardError>()
        || cause.is::<ValuesError>()
        || of(cause, EngineError::is_bad_input)
        || of(cause, StoreError::is_bad_input)
        || of(cause, probity::Error::is_bad_input)
        || of(cause, probity_elicit::Error::is_bad_input)
        || of(cause, probity_train::Error::is_bad_input)
        || of(cause, is_wrong_file)
}

/// Whether a path is missing or no text file, not a failing disk.
fn is_wrong_file(e: &io::Error) -> bool {
    use ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound};
    matches!(e.kind(), NotFound | IsADirectory | NotADirectory | InvalidData)
}
