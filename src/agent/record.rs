//! The record of a decision: enough to take it again and compare.

use probity_engine::Error as EngineError;
use probity_engine::score::PromptTokens;
use probity_engine::{Adapter, CancelToken, ContextOptions, Model};
use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::prompt::PROMPT_VERSION;
use super::{Agent, Scenario, Session};
use crate::{Error, Result};

/// Version of the record format.
pub const RECORD_VERSION: u32 = 1;

/// An adapter in force.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::{Agent, Scenario};
/// use probity::engine::ContextOptions;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#)?;
/// let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
/// agent.decide()?;
/// // No adapter is set, so none is in force.
/// assert!(agent.record().unwrap().adapters.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterInForce {
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its scale.
    pub scale: f32,
}

/// One decision and everything it followed from.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::{Agent, Scenario};
/// use probity::engine::ContextOptions;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#)?;
/// let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
/// agent.decide()?;
/// let record = agent.record().unwrap();
/// let again = record.retake(&model, &[], ContextOptions::default())?;
/// assert_eq!(again, record);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub version: u32,
    /// Version of the library.
    pub library: String,
    /// Version of the prompt's wording.
    pub prompt_version: u32,
    /// Fingerprint of the model.
    pub model: String,
    /// The adapters, in order.
    pub adapters: Vec<AdapterInForce>,
    /// The scenario as a document, history at the time of the decision included.
    pub scenario: serde_json::Value,
    /// BLAKE3 of the prompt's tokens, hex.
    pub prompt: String,
    /// Which draw of the agent's random stream this was, counted from 0.
    pub draw: u64,
    /// The number drawn, 0 to 1.
    pub u: f64,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

impl Record {
    /// Takes the decision again on the same model, with the recorded draw.
    ///
    /// The recorded adapters must be among `adapters`. The same build on the same kind of processor returns an equal
    /// record, to the bit.
    ///
    /// # Errors
    /// [`EngineError::Document`] for a record of another version, prompt version or model, and for a recorded adapter
    /// that is missing from `adapters`; the errors of [`Agent::decide`](super::Agent::decide).
    pub fn retake(&self, model: &Model, adapters: &[Adapter], context: ContextOptions) -> Result<Self> {
        self.inputs().check(model)?;
        self.retake_in(&Session::new(model, context)?, adapters)
    }

    /// As [`Record::retake`], in a session.
    ///
    /// # Errors
    /// As [`Record::retake`].
    pub fn retake_in(&self, session: &Session, adapters: &[Adapter]) -> Result<Self> {
        self.inputs().retake(session, adapters)
    }

    fn inputs(&self) -> Inputs {
        Inputs {
            version: self.version,
            prompt_version: self.prompt_version,
            model: self.model.clone(),
            adapters: self.adapters.clone(),
            scenario: self.scenario.clone(),
            draw: self.draw,
            u: self.u,
        }
    }
}

/// Of a record, what its decision followed from.
#[derive(Deserialize)]
struct Inputs {
    version: u32,
    prompt_version: u32,
    model: String,
    adapters: Vec<AdapterInForce>,
    scenario: serde_json::Value,
    draw: u64,
    u: f64,
}

impl Inputs {
    /// Checks that this build can take the decision again on a model.
    fn check(&self, model: &Model) -> Result<()> {
        let versions = [(self.version, RECORD_VERSION, ""), (self.prompt_version, PROMPT_VERSION, " of the prompt")];
        for (found, expected, what) in versions {
            if found != expected {
                return Err(bad(format!("version {found}{what}, expected {expected}")));
            }
        }
        if self.model != model.fingerprint() {
            return Err(bad("taken on another model".into()));
        }
        Ok(())
    }

    fn retake(self, session: &Session, adapters: &[Adapter]) -> Result<Record> {
        let (draw, u) = (self.draw, self.u);
        self.agent(session, adapters)?.retake(draw, u)
    }

    /// The agent as it was before the decision.
    fn agent(self, session: &Session, adapters: &[Adapter]) -> Result<Agent> {
        self.check(session.model())?;
        let named = |a: &AdapterInForce| Ok((find(adapters, &a.fingerprint).map_err(bad)?.clone(), a.scale));
        let set = self.adapters.iter().map(named).collect::<Result<Vec<_>>>()?;
        let mut agent = Agent::of(session, Scenario::from_document(self.scenario)?)?;
        agent.set_adapters(&set)?;
        Ok(agent)
    }
}

/// A decision whose record is JSON, about to be taken again.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::record::Retake;
/// use probity::agent::{Scenario, Session};
/// use probity::engine::ContextOptions;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let session = Session::new(&model, ContextOptions::default())?;
/// let mut agent = session.agent(Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#)?)?;
/// agent.decide()?;
/// let record = serde_json::to_string(&agent.record().unwrap()).unwrap();
/// let retake = Retake::new(&session, &[], &record)?;
/// // Any thread may stop this decision, and no other of the session, by `retake.cancel_token().cancel()`.
/// let (again, same) = retake.take()?;
/// assert!(same, "{again}");
/// # Ok(())
/// # }
/// ```
pub struct Retake {
    given: serde_json::Value,
    agent: Agent,
    draw: u64,
    u: f64,
}

impl Retake {
    /// Reads a record, and makes its agent.
    ///
    /// # Errors
    /// As [`Record::retake`], and for JSON that is no record.
    pub fn new(session: &Session, adapters: &[Adapter], record: &str) -> Result<Self> {
        let given = parse(record)?;
        let inputs: Inputs = serde_json::from_value(given.clone()).map_err(|e| bad(e.to_string()))?;
        let (draw, u) = (inputs.draw, inputs.u);
        Ok(Self { given, agent: inputs.agent(session, adapters)?, draw, u })
    }

    /// Stops this decision and no other of the session, from any thread.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.agent.cancel_token()
    }

    /// Takes the decision: the new record, and whether all of it equals the given one.
    ///
    /// # Errors
    /// As [`Agent::decide`](super::Agent::decide).
    pub fn take(mut self) -> Result<(String, bool)> {
        let again = self.agent.retake(self.draw, self.u)?;
        let again = serde_json::to_string(&again).expect("a record is plain data");
        let same = parse(&again)? == self.given;
        Ok((again, same))
    }
}

/// Takes a decision again whose record is JSON.
///
/// Returns the new record, and whether all of it equals the given one.
///
/// # Errors
/// As [`Record::retake`], and for JSON that is no record.
pub fn retake_json(session: &Session, adapters: &[Adapter], record: &str) -> Result<(String, bool)> {
    Retake::new(session, adapters, record)?.take()
}

fn parse(json: &str) -> Result<serde_json::Value> {
    serde_json::from_str(json).map_err(|e| bad(e.to_string()))
}

fn bad(problem: String) -> Error {
    EngineError::Document { what: "record", problem }.into()
}

/// The adapter of a fingerprint among loaded ones, or what is missing.
pub(super) fn find<'a>(adapters: &'a [Adapter], fingerprint: &str) -> std::result::Result<&'a Adapter, String> {
    adapters.iter().find(|a| a.fingerprint() == fingerprint).ok_or_else(|| {
        let short: String = fingerprint.chars().take(12).collect();
        format!("needs the adapter {short}, which was not given")
    })
}

/// BLAKE3 of a prompt's tokens as little-endian 32-bit numbers, hex.
#[must_use]
pub fn prompt_hash(prompt: &PromptTokens) -> String {
    let bytes: Vec<u8> = prompt.tokens.iter().flat_map(|t| t.to_le_bytes()).collect();
    blake3::hash(&bytes).to_hex().to_string()
}
