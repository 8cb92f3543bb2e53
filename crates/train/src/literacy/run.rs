//! A literacy run in its folder, and the adapter it ends with.

use std::collections::BTreeMap;
use std::path::Path;

use probity::agent::verify::Verification;
use probity_engine::Model;

use super::{Literacy, LiteracyConfig};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::course::{Accuracy, CourseEvent, Folder, LessonReport, Student};
use crate::curriculum::Precision;
use crate::finish::{literacy_manifest, write_proven};
use crate::games::Reading;
use crate::lora::AdapterWeights;
use crate::run::{End, Session};
use crate::shards::Schedule;

/// Lessons of a measurement during the run.
const MEASURED: u64 = 48;

/// A literacy run whose folder is open.
pub struct LiteracyRun {
    training: Literacy,
    folder: Folder,
}

impl Student for Literacy {
    type Config = LiteracyConfig;

    fn config(&self) -> &LiteracyConfig {
        &self.config
    }

    fn base(&self) -> Result<String> {
        Ok(self.model.content()?.to_owned())
    }

    fn steps(&self) -> u64 {
        self.config.steps
    }

    fn state(&self) -> &Checkpoint {
        self.state()
    }

    fn step(&mut self) -> Result<LessonReport> {
        self.step()
    }

    fn evaluate(&mut self) -> Result<Accuracy> {
        self.evaluate(MEASURED)
    }
}

impl LiteracyRun {
    /// Opens a run's folder, and continues from its checkpoint with `resume`.
    ///
    /// A vocabulary-only model is enough.
    ///
    /// # Errors
    /// [`probity_engine::Error::Io`]; [`crate::Error::Checkpoint`] for a checkpoint of another run; the errors of
    /// [`Literacy::new`].
    pub fn open(
        folder: &Path,
        model: &Model,
        config: LiteracyConfig,
        schedule: Schedule,
        resume: bool,
    ) -> Result<Self> {
        let content = model.content()?.to_owned();
        let config = config.with(|o| o.base = Some(content.clone()));
        let mut training = Literacy::new(model, config, schedule)?;
        if resume {
            training.resume(Checkpoint::read(&Folder::checkpoint(folder), &training.config, &content)?);
        }
        let folder = Folder::open(folder, &training.config, training.state().step())?;
        Ok(Self { training, folder })
    }

    /// The training itself.
    #[must_use]
    pub fn training(&self) -> &Literacy {
        &self.training
    }

    /// Takes the steps that are left, with its measurements.
    ///
    /// `each` gets every line after it is logged.
    ///
    /// # Errors
    /// [`probity_engine::Error::Cancelled`] if `stop` is set; [`probity_engine::Error::Io`]; the errors of
    /// [`Literacy::step`]; the errors of `each`.
    pub fn steps<E: From<crate::Error>>(
        &mut self,
        session: &Session<'_>,
        each: impl FnMut(&CourseEvent) -> std::result::Result<(), E>,
    ) -> std::result::Result<End, E> {
        self.folder.steps(&mut self.training, session, each)
    }

    /// Accuracy on unseen labels and games of each kind.
    ///
    /// `each` hears a kind before it is measured.
    ///
    /// # Errors
    /// As [`Literacy::reading`].
    pub fn reading(&mut self, each: impl FnMut(Reading)) -> Result<BTreeMap<Reading, Accuracy>> {
        self.training.reading(self.training.config.exam, each)
    }

    /// The adapter of a finished run; base weights and buffers are freed.
    #[must_use]
    pub fn finish(self, accuracy: BTreeMap<Reading, Accuracy>) -> Literate {
        let Literacy { config, decoder, state, .. } = self.training;
        let weights = AdapterWeights::of(&decoder, &state.theta);
        Literate { config, weights, steps: state.step(), tokens: state.tokens, accuracy }
    }
}

/// A trained adapter in memory.
pub struct Literate {
    config: LiteracyConfig,
    weights: AdapterWeights,
    steps: u64,
    tokens: u64,
    accuracy: BTreeMap<Reading, Accuracy>,
}

impl Literate {
    /// Writes the adapter, with what it reads, and verifies what was written.
    ///
    /// `model` is the base with its weights loaded.
    ///
    /// # Errors
    /// As [`write_proven`].
    pub fn write(self, model: &Model, precision: Precision, out: &Path) -> Result<Verification> {
        let manifest = literacy_manifest(model, &self.config, self.steps, self.tokens, &self.accuracy)?;
        write_proven(&self.weights, precision, manifest, model, out)
    }
}
