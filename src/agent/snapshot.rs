//! Snapshots: an agent carried over a restart, byte for byte.
//!
//! Magic, format version, prompt version, length and BLAKE3 checksum are checked before anything is decoded. A snapshot
//! holds neither the key-value cache, which is recomputed to the same bits, nor the record of the last decision.
//! `bincode` stays inside this file: no long-lived format uses it.

use probity_engine::{Adapter, ContextOptions, Model};
use probity_game::Profile;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::prompt::PROMPT_VERSION;
use super::record::find;
use super::{Agent, Scenario, Session};
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"PROBSNAP";
const VERSION: u32 = 2;
const HEADER: usize = 8 + 4 + 4 + 8 + 32;
/// The largest payload, bytes; more than a million rounds need.
const LIMIT: usize = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Payload {
    model: String,
    adapters: Vec<(String, f32)>,
    scenario: String,
    rounds: Vec<(u32, u32)>,
    seed: [u8; 32],
    stream: u64,
    word: u128,
    draws: u64,
}

impl Agent {
    /// The agent as bytes.
    ///
    /// # Errors
    /// [`Error::Snapshot`] for a history that is too long.
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        let adapters = self.adapters().iter().map(|(a, s)| (a.fingerprint().to_owned(), *s));
        let payload = Payload {
            model: self.model().fingerprint().into(),
            adapters: adapters.collect(),
            scenario: self.told().to_json(),
            rounds: self.history.rounds().iter().map(|p| (p.own as u32, p.other as u32)).collect(),
            seed: self.rng.get_seed(),
            stream: self.rng.get_stream(),
            word: self.rng.get_word_pos(),
            draws: self.draws,
        };
        let bad = |problem: String| Error::Snapshot { problem };
        let body = bincode::serde::encode_to_vec(&payload, config()).map_err(|e| bad(e.to_string()))?;
        if body.len() > LIMIT {
            return Err(bad(format!("{} bytes, expected at most {LIMIT}", body.len())));
        }
        let mut out = Vec::with_capacity(HEADER + body.len());
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(PROMPT_VERSION.to_le_bytes());
        out.extend((body.len() as u64).to_le_bytes());
        out.extend(blake3::hash(&body).as_bytes());
        out.extend(body);
        Ok(out)
    }

    /// Restores an agent on the same model, with the same loaded adapters.
    ///
    /// # Errors
    /// [`Error::Snapshot`] for damaged bytes, another model, or an adapter that is not among `adapters`.
    pub fn restore(model: &Model, adapters: &[Adapter], bytes: &[u8], context: ContextOptions) -> Result<Self> {
        let payload = Payload::of(model, bytes)?;
        payload.agent(&Session::new(model, context)?, adapters)
    }

    pub(super) fn restore_in(session: &Session, adapters: &[Adapter], bytes: &[u8]) -> Result<Self> {
        Payload::of(session.model(), bytes)?.agent(session, adapters)
    }
}

impl Payload {
    /// The checked content of a snapshot that was taken on a model.
    fn of(model: &Model, bytes: &[u8]) -> Result<Self> {
        let bad = |problem: String| Error::Snapshot { problem };
        let (header, body) = bytes
            .split_at_checked(HEADER)
            .ok_or_else(|| bad(format!("{} bytes, expected at least {HEADER}", bytes.len())))?;
        let (magic, rest) = header.split_at(8);
        let (version, rest) = rest.split_at(4);
        let (prompt, rest) = rest.split_at(4);
        let (length, checksum) = rest.split_at(8);
        if magic != MAGIC {
            return Err(bad("does not start like a snapshot".into()));
        }
        if version != VERSION.to_le_bytes() {
            return Err(bad(format!("of another version, expected {VERSION}")));
        }
        if prompt != PROMPT_VERSION.to_le_bytes() {
            return Err(bad(format!(
                "taken with the words of another prompt version, expected those of version {PROMPT_VERSION}"
            )));
        }
        if length != (body.len() as u64).to_le_bytes() || body.len() > LIMIT {
            return Err(bad(format!("{} bytes of content, the header says otherwise", body.len())));
        }
        if blake3::hash(body).as_bytes() != checksum {
            return Err(bad("its checksum does not match: the bytes were changed".into()));
        }
        let (payload, read): (Self, usize) =
            bincode::serde::decode_from_slice(body, config()).map_err(|e| bad(e.to_string()))?;
        if read != body.len() {
            return Err(bad(format!("{} bytes after its end", body.len() - read)));
        }
        if payload.model != model.fingerprint() {
            return Err(bad("taken on another model".into()));
        }
        Ok(payload)
    }

    /// The agent, with those of `adapters` that it had.
    fn agent(self, session: &Session, adapters: &[Adapter]) -> Result<Agent> {
        let bad = |problem: String| Error::Snapshot { problem };
        let set = self
            .adapters
            .iter()
            .map(|(fingerprint, scale)| Ok((find(adapters, fingerprint).map_err(bad)?.clone(), *scale)))
            .collect::<Result<Vec<_>>>()?;
        let mut agent = Agent::of(session, Scenario::from_json(&self.scenario)?)?;
        for (own, other) in self.rounds {
            agent.observe(Profile { own: own as usize, other: other as usize })?;
        }
        if !set.is_empty() {
            agent.set_adapters(&set)?;
        }
        agent.rng = ChaCha8Rng::from_seed(self.seed);
        agent.rng.set_stream(self.stream);
        agent.rng.set_word_pos(self.word);
        agent.draws = self.draws;
        Ok(agent)
    }
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT>()
}
