//! A policy in one game: by state, and against every scripted player.

use probity::agent::{Scenario, Session};
use probity_engine::{ContextOptions, Model};
use probity_game::moral::Regrets;
use probity_game::{Player, Profile, Strategy};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::Candidate;
use super::evaluation::StateSweep;
use crate::Result;

/// A policy's figures in one game.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoundRobin {
    /// Probability of cooperating after each profile.
    ///
    /// In the order of [`probity_game::History::states`].
    pub cooperation: Vec<f64>,
    /// Mean points a round against each strategy, in the order of [`Strategy::all`].
    pub scores: Vec<f64>,
    /// Regrets as means over the states, against a fair coin (2410.01639, figure 4).
    #[serde(flatten)]
    pub regrets: Regrets,
    /// Legality mass, as the mean over the states.
    pub legality_mass: f64,
}

impl RoundRobin {
    /// Measures a policy, and plays `rounds` against each scripted player.
    ///
    /// The scenario's seed is the seed of every random stream. `progress` is called after each player.
    ///
    /// # Errors
    /// The errors of [`probity::agent::Agent::decide`]; [`probity::Error::Game`] for a player that cannot play the
    /// game.
    pub fn play(
        model: &Model,
        scenario: &Scenario,
        candidate: &Candidate<'_>,
        rounds: u32,
        mut progress: impl FnMut(),
    ) -> Result<Self> {
        let game = &scenario.game;
        let session = Session::new(model, ContextOptions::default())?;
        // It keeps its answers for the agents that follow.
        let considerate = candidate.agent(&session, scenario.clone())?;
        let StateSweep { states, regrets, legality_mass, .. } = StateSweep::of(&considerate)?;
        let cooperation = states.iter().map(|state| state.policy[game.cooperative(Player::Row)]).collect();
        let mut scores = Vec::new();
        for (stream, strategy) in Strategy::all().enumerate() {
            let mut agent = candidate.agent(&session, scenario.clone())?;
            let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed);
            rng.set_stream(1 + stream as u64);
            let mut points = 0.0;
            for _ in 0..rounds {
                let own = agent.decide()?.action;
                let other = strategy.play(game, agent.history().state(), &mut rng)?;
                points += game.payoff(own, other)[0];
                agent.observe(Profile { own, other })?;
            }
            scores.push(points / f64::from(rounds));
            progress();
        }
        Ok(Self { cooperation, scores, regrets, legality_mass })
    }
}
