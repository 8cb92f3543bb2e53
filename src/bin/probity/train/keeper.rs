//! The checkpoints of a run folder: the newest, to go on from, and the last one known to be good, to fall back to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use probity::Error;
use probity::engine::files::replace;
use probity::train::checkpoint::Checkpoint;
use probity::train::finetune::Finetuning;

/// Keeps both. What a step leaves is known to be good when the next one has found its objective and gradient to be
/// numbers, and no worse than no training.
pub struct Keeper {
    newest: PathBuf,
    good: PathBuf,
    /// The step of the newest.
    step: Option<u64>,
    /// Whether the newest is known to be good.
    proven: bool,
}

impl Keeper {
    /// The checkpoints of a folder, which need not exist.
    pub fn of(folder: &Path) -> anyhow::Result<Self> {
        let newest = folder.join("checkpoint.bin");
        let good = folder.join("checkpoint.good.bin");
        // A crash between two renames leaves the new one beside its place, whole.
        let next = next(&newest);
        if next.exists() && !newest.exists() {
            replace(&next, &newest)?;
        }
        Ok(Self { newest, good, step: None, proven: false })
    }

    /// Whether there is one to go on from.
    pub fn exists(&self) -> bool {
        self.newest.exists()
    }

    /// Goes on from the newest.
    pub fn resume(&mut self, training: &mut Finetuning) -> probity::Result<()> {
        let saved = Checkpoint::read(&self.newest, &training.config, training.model().content()?)?;
        training.resume(saved);
        self.step = Some(training.done());
        Ok(())
    }

    /// Takes note of a step that went well.
    pub fn taken(&mut self, training: &Finetuning) {
        if self.step.is_some_and(|step| step + 1 == training.done()) && !training.astray() {
            self.proven = true;
        }
    }

    /// Writes a checkpoint, unless it is there already. The one before stays where it is known to be good.
    pub fn write(&mut self, training: &Finetuning) -> anyhow::Result<()> {
        if self.step == Some(training.done()) {
            return Ok(());
        }
        let next = next(&self.newest);
        training.state().write(&next, &training.config, training.model().content()?)?;
        if self.proven {
            replace(&self.newest, &self.good)?;
        }
        replace(&next, &self.newest)?;
        (self.step, self.proven) = (Some(training.done()), false);
        Ok(())
    }

    /// Where training failed: puts the last good checkpoint into the place of the newest, and says so in the error.
    pub fn fall_back(&mut self, training: &Finetuning, e: Error) -> anyhow::Error {
        let Error::Training { problem } = e else { return e.into() };
        match self.last_good(training) {
            Ok(kept) => Error::Training { problem: format!("{problem}; {kept}") }.into(),
            Err(e) => e.context(problem),
        }
    }

    fn last_good(&mut self, training: &Finetuning) -> anyhow::Result<String> {
        if !self.proven {
            if !self.good.exists() {
                // Nobody could go on from it.
                fs::remove_file(&self.newest).with_context(|| self.newest.display().to_string())?;
                return Ok("no checkpoint before it was good".into());
            }
            replace(&self.good, &self.newest)?;
        }
        let kept = Checkpoint::read(&self.newest, &training.config, training.model().content()?)?;
        let step = kept.step() / training.config.algorithm.epochs();
        (self.step, self.proven) = (Some(step), true);
        Ok(format!("the checkpoint is that of step {step}"))
    }
}

fn next(newest: &Path) -> PathBuf {
    newest.with_extension("next.bin")
}
