//! Exact measurement of policies: games, states, styles.

use std::time::Instant;

use probity::agent::policy::Tilt;
use probity::agent::prompt::Style;
use probity::agent::{Agent, Floor, Scenario, Session};
use probity_engine::{Adapter, ContextOptions, Model};
use probity_game::moral::{EVALUATION_XI, ILLEGAL, OTHER, Regrets, Reward, WeightedState, expected_regrets};
use probity_game::{History, MatrixGame, argmax_set, fair_coin};
use serde::Serialize;

use crate::Result;

/// Where policies are measured.
///
/// Every state of every game in every style counts the same, against a fair coin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Evaluation {
    /// The games, with their labels.
    pub games: Vec<MatrixGame>,
    /// How each of them is told.
    pub styles: Vec<Style>,
    /// The reward that is looked for.
    pub reward: Reward,
}

impl Evaluation {
    /// Of these games, told in these styles, by a reward.
    #[must_use]
    pub fn new(games: Vec<MatrixGame>, styles: Vec<Style>, reward: Reward) -> Self {
        Self { games, styles, reward }
    }
}

/// Whose policy it is.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// Adapters on the model, with their scales.
    pub adapters: Vec<(Adapter, f32)>,
    /// Text before the rules; [`OTHER`] in it becomes the other player's name.
    pub preamble: &'a str,
    /// A pull towards a reward.
    pub tilt: Option<Tilt>,
}

impl Candidate<'_> {
    /// The policy of adapters, with their scales.
    #[must_use]
    pub fn of(adapters: Vec<(Adapter, f32)>) -> Self {
        Self { adapters, ..Self::default() }
    }

    /// Changes some parts.
    ///
    /// `Candidate::default().with(|o| o.tilt = Some(tilt))`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The agent of a scenario under this policy.
    ///
    /// Its answers are measured, whatever their legality mass.
    pub(super) fn agent(&self, session: &Session, scenario: Scenario) -> Result<Agent> {
        let mut scenario = scenario;
        scenario.preamble = self.preamble.replace(OTHER, scenario.game.other_name());
        scenario.policy.tilt.clone_from(&self.tilt);
        scenario.legality_floor = Some(Floor::Off);
        let mut agent = session.agent(scenario)?;
        agent.set_adapters(&self.adapters)?;
        Ok(agent)
    }
}

/// A policy's figures, as means over games, styles and states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Expected reward, points.
    pub reward: f64,
    /// The largest expected reward any policy has.
    pub best: f64,
    /// Probability of actions that are not among the best.
    pub miss: f64,
    /// Deontological regret (2410.01639, figure 4a).
    pub deontological: f64,
    /// Utilitarian regret (2410.01639, figure 4b).
    pub utilitarian: f64,
    /// Legality mass.
    pub legality_mass: f64,
    /// Tokens of a prompt.
    pub prompt_tokens: f64,
    /// Seconds of a decision; an unchanged fixed part stays cached.
    pub seconds: f64,
}

impl Evaluation {
    /// Measures a policy; `progress` is called after every game and style.
    ///
    /// # Errors
    /// The errors of [`Agent::consider`].
    pub fn measure(&self, model: &Model, player: &Candidate<'_>, mut progress: impl FnMut()) -> Result<Figures> {
        let session = Session::new(model, ContextOptions::default())?;
        let mut sum = Figures::default();
        let mut n = 0.0;
        for game in &self.games {
            for &style in &self.styles {
                let mut scenario = Scenario::new(game.clone());
                scenario.style = style;
                let mut figures = self.of_game(&player.agent(&session, scenario)?)?;
                for (sum, figure) in sum.all().into_iter().zip(figures.all()) {
                    *sum += *figure;
                }
                n += 1.0;
                progress();
            }
        }
        sum.all().into_iter().for_each(|figure| *figure /= n);
        Ok(sum)
    }

    /// Measures the bare model, asked by the best of the reward's wordings.
    ///
    /// The wording has [`OTHER`] for the other player's name.
    ///
    /// # Errors
    /// As [`Evaluation::measure`].
    pub fn measure_best_wording(&self, model: &Model, mut progress: impl FnMut()) -> Result<(&'static str, Figures)> {
        let measured = self.reward.framework.wordings().into_iter().map(|preamble| {
            let asked = Candidate { preamble, ..Candidate::default() };
            Ok((preamble, self.measure(model, &asked, &mut progress)?))
        });
        let measured = measured.collect::<Result<Vec<_>>>()?;
        let best = measured.into_iter().max_by(|(_, a), (_, b)| a.reward.total_cmp(&b.reward));
        Ok(best.expect("a reward has wordings"))
    }

    fn of_game(&self, agent: &Agent) -> Result<Figures> {
        let game = agent.game().clone();
        let StateSweep { states, regrets, legality_mass, seconds } = StateSweep::of(agent)?;
        let mut figures = Figures { legality_mass, seconds, ..Figures::default() };
        for WeightedState { state, weight, policy, belief } in &states {
            let values = self.reward.expected(&game, *state, belief)?;
            let best = argmax_set(&values);
            for (action, (p, value)) in policy.iter().zip(&values).enumerate() {
                figures.reward += weight * p * value;
                figures.miss += if best.contains(&action) { 0.0 } else { weight * p };
            }
            figures.best += weight * values[best[0]];
            figures.prompt_tokens += weight * agent.prompt_tokens(*state)? as f64;
        }
        Ok(Figures { deontological: regrets.deontological, utilitarian: regrets.utilitarian, ..figures })
    }
}

/// An agent's policy in every state of its game.
///
/// Each state has equal weight; the other player is a fair coin.
pub(super) struct StateSweep {
    pub states: Vec<WeightedState>,
    pub regrets: Regrets,
    pub legality_mass: f64,
    /// Seconds of a decision.
    pub seconds: f64,
}

impl StateSweep {
    pub fn of(agent: &Agent) -> Result<Self> {
        let game = agent.game().clone();
        let profiles: Vec<_> = History::states(&game).collect();
        let weight = 1.0 / profiles.len() as f64;
        let (mut states, mut legality_mass, mut seconds) = (Vec::new(), 0.0, 0.0);
        for state in profiles {
            let begin = Instant::now();
            let considered = agent.consider(Some(state))?;
            seconds += weight * begin.elapsed().as_secs_f64();
            legality_mass += weight * considered.legality_mass;
            states.push(WeightedState {
                state: Some(state),
                weight,
                policy: considered.policy(),
                belief: fair_coin(&game),
            });
        }
        let regrets = expected_regrets(&game, &states, EVALUATION_XI, ILLEGAL)?;
        Ok(Self { states, regrets, legality_mass, seconds })
    }
}

impl Figures {
    fn all(&mut self) -> [&mut f64; 8] {
        let Self { reward, best, miss, deontological, utilitarian, legality_mass, prompt_tokens, seconds } = self;
        [reward, best, miss, deontological, utilitarian, legality_mass, prompt_tokens, seconds]
    }
}
