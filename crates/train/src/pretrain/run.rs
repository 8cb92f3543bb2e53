//! A pretraining run in its folder, with its vocabulary.

use std::collections::BTreeMap;
use std::path::Path;

use probity_engine::Model;
use probity_engine::gguf::GgmlType;

use super::{PretrainConfig, Pretraining, open_vocabulary};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::corpus::Kind;
use crate::course::{Accuracy, CourseEvent, Folder, LessonReport, Student, named, reads};
use crate::games::Reading;
use crate::model_file::write_model;
use crate::run::{End, Session};
use crate::vocab::{self, Vocabulary};

/// Lessons that the vocabulary is trained on.
const VOCABULARY_LESSONS: u64 = 4000;
/// Lessons of a measurement during the run, and after it.
const MEASURED: [u64; 2] = [128, 512];

/// A pretraining run whose folder is open.
pub struct PretrainRun {
    training: Pretraining,
    words: Vocabulary,
    vocabulary: Model,
    folder: Folder,
}

/// The training with the vocabulary that its lessons are written in.
struct Reader<'a> {
    training: &'a mut Pretraining,
    vocabulary: &'a Model,
}

impl Student for Reader<'_> {
    type Config = PretrainConfig;

    fn config(&self) -> &PretrainConfig {
        &self.training.config
    }

    fn base(&self) -> Result<String> {
        Ok(String::new())
    }

    fn steps(&self) -> u64 {
        self.training.config.steps
    }

    fn state(&self) -> &Checkpoint {
        self.training.state()
    }

    fn step(&mut self) -> Result<LessonReport> {
        self.training.step(self.vocabulary)
    }

    fn evaluate(&mut self) -> Result<Accuracy> {
        self.training.evaluate(self.vocabulary, MEASURED[0])
    }
}

impl PretrainRun {
    /// Opens a run's folder, and continues from its checkpoint with `resume`.
    ///
    /// `start` is a model whose weights and vocabulary it begins with.
    ///
    /// # Errors
    /// [`probity_engine::Error::Io`]; [`crate::Error::Checkpoint`] for a checkpoint of another run, before anything in
    /// the folder changes; the errors of [`vocab::train`] and of [`Pretraining::start_from`].
    pub fn open(folder: &Path, mut config: PretrainConfig, start: Option<&Path>, resume: bool) -> Result<Self> {
        let start = start.map(open_vocabulary).transpose()?;
        if let Some(start) = &start {
            config.start = Some(start.content()?.to_owned());
        }
        let saved = resume.then(|| Checkpoint::read(&Folder::checkpoint(folder), &config, "")).transpose()?;
        let done = saved.as_ref().map_or(0, Checkpoint::step);
        let opened = Folder::open(folder, &config, done)?;
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
        Ok(Self { training, words, vocabulary, folder: opened })
    }

    /// The training itself.
    #[must_use]
    pub fn training(&self) -> &Pretraining {
        &self.training
    }

    /// Takes the steps that are left, with its measurements.
    ///
    /// `each` gets every line after it is logged.
    ///
    /// # Errors
    /// [`probity_engine::Error::Cancelled`] if `stop` is set; [`probity_engine::Error::Io`]; the errors of
    /// [`Pretraining::step`]; the errors of `each`.
    pub fn steps<E: From<crate::Error>>(
        &mut self,
        session: &Session<'_>,
        each: impl FnMut(&CourseEvent) -> std::result::Result<(), E>,
    ) -> std::result::Result<End, E> {
        let mut reader = Reader { training: &mut self.training, vocabulary: &self.vocabulary };
        self.folder.steps(&mut reader, session, each)
    }

    /// Measures the model as it stands, and writes it with its accuracies.
    ///
    /// `each` hears every kind of games before it is measured.
    ///
    /// # Errors
    /// [`probity_engine::Error::Io`]; the errors of [`Pretraining::evaluate`].
    pub fn export(
        &mut self,
        out: &Path,
        ty: GgmlType,
        each: impl FnMut(Reading),
    ) -> Result<BTreeMap<Reading, Accuracy>> {
        let reading = self.training.reading(&self.vocabulary, MEASURED[1], each)?;
        let notes = [
            ("pretraining", serde_json::to_string(&self.training.config).expect("a config is plain data")),
            ("tokens", self.training.state().tokens.to_string()),
            ("reading", serde_json::to_string(&reads(&named(&reading), &Kind::READING)).expect("names are plain data")),
            ("accuracy", serde_json::to_string(&reading).expect("accuracies are plain data")),
        ];
        write_model(out, self.training.decoder(), &self.training.state().theta, &self.words, ty, &notes)?;
        Ok(reading)
    }
}
