//! A run as a dataset, for training by another engine.
//!
//! A folder holds what every step asks, and nothing of how this trainer computes: tokens, exact rewards, weights, and
//! the reference's scores. `probity.train` (bindings/python) trains on it with PyTorch, and its adapter comes back with
//! the manifest of this run.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use probity_engine::files::write_whole;
use probity_engine::score::Continuation;
use probity_engine::{Error as EngineError, Model, Token};
use probity_game::states;
use serde::{Deserialize, Serialize};

use super::batch::questions;
use super::start::fill;
use super::{Finetuning, Known, Trained, seats};
use crate::Result;
use crate::course::NamedAccuracy;
use crate::curriculum::{Reference, Task, TrainConfig};
use crate::decoder::Decoder;
use crate::games::Reading;
use crate::lora::{AdapterWeights, peft};
use crate::objective::{Aim, PromptedState};

/// A run's document, `run.json`.
const RUN: &str = "run.json";
/// A line of JSON a step.
const STEPS: &str = "steps.jsonl";
/// A line of JSON a phase: what validates it.
const VALIDATION: &str = "validation.jsonl";
/// The adapter that the first step starts from, as PEFT.
const START: &str = "start";
/// What another engine writes beside the adapter that it trained.
const TRAINED: &str = "trained.json";

/// What a whole run depends on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WrittenRun {
    /// Version of the format, 1.
    pub version: u32,
    /// The run's config.
    pub config: TrainConfig,
    /// BLAKE3 of the base's content.
    pub base_content: String,
    /// Steps of all phases.
    pub steps: u64,
    /// Number of the step behind each phase's last.
    pub ends: Vec<u64>,
    /// What the gradient is of.
    pub aim: Aim,
    /// Decay of Adam's second moment.
    pub beta2: f32,
    /// What the model is known to read under the adapter.
    pub reading: Option<Vec<Reading>>,
    /// The exam that tells it.
    pub accuracy: NamedAccuracy,
}

/// The document beside a trained adapter, `trained.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainedElsewhere {
    /// The run.
    pub run: WrittenRun,
    /// Steps behind the adapter's weights.
    pub steps: u64,
    /// Tokens that were computed with.
    pub tokens: u64,
    /// What took the steps, with its version.
    pub engine: String,
    /// SHA-256 of the weights' file beside it, hex.
    pub weights: String,
}

#[derive(Serialize)]
struct Step {
    step: u64,
    phase: usize,
    rate: f32,
    games: Vec<Asked>,
}

/// What validates a phase.
#[derive(Serialize)]
struct Validated {
    phase: usize,
    games: Vec<Asked>,
}

/// A game's decisions, with equal options.
#[derive(Serialize)]
struct Asked {
    name: String,
    options: Vec<Answer>,
    decisions: Vec<Question>,
}

/// A legal answer: its tokens, and the tokens that may end it, of which any does.
#[derive(Serialize)]
struct Answer {
    tokens: Vec<Token>,
    last: Vec<Token>,
}

#[derive(Serialize)]
struct Question {
    prompt: Vec<Token>,
    rewards: Vec<f64>,
    weight: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Vec<f64>>,
}

impl Finetuning {
    /// Writes the run as a dataset into a folder, and takes no step.
    ///
    /// With `references` this trainer computes the reference's scores: a forward pass of every decision. `progress` is
    /// told the written share, 0 to 1.
    ///
    /// # Errors
    /// [`EngineError::Option`] for a run whose steps depend on its own policy: sampled answers, two learners, repeated
    /// play, a target of the divergence; [`EngineError::Io`]; the errors of [`Finetuning::step`].
    pub fn write_dataset(&mut self, folder: &Path, references: bool, mut progress: impl FnMut(f64)) -> Result<()> {
        self.check_started()?;
        let c = self.config.clone();
        let depends = |name, given: &str, expected: &str| -> Result<()> {
            Err(EngineError::Option { name, given: given.into(), expected: expected.into() }.into())
        };
        if c.algorithm.rounds().is_some() {
            return depends("algorithm", c.algorithm.name(), "exact, optimum or supervised for a dataset");
        } else if c.learners() > 1 {
            return depends("opponent", "learner", "an opponent that does not learn for a dataset");
        } else if c.play.is_some() {
            return depends("play", "repeated", "single rounds for a dataset");
        } else if c.kl_target.is_some() {
            return depends("kl_target", "a target", "a constant beta for a dataset");
        } else if !references && c.reference == Reference::Start {
            return depends("reference", "start", "bare, or a dataset with the reference's scores");
        }
        fs::create_dir_all(folder).map_err(EngineError::io(folder))?;
        let start = AdapterWeights::of(&self.decoder, &self.state.theta);
        peft::write(&start, self.model.shape(), "", &folder.join(START))?;
        let validated = c.phases.len() as f64 / (c.steps() as f64 + c.phases.len() as f64);
        let mut lines = Lines::create(folder.join(VALIDATION))?;
        for phase in 0..c.phases.len() {
            let games = self.asked(&c.validation_tasks()?, phase, references)?;
            lines.write(&Validated { phase, games })?;
            progress(validated * (phase + 1) as f64 / c.phases.len() as f64);
        }
        lines.close()?;
        let mut lines = Lines::create(folder.join(STEPS))?;
        for step in 0..c.steps() {
            let (phase, _) = c.phase_at(step).expect("a step of a phase");
            let games = self.asked(&c.tasks_at(step)?, phase, references)?;
            lines.write(&Step { step: step + 1, phase, rate: c.rate_at(step), games })?;
            progress(validated + (1.0 - validated) * (step + 1) as f64 / c.steps() as f64);
        }
        lines.close()?;
        let ends = c.phases.iter().scan(0, |end, phase| {
            *end += phase.steps;
            Some(*end)
        });
        let run = WrittenRun {
            version: 1,
            base_content: self.model.content()?.into(),
            steps: c.steps(),
            ends: ends.collect(),
            aim: c.algorithm.aim(),
            beta2: c.beta2(),
            reading: self.known.reading.clone(),
            accuracy: self.known.accuracy.clone(),
            config: c,
        };
        // Last: a folder with it is whole.
        let json = serde_json::to_vec_pretty(&run).expect("plain data");
        Ok(write_whole(&folder.join(RUN), |file| file.write_all(&json))?)
    }

    /// What some tasks ask in a phase.
    fn asked(&mut self, tasks: &[Task], phase: usize, references: bool) -> Result<Vec<Asked>> {
        let c = &self.config;
        let (phase, opponent) = (&c.phases[phase], c.phases[phase].opponent.as_ref().unwrap_or(&c.opponent));
        let mut all = Vec::new();
        for task in tasks {
            let (asked, options) = questions(&self.model, task)?;
            let question = |(PromptedState { prompt, weight, .. }, state)| {
                let belief = opponent.policy(&task.game, state)?;
                let rewards = phase.reward.expected(&task.game, state, &belief)?;
                Ok(Question { prompt, rewards, weight, reference: None })
            };
            let answer = |o: &Continuation| Answer { tokens: o.tokens().to_vec(), last: o.last().to_vec() };
            all.push(Asked {
                name: task.name.clone(),
                options: options.iter().map(answer).collect(),
                decisions: asked.into_iter().zip(states(&task.game)).map(question).collect::<Result<_>>()?,
            });
        }
        if references && !tasks.is_empty() {
            let mut scores = Vec::new();
            for seat in seats(&self.model, c, tasks)? {
                scores.extend(self.references(&seat)?.concat());
            }
            for (question, scores) in all.iter_mut().flat_map(|asked| &mut asked.decisions).zip(scores) {
                question.reference = Some(scores);
            }
        }
        Ok(all)
    }
}

impl TrainedElsewhere {
    /// The document of a folder, where it is an adapter of a written run.
    ///
    /// # Errors
    /// [`EngineError::Io`]; [`EngineError::Document`] for a document of something else.
    pub fn in_folder(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(TRAINED);
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(EngineError::io(&path))?,
        };
        let bad = |problem: String| EngineError::Document { what: "trained.json", problem };
        let found: Self = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        if found.run.version != 1 {
            return Err(bad(format!("version {}, expected 1", found.run.version)).into());
        }
        found.run.config.check()?;
        Ok(Some(found))
    }

    /// The run's adapter, from the weights that the other engine trained.
    ///
    /// # Errors
    /// [`EngineError::AdapterMismatch`] for another base, or weights of other layers than the run's.
    pub fn with_weights(self, model: &Model, weights: &AdapterWeights, folder: &Path) -> Result<Trained> {
        let Self { run, steps, tokens, engine, .. } = self;
        let bad = |problem: &str| EngineError::AdapterMismatch {
            file: folder.display().to_string(),
            problem: problem.into(),
        };
        if run.base_content != model.content()? {
            return Err(bad("its dataset was written for another base than this model").into());
        }
        let c = &run.config;
        let decoder = Decoder::described(model)?.with_lora(c.rank, c.alpha, &c.targets);
        let mut theta = vec![0.0; decoder.n_params()];
        fill(&decoder, &mut theta, weights, folder)?;
        let known = Known { reading: run.reading, accuracy: run.accuracy };
        let beta = c.beta;
        Ok(Trained { config: run.config, decoder, theta, steps, tokens, learner: 1, beta, known, engine: Some(engine) })
    }
}

/// A file of a line of JSON a record.
struct Lines {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Lines {
    fn create(path: PathBuf) -> Result<Self> {
        let file = BufWriter::new(File::create(&path).map_err(EngineError::io(&path))?);
        Ok(Self { file, path })
    }

    fn write(&mut self, record: &impl Serialize) -> Result<()> {
        let written = serde_json::to_writer(&mut self.file, record).map_err(std::io::Error::from);
        Ok(written.and_then(|()| self.file.write_all(b"\n")).map_err(EngineError::io(&self.path))?)
    }

    fn close(mut self) -> Result<()> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        Ok(written.map_err(EngineError::io(&self.path))?)
    }
}
