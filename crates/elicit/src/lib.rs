//! Interviews, duplicates, contexts, stories and adherence, by local models.
//!
//! Floor 3.
//!
//! A local model writes every text within a grammar, from a seed. Each text carries the hashes of model and prompt.
//! People's words are data: they never become control tokens, and models answer with JSON of a fixed form. Called by
//! the command line and the C boundary; the results are kept in [`probity_values::store`].

mod adherence;
mod calibration;
mod contexts;
mod conversation;
mod duplicates;
pub mod embed;
mod error;
mod interview;
mod judge;
mod labelled;
mod likeness;
mod scribe;
mod stories;

pub use adherence::{Nearness, Situation, score, situate};
pub use calibration::{Calibration, Threshold, Verdicts};
pub use contexts::{contexts, in_known_words};
pub use conversation::Conversation;
pub use duplicates::{Duplicate, duplicates, merge, similar};
pub use error::{Error, Result};
pub use interview::{Draft, Exchange, Interview, MAX_ANSWER, Stage, is_yes};
pub use judge::{Judge, YesNoQuestion};
pub use scribe::Scribe;
pub use stories::{Untold, story, untold};

/// Progress: finished and total steps. Returning `false` stops the work.
pub type Progress<'a> = dyn FnMut(usize, usize) -> bool + 'a;
