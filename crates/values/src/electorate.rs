//! Simulated electorates with a known order of values, to test rankings.

use std::collections::HashSet;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Answer, Ballot, Ballots, CardId};

/// What an electorate is made of.
///
/// Voters are as willing to say yes, and cards as unevenly voted on, as in the study of arXiv 2404.10636
/// (recomputed from its data: 68% of the answers are yes).
///
/// ```
/// use probity_values::Electorate;
///
/// let electorate = Electorate { voters: 50, cards: 6, seed: 7, ..Electorate::default() };
/// let simulated = electorate.vote();
/// assert_eq!(simulated.truth.len(), 6);
/// assert_eq!(simulated.ballots.rows, electorate.vote().ballots.rows);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Electorate {
    /// Voters.
    pub voters: u32,
    /// Cards.
    pub cards: u32,
    /// Contexts.
    pub contexts: u32,
    /// Stories each voter is asked about.
    pub votes_each: u32,
    /// Stories there are for each card, on average.
    pub stories_a_card: u32,
    /// The share of stories from the truly less wise card to the wiser card.
    pub insight: f64,
    /// Standard deviation of the true scores, logits.
    pub spread: f64,
    /// Of a card's true score in a context about the one everywhere.
    pub context_spread: f64,
    /// How readily they say yes, logits.
    pub acquiescence: f64,
    /// Probability of not being sure.
    pub unsure: f64,
    /// Seed.
    pub seed: u64,
}

impl Default for Electorate {
    fn default() -> Self {
        Self {
            voters: 500,
            cards: 60,
            contexts: 8,
            votes_each: 5,
            stories_a_card: 4,
            insight: 0.7,
            spread: 1.0,
            context_spread: 0.4,
            acquiescence: 0.6,
            unsure: 0.1,
            seed: 1,
        }
    }
}

/// What an electorate voted, and what was true.
///
/// ```
/// use probity_values::{Electorate, Simulated};
///
/// let Simulated { ballots, .. } = Electorate { voters: 50, ..Electorate::default() }.vote();
/// assert_eq!(ballots.voters.len(), 50);
/// ```
#[derive(Debug, Clone)]
pub struct Simulated {
    /// Its votes.
    pub ballots: Ballots,
    /// The cards' true scores everywhere, logits.
    pub truth: Vec<f64>,
}

impl Simulated {
    /// Spearman's rank correlation of a ranking with the true order; -1 to 1.
    ///
    /// The ranking is that of [`crate::Method::rank`]. Cards without a rank come last.
    #[must_use]
    pub fn correlation(&self, ranking: &[(u32, f64)]) -> f64 {
        let mut scores = vec![f64::NEG_INFINITY; self.truth.len()];
        ranking.iter().for_each(|&(card, score)| scores[card as usize] = score);
        let ranks = |scores: &[f64]| {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|&i, &j| scores[i].total_cmp(&scores[j]));
            let mut ranks = vec![0.0; scores.len()];
            order.iter().enumerate().for_each(|(rank, &i)| ranks[i] = rank as f64);
            ranks
        };
        let n = self.truth.len() as f64;
        let square: f64 = ranks(&scores).iter().zip(ranks(&self.truth)).map(|(a, b)| (a - b).powi(2)).sum();
        1.0 - 6.0 * square / (n * (n * n - 1.0))
    }
}

impl Electorate {
    /// Asks every voter.
    ///
    /// # Panics
    /// With fewer than two cards, without a context, or with a probability outside of 0 to 1: a caller's mistake.
    #[must_use]
    pub fn vote(&self) -> Simulated {
        assert!(self.cards >= 2 && self.contexts >= 1, "two cards and a context at least");
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let rng = &mut rng;
        let truth: Vec<f64> = (0..self.cards).map(|_| self.spread * normal(rng)).collect();
        let here: Vec<Vec<f64>> =
            (0..self.contexts).map(|_| truth.iter().map(|s| s + self.context_spread * normal(rng)).collect()).collect();
        let mut stories: Vec<[u32; 3]> = (0..u64::from(self.cards) * u64::from(self.stories_a_card))
            .map(|_| {
                let context = rng.random_range(0..self.contexts);
                let a = rng.random_range(0..self.cards);
                let b = (a + rng.random_range(1..self.cards)) % self.cards;
                let scores = &here[context as usize];
                let rising = scores[a as usize] < scores[b as usize];
                if rising == rng.random_bool(self.insight) { [context, a, b] } else { [context, b, a] }
            })
            .collect();
        let mut told = HashSet::new();
        stories.retain(|story| told.insert(*story));
        let name = |what: &str, n: u32| (0..n).map(|i| format!("{what} {}", i + 1)).collect::<Vec<_>>();
        let cards = name("card", self.cards).iter().map(|id| CardId::from(id.as_str())).collect();
        let (contexts, voters) = (name("context", self.contexts), name("voter", self.voters));
        let mut ballots = Ballots { cards, contexts, voters, ..Ballots::default() };
        for voter in 0..self.voters {
            let mut asked: Vec<usize> = Vec::new();
            while asked.len() < (self.votes_each as usize).min(stories.len()) {
                // The square of a uniform number: early stories are shown far more often.
                let story = (rng.random::<f64>().powi(2) * stories.len() as f64) as usize;
                if asked.contains(&story) {
                    continue;
                }
                asked.push(story);
                let [context, from, to] = stories[story];
                let scores = &here[context as usize];
                let eta = scores[to as usize] - scores[from as usize] + self.acquiescence;
                let answer = if rng.random_bool(self.unsure) {
                    Answer::Unsure
                } else if rng.random::<f64>() < 1.0 / (1.0 + (-eta).exp()) {
                    Answer::Yes
                } else {
                    Answer::No
                };
                ballots.rows.push(Ballot { voter, from, to, context, answer });
            }
        }
        Simulated { ballots, truth }
    }
}

/// An approximate standard normal draw: the sum of twelve uniform draws.
fn normal(rng: &mut impl Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}
