//! The table of model architectures.
//!
//! An entry means: somebody read the assertions of this graph in the pinned llama.cpp.
//!
//! To add an architecture, write an entry of [`ARCHITECTURES`]. The trainer refuses architectures that its decoder
//! cannot compute.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An entry of the table.
pub struct ArchitectureEntry {
    /// The name in `general.architecture`.
    pub name: &'static str,
    /// The models that have it.
    pub family: &'static str,
    /// Gemma's traits: scaled embeddings, normed layer outputs, GELU gates.
    pub is_gemma: bool,
    /// Whether every head's queries and keys are normed.
    pub norms_heads: bool,
    /// Whether queries, keys and values always have biases.
    ///
    /// Every architecture may have these.
    pub has_biases: bool,
    /// Whether the other matrices may have biases, and frequency factors may exist.
    pub has_extras: bool,
    /// Whether the file may hold an output head of its own.
    pub has_head: bool,
    /// Whether rotary positions pair neighbours (NORM) and not halves (NEOX).
    pub pairs_neighbours: bool,
    /// Blocks that see a window of the text.
    pub window: Option<WindowDefaults>,
    /// Default of the cap on products of queries and keys; without one there is no cap.
    pub attention_cap: Option<f32>,
    /// The cap on logits.
    pub logit_cap: LogitCap,
    /// The depth of the largest model, which scales attention by another width.
    ///
    /// It divides by the embedding's width a head instead of the head's width. llama.cpp also recognises it by its
    /// depth.
    pub largest_layers: Option<usize>,
}

/// What a windowed architecture does where the file does not say.
#[derive(Debug, Clone, Copy)]
pub struct WindowDefaults {
    /// Tokens of the window; 0 for none.
    pub tokens: u64,
    /// The least that the file may say.
    pub least: u64,
    /// Every block has a window but each `period`-th.
    pub period: u64,
    /// Base of the windowed blocks' frequencies; the other blocks' where `None`.
    pub rotation_base: Option<f32>,
}

/// Whether logits are capped.
#[derive(Debug, Clone, Copy)]
pub enum LogitCap {
    /// Never.
    Never,
    /// By what the file says, where it says so.
    Given,
    /// By what the file says, else by this.
    Always(f32),
}

const PLAIN: ArchitectureEntry = ArchitectureEntry {
    name: "",
    family: "",
    is_gemma: false,
    norms_heads: false,
    has_biases: false,
    has_extras: false,
    has_head: true,
    pairs_neighbours: false,
    window: None,
    attention_cap: None,
    logit_cap: LogitCap::Never,
    largest_layers: None,
};

/// Every architecture.
pub static ARCHITECTURES: &[ArchitectureEntry] = &[
    ArchitectureEntry {
        name: "llama",
        family: "Llama 1 to 3.x, Mistral, SmolLM and kin",
        has_extras: true,
        pairs_neighbours: true,
        ..PLAIN
    },
    ArchitectureEntry { name: "qwen2", family: "Qwen 2 and 2.5", has_biases: true, ..PLAIN },
    ArchitectureEntry { name: "qwen3", family: "Qwen 3, dense", norms_heads: true, ..PLAIN },
    ArchitectureEntry {
        name: "gemma2",
        family: "Gemma 2",
        is_gemma: true,
        has_head: false,
        window: Some(WindowDefaults { tokens: 4096, least: 1, period: 2, rotation_base: None }),
        attention_cap: Some(50.0),
        logit_cap: LogitCap::Always(30.0),
        largest_layers: Some(46),
        ..PLAIN
    },
    ArchitectureEntry {
        name: "gemma3",
        family: "Gemma 3, text",
        is_gemma: true,
        norms_heads: true,
        window: Some(WindowDefaults { tokens: 0, least: 0, period: 6, rotation_base: Some(10_000.0) }),
        logit_cap: LogitCap::Given,
        largest_layers: Some(62),
        ..PLAIN
    },
];

/// A model architecture: an entry of [`ARCHITECTURES`].
#[derive(Clone, Copy)]
pub struct Architecture(&'static ArchitectureEntry);

impl Architecture {
    /// The architecture that the built-in model has.
    ///
    /// # Panics
    /// Never: the table has it.
    #[must_use]
    pub fn llama() -> Self {
        Self::find("llama").expect("the table has it")
    }

    /// Every architecture.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        ARCHITECTURES.iter().map(Self)
    }

    /// The architecture of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|architecture| architecture.name == name)
    }

    /// The names there are, as a list.
    #[must_use]
    pub fn names() -> String {
        Self::all().map(|architecture| architecture.name).collect::<Vec<_>>().join(", ")
    }
}

impl Deref for Architecture {
    type Target = ArchitectureEntry;
    fn deref(&self) -> &ArchitectureEntry {
        self.0
    }
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Architecture {}

impl fmt::Debug for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let unknown = || serde::de::Error::custom(format!("architecture {name:?}, expected one of {}", Self::names()));
        Self::find(&name).ok_or_else(unknown)
    }
}
