//! The JSON format of published moral graphs (arXiv 2404.10636).
//!
//! Both the study's format and the later programs' format are read and written back without loss. Likelihoods and
//! entropies are recomputed, and ids of digits are numbers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{AttentionPolicy, Ballots, CardId, Counts, Edge, ValuesCard, ValuesError};

/// How far a likelihood or entropy in a file may be from what its counts say.
const ROUNDING: f64 = 1e-9;

/// Cards, and the upgrades between them.
///
/// ```
/// use probity_values::MoralGraph;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let card = r#"{ "id": 1, "title": "Presence", "description": "", "policies": ["MOMENTS of silence"] }"#;
/// let error = MoralGraph::from_json(&format!(r#"{{ "values": [{card}], "edges": [] }}"#)).unwrap_err();
/// assert!(error.to_string().contains("description"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MoralGraph {
    /// The cards.
    pub cards: Vec<ValuesCard>,
    /// The edges.
    pub edges: Vec<Edge>,
    /// Fields that an imported document had beside these; an export gives them back.
    pub extra: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    values: Vec<Value>,
    edges: Vec<WireEdge>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// A card as the study wrote it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StudyCard {
    id: CardId,
    title: String,
    instructions_short: String,
    instructions_detailed: String,
    evaluation_criteria: Vec<AttentionPolicy>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// A card as the later programs write it.
#[derive(Serialize, Deserialize)]
struct LaterCard {
    id: CardId,
    title: String,
    description: String,
    policies: Vec<AttentionPolicy>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEdge {
    source_value_id: CardId,
    wiser_value_id: CardId,
    contexts: Vec<String>,
    counts: WireCounts,
    summary: WireSummary,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireCounts {
    marked_wiser: u32,
    marked_not_wiser: u32,
    marked_less_wise: u32,
    marked_unsure: u32,
    impressions: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSummary {
    wiser_likelihood: Number,
    entropy: Number,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl MoralGraph {
    /// Reads a published graph.
    ///
    /// [`ValuesError::Document`] for any other document; the errors of [`MoralGraph::check`]; [`ValuesError::Edge`] for
    /// a likelihood or entropy that contradicts its counts.
    pub fn from_json(text: &str) -> Result<Self, ValuesError> {
        let malformed = |e: serde_json::Error| ValuesError::Document { problem: e.to_string() };
        let document: Document = serde_json::from_str(text).map_err(malformed)?;
        let mut graph = Self { extra: document.extra, ..Self::default() };
        for (i, value) in document.values.into_iter().enumerate() {
            let card =
                read_card(value).map_err(|e| ValuesError::Document { problem: format!("value {}: {e}", i + 1) })?;
            graph.cards.push(card);
        }
        for (i, wire) in document.edges.into_iter().enumerate() {
            let (edge, summary) = wire.read();
            let place = format!("edge {} ({} to {})", i + 1, edge.from, edge.to);
            let computed = [
                ("wiserLikelihood", &summary[0], edge.counts.likelihood()),
                ("entropy", &summary[1], edge.counts.published_entropy()),
            ];
            for (name, given, computed) in computed {
                if !given.as_f64().is_some_and(|given| (given - computed).abs() <= ROUNDING) {
                    let problem = format!("{name} {given}, but its counts make it {computed}");
                    return Err(ValuesError::Edge { place, problem });
                }
            }
            graph.edges.push(edge);
        }
        graph.check()?;
        Ok(graph)
    }

    /// Writes it as published, indented by two spaces.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            values: self.cards.iter().map(write_card).collect(),
            edges: self.edges.iter().map(WireEdge::write).collect(),
            extra: self.extra.clone(),
        };
        serde_json::to_string_pretty(&document).expect("plain data becomes JSON")
    }

    /// Checks every card and edge, unique ids and pairs, and references.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), ValuesError> {
        self.cards.iter().try_for_each(ValuesCard::check)?;
        self.ballots().map(drop)
    }

    /// Its edges as votes that are known by their sums only.
    ///
    /// # Errors
    /// As [`Ballots::read`].
    pub fn ballots(&self) -> Result<Ballots, ValuesError> {
        Ballots::read(self.cards.iter().map(|card| &card.id), [], &self.edges)
    }
}

fn read_card(value: Value) -> serde_json::Result<ValuesCard> {
    if value.get("instructionsDetailed").is_some() {
        let StudyCard { id, title, instructions_short, instructions_detailed, evaluation_criteria, extra } =
            serde_json::from_value(value)?;
        let card = ValuesCard::new(id, &title, &instructions_short, evaluation_criteria);
        return Ok(ValuesCard { details: Some(instructions_detailed), extra, ..card });
    }
    let LaterCard { id, title, description, policies, extra } = serde_json::from_value(value)?;
    Ok(ValuesCard { extra, ..ValuesCard::new(id, &title, &description, policies) })
}

/// A card with details is one of the study's.
fn write_card(card: &ValuesCard) -> Value {
    let ValuesCard { id, title, description, details, policies, extra, .. } = card.clone();
    let written = match details {
        Some(instructions_detailed) => serde_json::to_value(StudyCard {
            id,
            title,
            instructions_short: description,
            instructions_detailed,
            evaluation_criteria: policies,
            extra,
        }),
        None => serde_json::to_value(LaterCard { id, title, description, policies, extra }),
    };
    written.expect("plain data becomes JSON")
}

impl WireEdge {
    fn read(self) -> (Edge, [Number; 2]) {
        let WireCounts { marked_wiser, marked_not_wiser, marked_less_wise, marked_unsure, impressions } = self.counts;
        let counts = Counts {
            wiser: marked_wiser,
            not_wiser: marked_not_wiser,
            less_wise: marked_less_wise,
            unsure: marked_unsure,
            impressions,
        };
        let edge = Edge {
            from: self.source_value_id,
            to: self.wiser_value_id,
            contexts: self.contexts,
            counts,
            extra: self.extra,
            summary: self.summary.extra,
        };
        (edge, [self.summary.wiser_likelihood, self.summary.entropy])
    }

    fn write(edge: &Edge) -> Self {
        let Counts { wiser, not_wiser, less_wise, unsure, impressions } = edge.counts;
        let Edge { extra, summary, .. } = edge.clone();
        Self {
            source_value_id: edge.from.clone(),
            wiser_value_id: edge.to.clone(),
            contexts: edge.contexts.clone(),
            counts: WireCounts {
                marked_wiser: wiser,
                marked_not_wiser: not_wiser,
                marked_less_wise: less_wise,
                marked_unsure: unsure,
                impressions,
            },
            summary: WireSummary {
                wiser_likelihood: number(edge.counts.likelihood()),
                entropy: number(edge.counts.published_entropy()),
                extra: summary,
            },
            extra,
        }
    }
}

/// A number as JavaScript writes it: whole ones without a point.
fn number(value: f64) -> Number {
    if value.fract() == 0.0 { Number::from(value as i64) } else { Number::from_f64(value).expect("it is finite") }
}
