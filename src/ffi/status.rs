//! Status codes, as the header has them, and the error struct.
#![expect(dead_code, reason = "the header is made of the constants; the library itself speaks of `Status`")]

use std::ffi::c_char;

use crate::Status;

/// Outcome of a call: one of the `PROBITY_STATUS_*` numbers.
///
/// A number keeps its meaning for good.
pub type probity_status_t = i32;

/// Longest message in a `probity_error_t`, its NUL included, bytes.
pub const PROBITY_ERROR_MESSAGE_SIZE: usize = 504;

/// The error of a call.
///
/// A failing call fills it if the pointer is not NULL. A successful call leaves it untouched. It owns nothing.
#[repr(C)]
pub struct probity_error_t {
    /// The same number that the function returns.
    pub status: probity_status_t,
    /// One line, UTF-8, NUL-terminated: what was wrong, where, and what would be right.
    pub message: [c_char; PROBITY_ERROR_MESSAGE_SIZE],
}

/// Done.
pub const PROBITY_STATUS_OK: probity_status_t = 0;
/// A pointer that must not be NULL is.
pub const PROBITY_STATUS_NULL_ARGUMENT: probity_status_t = 1;
/// A string is not UTF-8.
pub const PROBITY_STATUS_INVALID_UTF8: probity_status_t = 2;
/// A handle that no object ever had.
pub const PROBITY_STATUS_INVALID_HANDLE: probity_status_t = 3;
/// A handle whose object was freed already.
pub const PROBITY_STATUS_STALE_HANDLE: probity_status_t = 4;
/// A handle of another copy of the library.
pub const PROBITY_STATUS_FOREIGN_HANDLE: probity_status_t = 5;
/// An array has another length than the game needs.
pub const PROBITY_STATUS_BUFFER_SIZE: probity_status_t = 6;
/// The agent is in use by another thread.
pub const PROBITY_STATUS_BUSY: probity_status_t = 7;
/// Stopped because the caller asked for it.
pub const PROBITY_STATUS_CANCELLED: probity_status_t = 8;
/// A defect of the library; the process continues, the object should be freed.
pub const PROBITY_STATUS_PANIC: probity_status_t = 9;
/// Too many live objects.
pub const PROBITY_STATUS_LIMIT: probity_status_t = 10;
/// An object freed a second time.
pub const PROBITY_STATUS_DOUBLE_FREE: probity_status_t = 11;
/// A handle of another kind of object.
pub const PROBITY_STATUS_WRONG_TYPE: probity_status_t = 12;
/// Reading or writing failed.
pub const PROBITY_STATUS_IO: probity_status_t = 20;
/// Not a GGUF file.
pub const PROBITY_STATUS_NOT_GGUF: probity_status_t = 21;
/// A file that ends too early.
pub const PROBITY_STATUS_TRUNCATED: probity_status_t = 22;
/// A GGUF header that breaks the format or a limit.
pub const PROBITY_STATUS_MALFORMED_GGUF: probity_status_t = 23;
/// A GGUF file that is no model this library runs.
pub const PROBITY_STATUS_UNSUPPORTED_MODEL: probity_status_t = 24;
/// A GGUF file that is no adapter this library applies.
pub const PROBITY_STATUS_UNSUPPORTED_ADAPTER: probity_status_t = 25;
/// An adapter made for another base model.
pub const PROBITY_STATUS_ADAPTER_MISMATCH: probity_status_t = 26;
/// An adapter that does not do what its manifest says, or has none.
pub const PROBITY_STATUS_UNVERIFIED: probity_status_t = 27;
/// The inference engine refused; the message carries its reason.
pub const PROBITY_STATUS_ENGINE: probity_status_t = 28;
/// This processor lacks instructions the library was built with.
pub const PROBITY_STATUS_PROCESSOR: probity_status_t = 29;
/// No space left on a device, for example for a vote.
pub const PROBITY_STATUS_DISK_FULL: probity_status_t = 30;
/// The process was forked after the library was used.
///
/// The child cannot go on with it.
pub const PROBITY_STATUS_FORKED: probity_status_t = 31;
/// The model and a session on it take more memory than they may.
pub const PROBITY_STATUS_MEMORY: probity_status_t = 32;
/// A decision that is not to be relied on.
///
/// It was taken, and its outputs are written.
pub const PROBITY_STATUS_UNRELIABLE: probity_status_t = 33;
/// A payoff table that is not rectangular.
pub const PROBITY_STATUS_GAME_SHAPE: probity_status_t = 40;
/// A payoff that is NaN, infinite or beyond 1e12.
pub const PROBITY_STATUS_GAME_PAYOFF: probity_status_t = 41;
/// Too few or too many actions.
pub const PROBITY_STATUS_GAME_ACTIONS: probity_status_t = 42;
/// A label with control characters, quotes or outer white space.
pub const PROBITY_STATUS_LABEL: probity_status_t = 43;
/// A label given twice.
pub const PROBITY_STATUS_LABEL_REPEATED: probity_status_t = 44;
/// A label that is the beginning of another; never returned any more.
pub const PROBITY_STATUS_LABEL_PREFIX: probity_status_t = 45;
/// An action the game does not have.
pub const PROBITY_STATUS_UNKNOWN_ACTION: probity_status_t = 46;
/// A belief that is no distribution over the other player's actions.
pub const PROBITY_STATUS_BELIEF: probity_status_t = 47;
/// No catalogue game of that name.
pub const PROBITY_STATUS_UNKNOWN_GAME: probity_status_t = 48;
/// A strategy that this game does not allow.
pub const PROBITY_STATUS_STRATEGY: probity_status_t = 49;
/// A reward that does not exist or whose constants are off.
pub const PROBITY_STATUS_REWARD: probity_status_t = 50;
/// An empty label.
pub const PROBITY_STATUS_LABEL_EMPTY: probity_status_t = 51;
/// A label that is too long.
pub const PROBITY_STATUS_LABEL_TOO_LONG: probity_status_t = 52;
/// The prompt with its options is longer than the context.
pub const PROBITY_STATUS_PROMPT_TOO_LONG: probity_status_t = 60;
/// More options than one decision may have.
pub const PROBITY_STATUS_TOO_MANY_OPTIONS: probity_status_t = 61;
/// The model's chat template or vocabulary cannot carry the conversation.
pub const PROBITY_STATUS_TEMPLATE: probity_status_t = 62;
/// A document that does not parse, or of another version.
pub const PROBITY_STATUS_DOCUMENT: probity_status_t = 63;
/// An option out of its range.
pub const PROBITY_STATUS_OPTION: probity_status_t = 64;
/// A snapshot that is damaged or of something else.
pub const PROBITY_STATUS_SNAPSHOT: probity_status_t = 65;
/// There is no decision yet.
pub const PROBITY_STATUS_NO_DECISION: probity_status_t = 66;
/// Training failed; never returned by this ABI, which has no trainer.
pub const PROBITY_STATUS_TRAINING: probity_status_t = 67;
/// A checkpoint that is damaged or of another run; never returned by this ABI.
pub const PROBITY_STATUS_CHECKPOINT: probity_status_t = 68;
/// A model that the trainer does not have; never returned by this ABI.
pub const PROBITY_STATUS_UNTRAINABLE: probity_status_t = 69;
/// A values card, vote or moral graph that is wrong.
pub const PROBITY_STATUS_VALUES: probity_status_t = 70;
/// A store of values that is invalid, damaged, newer, locked or read-only.
pub const PROBITY_STATUS_STORE: probity_status_t = 71;
/// No ONNX Runtime, or a graph or tokenizer that it cannot use.
pub const PROBITY_STATUS_EMBEDDER: probity_status_t = 72;

/// What a status means, in a few words. Static; not to be freed.
///
/// A number that this version of the library does not have gives "an unknown status".
#[unsafe(no_mangle)]
pub extern "C" fn probity_status_text(status: probity_status_t) -> *const c_char {
    Status::of(status).map_or(c"an unknown status", Status::text).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library's table has the numbers, names and meanings of the constants above.
    #[test]
    fn every_status_is_the_librarys_and_has_the_text_of_its_comment() {
        let lines: Vec<&str> = include_str!("status.rs").lines().collect();
        let mut constants = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            let Some((name, number)) = line
                .strip_prefix("pub const PROBITY_STATUS_")
                .and_then(|rest| rest.split_once(": probity_status_t = "))
            else {
                continue;
            };
            let comment = lines[..i].iter().rposition(|line| !line.starts_with("///")).map_or(0, |last| last + 1);
            let said = lines[comment].trim_start_matches("/// ").trim_end_matches('.');
            constants.push((number.trim_end_matches(';').parse().unwrap(), name, said));
        }
        let table: Vec<_> = Status::all().map(|s| (s.number(), s.name(), s.text().to_str().unwrap())).collect();
        assert_eq!(constants, table);
    }
}
