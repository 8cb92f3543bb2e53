//! The agent: takes decisions, watches rounds, explains itself.

use std::collections::HashMap;
use std::sync::Arc;

use probity_engine::score::{PromptTokens, Scorer};
use probity_engine::{Adapter, CancelToken, Context, ContextOptions, Model, Token};
use probity_game::moral::account;
use probity_game::{History, Player, Profile, State, sample};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::decision::{Choice, Consideration, Decision};
use super::prompt::{PROMPT_VERSION, encode, options, prompt};
use super::record::{AdapterInForce, RECORD_VERSION, Record, prompt_hash};
use super::scenario::Scenario;
use crate::Result;

/// One player of one game, on one model.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// # use probity::game::Profile;
/// use probity::agent::{Agent, Scenario};
/// use probity::engine::ContextOptions;
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#)?;
/// let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
/// let decision = agent.decide()?;
/// agent.observe(Profile { own: decision.action, other: 0 })?;
/// assert_eq!(agent.history().rounds().len(), 1);
/// println!("{}", agent.explain().unwrap());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Agent {
    pub(super) scorer: Scorer,
    pub(super) scenario: Scenario,
    pub(super) history: History,
    pub(super) rng: ChaCha8Rng,
    pub(super) draws: u64,
    options: Vec<Vec<Token>>,
    /// Encoded prompts by state, never more than [`PROMPTS`].
    prompts: HashMap<State, Arc<PromptTokens>>,
    last: Option<Taken>,
}

/// Encoded prompts an agent keeps: more than the states of a 7 x 7 game.
const PROMPTS: usize = 64;

/// A decision and the data of its record, which is written on request.
#[derive(Debug)]
struct Taken {
    decision: Decision,
    prompt: Arc<PromptTokens>,
    /// Rounds played before it.
    rounds: usize,
    adapters: Vec<(Adapter, f32)>,
    draw: u64,
    u: f64,
}

impl Agent {
    /// A new agent with a context of its own.
    ///
    /// # Errors
    /// The errors of [`Scenario::check`]; [`probity_engine::Error::Llama`] if llama.cpp cannot make a context.
    pub fn new(model: &Model, scenario: Scenario, context: ContextOptions) -> Result<Self> {
        scenario.check()?;
        let options = options(model, &scenario.game)?;
        let mut history = History::default();
        for &round in &scenario.history {
            history.push(&scenario.game, round)?;
        }
        let scorer = Scorer::new(Context::new(model, context)?);
        let rng = ChaCha8Rng::seed_from_u64(scenario.seed);
        Ok(Self { scorer, scenario, history, rng, draws: 0, options, prompts: HashMap::new(), last: None })
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
    /// [`probity_engine::Error::AdapterMismatch`] for an adapter of another model, [`probity_engine::Error::Option`]
    /// for a scale that is NaN or infinite; the old set then stays.
    pub fn set_adapters(&mut self, adapters: &[(Adapter, f32)]) -> Result<()> {
        Ok(self.scorer.set_adapters(adapters)?)
    }

    /// Considers `state` without a decision: nothing is drawn or remembered.
    ///
    /// # Errors
    /// As [`Agent::decide`], and [`crate::Error::Game`] for a state outside the game.
    pub fn consider(&mut self, state: State) -> Result<Consideration> {
        if let Some(round) = state {
            self.scenario.game.check_profile(round)?;
        }
        let prompt = self.encoded(state)?;
        self.answer(state, &prompt)
    }

    /// Tokens of a state's prompt; the agent keeps the encoded prompt.
    ///
    /// # Errors
    /// As [`Agent::consider`], without the model's own.
    pub fn prompt_tokens(&mut self, state: State) -> Result<usize> {
        if let Some(round) = state {
            self.scenario.game.check_profile(round)?;
        }
        Ok(self.encoded(state)?.tokens.len())
    }

    fn encoded(&mut self, state: State) -> Result<Arc<PromptTokens>> {
        if let Some(prompt) = self.prompts.get(&state) {
            return Ok(Arc::clone(prompt));
        }
        let text = prompt(&self.scenario.game, state, self.scenario.style).after(&self.scenario.preamble);
        let prompt = Arc::new(encode(self.model(), &text)?);
        if self.prompts.len() == PROMPTS {
            self.prompts.clear();
        }
        self.prompts.insert(state, Arc::clone(&prompt));
        Ok(prompt)
    }

    fn answer(&mut self, state: State, prompt: &PromptTokens) -> Result<Consideration> {
        // A cancellation from before this decision does not concern it.
        self.scorer.cancel_token().clear();
        let game = &self.scenario.game;
        let scores = self.scorer.score(prompt, &self.options)?;
        let policy = &self.scenario.policy;
        let probabilities = policy.probabilities(game, state, &scores)?;
        let belief = policy.belief.distribution(game, state)?;
        let accounts = account(game, state, &belief, &policy.rewards)?;
        let labels = game.labels(Player::Row);
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
        Ok(Consideration { actions, legality_mass, state, belief })
    }

    /// Takes a decision in the current state and keeps its record.
    ///
    /// The history is unchanged until [`Agent::observe`] says what was really played.
    ///
    /// # Errors
    /// [`probity_engine::Error::PromptTooLong`], [`probity_engine::Error::Cancelled`],
    /// [`probity_engine::Error::Llama`]; the agent, its random stream included, is then unchanged.
    pub fn decide(&mut self) -> Result<Decision> {
        let (prompt, considered) = self.consider_now()?;
        let u = self.rng.random();
        let decision = self.take(prompt, considered, self.draws, u);
        self.draws += 1;
        Ok(decision)
    }

    fn consider_now(&mut self) -> Result<(Arc<PromptTokens>, Consideration)> {
        let state = self.history.state();
        let prompt = self.encoded(state)?;
        let considered = self.answer(state, &prompt)?;
        Ok((prompt, considered))
    }

    /// Takes a decision again with its recorded draw, for [`Record::retake`].
    pub(super) fn retake(&mut self, draw: u64, u: f64) -> Result<Option<Record>> {
        let (prompt, considered) = self.consider_now()?;
        self.take(prompt, considered, draw, u);
        Ok(self.record())
    }

    fn take(&mut self, prompt: Arc<PromptTokens>, considered: Consideration, number: u64, u: f64) -> Decision {
        let decision = Decision { action: sample(&considered.policy(), u), considered };
        self.last = Some(Taken {
            prompt,
            rounds: self.history.rounds().len(),
            adapters: self.scorer.context().adapters().to_vec(),
            draw: number,
            u,
            decision: decision.clone(),
        });
        decision
    }

    /// The record of the last decision, if there was one.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        let taken = self.last.as_ref()?;
        let mut scenario = self.scenario.clone();
        scenario.history = self.history.rounds()[..taken.rounds].to_vec();
        let in_force =
            |(a, scale): &(Adapter, f32)| AdapterInForce { fingerprint: a.fingerprint().into(), scale: *scale };
        Some(Record {
            version: RECORD_VERSION,
            library: env!("CARGO_PKG_VERSION").into(),
            prompt_version: PROMPT_VERSION,
            model: self.model().fingerprint().into(),
            adapters: taken.adapters.iter().map(in_force).collect(),
            scenario: scenario.to_document(),
            prompt: prompt_hash(&taken.prompt),
            draw: taken.draw,
            u: taken.u,
            decision: taken.decision.clone(),
        })
    }

    /// The last decision in words, a line an action.
    #[must_use]
    pub fn explain(&self) -> Option<String> {
        self.last.as_ref().map(|taken| taken.decision.explain(&self.scenario.game))
    }

    /// Tells the agent what was played: its own action and the other's.
    ///
    /// # Errors
    /// [`crate::Error::Game`] for an unknown action id; the history is then unchanged.
    pub fn observe(&mut self, round: Profile) -> Result<()> {
        Ok(self.history.push(&self.scenario.game, round)?)
    }
}
