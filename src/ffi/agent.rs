//! Agents: used by one thread at a time; a second one gets `PROBITY_STATUS_BUSY`.

use std::ffi::c_char;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use probity_engine::{CancelToken, ContextOptions};
use probity_game::{Player, Profile};

use super::adapter::{adapters_of, probity_adapter_t};
use super::boundary::{Array, Failure, Give, Outcome, call, call_for, require, slice};
use super::game::{probity_game_t, probity_round_t};
use super::handle::object;
use super::model::probity_model_t;
use super::session::probity_session_t;
use super::status::{probity_error_t, probity_status_t};
use super::strings::{json, text};
use crate::agent::{Agent, Consideration, Scenario};
use crate::{Error, Status};

/// An agent. Used by one thread at a time: a second one gets `PROBITY_STATUS_BUSY`.
///
/// `probity_agent_cancel` alone may be called from any thread at any time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_agent_t {
    /// Opaque.
    pub id: u64,
}

object!(Shared, probity_agent_t, "agent");

/// An agent behind the lock that keeps it to one thread.
pub(super) struct Shared {
    agent: Mutex<Agent>,
    /// Set where a panic left the agent half-changed.
    broken: AtomicBool,
    /// Beside the lock: cancelling must work while a decision holds it.
    cancel: CancelToken,
}

impl Shared {
    pub fn new(agent: Agent) -> Self {
        Self { cancel: agent.cancel_token(), agent: Mutex::new(agent), broken: AtomicBool::new(false) }
    }

    pub fn lock(&self) -> Outcome<Held<'_>> {
        let agent = self.agent.try_lock().ok_or(Error::Busy { what: "agent" })?;
        if self.broken.load(Ordering::Relaxed) {
            let message = "agent: a defect stopped an earlier call; free it and make another";
            return Err(Failure::new(Status::PANIC, message));
        }
        Ok(Held { agent, broken: &self.broken })
    }
}

/// An agent that this thread holds.
pub(super) struct Held<'a> {
    agent: MutexGuard<'a, Agent>,
    broken: &'a AtomicBool,
}

impl Deref for Held<'_> {
    type Target = Agent;
    fn deref(&self) -> &Agent {
        &self.agent
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// Makes an agent.
///
/// - `model`: a live model, which other threads may be using.
/// - `scenario`: JSON (`docs/schema/scenario.json`), such as `{"game": "ipd", "labels": ["share", "keep"], "seed": 7}`;
///   read during the call; not NULL.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_new(
    model: probity_model_t,
    scenario: *const c_char,
    agent: *mut probity_agent_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let scenario = Scenario::from_json(unsafe { text(scenario, "scenario")? })?;
        Ok(Shared::new(Agent::new(&*model.get()?, scenario, ContextOptions::default())?))
    };
    // SAFETY: the contract.
    unsafe { call_for(agent, "agent", error, body) }
}

/// Makes an agent in a session, which it shares with the session's other agents.
///
/// The call never waits for a decision.
///
/// - `session`: a live session, which other threads may be using.
/// - `scenario`: JSON, as in `probity_agent_new`; read during the call; not NULL.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_join(
    session: probity_session_t,
    scenario: *const c_char,
    agent: *mut probity_agent_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let scenario = Scenario::from_json(unsafe { text(scenario, "scenario")? })?;
        Ok(Shared::new(session.get()?.agent(scenario)?))
    };
    // SAFETY: the contract.
    unsafe { call_for(agent, "agent", error, body) }
}

/// Makes an agent in a session, for a game.
///
/// Its scenario has the game, the seed, and defaults for the rest.
///
/// - `session`: a live session, which other threads may be using.
/// - `game`: a live game, whose row player the agent is.
/// - `seed`: the seed of the agent's random stream.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_play(
    session: probity_session_t,
    game: probity_game_t,
    seed: u64,
    agent: *mut probity_agent_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let mut scenario = Scenario::new((*game.get()?).clone());
        scenario.seed = seed;
        Ok(Shared::new(session.get()?.agent(scenario)?))
    };
    // SAFETY: the contract.
    unsafe { call_for(agent, "agent", error, body) }
}

/// Replaces the agent's whole set of adapters.
///
/// What was computed under the old set is forgotten. On failure the old set stays.
///
/// - `agent`: a live agent that no other thread is using.
/// - `adapters`: `count` live adapters, which the agent keeps as long as they are set; read during the call; NULL, with
///   a count of 0, for none.
/// - `scales`: `count` numbers, read during the call; NULL for 1 each.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_set_adapters(
    agent: probity_agent_t,
    adapters: *const probity_adapter_t,
    scales: *const f32,
    count: usize,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let shared = agent.get()?;
        // SAFETY: the contract.
        let set = unsafe { adapters_of(adapters, count)? };
        let scales = if scales.is_null() {
            vec![1.0; count]
        } else {
            // SAFETY: the contract.
            unsafe { slice(scales, count, "scales")? }.to_vec()
        };
        Ok(shared.lock()?.set_adapters(&set.into_iter().zip(scales).collect::<Vec<_>>())?)
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// How many actions the agent has.
///
/// - `agent`: a live agent that no other thread is using.
/// - `count`: receives the number; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_action_count(
    agent: probity_agent_t,
    count: *mut usize,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(count, "count", error, || Ok(Number(agent.get()?.lock()?.game().count(Player::Row)))) }
}

/// An error for an answer that is not reliable, which has been written by then.
fn reliable(considered: &Consideration, what: &str) -> Outcome<()> {
    let Some(unreliable) = &considered.unreliable else { return Ok(()) };
    let mass = considered.legality_mass;
    Err(Failure::new(Status::UNRELIABLE, format!("{what}: legality mass {mass:.4}, {unreliable}")))
}

/// Takes a decision.
///
/// The history is unchanged until `probity_agent_observe` says what was really played.
///
/// Where the legality mass is below the scenario's floor, the decision is taken and recorded, `action` and
/// `probabilities` are written, and the call returns `PROBITY_STATUS_UNRELIABLE`: the model would have answered with
/// something else, and the message has the likely cause.
///
/// - `agent`: a live agent that no other thread is using.
/// - `action`: receives the id of the action taken; not NULL.
/// - `probabilities`: receives the probability of each action, in order of id; NULL, with a count of 0, to do without.
/// - `count`: room in `probabilities`: as many as the agent has actions.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_decide(
    agent: probity_agent_t,
    action: *mut u32,
    probabilities: *mut f64,
    count: usize,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(action, "action")?;
        let shared = agent.get()?;
        let mut agent = shared.lock()?;
        let needed = agent.game().count(Player::Row);
        let out = if probabilities.is_null() && count == 0 {
            None
        } else {
            Some(Array::new(probabilities, count, needed, "probabilities")?)
        };
        let decision = agent.decide()?;
        // SAFETY: neither is NULL, checked above; the contract.
        unsafe {
            if let Some(out) = out {
                out.write(decision.considered.actions.iter().map(|a| a.probability));
            }
            action.write(decision.action as u32);
        }
        reliable(&decision.considered, "decision")
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// The legality mass of the last decision.
///
/// It is the probability that the model answers with any legal action.
///
/// - `agent`: a live agent that no other thread is using. Before its first decision the call fails with
///   `PROBITY_STATUS_NO_DECISION`.
/// - `legality_mass`: receives it, 0 to 1; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_legality(
    agent: probity_agent_t,
    legality_mass: *mut f64,
    error: *mut probity_error_t,
) -> probity_status_t {
    let legality = |agent: &Agent| agent.last_decision().map(|decision| Number(decision.considered.legality_mass));
    // SAFETY: the contract.
    unsafe { call_for(legality_mass, "legality_mass", error, || of_last_decision(agent, legality)) }
}

/// A number that is handed out.
struct Number<T>(T);

impl<T> Give for Number<T> {
    type Given = T;

    fn give(self) -> Outcome<T> {
        Ok(self.0)
    }
}

/// Computes the probability of each action in a state, without a decision.
///
/// Nothing is drawn or remembered. Where the legality mass is below the floor, the outputs are written, and the call
/// returns `PROBITY_STATUS_UNRELIABLE`, as `probity_agent_decide` does.
///
/// - `agent`: a live agent that no other thread is using.
/// - `last`: the last round, read during the call; NULL for the first round.
/// - `probabilities`: receives the probability of each action, in order of id; not NULL.
/// - `count`: room in `probabilities`: as many as the agent has actions.
/// - `legality_mass`: receives the probability that the model answers with any legal action; NULL to do without.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_policy(
    agent: probity_agent_t,
    last: *const probity_round_t,
    probabilities: *mut f64,
    count: usize,
    legality_mass: *mut f64,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let shared = agent.get()?;
        let agent = shared.lock()?;
        let out = Array::new(probabilities, count, agent.game().count(Player::Row), "probabilities")?;
        // SAFETY: the contract.
        let state = unsafe { last.as_ref() }.map(|round| Profile::from(*round));
        let choice = agent.consider(state)?;
        // SAFETY: the contract.
        unsafe { out.write(choice.policy().into_iter()) };
        if !legality_mass.is_null() {
            // SAFETY: not NULL; the contract.
            unsafe { legality_mass.write(choice.legality_mass) };
        }
        reliable(&choice, "policy")
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Tells the agent what was played.
///
/// - `agent`: a live agent that no other thread is using.
/// - `own`, `other`: the agent's own action and the other player's, by id.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_observe(
    agent: probity_agent_t,
    own: u32,
    other: u32,
    error: *mut probity_error_t,
) -> probity_status_t {
    let round = Profile { own: own as usize, other: other as usize };
    // SAFETY: the contract.
    unsafe { call(error, || Ok(agent.get()?.lock()?.observe(round)?)) }
}

/// What was played so far.
///
/// - `agent`: a live agent that no other thread is using.
/// - `rounds`: receives the last rounds, the oldest first, as many as there is room for; NULL, with a room of 0, to ask
///   for the number alone.
/// - `room`: how many rounds there is room for.
/// - `count`: receives how many rounds were played; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_history(
    agent: probity_agent_t,
    rounds: *mut probity_round_t,
    room: usize,
    count: *mut usize,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(count, "count")?;
        let shared = agent.get()?;
        let agent = shared.lock()?;
        let played = agent.history().rounds();
        let last = &played[played.len().saturating_sub(room)..];
        if !last.is_empty() {
            let out = Array::new(rounds, last.len(), last.len(), "rounds")?;
            // SAFETY: the contract.
            unsafe { out.write(last.iter().map(|&round| round.into())) };
        }
        // SAFETY: not NULL, checked above; the contract.
        unsafe { count.write(played.len()) };
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Forgets what was played; the random stream goes on.
///
/// - `agent`: a live agent that no other thread is using.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_forget(agent: probity_agent_t, error: *mut probity_error_t) -> probity_status_t {
    let body = || {
        agent.get()?.lock()?.forget_history();
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// The last decision in words.
///
/// - `agent`: a live agent that no other thread is using. Before its first decision the call fails with
///   `PROBITY_STATUS_NO_DECISION`.
/// - `words`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_explain(
    agent: probity_agent_t,
    words: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(words, "words", error, || of_last_decision(agent, Agent::explain)) }
}

/// Returns the record of the last decision as JSON.
///
/// `docs/schema/record.json` describes it. The record is enough to take the decision again.
///
/// - `agent`: a live agent that no other thread is using. Before its first decision the call fails with
///   `PROBITY_STATUS_NO_DECISION`.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_record(
    agent: probity_agent_t,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let record = |agent: &Agent| agent.record().map(|record| self::json(&record));
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, || of_last_decision(agent, record)) }
}

fn of_last_decision<T>(agent: probity_agent_t, tell: impl FnOnce(&Agent) -> Option<T>) -> Outcome<T> {
    let shared = agent.get()?;
    let agent = shared.lock()?;
    tell(&agent).ok_or_else(|| Failure::new(Status::NO_DECISION, "agent: has not decided yet"))
}

/// Cancels the running decision of the agent.
///
/// Where none runs, the next call that asks the model is cancelled: a decision, a policy or a replay.
///
/// The decision fails with `PROBITY_STATUS_CANCELLED` and leaves the agent unchanged.
///
/// - `agent`: a live agent; from any thread.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_cancel(agent: probity_agent_t, error: *mut probity_error_t) -> probity_status_t {
    let body = || {
        agent.get()?.cancel.cancel();
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Lets an agent go.
///
/// A decision that another thread is taking with it finishes first.
///
/// - `agent`: a live agent; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_free(agent: probity_agent_t, error: *mut probity_error_t) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call(error, || agent.remove()) }
}
