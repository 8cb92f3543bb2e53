//! Sums of the votes on one upgrade.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::card::check_extra;
use super::{CardId, ValuesError};

/// Most votes on one pair.
pub(super) const MAX_VOTES: u32 = 1_000_000_000;

/// Votes on one ordered pair of cards, counted as published.
///
/// A vote on the reversed pair is an impression here. If it was a yes, it also counts against this pair.
///
/// ```
/// use probity_values::Counts;
///
/// let counts = Counts { wiser: 9, not_wiser: 1, ..Counts::default() };
/// assert_eq!(counts.likelihood(), 0.9);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Votes that the second card is wiser.
    pub wiser: u32,
    /// Votes that it is not.
    pub not_wiser: u32,
    /// Votes that the first card is the wiser one, given on the reversed pair.
    pub less_wise: u32,
    /// Votes that are not sure.
    pub unsure: u32,
    /// Votes on the pair in either order, whatever the answer.
    pub impressions: u32,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let sum = |a: &mut u32, b: u32| *a = a.saturating_add(b);
        sum(&mut self.wiser, other.wiser);
        sum(&mut self.not_wiser, other.not_wiser);
        sum(&mut self.less_wise, other.less_wise);
        sum(&mut self.unsure, other.unsure);
        sum(&mut self.impressions, other.impressions);
    }
}

impl Counts {
    /// `L = (w - l) / (w + n + u + l)`, from -1 to 1; 0 where there is no vote.
    ///
    /// Yes against a reversed yes: a no and a not sure lower it equally.
    #[must_use]
    pub fn likelihood(&self) -> f64 {
        match self.answers() {
            0.0 => 0.0,
            all => (f64::from(self.wiser) - f64::from(self.less_wise)) / all,
        }
    }

    /// The published entropy, bits, from 0 to log2 5.
    ///
    /// It is taken over the four answers *and the impressions*. Without votes on the reversed pair the impressions are
    /// the sum of the answers, and the entropy is 1 plus half of [`Counts::entropy`]. This is likely a slip of the
    /// published code, but its threshold was chosen with it.
    #[must_use]
    pub fn published_entropy(&self) -> f64 {
        entropy(&[self.wiser, self.not_wiser, self.less_wise, self.unsure, self.impressions])
    }

    /// Entropy of the four answers, bits, from 0 to 2.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        entropy(&[self.wiser, self.not_wiser, self.less_wise, self.unsure])
    }

    fn answers(&self) -> f64 {
        [self.wiser, self.not_wiser, self.less_wise, self.unsure].map(f64::from).iter().sum()
    }
}

/// `-sum p log2 p`; 0 for nothing.
fn entropy(counts: &[u32]) -> f64 {
    let all: f64 = counts.iter().copied().map(f64::from).sum();
    // The sum starts from 0, not from -0.
    counts.iter().filter(|&&c| c > 0).map(|&c| f64::from(c) / all).fold(0.0, |sum, p| sum - p * p.log2())
}

/// An upgrade from one value to a wiser one, with its contexts pooled.
///
/// ```
/// use probity_values::compat::Thresholds;
/// use probity_values::Deliberation;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// let published = deliberation.published(Thresholds::default())?;
/// assert_eq!(published.edges[0].counts.wiser, 8);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The value that was left.
    pub from: CardId,
    /// The wiser one.
    pub to: CardId,
    /// Where.
    pub contexts: Vec<String>,
    /// What the votes add up to.
    pub counts: Counts,
    /// Fields that an imported edge had beside these; an export gives them back.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Fields that it had in its summary.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub summary: Map<String, Value>,
}

/// The fields of a published edge.
const PUBLISHED: [&str; 5] = ["sourceValueId", "wiserValueId", "contexts", "counts", "summary"];

impl Edge {
    /// Checks that it is between two cards and that its counts can be.
    pub(super) fn check(&self, place: impl Fn() -> String) -> Result<(), ValuesError> {
        if self.from == self.to {
            return Err(ValuesError::Itself { place: place(), id: self.from.to_string() });
        }
        let Counts { wiser, not_wiser, less_wise, unsure, impressions } = self.counts;
        let answers = [wiser, not_wiser, less_wise, unsure].map(u64::from).iter().sum::<u64>();
        if impressions > MAX_VOTES {
            let problem = format!("{impressions} impressions, expected at most {MAX_VOTES}");
            return Err(ValuesError::Edge { place: place(), problem });
        }
        if answers > impressions.into() {
            let problem =
                format!("{answers} answers in {impressions} impressions, expected no more answers than these");
            return Err(ValuesError::Edge { place: place(), problem });
        }
        let place_of = |what: &str| format!("{}: {what}", place());
        check_extra(|| place_of("extra"), &self.extra, &PUBLISHED)?;
        check_extra(|| place_of("summary"), &self.summary, &["wiserLikelihood", "entropy"])?;
        self.contexts.iter().try_for_each(|c| super::card::check_text(|| format!("{}: context", place()), c))
    }
}
