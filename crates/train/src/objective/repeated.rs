//! The objective of repeated play, exactly.
//!
//! Against a memory-one player, the states are a Markov chain, and the discounted return of a policy is a linear system
//! ([`probity_game::play`]). Its gradient is the policy gradient theorem without an expectation (Sutton et al. 2000): a
//! state counts in proportion to its visits, an action by its reward now and from then on.
//!
//! The divergence from the bare model is part of a round's reward, so that the optimum is the fixed point of `pi ~ ref
//! exp(Q / beta)`, which soft policy iteration finds (Haarnoja et al. 2018).

use probity_game::MatrixGame;
use probity_game::play::{Chain, Policy};

use super::{PackedState, StateReturns, StateValue, optimum};

/// How one round leads to the next.
#[derive(Debug, Clone)]
pub struct Repeated {
    /// The game.
    pub game: MatrixGame,
    /// The other player's policy, over the learner's states.
    pub other: Policy,
    /// Weight of a round beside the one before it, at least 0 and below 1.
    pub discount: f64,
    /// Where play starts: a distribution over the states.
    pub start: Vec<f64>,
}

impl Repeated {
    /// What each state contributes under a policy.
    ///
    /// # Panics
    /// For a number of decisions other than the game's number of states: a caller's mistake.
    #[must_use]
    pub fn stakes(
        &self,
        decisions: &[PackedState],
        policy: &[Vec<f64>],
        reference: &[Vec<f64>],
        beta: f64,
    ) -> Vec<StateValue> {
        let (visits, values) = self.returns(decisions, policy, reference, beta);
        let chain = |policy: &[Vec<f64>]| {
            Chain::new(&self.game, policy, &self.other, self.discount).expect("a decision for every state")
        };
        let mean = |policy: &[f64], d: &PackedState| policy.iter().zip(&d.rewards).map(|(p, r)| p * r).sum::<f64>();
        let means = |policy: &[Vec<f64>]| -> Vec<f64> {
            policy.iter().zip(decisions).map(|(policy, d)| mean(policy, d)).collect()
        };
        let (played, bare) = (chain(policy), chain(reference));
        let (reward, bare_reward) = (played.values(&means(policy)), bare.values(&means(reference)));
        let divergences: Vec<f64> = policy.iter().zip(reference).map(|(pi, bare)| divergence(pi, bare)).collect();
        let divergence = played.values(&divergences);
        let (best, worth) = self.best(decisions);
        let optimal = self.optimum(decisions, reference, beta);
        let bare_visits = bare.visits(&self.start);
        let each = visits.into_iter().zip(values).zip(optimal).zip(worth).enumerate();
        let stake = |(i, (((weight, values), optimum), worth)): (usize, _)| {
            let bare = bare_visits[i] * mean(&reference[i], &decisions[i]);
            let alone =
                StateReturns { reward: reward[i], best: best[i], bare: bare_reward[i], divergence: divergence[i] };
            StateValue { weight, values, optimum, worth, best: best[i] * self.start[i], bare, alone: Some(alone) }
        };
        each.map(stake).collect()
    }

    /// Discounted visits, and actions' worth less the later divergence.
    fn returns(
        &self,
        decisions: &[PackedState],
        policy: &[Vec<f64>],
        reference: &[Vec<f64>],
        beta: f64,
    ) -> (Vec<f64>, Policy) {
        let chain = Chain::new(&self.game, policy, &self.other, self.discount).expect("a decision for every state");
        let soft = |((pi, bare), d): ((&Vec<f64>, &Vec<f64>), &PackedState)| -> f64 {
            pi.iter().zip(&d.rewards).map(|(p, r)| p * r).sum::<f64>() - beta * divergence(pi, bare)
        };
        let rounds: Vec<f64> = policy.iter().zip(reference).zip(decisions).map(soft).collect();
        let values = self.ahead(decisions, &chain.values(&rounds));
        (chain.visits(&self.start), values)
    }

    /// Every action's worth, given the states' values a round ([`Chain::values`]).
    fn ahead(&self, decisions: &[PackedState], worth: &[f64]) -> Policy {
        let later = self.discount / (1.0 - self.discount);
        let columns = self.other[0].len();
        let value = |(d, other): (&PackedState, &Vec<f64>)| {
            let from = |(a, r): (usize, &f64)| {
                let next = other.iter().zip(&worth[1 + a * columns..]).map(|(q, v)| q * v).sum::<f64>();
                r + later * next
            };
            d.rewards.iter().enumerate().map(from).collect()
        };
        decisions.iter().zip(&self.other).map(value).collect()
    }

    /// The optimal policy: improved until nothing changes.
    fn optimum(&self, decisions: &[PackedState], reference: &[Vec<f64>], beta: f64) -> Policy {
        let mut policy = reference.to_vec();
        for _ in 0..1000 {
            let (_, values) = self.returns(decisions, &policy, reference, beta);
            let better: Policy = reference.iter().zip(&values).map(|(r, q)| optimum(r, q, beta)).collect();
            let change = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum::<f64>();
            let moved: f64 = policy.iter().zip(&better).map(change).sum();
            policy = better;
            if moved < 1e-12 {
                break;
            }
        }
        policy
    }

    /// Optimal values of states and actions, by policy iteration (Howard 1960).
    fn best(&self, decisions: &[PackedState]) -> (Vec<f64>, Policy) {
        let n = decisions[0].rewards.len();
        let mut choice = vec![0; decisions.len()];
        // Every iteration improves the policy, so few are needed; rounding alone could repeat them for ever.
        let mut rounds_left = 1000;
        loop {
            rounds_left -= 1;
            let policy: Policy =
                choice.iter().map(|&a| (0..n).map(|i| f64::from(u8::from(i == a))).collect()).collect();
            let chain =
                Chain::new(&self.game, &policy, &self.other, self.discount).expect("a decision for every state");
            let rounds: Vec<f64> = choice.iter().zip(decisions).map(|(&a, d)| d.rewards[a]).collect();
            let values = chain.values(&rounds);
            let ahead = self.ahead(decisions, &values);
            let mut settled = true;
            for (a, q) in choice.iter_mut().zip(&ahead) {
                let top = (0..n).max_by(|&x, &y| q[x].total_cmp(&q[y])).expect("at least two actions");
                // Strict improvements only: equal values would alternate.
                if q[top] > q[*a] + 1e-12 * q[top].abs().max(1.0) {
                    *a = top;
                    settled = false;
                }
            }
            if settled || rounds_left == 0 {
                return (values, ahead);
            }
        }
    }
}

/// `KL(policy || bare)`, nats.
fn divergence(policy: &[f64], bare: &[f64]) -> f64 {
    policy.iter().zip(bare).map(|(p, q)| if *p > 0.0 { p * (p / q).ln() } else { 0.0 }).sum()
}
