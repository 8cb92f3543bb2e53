//! Similarity of two cards among many.
//!
//! The plain cosine of two vectors misleads: cards on one subject are all near each other. So vectors are centred on
//! the mean of all cards, and a cosine is compared with the cosines of each card's nearest neighbours: cross-domain
//! similarity local scaling, `2 cos(a, b) - r(a) - r(b)` with `r` the mean cosine of the nearest four (Conneau et al.,
//! arXiv 1710.04087, section 2.3). Built-in cards join the given cards, so that even two cards have a mean and
//! neighbours.

use probity_values::ValuesCard;

use super::labelled::labelled_cards;
use crate::Result;
use crate::embed::{Embedder, cosine, normalise};

/// How many nearest neighbours are counted.
const NEIGHBOURS: usize = 4;

/// Cards, and how alike they are.
#[derive(Debug)]
pub(super) struct Likeness {
    /// Vectors of length 1, from the middle of all cards.
    vectors: Vec<Vec<f32>>,
    /// For each of them the mean cosine with its nearest neighbours.
    crowds: Vec<f64>,
}

impl Likeness {
    /// Of cards, among themselves and this library's own.
    pub(super) fn of_cards(cards: &[&ValuesCard], embedder: &mut dyn Embedder) -> Result<Self> {
        let own = cards.iter().map(|card| text(card));
        let others = labelled_cards().iter().map(|labelled| text(&labelled.card));
        let texts: Vec<String> = own.chain(others).collect();
        Ok(Self::new(embedder.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>())?))
    }

    /// Of this library's own cards among themselves.
    pub(super) fn of_labelled(embedder: &mut dyn Embedder) -> Result<Self> {
        Self::of_cards(&[], embedder)
    }

    fn new(mut vectors: Vec<Vec<f32>>) -> Self {
        let count = vectors.len() as f64;
        let mut middle = vec![0.0_f64; vectors.first().map_or(0, Vec::len)];
        for vector in &vectors {
            middle.iter_mut().zip(vector).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        for vector in &mut vectors {
            vector.iter_mut().zip(&middle).for_each(|(x, sum)| *x = (f64::from(*x) - sum / count) as f32);
            normalise(vector);
        }
        let crowd = |i: usize| {
            let others = (0..vectors.len()).filter(|&j| j != i);
            let mut cosines: Vec<f64> = others.map(|j| cosine(&vectors[i], &vectors[j])).collect();
            cosines.sort_by(|a, b| b.total_cmp(a));
            cosines.truncate(NEIGHBOURS);
            cosines.iter().sum::<f64>() / cosines.len().max(1) as f64
        };
        let crowds = (0..vectors.len()).map(crowd).collect();
        Self { vectors, crowds }
    }

    /// Similarity of two cards by index; -4 to 4, about 0 for neighbours.
    pub(super) fn between(&self, a: usize, b: usize) -> f64 {
        2.0 * cosine(&self.vectors[a], &self.vectors[b]) - self.crowds[a] - self.crowds[b]
    }
}

/// What of a card is embedded.
fn text(card: &ValuesCard) -> String {
    let policies: Vec<&str> = card.policies.iter().map(|policy| policy.as_str()).collect();
    format!("{}. {}\n{}", card.title, card.description, policies.join("\n"))
}
