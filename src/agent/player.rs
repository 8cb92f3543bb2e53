//! The agent: takes decisions, watches rounds, explains itself.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::decision::{Decision, Option as Choice};
use super::prompt::{PROMPT_VERSION, encode, options, prompt};
use super::record::{AdapterInForce, RECORD_VERSION, Record, prompt_hash};
use super::scenario::Scenario;
use crate::Result;
use crate::engine::score::Scorer;
use crate::engine::{Adapter, CancelToken, Context, ContextOptions, Model, Token};
use crate::game::{History, Profile, draw};
use crate::moral::account;

/// One player of one game, on one model.
#[derive(Debug)]
pub struct Agent {
    pub(super) scorer: Scorer,
    pub(super) scenario: Scenario,
    pub(super) history: History,
    pub(super) rng: ChaCha8Rng,
    pub(super) draws: u64,
    options: Vec<Vec<Token>>,
    last: Option<Record>,
}

impl Agent {
    /// A new agent with a context of its own.
    ///
    /// # Errors
    /// What [`Scenario::check`] finds, [`crate::Error::Engine`] when no context can be made.
    pub fn new(model: &Model, scenario: Scenario, context: ContextOptions) -> Result<Self> {
        scenario.check()?;
        let options = options(model, &scenario.game)?;
        let mut history = History::default();
        for &round in &scenario.history {
            history.push(&scenario.game, round)?;
        }
        let scorer = Scorer::new(Context::new(model, context)?);
        let rng = ChaCha8Rng::seed_from_u64(scenario.seed);
        Ok(Self { scorer, scenario, history, rng, draws: 0, options, last: None })
    }

    /// The model it runs on.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.scorer.context().model()
    }

    /// What it was told.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What was played so far.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The flag that stops a running decision, from any thread.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.scorer.cancel_token()
    }

    /// Replaces the whole set of adapters.
    ///
    /// # Errors
    /// [`crate::Error::AdapterMismatch`] for an adapter of another model, [`crate::Error::Option`] for a scale that is
    /// no number; the old set then stays.
    pub fn set_adapters(&mut self, adapters: &[(Adapter, f32)]) -> Result<()> {
        self.scorer.set_adapters(adapters)
    }

    /// The probabilities of the next decision in `state`, without taking it: nothing is drawn or remembered.
    ///
    /// # Errors
    /// As [`Agent::decide`].
    pub fn consider(&mut self, state: Option<Profile>) -> Result<Decision> {
        let game = &self.scenario.game;
        let tokens = encode(self.scorer.context().model(), &prompt(game, state, self.scenario.style))?;
        let scores = self.scorer.score(&tokens, &self.options)?;
        let policy = &self.scenario.policy;
        let probabilities = policy.probabilities(game, state, &scores)?;
        let belief = policy.belief.distribution(game, state)?;
        let accounts = account(game, state, &belief, &policy.rewards)?;
        let labels = game.labels(crate::game::Player::Row);
        let actions = accounts
            .into_iter()
            .zip(labels.iter().zip(probabilities.iter().zip(&scores)))
            .map(|(account, (label, (&probability, &log_prob)))| Choice {
                label: label.clone(),
                probability,
                log_prob,
                account,
            })
            .collect();
        let legality_mass = scores.iter().map(|s| s.exp()).sum();
        // The most probable action, ties to the smaller id; `decide` replaces it by its draw.
        let best = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let action = probabilities.iter().position(|&p| p == best).unwrap_or(0);
        Ok(Decision { action, actions, legality_mass, state, belief })
    }

    /// Takes a decision in the current state and keeps its record. The history is unchanged until
    /// [`Agent::observe`] says what was really played.
    ///
    /// # Errors
    /// [`crate::Error::PromptTooLong`], [`crate::Error::Cancelled`], [`crate::Error::Engine`]; the agent is then as it
    /// was before, its random stream included.
    pub fn decide(&mut self) -> Result<Decision> {
        let state = self.history.state();
        let mut decision = self.consider(state)?;
        let u: f64 = self.rng.random();
        decision.action = draw(&decision.policy(), u);
        self.last = Some(self.record_of(decision.clone(), u)?);
        self.draws += 1;
        Ok(decision)
    }

    fn record_of(&self, decision: Decision, u: f64) -> Result<Record> {
        let mut scenario = self.scenario.clone();
        scenario.history = self.history.rounds().to_vec();
        let text = prompt(&scenario.game, decision.state, scenario.style);
        let adapters = self.scorer.context().adapters().iter();
        Ok(Record {
            version: RECORD_VERSION,
            library: env!("CARGO_PKG_VERSION").into(),
            prompt_version: PROMPT_VERSION,
            model: self.model().fingerprint().into(),
            adapters: adapters
                .map(|(a, scale)| AdapterInForce { fingerprint: a.fingerprint().into(), scale: *scale })
                .collect(),
            scenario: serde_json::from_str(&scenario.to_json()).expect("a scenario is JSON"),
            prompt: prompt_hash(&encode(self.model(), &text)?),
            draw: self.draws,
            u,
            decision,
        })
    }

    /// The record of the last decision, if there was one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.last.as_ref()
    }

    /// The last decision in words, a line an action; empty before the first one.
    #[must_use]
    pub fn explain(&self) -> String {
        self.last.as_ref().map(|record| record.decision.explain(&self.scenario.game)).unwrap_or_default()
    }

    /// Tells the agent what was played: its own action and the other's.
    ///
    /// # Errors
    /// [`crate::Error::Game`] for an id that is no action; nothing changes then.
    pub fn observe(&mut self, round: Profile) -> Result<()> {
        Ok(self.history.push(&self.scenario.game, round)?)
    }
}
