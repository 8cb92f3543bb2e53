//! Errors of cards, votes and graphs.

/// Why a card, a vote or a graph was refused.
///
/// Each message names the place, the fault and the expected value.
///
/// ```
/// use probity_values::{ValuesCard, ValuesError};
///
/// let error = ValuesCard::new("1".into(), " ", "", Vec::new()).check().unwrap_err();
/// assert!(matches!(&error, ValuesError::Text { .. }));
/// assert!(error.to_string().starts_with("card 1: title"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValuesError {
    /// A text that is empty, too long or holds control characters.
    #[error("{place}: {problem}")]
    Text {
        /// Which text of what.
        place: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Two of a kind with one id.
    #[error("{what} {id}: two have this id, expected one")]
    Twice {
        /// What there are two of.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// A card merged into one that cannot take it.
    #[error("{place}: {problem}")]
    Merge {
        /// Which card.
        place: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Two deliberations that say different things about one thing.
    #[error("{place}: this id has other content already, expected equal content or a new id")]
    Contradiction {
        /// What they differ in.
        place: String,
    },
    /// A vote or an edge that names a card there is none of.
    #[error("{place}: card {id} does not exist")]
    NoCard {
        /// Which vote or edge.
        place: String,
        /// The id it names.
        id: String,
    },
    /// A context that nobody voted in.
    #[error("context {text:?}: nobody voted in it, expected one of the graph's contexts")]
    NoContext {
        /// The context asked for.
        text: String,
    },
    /// A vote or an edge from a card to itself.
    #[error("{place}: card {id} is on both sides, expected two cards")]
    Itself {
        /// Which vote or edge.
        place: String,
        /// The card.
        id: String,
    },
    /// An edge that is there twice, or whose counts cannot be.
    #[error("{place}: {problem}")]
    Edge {
        /// Which edge.
        place: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A setting of the robust ranking that cannot be.
    #[error("{name}: {given}, expected {expected}")]
    Setting {
        /// Which one.
        name: &'static str,
        /// The value given.
        given: String,
        /// What would be right.
        expected: String,
    },
    /// Text that is no document of the expected form.
    #[error("moral graph: {problem}")]
    Document {
        /// The parser's complaint.
        problem: String,
    },
}
