//! A pretraining run in its folder: vocabulary, log and checkpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use probity_engine::gguf::GgmlType;
use probity_engine::{Error as EngineError, Model};
use serde::Serialize;

use super::{Accuracy, PretrainConfig, PretrainReport, Pretraining, open_vocabulary};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::corpus::Kind;
use crate::games::Reading;
use crate::model_file::write_model;
use crate::run::{End, Log, Session};
use crate::vocab::{self, Vocabulary};

/// Lessons that the vocabulary is trained on.
const VOCABULARY_LESSONS: u64 = 4000;
/// Lessons of a measurement during the run, and after it.
const MEASURED: [u64; 2] = [128, 512];

/// The accuracy from which a kind of question counts as read.
///
/// It is measured on unseen labels and games.
pub const READ: f64 = 0.9;

/// A pretraining run whose folder is open.
pub struct PretrainRun {
    training: Pretraining,
    words: Vocabulary,
    vocabulary: Model,
    checkpoint: PathBuf,
    log: Log,
}

/// A measurement on unseen labels and games.
#[derive(Debug, Clone, Serialize)]
pub struct PretrainMeasurement {
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
pub enum PretrainEvent {
    /// A step.
    Step(PretrainReport),
    /// A measurement, after every checkpoint.
    Measured(PretrainMeasurement),
}

impl PretrainRun {
    /// Opens a run's folder, and continues from its checkpoint with `resume`.
    ///
    /// `start` is a model whose weights and vocabulary it begins with.
    ///
    /// # Errors
    /// [`EngineError::Io`]; [`crate::Error::Checkpoint`] for a checkpoint of another run, before anything in the folder
    /// changes; the errors of [`vocab::train`] and of [`Pretraining::start_from`].
    pub fn open(folder: &Path, mut config: PretrainConfig, start: Option<&Path>, resume: bool) -> Result<Self> {
        let start = start.map(open_vocabulary).transpose()?;
        if let Some(start) = &start {
            config.start = Some(start.content()?.to_owned());
        }
        let checkpoint = folder.join("checkpoint.bin");
        let saved = resume.then(|| Checkpoint::read(&checkpoint, &config, "")).transpose()?;
        let done = saved.as_ref().map_or(0, Checkpoint::step);
        let (log, _) = Log::open(folder, &toml::to_string(&config).expect("a config is plain data"), done)?;
        let words = match &start {
            Some(start) => Vocabulary::of(start.gguf()),
            None => vocab::train(config.vocabulary, config.seed, VOCABULARY_LESSONS)?,
        };
        let mut training = Pretraining::new(config);
        if let Some(start) = &start {
            training.start_from(start)?;
        }
        // The vocabulary is used through the engine from the first step on, so that training and runtime tokenise
        // alike.
        let file = folder.join("vocabulary.gguf");
        write_model(&file, training.decoder(), &training.state().theta, &words, GgmlType::F16, &[])?;
        let vocabulary = open_vocabulary(&file)?;
        if let Some(saved) = saved {
            training.resume(saved);
        }
        Ok(Self { training, words, vocabulary, checkpoint, log })
    }

    /// The training itself.
    #[must_use]
    pub fn training(&self) -> &Pretraining {
        &self.training
    }

    /// Takes the steps that are left, with a measurement at every checkpoint.
    ///
    /// `each` gets every line after it is logged.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] if `stop` is set; [`EngineError::Io`]; the errors of [`Pretraining::step`]; the
    /// errors of `each`.
    pub fn steps<E: From<crate::Error>>(
        &mut self,
        session: &Session<'_>,
        mut each: impl FnMut(&PretrainEvent) -> std::result::Result<(), E>,
    ) -> std::result::Result<End, E> {
        let begin = Instant::now();
        let first = self.training.state().step();
        let mut saved = Instant::now();
        while self.training.state().step() < self.training.config.steps {
            if let Some(end) = session.ends(self.training.state().step() - first) {
                self.save()?;
                let cancelled = EngineError::Cancelled { what: "pretraining" };
                return end.ok_or_else(|| crate::Error::from(cancelled).into());
            }
            let report = self.training.step(&self.vocabulary)?;
            self.write(&PretrainEvent::Step(report), &mut each)?;
            if session.is_due(report.step, saved) {
                self.save()?;
                saved = Instant::now();
                let accuracy = self.training.evaluate(&self.vocabulary, MEASURED[0])?;
                let seconds = begin.elapsed().as_secs_f64();
                let measured = PretrainMeasurement { accuracy, seconds, step: report.step };
                self.write(&PretrainEvent::Measured(measured), &mut each)?;
            }
        }
        self.save()?;
        Ok(End::Finished)
    }

    /// Measures the model as it stands, and writes it with its accuracies.
    ///
    /// `each` hears every kind of games before it is measured.
    ///
    /// # Errors
    /// [`EngineError::Io`]; the errors of [`Pretraining::evaluate`].
    pub fn export(
        &mut self,
        out: &Path,
        ty: GgmlType,
        each: impl FnMut(Reading),
    ) -> Result<BTreeMap<Reading, Accuracy>> {
        let reading = self.training.reading(&self.vocabulary, MEASURED[1], each)?;
        let read = |accuracy: &Accuracy| Kind::READING.iter().all(|kind| accuracy.get(kind) >= Some(&READ));
        let reads: Vec<Reading> = reading.iter().filter(|(_, found)| read(found)).map(|(kind, _)| *kind).collect();
        let notes = [
            ("pretraining", serde_json::to_string(&self.training.config).expect("a config is plain data")),
            ("tokens", self.training.state().tokens.to_string()),
            ("reading", serde_json::to_string(&reads).expect("names are plain data")),
            ("accuracy", serde_json::to_string(&reading).expect("accuracies are plain data")),
        ];
        write_model(out, self.training.decoder(), &self.training.state().theta, &self.words, ty, &notes)?;
        Ok(reading)
    }

    fn write<E: From<crate::Error>>(
        &mut self,
        event: &PretrainEvent,
        each: &mut impl FnMut(&PretrainEvent) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.log.write(event)?;
        each(event)
    }

    fn save(&self) -> Result<()> {
        self.training.state().write(&self.checkpoint, &self.training.config, "")
    }
}
