//! A run folder's checkpoints: the newest, and the last good one.

use std::fs;
use std::path::{Path, PathBuf};

use probity_engine::Error as EngineError;
use probity_engine::files::replace;

use crate::checkpoint::Checkpoint;
use crate::curriculum::TrainConfig;
use crate::finetune::Finetuning;
use crate::{Error, Result};

/// The two checkpoints.
///
/// A state is good once the next step has found a finite objective and gradient there, and a policy no worse than the
/// bare model's.
pub struct Checkpoints {
    newest: PathBuf,
    good: PathBuf,
    /// Steps taken at the newest.
    step: Option<u64>,
    /// Whether the newest is known to be good.
    proven: bool,
    /// Whether the run extends the run of the newest.
    extends: bool,
}

impl Checkpoints {
    /// The checkpoints of a folder, which need not exist.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn of(folder: &Path) -> Result<Self> {
        let newest = folder.join("checkpoint.bin");
        let good = folder.join("checkpoint.good.bin");
        // A crash between two renames leaves the new checkpoint beside its place, whole.
        let next = next(&newest);
        if next.exists() && !newest.exists() {
            replace(&next, &newest)?;
        }
        Ok(Self { newest, good, step: None, proven: false, extends: false })
    }

    /// Whether there is one to go on from.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.newest.exists()
    }

    /// Goes on from the newest.
    ///
    /// It is of the config `made`: the training's, or a config that the training's extends.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn resume(&mut self, training: &mut Finetuning, made: &TrainConfig) -> Result<()> {
        let mut saved = Checkpoint::read(&self.newest, made, training.model().content()?)?;
        self.extends = training.config != *made;
        if self.extends {
            // The longer run goes on from the end of the shorter one, which is its nearest parameters.
            let done = saved.step() / made.algorithm.epochs() + saved.steering.skipped;
            let patience = made.validation.as_ref().map_or(u64::MAX, |validation| validation.patience);
            if (done >= made.steps() || saved.steering.since >= patience)
                && let Some(kept) = saved.kept.take()
            {
                saved.theta = kept.theta;
            }
            // What ended the shorter run early does not end the longer one.
            (saved.steering.near, saved.steering.since) = (0, 0);
        }
        training.resume(saved);
        // A checkpoint of the shorter run is no checkpoint of the longer one, and is written anew.
        self.step = (!self.extends).then(|| training.taken());
        Ok(())
    }

    /// Takes note of a step that went well.
    pub(super) fn taken(&mut self, training: &Finetuning) {
        if self.step.is_some_and(|step| step + 1 == training.taken()) && !training.astray() {
            self.proven = true;
        }
    }

    /// Writes a checkpoint, unless the newest is of this step.
    ///
    /// A newest checkpoint that is known to be good becomes the good checkpoint.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub(super) fn write(&mut self, training: &Finetuning) -> Result<()> {
        if self.step == Some(training.taken()) {
            return Ok(());
        }
        let next = next(&self.newest);
        training.state().write(&next, &training.config, training.model().content()?)?;
        if self.proven {
            replace(&self.newest, &self.good)?;
        }
        replace(&next, &self.newest)?;
        // The end of a run is good: the longer run falls back to it.
        (self.step, self.proven) = (Some(training.taken()), std::mem::take(&mut self.extends));
        Ok(())
    }

    /// Restores the last good checkpoint after a failed step, and names it.
    pub(super) fn fall_back(&mut self, training: &Finetuning, e: Error) -> Error {
        let Error::Training { problem } = e else { return e };
        let kept = self.last_good(training).unwrap_or_else(|e| e.to_string());
        Error::Training { problem: format!("{problem}; {kept}") }
    }

    fn last_good(&mut self, training: &Finetuning) -> Result<String> {
        if !self.proven {
            if !self.good.exists() {
                // No run could continue from the newest checkpoint.
                fs::remove_file(&self.newest).map_err(EngineError::io(&self.newest))?;
                return Ok("no checkpoint before it was good".into());
            }
            replace(&self.good, &self.newest)?;
        }
        let kept = Checkpoint::read(&self.newest, &training.config, training.model().content()?)?;
        let taken = kept.step() / training.config.algorithm.epochs();
        (self.step, self.proven) = (Some(taken), true);
        Ok(format!("the checkpoint is of step {}", taken + kept.steering.skipped))
    }
}

fn next(newest: &Path) -> PathBuf {
    newest.with_extension("next.bin")
}
