//! The agent: takes decisions, watches rounds, explains itself.

use std::sync::Arc;

use probity_engine::{Adapter, AdapterSet, CancelToken, ContextOptions, Model};
use probity_game::{History, MatrixGame, Profile, State, sample};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::decision::{Consideration, Decision};
use super::prompt::PROMPT_VERSION;
use super::record::{AdapterInForce, RECORD_VERSION, Record, prompt_hash};
use super::role::{Answer, Role};
use super::scenario::Scenario;
use super::session::Session;
use crate::Result;

/// One player of one game, in a session.
///
/// It is state alone: what it was told, what was played, its random stream, and its adapters.
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
    session: Session,
    role: Arc<Role>,
    seed: u64,
    pub(super) history: History,
    pub(super) rng: ChaCha8Rng,
    pub(super) draws: u64,
    cancel: CancelToken,
    last: Option<Taken>,
}

/// A decision and the data of its record, which is written on request.
#[derive(Debug)]
struct Taken {
    action: usize,
    answer: Arc<Answer>,
    /// Rounds played before it.
    rounds: usize,
    adapters: AdapterSet,
    draw: u64,
    u: f64,
}

impl Taken {
    fn decision(&self) -> Decision {
        Decision { action: self.action, considered: Arc::clone(&self.answer.considered) }
    }
}

impl Agent {
    /// A new agent in a session of its own.
    ///
    /// # Errors
    /// As [`Session::new`] and [`Session::agent`].
    pub fn new(model: &Model, scenario: Scenario, context: ContextOptions) -> Result<Self> {
        scenario.check()?;
        Session::new(model, context)?.agent(scenario)
    }

    /// A new agent that does not count among the session's.
    pub(super) fn of(session: &Session, mut scenario: Scenario) -> Result<Self> {
        scenario.check()?;
        let mut history = History::default();
        for round in std::mem::take(&mut scenario.history) {
            history.push(&scenario.game, round)?;
        }
        let seed = std::mem::take(&mut scenario.seed);
        scenario.legality_floor.get_or_insert(session.options().legality_floor);
        let role = session.role(scenario)?;
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let (session, cancel) = (session.clone(), session.child_token());
        Ok(Self { session, role, seed, history, rng, draws: 0, cancel, last: None })
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The model it runs on.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.session.model()
    }

    /// The game it plays, as its row player.
    #[must_use]
    pub fn game(&self) -> &MatrixGame {
        &self.role.task.scenario.game
    }

    /// What it was told, with the rounds played so far.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        let mut scenario = self.told();
        scenario.history = self.history.rounds().to_vec();
        scenario
    }

    /// What it was told, without the rounds.
    pub(super) fn told(&self) -> Scenario {
        let mut scenario = self.role.task.scenario.clone();
        scenario.seed = self.seed;
        scenario
    }

    /// What was played so far.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The adapters in force, with their scales.
    #[must_use]
    pub fn adapters(&self) -> &[(Adapter, f32)] {
        self.role.adapters.adapters()
    }

    /// Stops its decision, from any thread.
    ///
    /// Where no decision runs, it stops the next.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Replaces the whole set of adapters.
    ///
    /// # Errors
    /// [`probity_engine::Error::AdapterMismatch`] for an adapter of another model, [`probity_engine::Error::Option`]
    /// for a scale that is NaN or infinite; the old set then stays.
    pub fn set_adapters(&mut self, adapters: &[(Adapter, f32)]) -> Result<()> {
        self.role = self.session.role_under(&self.role, adapters)?;
        Ok(())
    }

    /// Considers `state` without a decision: nothing is drawn or remembered.
    ///
    /// # Errors
    /// As [`Agent::decide`], and [`crate::Error::Game`] for a state outside the game.
    pub fn consider(&self, state: State) -> Result<Arc<Consideration>> {
        if let Some(round) = state {
            self.game().check_profile(round)?;
        }
        Ok(Arc::clone(&self.session.answer(&self.role, state, &self.cancel)?.considered))
    }

    /// Tokens of a state's prompt.
    ///
    /// # Errors
    /// As [`Agent::consider`], without the model's own.
    pub fn prompt_tokens(&self, state: State) -> Result<usize> {
        if let Some(round) = state {
            self.game().check_profile(round)?;
        }
        Ok(self.role.task.prompt(self.model(), state)?.tokens.len())
    }

    /// Takes a decision in the current state and keeps its record.
    ///
    /// The history is unchanged until [`Agent::observe`] says what was really played.
    ///
    /// # Errors
    /// [`probity_engine::Error::PromptTooLong`], [`probity_engine::Error::Cancelled`],
    /// [`probity_engine::Error::Llama`]; the agent, its random stream included, is then unchanged.
    pub fn decide(&mut self) -> Result<Decision> {
        let answer = self.session.answer(&self.role, self.history.state(), &self.cancel)?;
        let u = self.rng.random();
        let decision = self.take(answer, self.draws, u);
        self.draws += 1;
        Ok(decision)
    }

    /// Takes a decision again with its recorded draw, for [`Record::retake`].
    ///
    /// The model is asked again, even where another agent knows its answer.
    pub(super) fn retake(&mut self, draw: u64, u: f64) -> Result<Record> {
        let answer = self.session.answer_afresh(&self.role, self.history.state(), &self.cancel)?;
        self.take(answer, draw, u);
        Ok(self.record().expect("a decision leaves a record"))
    }

    fn take(&mut self, answer: Arc<Answer>, draw: u64, u: f64) -> Decision {
        let action = sample(&answer.policy, u);
        let (rounds, adapters) = (self.history.rounds().len(), self.role.adapters.clone());
        self.last.insert(Taken { action, answer, rounds, adapters, draw, u }).decision()
    }

    /// The last decision, if there was one.
    #[must_use]
    pub fn last_decision(&self) -> Option<Decision> {
        self.last.as_ref().map(Taken::decision)
    }

    /// The record of the last decision, if there was one.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        let taken = self.last.as_ref()?;
        let mut scenario = self.scenario();
        scenario.history.truncate(taken.rounds);
        let in_force =
            |(a, scale): &(Adapter, f32)| AdapterInForce { fingerprint: a.fingerprint().into(), scale: *scale };
        Some(Record {
            version: RECORD_VERSION,
            library: env!("CARGO_PKG_VERSION").into(),
            prompt_version: PROMPT_VERSION,
            model: self.model().fingerprint().into(),
            adapters: taken.adapters.adapters().iter().map(in_force).collect(),
            scenario: scenario.to_document(),
            prompt: prompt_hash(&taken.answer.prompt),
            draw: taken.draw,
            u: taken.u,
            decision: taken.decision(),
        })
    }

    /// The last decision in words, a line an action.
    #[must_use]
    pub fn explain(&self) -> Option<String> {
        self.last.as_ref().map(|taken| taken.decision().explain(self.game()))
    }

    /// Tells the agent what was played: its own action and the other's.
    ///
    /// # Errors
    /// [`crate::Error::Game`] for an unknown action id; the history is then unchanged.
    pub fn observe(&mut self, round: Profile) -> Result<()> {
        Ok(self.history.push(&self.role.task.scenario.game, round)?)
    }

    /// Forgets what was played; the random stream goes on.
    pub fn forget_history(&mut self) {
        self.history = History::default();
    }
}
