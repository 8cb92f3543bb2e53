//! Checkpoints: the state of a run, so that it goes on bit for bit.
//!
//! A checkpoint holds the resolved config, the trained parameters and the optimiser's state, and is written whole.
//! Everything else (the curriculum, the learning rate) follows from the config and the step.

use std::fs;
use std::path::Path;

use probity::agent::prompt::PROMPT_VERSION;
use probity_engine::Error as EngineError;
use probity_engine::files::write_whole;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"PROBCKPT";
/// Numbers written at a time.
const PIECE: usize = 1 << 16;

/// What steers a fine-tuning beside the optimiser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Steering {
    /// Weight of the divergence now.
    pub beta: f64,
    /// All sampled rewards so far, of each learner.
    pub rewards: [Moments; 2],
    /// Measurements in a row that were near enough to the optimum to stop.
    pub near: u64,
    /// The objective's lead over the bare model at the start of the phase.
    pub start: f64,
    /// Steps in a row that were worse than both.
    pub astray: u64,
    /// Validations of this phase since its nearest.
    #[serde(default)]
    pub since: u64,
    /// Steps of earlier phases that validation ended before they were taken.
    #[serde(default)]
    pub skipped: u64,
}

/// Mean and spread of numbers that come one after the other (Welford 1962).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many there were.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of the squared distances from it.
    pub squares: f64,
}

impl Moments {
    /// Takes one more.
    pub fn add(&mut self, x: f64) {
        self.count += 1;
        let from = x - self.mean;
        self.mean += from / self.count as f64;
        self.squares += from * (x - self.mean);
    }

    /// Their standard deviation, without bias; 0 of fewer than two.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.squares / (self.count - 1) as f64).sqrt() }
    }
}

/// The parameters that validation found nearest to the optimum.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Trained parameters.
    pub theta: Vec<f32>,
    /// What was found there.
    pub at: KeptAt,
}

/// Where a phase was nearest to the optimum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KeptAt {
    /// Steps taken, those of earlier phases among them.
    pub steps: u64,
    /// Tokens that were trained on.
    pub tokens: u64,
    /// Distance of free answers to the optimum.
    pub distance: f64,
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Trained parameters.
    pub theta: Vec<f32>,
    /// Optimiser.
    pub adam: Adam,
    /// Tokens pushed through the model so far.
    pub tokens: u64,
    /// What steers it; of pretraining nothing.
    pub steering: Steering,
    /// The nearest parameters so far, where a run is validated.
    pub kept: Option<Kept>,
}

/// What stands beside the numbers, as JSON.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The program that wrote it, with its version.
    #[serde(default)]
    program: String,
    config: serde_json::Value,
    /// Content of the model it trains on; empty for pretraining.
    base: String,
    /// Version of the prompt's wording; another version is another run.
    prompt: u32,
    step: u64,
    tokens: u64,
    steering: Steering,
    #[serde(default)]
    kept: Option<KeptAt>,
    parameters: usize,
    beta1: f32,
    beta2: f32,
    decay: f32,
}

impl Checkpoint {
    /// Steps taken.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.adam.step
    }

    /// Writes a checkpoint of a run with this config on this base.
    ///
    /// # Errors
    /// [`EngineError::Io`]; an earlier checkpoint at `path` is then untouched.
    pub fn write(&self, path: &Path, config: &impl Serialize, base: &str) -> Result<()> {
        let head = Head {
            program: format!("probity {}", env!("CARGO_PKG_VERSION")),
            config: serde_json::to_value(config).expect("a config is plain data"),
            base: base.into(),
            prompt: PROMPT_VERSION,
            step: self.adam.step,
            tokens: self.tokens,
            steering: self.steering,
            kept: self.kept.as_ref().map(|kept| kept.at),
            parameters: self.theta.len(),
            beta1: self.adam.beta1,
            beta2: self.adam.beta2,
            decay: self.adam.decay,
        };
        let head = serde_json::to_vec(&head).expect("plain data");
        // Two passes in small pieces, one for the checksum: the numbers may take most of the machine's memory.
        let body = |take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>| {
            take(&(head.len() as u64).to_le_bytes())?;
            take(&head)?;
            let mut piece = Vec::with_capacity(4 * PIECE);
            let kept = self.kept.as_ref().map(|kept| &kept.theta);
            let vectors = [&self.theta, &self.adam.m, &self.adam.v].into_iter().chain(kept);
            for values in vectors.flat_map(|v| v.chunks(PIECE)) {
                piece.clear();
                piece.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                take(&piece)?;
            }
            Ok(())
        };
        write_whole(path, |sink| {
            let mut checksum = blake3::Hasher::new();
            body(&mut |bytes| {
                checksum.update(bytes);
                Ok(())
            })?;
            sink.write_all(MAGIC)?;
            sink.write_all(checksum.finalize().as_bytes())?;
            body(&mut |bytes| sink.write_all(bytes))
        })?;
        Ok(())
    }

    /// Reads a checkpoint that must be of this config and base.
    ///
    /// # Errors
    /// [`EngineError::Io`]; [`Error::Checkpoint`] for damaged bytes, and for another config, base or prompt version,
    /// naming the difference.
    pub fn read(path: &Path, config: &(impl Serialize + DeserializeOwned), base: &str) -> Result<Self> {
        let refuse = |problem: String| Error::Checkpoint { file: path.display().to_string(), problem };
        let bytes = fs::read(path).map_err(EngineError::io(path))?;
        let body = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_at_checked(32))
            .filter(|(checksum, body)| blake3::hash(body).as_bytes() == checksum)
            .map(|(_, body)| body)
            .ok_or_else(|| refuse("is no checkpoint, or was changed".into()))?;
        let split = || -> Option<(Head, &[u8])> {
            let (length, rest) = body.split_at_checked(8)?;
            let (head, rest) = rest.split_at_checked(u64::from_le_bytes(length.try_into().ok()?) as usize)?;
            Some((serde_json::from_slice(head).ok()?, rest))
        };
        let (head, numbers) = split().ok_or_else(|| refuse("its header does not parse".into()))?;
        let by = if head.program.is_empty() { "an older program" } else { &head.program };
        let bad = |problem: String| refuse(format!("{problem} ({by} wrote it)"));
        let now = serde_json::to_value(config).expect("a config is plain data");
        if let Some(field) = first_difference(&head.config, &now) {
            return Err(bad(format!("made with another config ({field} differs); resume with the config beside it")));
        }
        if head.base != base {
            return Err(bad("made on another base model, or the base has changed since".into()));
        }
        if head.prompt != PROMPT_VERSION {
            return Err(bad(format!("made with version {} of the prompt, expected {PROMPT_VERSION}", head.prompt)));
        }
        let n = head.parameters;
        let expected = 4 * n * (3 + usize::from(head.kept.is_some()));
        if numbers.len() != expected {
            return Err(bad(format!("holds {} bytes of numbers, expected {expected}", numbers.len())));
        }
        let mut vectors = numbers.chunks_exact(4 * n.max(1)).map(|part| {
            part.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<f32>>()
        });
        let mut next = || vectors.next().unwrap_or_default();
        let (theta, m, v) = (next(), next(), next());
        let adam = Adam { beta1: head.beta1, beta2: head.beta2, decay: head.decay, step: head.step, m, v };
        let kept = head.kept.map(|at| Kept { theta: next(), at });
        Ok(Self { theta, adam, tokens: head.tokens, steering: head.steering, kept })
    }
}

/// Fields of a config that judge the end of a run, and change no step.
const JUDGEMENTS: [&str; 1] = ["arrival"];

/// The first field, by name, in which two configs differ.
fn first_difference(a: &serde_json::Value, b: &serde_json::Value) -> Option<String> {
    match (a, b) {
        (serde_json::Value::Object(a), serde_json::Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
            let keys = keys.filter(|key| !JUDGEMENTS.contains(&key.as_str()));
            keys.map(|k| (k, a.get(k), b.get(k))).find(|(_, a, b)| a != b).map(|(k, ..)| k.clone())
        }
        _ => (a != b).then(|| "everything".into()),
    }
}
