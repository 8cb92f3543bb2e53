//! A course in its folder: log and checkpoint.

use std::path::{Path, PathBuf};
use std::time::Instant;

use probity_engine::Error as EngineError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Accuracy;
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::run::{End, Log, Session};

/// What a step reports.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LessonReport {
    /// Steps done.
    pub step: u64,
    /// Mean cross-entropy of the answers' tokens, nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub norm: f32,
    /// Learning rate used.
    pub rate: f32,
    /// Tokens seen so far.
    pub tokens: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// A measurement on unseen labels and games.
#[derive(Debug, Clone, Serialize)]
pub struct CourseMeasurement {
    /// Accuracy by kind of question.
    pub accuracy: Accuracy,
    /// Seconds since the session began.
    pub seconds: f64,
    /// Steps done.
    pub step: u64,
}

/// A line of the log.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum CourseEvent {
    /// A step.
    Step(LessonReport),
    /// A measurement.
    Measured(CourseMeasurement),
}

/// Who takes a course.
pub(crate) trait Student {
    /// What its run depends on.
    type Config: Serialize + DeserializeOwned;
    /// The config.
    fn config(&self) -> &Self::Config;
    /// Content of the model it trains on; empty for a model made from nothing.
    fn base(&self) -> Result<String>;
    /// Steps of the whole course.
    fn steps(&self) -> u64;
    /// What training has changed.
    fn state(&self) -> &Checkpoint;
    /// Takes one step.
    fn step(&mut self) -> Result<LessonReport>;
    /// Accuracy on unseen labels and games, now.
    fn evaluate(&mut self) -> Result<Accuracy>;
}

/// The open folder of a run.
pub(crate) struct Folder {
    checkpoint: PathBuf,
    log: Log,
}

impl Folder {
    /// The checkpoint of a folder.
    pub fn checkpoint(folder: &Path) -> PathBuf {
        folder.join("checkpoint.bin")
    }

    /// Opens a folder whose run has taken so many steps.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn open(folder: &Path, config: &impl Serialize, done: u64) -> Result<Self> {
        let (log, _) = Log::open(folder, &toml::to_string(config).expect("a config is plain data"), done)?;
        Ok(Self { checkpoint: Self::checkpoint(folder), log })
    }

    /// Takes the steps that are left, with its measurements.
    ///
    /// `each` gets every line after it is logged.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] if `stop` is set; [`EngineError::Io`]; the errors of the student and of `each`.
    pub fn steps<S: Student, E: From<crate::Error>>(
        &mut self,
        student: &mut S,
        session: &Session<'_>,
        mut each: impl FnMut(&CourseEvent) -> std::result::Result<(), E>,
    ) -> std::result::Result<End, E> {
        let begin = Instant::now();
        let first = student.state().step();
        let mut saved = Instant::now();
        let measure_every = session.measure_every.unwrap_or_else(|| student.steps().div_ceil(12));
        let mut tell = |log: &mut Log, event: CourseEvent| {
            log.write(&event)?;
            each(&event)
        };
        while student.state().step() < student.steps() {
            if let Some(end) = session.ends(student.state().step() - first) {
                self.save(student)?;
                let cancelled = EngineError::Cancelled { what: "training" };
                return end.ok_or_else(|| crate::Error::from(cancelled).into());
            }
            let before = Instant::now();
            let report = student.step()?;
            let report = LessonReport { seconds: before.elapsed().as_secs_f64(), ..report };
            tell(&mut self.log, CourseEvent::Step(report))?;
            if session.is_due(report.step, saved) {
                self.save(student)?;
                saved = Instant::now();
            }
            if report.step.is_multiple_of(measure_every) {
                let accuracy = student.evaluate()?;
                let seconds = begin.elapsed().as_secs_f64();
                let measured = CourseMeasurement { accuracy, seconds, step: report.step };
                tell(&mut self.log, CourseEvent::Measured(measured))?;
            }
        }
        self.save(student)?;
        Ok(End::Finished)
    }

    fn save<S: Student>(&self, student: &S) -> Result<()> {
        student.state().write(&self.checkpoint, student.config(), &student.base()?)
    }
}
