//! The record: the audit trail of one decision, complete enough to take it again and compare.

use serde::{Deserialize, Serialize};

use super::decision::Decision;
use crate::engine::score::PromptTokens;

/// Version of the record format.
pub const RECORD_VERSION: u32 = 1;

/// An adapter in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterInForce {
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its scale.
    pub scale: f32,
}

/// One decision and everything it followed from.
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

/// BLAKE3 of a prompt's tokens as little-endian 32-bit numbers, hex.
#[must_use]
pub fn prompt_hash(prompt: &PromptTokens) -> String {
    let bytes: Vec<u8> = prompt.tokens.iter().flat_map(|t| t.to_le_bytes()).collect();
    blake3::hash(&bytes).to_hex().to_string()
}
