//! Accuracy on unseen labels and games.

use std::collections::BTreeMap;

use probity_engine::Model;

use super::lessons::{Tokenised, tokenise};
use crate::Result;
use crate::corpus::{self, Kind, Lesson, Mixture};
use crate::decoder::kernels::log_softmax;
use crate::decoder::{Decoder, Pack};
use crate::games::Reading;
use crate::labels::Split;
use crate::shards::Shards;

/// Accuracy by kind of question.
pub type Accuracy = BTreeMap<Kind, f64>;

/// The accuracy from which a kind of question counts as read.
///
/// It is measured on unseen labels and games.
pub const READ: f64 = 0.9;

/// The least questions of a kind that tell its accuracy.
const LEAST_QUESTIONS: f64 = 20.0;

/// The shares of right answers by the questions' names, as files have them.
pub type NamedAccuracy = BTreeMap<Reading, BTreeMap<String, f64>>;

/// Accuracies as files have them.
#[must_use]
pub fn named(accuracies: &BTreeMap<Reading, Accuracy>) -> NamedAccuracy {
    let names = |found: &Accuracy| found.iter().map(|(kind, share)| (kind.to_string(), *share)).collect();
    accuracies.iter().map(|(games, found)| (*games, names(found))).collect()
}

/// The kinds of games in which every one of some questions is answered.
#[must_use]
pub fn reads<'a>(accuracies: &NamedAccuracy, questions: impl IntoIterator<Item = &'a Kind> + Clone) -> Vec<Reading> {
    let read = |found: &BTreeMap<String, f64>| {
        questions.clone().into_iter().all(|kind| found.get(&kind.to_string()) >= Some(&READ))
    };
    accuracies.iter().filter(|(_, found)| read(found)).map(|(games, _)| *games).collect()
}

/// Who is examined, on unseen labels and games.
#[derive(Debug, Clone, Copy)]
pub struct Exam<'a> {
    /// The model opened for its tokenizer.
    pub vocabulary: &'a Model,
    /// The decoder.
    pub decoder: &'a Decoder,
    /// Its trained parameters.
    pub theta: &'a [f32],
    /// Seed of the lessons; those of training have another.
    pub seed: u64,
    /// Conversations in a lesson, of one question each.
    pub chains: usize,
    /// Lessons at a time.
    ///
    /// They are as many as training has shards, so that the exam needs no more memory.
    pub at_a_time: usize,
}

impl Exam<'_> {
    /// Accuracy on each kind of games.
    ///
    /// Kinds of questions that came up less than 20 times are left out.
    ///
    /// `each` hears a kind of games before it is measured.
    ///
    /// # Errors
    /// As [`Exam::accuracy`].
    pub fn reading(
        &self,
        shards: &mut Shards,
        lessons: u64,
        mut each: impl FnMut(Reading),
    ) -> Result<BTreeMap<Reading, Accuracy>> {
        let measured = |kind| {
            each(kind);
            let tally = self.tally(shards, lessons, Mixture::of(kind))?;
            Ok((kind, shares(tally.into_iter().filter(|(_, (_, of))| *of >= LEAST_QUESTIONS))))
        };
        Reading::all().map(measured).collect()
    }

    /// Accuracy by kind of question, without ties.
    ///
    /// For [`Kind::Decide`] it is the legality mass: the probability that the answer is exactly a label.
    ///
    /// # Errors
    /// [`probity_engine::Error::Template`]; [`probity_engine::Error::PromptTooLong`].
    pub fn accuracy(&self, shards: &mut Shards, lessons: u64, mixture: Mixture) -> Result<Accuracy> {
        Ok(shares(self.tally(shards, lessons, mixture)?))
    }

    /// Right answers, and questions, of each kind.
    fn tally(&self, shards: &mut Shards, lessons: u64, mixture: Mixture) -> Result<BTreeMap<Kind, (f64, f64)>> {
        let (width, seed) = (self.decoder.shape().n_vocab, self.seed ^ 0x7e57);
        let mut right: BTreeMap<Kind, (f64, f64)> = BTreeMap::new();
        let at_a_time = self.at_a_time as u64;
        for first in (0..lessons).step_by(self.at_a_time) {
            let lessons: Vec<Lesson> = (first..lessons.min(first + at_a_time))
                .map(|i| corpus::lesson(seed, i, Split::Test, [self.chains, 1], mixture))
                .collect();
            let mut packs = Vec::new();
            let mut paths = Vec::new();
            for lesson in &lessons {
                let all = tokenise(self.vocabulary, lesson)?;
                let mut pack = Pack::default();
                let nodes = pack.push(&all.iter().map(|t| t.sequence.clone()).collect::<Vec<_>>());
                pack.request(all.iter().zip(&nodes).flat_map(|(t, n)| n[t.answer - 1..t.end - 1].to_vec()));
                packs.push(pack);
                paths.push(all.into_iter().zip(nodes).collect::<Vec<_>>());
            }
            let judged = shards.forward(self.decoder, self.theta, &packs.iter().collect::<Vec<_>>(), |i, tape| {
                let logits = &mut tape.logits;
                logits.chunks_exact_mut(width).for_each(log_softmax);
                let judge = |(t, nodes): &(Tokenised, Vec<u32>)| {
                    let (mut log_p, mut greedy) = (0.0, true);
                    for at in t.answer..t.end {
                        let row = packs[i].output_row(nodes[at - 1]) * width;
                        let row = &logits[row..row + width];
                        let p = row[t.sequence[at] as usize];
                        log_p += f64::from(p);
                        greedy &= row.iter().all(|&other| other <= p);
                    }
                    (t.chain, log_p.exp(), greedy)
                };
                paths[i].iter().map(judge).collect::<Vec<_>>()
            });
            for (lesson, judged) in lessons.iter().zip(judged) {
                for (q, p, greedy) in judged {
                    let question = &lesson.chains[q][0];
                    if question.kind == Kind::Decide {
                        let (mass, of) = right.entry(Kind::Decide).or_default();
                        *mass += p;
                        *of += 1.0 / question.answers.len() as f64;
                    } else if question.answers.len() == 1 {
                        let (ok, of) = right.entry(question.kind).or_default();
                        *ok += f64::from(u8::from(greedy));
                        *of += 1.0;
                    }
                }
            }
        }
        Ok(right)
    }
}

/// The shares of right answers among some questions.
fn shares(tally: impl IntoIterator<Item = (Kind, (f64, f64))>) -> Accuracy {
    tally.into_iter().map(|(kind, (ok, of))| (kind, ok / of)).collect()
}

#[cfg(test)]
mod tests {
    use probity_game::moral::{Framework, Mixture};
    use probity_game::{Reach, Wording};

    use super::*;

    #[test]
    fn a_policy_reads_what_its_reward_asks() {
        let asked = |framework| Kind::needed_by(&Mixture::from(Framework::find(framework).unwrap()));
        let [digits, numbers] = [Reach::Digits, Reach::Numbers].map(|reach| Reading { reach, wording: Wording::Ascii });
        // The last round and the norm everywhere, payoffs up to 9 but for one's own sum.
        let exam = |own: f64, both: f64| {
            let sums = [(Kind::MoreOwn, own), (Kind::MoreOther, both), (Kind::MoreBoth, both)];
            Accuracy::from_iter(sums.into_iter().chain([Kind::Recall, Kind::Norm, Kind::Kept].map(|kind| (kind, 1.0))))
        };
        let found = named(&BTreeMap::from([(digits, exam(0.86, READ)), (numbers, exam(0.7, 0.8))]));
        let read = |framework| reads(&found, &asked(framework));
        assert_eq!(read("deontological"), [digits, numbers]);
        assert_eq!(read("utilitarian"), [digits]);
        for framework in ["game", "game-deontological", "virtue-kindness"] {
            assert!(read(framework).is_empty(), "{framework}");
        }
        assert!(reads(&named(&BTreeMap::from([(digits, Accuracy::new())])), &asked("game")).is_empty());
    }
}
