//! A session: what is dear, shared by any number of agents.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::ThreadId;
use std::time::Duration;

use parking_lot::Mutex;
use probity_engine::score::{Progress, Scorer};
use probity_engine::{Adapter, AdapterSet, CancelToken, Context, ContextOptions, Error as EngineError, Model, Plan};
use probity_game::State;

use super::role::{Answer, Role, Task};
use super::{Agent, Floor, Scenario};
use crate::Result;

/// How long an agent that waits for its turn does not look for a request to stop.
const WAIT: Duration = Duration::from_millis(5);

/// A model with a context: cache, buffers, threads and a limit of memory.
///
/// A session takes one decision at a time; agents of other threads wait, in no order. Agents are state alone: a
/// thousand of them share one session. Clones are handles to the same session.
///
/// ```
/// # use std::path::Path;
/// # use probity::engine::{Model, ModelOptions};
/// use probity::agent::{Scenario, Seeds, Session, SessionOptions};
///
/// # fn main() -> probity::Result<()> {
/// # let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let session = Session::new(&model, SessionOptions::default().with(|o| o.seeds = Seeds::Numbered))?;
/// let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#)?;
/// let mut village = Vec::new();
/// for _ in 0..100 {
///     village.push(session.agent(scenario.clone())?);
/// }
/// let mut share = 0;
/// for agent in &mut village {
///     share += usize::from(agent.decide()?.action == 0);
/// }
/// println!("{share} of 100 share");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    model: Model,
    options: SessionOptions,
    scorer: Mutex<Scorer>,
    /// The thread whose decision runs.
    decides: Mutex<Option<ThreadId>>,
    cancel: CancelToken,
    /// Agents made so far.
    agents: AtomicU64,
    roles: Mutex<Roles>,
}

/// How to make a session.
///
/// ```
/// use probity::agent::{Floor, SessionOptions};
///
/// let options = SessionOptions::default().with(|o| o.legality_floor = Floor::Off);
/// assert_eq!(options.context.threads, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionOptions {
    /// The context: its length, threads, and limit of memory.
    pub context: ContextOptions,
    /// The random streams of its agents.
    pub seeds: Seeds,
    /// The floor of scenarios that name none.
    pub legality_floor: Floor,
}

impl SessionOptions {
    /// Changes some options.
    ///
    /// `SessionOptions::default().with(|o| o.context.threads = 1)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl From<ContextOptions> for SessionOptions {
    fn from(context: ContextOptions) -> Self {
        Self { context, ..Self::default() }
    }
}

/// Which random stream a session gives an agent.
///
/// ```
/// use probity::agent::{Seeds, SessionOptions};
///
/// assert_eq!(SessionOptions::default().seeds, Seeds::Scenario);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Seeds {
    /// The stream of the scenario's seed: agents of one scenario draw the same numbers.
    #[default]
    Scenario,
    /// Of the scenario's seed, the stream of the agent's number in the session.
    ///
    /// The first agent has number 0, and the same stream as [`Seeds::Scenario`] gives.
    Numbered,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("model", &self.inner.model).finish_non_exhaustive()
    }
}

impl Session {
    /// A session on a model.
    ///
    /// # Errors
    /// [`EngineError::Option`] for a context longer than the model's training length, [`EngineError::Memory`] beyond
    /// the limit of memory, [`EngineError::Llama`] with llama.cpp's own reason.
    pub fn new(model: &Model, options: impl Into<SessionOptions>) -> Result<Self> {
        let options = options.into();
        options.legality_floor.check()?;
        let scorer = Scorer::new(Context::new(model, options.context)?);
        let cancel = scorer.cancel_token();
        let inner = Inner {
            model: model.clone(),
            options,
            scorer: Mutex::new(scorer),
            decides: Mutex::new(None),
            cancel,
            agents: AtomicU64::new(0),
            roles: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A new agent.
    ///
    /// The call never waits for a decision.
    ///
    /// # Errors
    /// The errors of [`Scenario::check`]; [`EngineError::Option`] for labels that the model has no tokens for.
    pub fn agent(&self, scenario: Scenario) -> Result<Agent> {
        let mut agent = Agent::of(self, scenario)?;
        let number = self.inner.agents.fetch_add(1, Ordering::Relaxed);
        if self.options().seeds == Seeds::Numbered {
            agent.rng.set_stream(number);
        }
        Ok(agent)
    }

    /// Restores an agent on the same model, with the same loaded adapters.
    ///
    /// # Errors
    /// [`crate::Error::Snapshot`] for damaged bytes, another model, or an adapter that is not among `adapters`.
    pub fn restore(&self, adapters: &[Adapter], bytes: &[u8]) -> Result<Agent> {
        Agent::restore_in(self, adapters, bytes)
    }

    /// The model it runs.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.inner.model
    }

    /// How it was made.
    #[must_use]
    pub fn options(&self) -> SessionOptions {
        self.inner.options
    }

    /// Stops a decision of any of its agents, from any thread.
    ///
    /// Where no decision runs, it stops the next.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.inner.cancel.clone()
    }

    /// Reports the share of a running decision, 0 to 1, on the thread that decides.
    ///
    /// A decision is stopped where `progress` returns `false`. It may use other sessions, and no agent of this one.
    ///
    /// # Errors
    /// [`crate::Error::Busy`] while a decision runs.
    pub fn set_progress(&self, progress: Option<Progress>) -> Result<()> {
        let mut scorer = self.inner.scorer.try_lock().ok_or(crate::Error::Busy { what: "session" })?;
        scorer.set_progress(progress);
        Ok(())
    }

    /// The memory of its model and of its context.
    ///
    /// # Errors
    /// [`EngineError::Llama`] with llama.cpp's own reason.
    pub fn plan(&self) -> Result<Plan> {
        Ok(self.inner.model.plan(self.inner.options.context)?)
    }

    /// The role of a scenario without adapters.
    ///
    /// Agents of equal scenarios get the same role.
    pub(super) fn role(&self, scenario: Scenario) -> Result<Arc<Role>> {
        let key = scenario.to_json();
        if let Some(role) = self.inner.roles.lock().find(&key, |role| role.adapters.adapters().is_empty()) {
            return Ok(role);
        }
        let task = match self.inner.roles.lock().find(&key, |_| true) {
            Some(role) => Arc::clone(&role.task),
            None => Arc::new(Task::new(self.model(), scenario)?),
        };
        Ok(self.inner.roles.lock().add(key, Role::new(self.model(), task, AdapterSet::default())?))
    }

    /// The role of the same scenario with other adapters.
    pub(super) fn role_under(&self, role: &Role, adapters: &[(Adapter, f32)]) -> Result<Arc<Role>> {
        let same = |set: &AdapterSet| {
            let of = |set: &[(Adapter, f32)]| -> Vec<(*const (), u32)> {
                set.iter().map(|(adapter, scale)| (adapter.id(), scale.to_bits())).collect()
            };
            of(set.adapters()) == of(adapters)
        };
        let key = role.task.scenario.to_json();
        let (known, made) = {
            let roles = self.inner.roles.lock();
            (roles.find(&key, |role| same(&role.adapters)), roles.adapters(same))
        };
        if let Some(role) = known {
            return Ok(role);
        }
        let adapters = match made {
            Some(adapters) => adapters,
            None => AdapterSet::new(self.model(), adapters)?,
        };
        Ok(self.inner.roles.lock().add(key, Role::new(self.model(), Arc::clone(&role.task), adapters)?))
    }

    /// The answer to a state in a role: known, or the model's.
    pub(super) fn answer(&self, role: &Role, state: State, cancel: &CancelToken) -> Result<Arc<Answer>> {
        if cancel.take_own() {
            return Err(cancelled());
        }
        if let Some(answer) = role.known(state) {
            // A request to the session is for the decision that runs; where none runs, it is for this one.
            let idle = || self.inner.scorer.try_lock().is_some();
            return if cancel.is_cancelled() && idle() && cancel.take() { Err(cancelled()) } else { Ok(answer) };
        }
        self.decide(cancel, |scorer| role.ask(scorer, state))
    }

    /// The model's answer, whether it is known or not.
    pub(super) fn answer_afresh(&self, role: &Role, state: State, cancel: &CancelToken) -> Result<Arc<Answer>> {
        self.decide(cancel, |scorer| role.ask_afresh(scorer, state))
    }

    /// Runs a decision once no other runs.
    fn decide<T>(&self, cancel: &CancelToken, work: impl FnOnce(&mut Scorer) -> Result<T>) -> Result<T> {
        let this = std::thread::current().id();
        if *self.inner.decides.lock() == Some(this) {
            // Its progress callback asks for another decision.
            return Err(crate::Error::Busy { what: "session" });
        }
        let mut scorer = loop {
            // A request to stop reaches an agent that waits, too. One to the session is for the decision that runs.
            let scorer = self.inner.scorer.try_lock_for(WAIT);
            if cancel.take_own() {
                return Err(cancelled());
            }
            if let Some(scorer) = scorer {
                break scorer;
            }
        };
        if cancel.take() {
            return Err(cancelled());
        }
        *self.inner.decides.lock() = Some(this);
        // Also where a panic ends the work.
        let _deciding = Deciding(&self.inner.decides);
        scorer.obey(cancel);
        let done = work(&mut scorer);
        if let Err(crate::Error::Engine(EngineError::Cancelled { .. })) = &done {
            cancel.take();
        }
        done
    }

    /// A token that stops one agent's decisions.
    pub(super) fn child_token(&self) -> CancelToken {
        self.inner.cancel.child()
    }
}

/// Marks the end of a decision.
struct Deciding<'a>(&'a Mutex<Option<ThreadId>>);

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

fn cancelled() -> crate::Error {
    EngineError::Cancelled { what: "decision" }.into()
}

/// The roles in use, by scenario.
#[derive(Default)]
struct Roles {
    by_scenario: HashMap<String, Vec<Weak<Role>>>,
    /// Scenarios after which unused roles are looked for.
    crowded: usize,
}

impl Roles {
    fn find(&self, scenario: &str, wanted: impl Fn(&Role) -> bool) -> Option<Arc<Role>> {
        self.by_scenario.get(scenario)?.iter().filter_map(Weak::upgrade).find(|role| wanted(role))
    }

    /// A set of adapters that some role has.
    fn adapters(&self, wanted: impl Fn(&AdapterSet) -> bool) -> Option<AdapterSet> {
        let roles = self.by_scenario.values().flatten().filter_map(Weak::upgrade);
        roles.map(|role| role.adapters.clone()).find(|set| wanted(set))
    }

    /// Takes a role in, and forgets those that no agent has.
    fn add(&mut self, scenario: String, role: Role) -> Arc<Role> {
        if self.by_scenario.len() >= self.crowded {
            self.by_scenario.retain(|_, roles| roles.iter().any(|role| role.strong_count() > 0));
            self.crowded = 2 * self.by_scenario.len().max(16);
        }
        let roles = self.by_scenario.entry(scenario).or_default();
        roles.retain(|role| role.strong_count() > 0);
        let role = Arc::new(role);
        roles.push(Arc::downgrade(&role));
        role
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_agent_waits_for_no_decision() {
        let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models/default.gguf"));
        let model = Model::open(path, probity_engine::ModelOptions::default(), |_| true).unwrap();
        let session = Session::new(&model, ContextOptions::default()).unwrap();
        let scenario = Scenario::from_json(r#"{ "game": "ipd", "labels": ["share", "keep"] }"#).unwrap();
        let agent = session.agent(scenario.clone()).unwrap();
        agent.consider(None).unwrap();
        // A decision runs as long as this lock is held.
        let _deciding = session.inner.scorer.lock();
        session.agent(scenario).unwrap();
        session.agent(Scenario::from_json(r#"{ "game": "ish", "labels": ["a", "b"] }"#).unwrap()).unwrap();
        // A known answer waits for none, either.
        agent.consider(None).unwrap();
    }
}
