//! Labelled cards and contexts, for the calibration of thresholds.

use std::sync::OnceLock;

use probity_values::{AttentionPolicy, CardId, ValuesCard};
use serde::Deserialize;

/// A card, and the name of what it says; cards of one name say the same.
#[derive(Debug)]
pub(super) struct LabelledCard {
    pub same: Option<String>,
    pub card: ValuesCard,
}

/// Contexts that are the same, and situations that they are about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelledContext {
    pub contexts: Vec<String>,
    pub situations: Vec<String>,
}

/// The cards.
pub(super) fn labelled_cards() -> &'static [LabelledCard] {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        same: Option<String>,
        title: String,
        description: String,
        policies: Vec<AttentionPolicy>,
    }
    static CARDS: OnceLock<Vec<LabelledCard>> = OnceLock::new();
    CARDS.get_or_init(|| {
        let written: Vec<Written> =
            serde_json::from_str(include_str!("labelled_cards.json")).expect("the file that was built in");
        let labelled = |(i, Written { same, title, description, policies }): (usize, Written)| {
            let id = CardId::from(format!("labelled-{i}").as_str());
            LabelledCard { same, card: ValuesCard::new(id, &title, &description, policies) }
        };
        written.into_iter().enumerate().map(labelled).collect()
    })
}

/// The contexts.
pub(super) fn labelled_contexts() -> &'static [LabelledContext] {
    static CONTEXTS: OnceLock<Vec<LabelledContext>> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        serde_json::from_str(include_str!("labelled_contexts.json")).expect("the file that was built in")
    })
}
