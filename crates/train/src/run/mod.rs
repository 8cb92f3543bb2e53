//! A run in its folder: what it takes, its steps, its log and its checkpoints.
//!
//! `config.toml` holds the resolved config, `steps.jsonl` a line of JSON a step, `checkpoint.bin` the state to go on from.
//! An interrupted run goes on with the same result to the bit. Called by the command line.

mod checkpoints;
mod log;
mod needs;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use probity_engine::Error as EngineError;
use serde::{Deserialize, Serialize};

pub use self::checkpoints::Checkpoints;
pub use self::log::open_log;
pub use self::needs::{GIB, Needs};
use super::finetune::{Finetuning, StepReport};
use super::objective::ObjectiveParts;
use crate::Result;

/// When a session of steps writes checkpoints, and when it ends.
#[derive(Debug)]
#[non_exhaustive]
pub struct Session<'a> {
    /// Steps between two checkpoints, at least 1: what a crash may lose.
    pub checkpoint_every: u64,
    /// Ends the session after so many steps.
    pub pause_after: Option<u64>,
    /// Ends the session before the next step once it is set.
    pub stop: &'a AtomicBool,
}

impl<'a> Session<'a> {
    /// All steps that are left, until `stop` is set, with a checkpoint every 50.
    #[must_use]
    pub fn new(stop: &'a AtomicBool) -> Self {
        Self { checkpoint_every: 50, pause_after: None, stop }
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

/// How a session of steps ended, where it did not fail.
#[derive(Debug)]
pub enum End {
    /// The run goes on in another session.
    Paused,
    /// All steps are taken.
    ///
    /// The parts of the objective say where each learner's policy stands now.
    Finished(Vec<ObjectiveParts>),
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
    log: File,
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
        let (log, logged) = open_log(folder, &training.config.to_toml(), training.done())?;
        checkpoints.write(&training)?;
        // A step whose figures overflowed has no numbers in the log, and is left out.
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
    /// `each` is told every step when it is logged.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] where `stop` is set; [`EngineError::Io`]; what [`Finetuning::step`] finds, after the last
    /// good checkpoint was put in the newest's place; what `each` returns.
    pub fn steps<E: From<crate::Error>>(
        &mut self,
        session: &Session<'_>,
        mut each: impl FnMut(&LoggedStep) -> std::result::Result<(), E>,
    ) -> std::result::Result<End, E> {
        let Self { training, checkpoints, log, .. } = self;
        let first = training.done();
        while !training.finished() {
            let paused = session.pause_after.is_some_and(|steps| training.done() - first >= steps);
            if paused || session.stop.load(Ordering::Relaxed) {
                checkpoints.write(training)?;
                let cancelled = EngineError::Cancelled { what: "training" };
                return if paused { Ok(End::Paused) } else { Err(crate::Error::from(cancelled).into()) };
            }
            let begin = Instant::now();
            let report = training.step().map_err(|e| checkpoints.fall_back(training, e))?;
            checkpoints.taken(training);
            let step = LoggedStep { report, seconds: begin.elapsed().as_secs_f64() };
            write_line(log, &step)?;
            each(&step)?;
            if training.done() % session.checkpoint_every == 0 {
                checkpoints.write(training)?;
            }
        }
        checkpoints.write(training)?;
        // A step reports where the policy stood before it; where it stands now is measured.
        let measured = training.measure().map_err(|e| checkpoints.fall_back(training, e))?;
        Ok(End::Finished(measured.into_iter().map(|(parts, _)| parts).collect()))
    }
}

/// Writes a value as a line of a log.
///
/// # Errors
/// [`EngineError::Io`].
pub fn write_line(log: &mut File, line: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(line).expect("plain data becomes JSON");
    Ok(writeln!(log, "{text}").map_err(EngineError::io("steps.jsonl"))?)
}
