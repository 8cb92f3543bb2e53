//! A run in its folder: needs, steps, log and checkpoints.
//!
//! `config.toml` holds the resolved config, `steps.jsonl` a line of JSON a step, `checkpoint.bin` the state of the run.
//! An interrupted run continues with the same result to the bit. Called by the command line.

mod checkpoints;
mod log;
mod needs;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use probity_engine::Error as EngineError;
use serde::{Deserialize, Serialize};

pub use self::checkpoints::Checkpoints;
pub use self::log::Log;
pub use self::needs::{GIB, Needs};
use super::finetune::{Finetuning, StepReport};
use super::objective::ObjectiveParts;
use crate::Result;

/// When a session of steps writes checkpoints, and when it ends.
#[derive(Debug)]
#[non_exhaustive]
pub struct Session<'a> {
    /// Steps between two checkpoints, at least 1.
    ///
    /// [`Session::checkpoint_after`] counts where it is not given.
    pub checkpoint_every: Option<u64>,
    /// Time between two checkpoints: the work that a crash may lose.
    pub checkpoint_after: Duration,
    /// Steps between two measurements of a course, at least 1.
    ///
    /// They are a twelfth of its steps where not given.
    /// The config of a moral training says when it is measured.
    pub measure_every: Option<u64>,
    /// Ends the session after so many steps.
    pub pause_after: Option<u64>,
    /// Ends the session at the first step after this time.
    pub deadline: Option<Instant>,
    /// Ends the session before the next step once it is set.
    pub stop: &'a AtomicBool,
}

impl<'a> Session<'a> {
    /// All steps that are left, until `stop` is set; a checkpoint every half minute.
    #[must_use]
    pub fn new(stop: &'a AtomicBool) -> Self {
        Self {
            checkpoint_every: None,
            checkpoint_after: Duration::from_secs(30),
            measure_every: None,
            pause_after: None,
            deadline: None,
            stop,
        }
    }

    /// Changes some options.
    ///
    /// `Session::new(&stop).with(|o| o.pause_after = Some(10))`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Session<'_> {
    /// Whether a checkpoint is due after a step.
    pub(crate) fn is_due(&self, step: u64, last: Instant) -> bool {
        match self.checkpoint_every {
            Some(steps) => step.is_multiple_of(steps),
            None => last.elapsed() >= self.checkpoint_after,
        }
    }

    /// Whether the session ends after so many steps: `Some(None)` for a cancellation.
    pub(crate) fn ends(&self, steps: u64) -> Option<Option<End>> {
        let late = self.deadline.is_some_and(|deadline| Instant::now() > deadline);
        if late || self.pause_after.is_some_and(|most| steps >= most) {
            return Some(Some(End::Paused));
        }
        self.stop.load(Ordering::Relaxed).then_some(None)
    }
}

/// How a session of steps ended, where it did not fail.
#[derive(Debug)]
pub enum End {
    /// The run goes on in another session.
    Paused,
    /// All steps are taken.
    Finished,
}

/// A step as the log has it.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedStep {
    /// What the step reported.
    #[serde(flatten)]
    pub report: StepReport,
    /// Seconds it took.
    pub seconds: f64,
}

/// A run whose folder is open.
pub struct Run {
    /// The training itself.
    pub training: Finetuning,
    checkpoints: Checkpoints,
    log: Log,
    logged: Vec<LoggedStep>,
}

impl Run {
    /// Opens a run's folder: writes its config and a first checkpoint.
    ///
    /// `checkpoints` are the folder's; a resumed run continues from them.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn open(folder: &Path, training: Finetuning, mut checkpoints: Checkpoints) -> Result<Self> {
        let (log, logged) = Log::open(folder, &training.config.to_toml(), training.done())?;
        checkpoints.write(&training)?;
        // A step with NaN or infinite figures has no numbers in the log, and is left out.
        let logged = logged.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { training, checkpoints, log, logged })
    }

    /// The steps in the log when the run was opened.
    #[must_use]
    pub fn logged(&self) -> &[LoggedStep] {
        &self.logged
    }

    /// Takes the steps that are left, and keeps the folder up to date.
    ///
    /// `each` gets every step after it is logged.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] if `stop` is set; [`EngineError::Io`]; the errors of [`Finetuning::step`], after the
    /// last good checkpoint has replaced the newest; the errors of `each`.
    pub fn steps<E: From<crate::Error>>(
        &mut self,
        session: &Session<'_>,
        mut each: impl FnMut(&LoggedStep) -> std::result::Result<(), E>,
    ) -> std::result::Result<End, E> {
        let Self { training, checkpoints, log, .. } = self;
        let first = training.taken();
        let mut saved = Instant::now();
        while !training.finished() {
            if let Some(end) = session.ends(training.taken() - first) {
                checkpoints.write(training)?;
                let cancelled = EngineError::Cancelled { what: "training" };
                return end.ok_or_else(|| crate::Error::from(cancelled).into());
            }
            let begin = Instant::now();
            let report = training.step().map_err(|e| checkpoints.fall_back(training, e))?;
            checkpoints.taken(training);
            let step = LoggedStep { report, seconds: begin.elapsed().as_secs_f64() };
            log.write(&step)?;
            each(&step)?;
            if session.is_due(training.taken(), saved) {
                checkpoints.write(training)?;
                saved = Instant::now();
            }
        }
        checkpoints.write(training)?;
        Ok(End::Finished)
    }

    /// Measures the final policy.
    ///
    /// A step reports the policy before it, on its own games.
    ///
    /// # Errors
    /// As [`Finetuning::measure_end`], after the last good checkpoint has replaced the newest.
    pub fn measure_end(&mut self, progress: impl FnMut(f64)) -> Result<Vec<ObjectiveParts>> {
        let Self { training, checkpoints, .. } = self;
        training.measure_end(progress).map_err(|e| checkpoints.fall_back(training, e))
    }
}
