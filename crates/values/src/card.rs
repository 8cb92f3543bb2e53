//! Values cards: ways of living, described by the objects of attention.

use std::fmt;
use std::sync::Arc;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Provenance, ValuesError};

/// Longest text of a card's field, UTF-8 bytes.
const MAX_TEXT: usize = 16 << 10;
/// The largest extra fields, bytes of JSON; another program's embedding fits.
const MAX_EXTRA: usize = 1 << 20;
/// The deepest nesting of extra fields; `serde_json` reads 128 levels.
const MAX_DEPTH: usize = 64;
/// Most policies of one card. The published process asks for 3 to 7.
const MAX_POLICIES: usize = 64;
/// Most contexts of one card.
const MAX_CONTEXTS: usize = 64;
/// Longest id, UTF-8 bytes.
const MAX_ID: usize = 128;

/// The id of a card.
///
/// An id of digits is a number in JSON, as in the published graphs. Any other id is a string.
///
/// ```
/// use probity_values::CardId;
///
/// assert_eq!(serde_json::to_string(&CardId::from("12")).unwrap(), "12");
/// assert_eq!(serde_json::to_string(&CardId::from("a12")).unwrap(), "\"a12\"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardId(Arc<str>);

impl CardId {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a number, if JSON and JavaScript write the number without loss.
    fn number(&self) -> Option<u64> {
        self.0.parse().ok().filter(|n: &u64| *n <= 1 << 53 && n.to_string() == *self.0)
    }
}

impl From<&str> for CardId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for CardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for CardId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.number() {
            Some(number) => serializer.serialize_u64(number),
            None => serializer.serialize_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for CardId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;
        impl Visitor<'_> for Id {
            type Value = CardId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number or a string of 1 to {MAX_ID} bytes")
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<CardId, E> {
                Ok(CardId(id.to_string().into()))
            }

            fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<CardId, E> {
                if !proper(id) {
                    let told = &id[..id.floor_char_boundary(MAX_ID)];
                    return Err(E::invalid_value(Unexpected::Str(told), &self));
                }
                Ok(CardId(id.into()))
            }
        }
        deserializer.deserialize_any(Id)
    }
}

/// Whether a text can be an id.
fn proper(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control)
}

/// An attentional policy: what somebody attends to when they choose by a value.
///
/// A kind of thing in capitals, with a restriction or a reason: `MOMENTS where somebody softens when they feel met`.
///
/// ```
/// use probity_values::AttentionPolicy;
///
/// assert_eq!(AttentionPolicy::from("MOMENTS of silence").head(), Some("MOMENTS"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttentionPolicy(String);

impl AttentionPolicy {
    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is attended to: the first run of words in capitals.
    ///
    /// In the published study it stands at the start or inside.
    #[must_use]
    pub fn head(&self) -> Option<&str> {
        let loud = |word: &str| {
            let letters = || word.chars().filter(|c| c.is_alphabetic());
            letters().count() > 1 && letters().all(char::is_uppercase)
        };
        let start_of = |word: &str| word.as_ptr() as usize - self.0.as_ptr() as usize;
        let mut words = self.0.split_whitespace().skip_while(|word| !loud(word)).take_while(|word| loud(word));
        let first = words.next()?;
        let last = words.last().unwrap_or(first);
        let run = &self.0[start_of(first)..start_of(last) + last.len()];
        Some(run.trim_end_matches(|c: char| !c.is_alphanumeric()))
    }
}

impl From<&str> for AttentionPolicy {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// A values card.
///
/// ```
/// use probity_values::ValuesCard;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let card = ValuesCard::new("1".into(), "Presence", "Be there.", vec!["MOMENTS of silence".into()]);
/// card.check()?;
/// assert!(ValuesCard::new("2".into(), "", "", Vec::new()).check().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValuesCard {
    /// Which one.
    pub id: CardId,
    /// A few words.
    pub title: String,
    /// One or two sentences.
    pub description: String,
    /// The longer text that cards of the published study have beside the description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// What it makes people attend to.
    pub policies: Vec<AttentionPolicy>,
    /// Where it was found to be wise to live by, as its author told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
    /// What wrote it; a person's own has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// The model that found the contexts; none if a person named them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contexts_provenance: Option<Provenance>,
    /// Fields that an imported card had beside these; an export gives them back.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl ValuesCard {
    /// A card of which no more is known.
    #[must_use]
    pub fn new(id: CardId, title: &str, description: &str, policies: Vec<AttentionPolicy>) -> Self {
        Self {
            id,
            title: title.into(),
            description: description.into(),
            details: None,
            policies,
            contexts: Vec::new(),
            provenance: None,
            contexts_provenance: None,
            extra: Map::new(),
        }
    }

    /// Checks the id and every text.
    ///
    /// A text is not blank, not too long, and has no control characters other than line ends and tabs.
    ///
    /// # Errors
    /// [`ValuesError::Text`] naming the first fault.
    pub fn check(&self) -> Result<(), ValuesError> {
        let place = |what: &str| format!("card {}: {what}", self.id);
        let bad = |what: &str, problem: String| Err(ValuesError::Text { place: place(what), problem });
        if !proper(self.id.as_str()) {
            let told = &self.id.0[..self.id.0.floor_char_boundary(MAX_ID)];
            let problem = format!("{told:?}, expected 1 to {MAX_ID} bytes without control characters");
            return Err(ValuesError::Text { place: "id of a card".into(), problem });
        }
        check_text(|| place("title"), &self.title)?;
        check_text(|| place("description"), &self.description)?;
        if let Some(details) = &self.details {
            check_text(|| place("details"), details)?;
        }
        if self.policies.is_empty() || self.policies.len() > MAX_POLICIES {
            return bad("policies", format!("{}, expected 1 to {MAX_POLICIES}", self.policies.len()));
        }
        if self.contexts.len() > MAX_CONTEXTS {
            return bad("contexts", format!("{}, expected at most {MAX_CONTEXTS}", self.contexts.len()));
        }
        self.contexts.iter().try_for_each(|context| check_text(|| place("context"), context))?;
        let own = if self.details.is_some() { STUDY } else { LATER };
        check_extra(|| place("extra"), &self.extra, &own)?;
        self.policies.iter().enumerate().try_for_each(|(i, p)| check_text(|| place(&format!("policy {}", i + 1)), &p.0))
    }
}

/// The fields of a card in the study's format, and in the later format.
const STUDY: [&str; 5] = ["id", "title", "instructionsShort", "instructionsDetailed", "evaluationCriteria"];
const LATER: [&str; 5] = ["id", "title", "description", "policies", "instructionsDetailed"];

/// Checks extra fields: no known name, limited size and depth.
///
/// An export would hold a known name twice.
///
/// # Errors
/// [`ValuesError::Text`] naming the first fault, or the size of all.
pub(super) fn check_extra(
    place: impl Fn() -> String,
    extra: &Map<String, Value>,
    known: &[&str],
) -> Result<(), ValuesError> {
    if extra.is_empty() {
        return Ok(());
    }
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    let depth = extra.values().map(depth).max().unwrap_or(0);
    let size = serde_json::to_string(extra).expect("JSON becomes text").len();
    let problem = if let Some(name) = known.iter().find(|name| extra.contains_key(**name)) {
        format!("holds {name:?}, expected no name of a card's or an edge's own field")
    } else if depth > MAX_DEPTH {
        format!("nested {depth} deep, expected at most {MAX_DEPTH}")
    } else if size > MAX_EXTRA {
        format!("{size} bytes as JSON, expected at most {MAX_EXTRA}")
    } else {
        return Ok(());
    };
    Err(ValuesError::Text { place: place(), problem })
}

/// Checks a text that somebody wrote.
///
/// # Errors
/// [`ValuesError::Text`] for a text that is blank, longer than 16 KiB, or has control characters.
pub(super) fn check_text(place: impl Fn() -> String, text: &str) -> Result<(), ValuesError> {
    let problem = if text.trim().is_empty() {
        "blank, expected some text".into()
    } else if text.len() > MAX_TEXT {
        format!("{} bytes, expected at most {MAX_TEXT}", text.len())
    } else if let Some(c) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        format!("holds the control character {c:?}, expected none but line ends and tabs")
    } else {
        return Ok(());
    };
    Err(ValuesError::Text { place: place(), problem })
}
