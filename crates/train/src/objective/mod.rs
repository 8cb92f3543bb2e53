//! The exact objective of moral fine-tuning.
//!
//! `J = sum_s d(s) [ sum_a pi(a|s) R(s,a) - beta KL(pi(.|s) || ref(.|s)) ] + lambda sum_s w(s) log L(s)`
//!
//! `pi` is the softmax of the scores `S(a)` over the legal actions (the runtime's policy at temperature 1), `ref` the
//! bare model's policy, and `L = sum_a exp S(a)` the legality mass. `d(s)` is the weight `w(s)` of the state, or, in
//! repeated play, the discounted share of the rounds that the policy itself spends there ([`repeated`]). Nothing is
//! sampled: states and actions are few, so value and gradient are sums. Without the last term the optimum is known, and
//! every report states the distance to it.

pub mod repeated;
mod rows;

pub use rows::{LogitRows, Read, ReadAny, reads_of};

use serde::{Deserialize, Serialize};

use self::repeated::Repeated;
use super::decoder::Pack;
use probity_engine::Token;
use probity_engine::score::Continuation;
pub use probity_engine::score::softmax;
use probity_game::argmax_set;

/// A decision of a batch: the rows of its scores, and its actions' worth.
#[derive(Debug, Clone)]
pub struct PackedState {
    /// For each legal action what adds up to its score.
    pub reads: Vec<Vec<ReadAny>>,
    /// Expected reward of each action.
    pub rewards: Vec<f64>,
    /// Weight of the state in the objective.
    pub weight: f64,
}

/// Decisions that belong together: the states of one game.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Its decisions; of repeated play in the order of [`probity_game::states`].
    pub decisions: Vec<PackedState>,
    /// How one round leads to the next, where that counts.
    pub repeated: Option<Repeated>,
}

/// What the gradient is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aim {
    /// The objective.
    #[default]
    Objective,
    /// The same optimum from its other side.
    ///
    /// The objective (of one round, without legality) falls short of its maximum by `beta KL(pi || optimum)`. That is
    /// flat where `pi` is nearly certain, so a policy that is certain of a wrong action stays so; and a small beta
    /// leaves it nothing beside the legality term. This aim is `-KL(optimum || pi)`, cross-entropy to the optimum.
    Optimum,
    /// The log-probability of the best actions, shared by ties.
    ///
    /// It is supervised learning on the optimal policy. Reports stay those of the objective.
    Labels,
}

/// Weights of the objective's terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectiveTerms {
    /// What the gradient is of.
    pub aim: Aim,
    /// Weight of the divergence from the reference, 0 or more.
    pub beta: f64,
    /// Weight of the logarithm of the legality mass, 0 or more.
    pub legality: f64,
}

/// The objective's parts over a batch, and the distance to the optimum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveParts {
    /// Sum of the weights.
    pub weight: f64,
    /// Expected reward.
    pub reward: f64,
    /// The largest expected reward any policy has.
    pub best: f64,
    /// Divergence from the reference, nats.
    pub kl: f64,
    /// Total variation distance to the closed-form optimum, 0 to 1.
    pub distance: f64,
    /// The same of the reference's policy: where a run that has learned nothing ends.
    #[serde(default)]
    pub reference_distance: f64,
    /// Probability of actions that are not among the best, 0 to 1.
    pub miss: f64,
    /// Total variation distance of free answers to the optimum, 0 to 1.
    ///
    /// An illegal answer is one answer more, which the optimum never gives.
    #[serde(default)]
    pub free_distance: f64,
    /// Mean legality mass.
    pub legality: f64,
    /// The objective.
    pub objective: f64,
    /// The bare model's objective.
    pub bare: f64,
}

impl ObjectiveParts {
    fn add(&mut self, o: &Self) {
        self.weight += o.weight;
        self.reward += o.reward;
        self.best += o.best;
        self.kl += o.kl;
        self.distance += o.distance;
        self.reference_distance += o.reference_distance;
        self.miss += o.miss;
        self.free_distance += o.free_distance;
        self.legality += o.legality;
        self.objective += o.objective;
        self.bare += o.bare;
    }

    /// Sums over decisions, added up in their order, as means over the weight.
    #[must_use]
    pub fn mean<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        all.into_iter().for_each(|p| sum.add(p));
        let w = sum.weight;
        Self {
            weight: w,
            reward: sum.reward / w,
            best: sum.best / w,
            kl: sum.kl / w,
            distance: sum.distance / w,
            reference_distance: sum.reference_distance / w,
            miss: sum.miss / w,
            free_distance: sum.free_distance / w,
            legality: sum.legality / w,
            objective: sum.objective / w,
            bare: sum.bare / w,
        }
    }
}

/// A decision to take.
#[derive(Debug, Clone)]
pub struct PromptedState {
    /// Tokens of its prompt.
    pub prompt: Vec<Token>,
    /// Expected reward of each option.
    pub rewards: Vec<f64>,
    /// Weight of the state in the objective.
    pub weight: f64,
}

/// Adds questions with equal options to a pack, as one trie.
///
/// It holds each prompt with each option; an option's last token is only predicted.
pub fn push(pack: &mut Pack, questions: Vec<PromptedState>, options: &[Continuation]) -> Vec<PackedState> {
    push_all(pack, vec![(questions, options.to_vec())]).pop().expect("a group for each")
}

/// Adds groups of questions, each with its options, to a pack as one trie.
pub fn push_all(pack: &mut Pack, groups: Vec<(Vec<PromptedState>, Vec<Continuation>)>) -> Vec<Vec<PackedState>> {
    let sequence = |q: &PromptedState, o: &Continuation| [&q.prompt, o.tokens()].concat();
    let each = |(questions, options): &(Vec<PromptedState>, Vec<Continuation>)| -> Vec<Vec<Token>> {
        questions.iter().flat_map(|q| options.iter().map(|o| sequence(q, o))).collect()
    };
    let nodes = pack.push(&groups.iter().flat_map(each).collect::<Vec<_>>());
    // An option's token is predicted at the token before it.
    let starts = groups
        .iter()
        .flat_map(|(qs, options)| qs.iter().flat_map(|q| std::iter::repeat_n(q.prompt.len() - 1, options.len())));
    let sources: Vec<&[u32]> = nodes.iter().zip(starts).map(|(nodes, start)| &nodes[start..]).collect();
    pack.request(sources.iter().copied().flatten().copied());
    let mut sources = sources.into_iter();
    // Later questions only append outputs, so rows stay what they are.
    let mut reads = |option: &Continuation| {
        let nodes = sources.next().expect("nodes for every sequence");
        reads_of(option, &nodes.iter().map(|&n| pack.output_row(n)).collect::<Vec<_>>())
    };
    let mut decide = |q: PromptedState, options: &[Continuation]| PackedState {
        reads: options.iter().map(&mut reads).collect(),
        rewards: q.rewards,
        weight: q.weight,
    };
    groups
        .into_iter()
        .map(|(questions, options)| questions.into_iter().map(|q| decide(q, &options)).collect())
        .collect()
}

/// Scores of a pack's decisions, a number an action.
#[must_use]
pub fn all_scores<'a>(
    decisions: impl IntoIterator<Item = &'a PackedState>,
    logits: &mut [f32],
    pack: &Pack,
) -> Vec<Vec<f64>> {
    let mut rows = LogitRows::new(pack, logits);
    decisions.into_iter().map(|d| d.reads.iter().map(|reads| rows.score(reads)).collect()).collect()
}

/// The optimum without the legality term: `ref exp(R / beta)`, normalised.
///
/// With a beta of 0 it is the limit: the reference among the best actions.
#[must_use]
pub fn optimum(reference: &[f64], rewards: &[f64], beta: f64) -> Vec<f64> {
    if beta == 0.0 {
        let best = argmax_set(rewards);
        let total: f64 = best.iter().map(|&action| reference[action]).sum();
        let share = |(action, p): (usize, &f64)| if best.contains(&action) { p / total } else { 0.0 };
        return reference.iter().enumerate().map(share).collect();
    }
    softmax(&reference.iter().zip(rewards).map(|(p, r)| p.ln() + r / beta).collect::<Vec<_>>())
}

/// What is said of a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Its part in the objective of all.
    pub parts: ObjectiveParts,
    /// The state's own value, whatever its share of the rounds.
    pub alone: ObjectiveParts,
}

/// The objective over a pack's groups, decision by decision.
///
/// The logits become the gradient of its negative, times `scale`. `references` holds the bare model's scores of each
/// decision.
///
/// If the states of a group of repeated play differ from its game's: a caller's mistake.
pub fn objective(
    groups: &[Group],
    references: &[Vec<f64>],
    terms: ObjectiveTerms,
    scale: f64,
    pack: &Pack,
    logits: &mut [f32],
) -> Vec<Judged> {
    let mut rows = LogitRows::new(pack, logits);
    let mut all = Vec::new();
    let mut references = references.iter();
    for group in groups {
        let bare: Vec<&Vec<f64>> = references.by_ref().take(group.decisions.len()).collect();
        let reference: Vec<Vec<f64>> = bare.iter().map(|scores| softmax(scores)).collect();
        let mut scores = |d: &PackedState| -> Vec<f64> { d.reads.iter().map(|reads| rows.score(reads)).collect() };
        let scores: Vec<Vec<f64>> = group.decisions.iter().map(&mut scores).collect();
        let policy: Vec<Vec<f64>> = scores.iter().map(|s| softmax(s)).collect();
        let stakes = match &group.repeated {
            None => group
                .decisions
                .iter()
                .zip(&reference)
                .map(|(d, r)| StateValue::of_one_round(d, r, terms.beta))
                .collect(),
            Some(play) => play.stakes(&group.decisions, &policy, &reference, terms.beta),
        };
        for (i, (d, stake)) in group.decisions.iter().zip(&stakes).enumerate() {
            let pi = &policy[i];
            let legal = log_mass(&scores[i]);
            let ratio: Vec<f64> = pi.iter().zip(&reference[i]).map(|(p, q)| (p / q).ln()).collect();
            let kl: f64 = pi.iter().zip(&ratio).map(|(p, l)| if *p > 0.0 { p * l } else { 0.0 }).sum();
            let mean = |of: &[f64]| -> f64 { pi.iter().zip(of).map(|(p, r)| p * r).sum() };
            let (reward, value) = (mean(&d.rewards), mean(&stake.values));
            let w = d.weight;
            let labels = stake.labels();
            let mass = legal.exp();
            let apart = |policy: &[f64]| -> f64 {
                0.5 * policy.iter().zip(&stake.optimum).map(|(p, q)| (p - q).abs()).sum::<f64>()
            };
            let missing = pi.iter().zip(&stake.optimum).map(|(p, q)| positive(q - mass * p));
            let parts = ObjectiveParts {
                weight: w,
                reward: stake.weight * reward,
                best: stake.best,
                kl: stake.weight * kl,
                distance: w * apart(pi),
                reference_distance: w * apart(&reference[i]),
                miss: w * pi.iter().zip(&labels).filter(|(_, l)| **l == 0.0).map(|(p, _)| p).sum::<f64>(),
                free_distance: w * missing.sum::<f64>(),
                legality: w * mass,
                objective: stake.weight * (reward - terms.beta * kl) + w * terms.legality * legal,
                bare: stake.bare + w * terms.legality * log_mass(bare[i]),
            };
            let alone = match stake.alone {
                None => parts,
                Some(returns) => ObjectiveParts {
                    reward: w * returns.reward,
                    best: w * returns.best,
                    kl: w * returns.divergence,
                    objective: w * (returns.reward - terms.beta * returns.divergence + terms.legality * legal),
                    bare: w * (returns.bare + terms.legality * log_mass(bare[i])),
                    ..parts
                },
            };
            all.push(Judged { parts, alone });
            for (a, reads) in d.reads.iter().enumerate() {
                let pull = match terms.aim {
                    // dJ/dS(a) = d pi(a) [Q(a) - beta ln(pi/ref)(a) - the mean of both over pi] + w lambda pi(a), as
                    // exp(S(a)) / L = pi(a).
                    Aim::Objective => {
                        let advantage = stake.values[a] - terms.beta * ratio[a] - (value - terms.beta * kl);
                        pi[a] * (stake.weight * advantage + w * terms.legality)
                    }
                    Aim::Optimum => w * (stake.optimum[a] - pi[a] + terms.legality * pi[a]),
                    Aim::Labels => w * labels[a],
                };
                rows.pull_score(reads, -scale * pull);
            }
        }
    }
    rows.into_gradient();
    all
}

/// The logarithm of the legality mass, which may itself underflow.
fn log_mass(scores: &[f64]) -> f64 {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + scores.iter().map(|s| (s - top).exp()).sum::<f64>().ln()
}

/// What a decision contributes to the objective, and what would be best.
#[derive(Debug, Clone)]
pub struct StateValue {
    /// Weight of the state under the policy itself.
    pub weight: f64,
    /// Each action's worth: its reward, plus later rewards in repeated play.
    pub values: Vec<f64>,
    /// The optimal policy, legality aside.
    pub optimum: Vec<f64>,
    /// What each action brings when the best follows.
    pub worth: Vec<f64>,
    /// The state's part in the largest expected reward any policy has, weighted.
    pub best: f64,
    /// The state's part in the bare model's expected reward, weighted.
    pub bare: f64,
    /// In repeated play, what play from this state on comes to.
    pub alone: Option<StateReturns>,
}

/// Discounted means a round of play that starts in a state.
#[derive(Debug, Clone, Copy)]
pub struct StateReturns {
    /// The policy's reward.
    pub reward: f64,
    /// The best policy's reward.
    pub best: f64,
    /// The bare model's reward.
    pub bare: f64,
    /// The policy's divergence from the bare model, nats.
    pub divergence: f64,
}

impl StateValue {
    fn of_one_round(d: &PackedState, reference: &[f64], beta: f64) -> Self {
        Self {
            weight: d.weight,
            values: d.rewards.clone(),
            optimum: optimum(reference, &d.rewards, beta),
            worth: d.rewards.clone(),
            best: d.weight * d.rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            bare: d.weight * reference.iter().zip(&d.rewards).map(|(p, r)| p * r).sum::<f64>(),
            alone: None,
        }
    }

    /// The best actions, each as likely as the others.
    fn labels(&self) -> Vec<f64> {
        let best = argmax_set(&self.worth);
        (0..self.worth.len()).map(|a| if best.contains(&a) { 1.0 / best.len() as f64 } else { 0.0 }).collect()
    }
}

/// The positive part; NaN stays NaN, where `f64::max` has 0.
fn positive(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}
