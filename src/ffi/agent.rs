//! Agents: used by one thread at a time; a second one gets `PROBITY_STATUS_BUSY`.

use std::ffi::c_char;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use probity_engine::{Adapter, CancelToken, ContextOptions};
use probity_game::{Player, Profile};

use super::adapter::probity_adapter_t;
use super::boundary::{Failure, Give, Outcome, call, call_for, require, slice, slice_mut};
use super::game::probity_round_t;
use super::handle::object;
use super::model::probity_model_t;
use super::status::{
    PROBITY_STATUS_BUFFER_SIZE, PROBITY_STATUS_NO_DECISION, PROBITY_STATUS_NULL_ARGUMENT, PROBITY_STATUS_PANIC,
    probity_error_t, probity_status_t,
};
use super::strings::{json, text};
use crate::Error;
use crate::agent::{Agent, Scenario};

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
    fn new(agent: Agent) -> Self {
        Self { cancel: agent.cancel_token(), agent: Mutex::new(agent), broken: AtomicBool::new(false) }
    }

    fn lock(&self) -> Outcome<Held<'_>> {
        let agent = self.agent.try_lock().ok_or(Error::Busy { what: "agent" })?;
        if self.broken.load(Ordering::Relaxed) {
            let message = "agent: a defect stopped an earlier call; free it and make another";
            return Err(Failure::new(PROBITY_STATUS_PANIC, message));
        }
        Ok(Held { agent, broken: &self.broken })
    }
}

/// An agent that this thread holds.
struct Held<'a> {
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

/// # Safety
/// `adapters` is NULL or points to `count` handles.
unsafe fn adapters_of(adapters: *const probity_adapter_t, count: usize) -> Outcome<Vec<Adapter>> {
    // SAFETY: the caller's promise.
    let handles = unsafe { slice(adapters, count, "adapters")? };
    handles.iter().map(|handle| Ok((*handle.get()?).clone())).collect()
}

/// Takes a decision.
///
/// The history is unchanged until `probity_agent_observe` says what was really played.
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
        let shared = agent.get()?;
        let mut agent = shared.lock()?;
        let needed = agent.scenario().game.count(Player::Row);
        if probabilities.is_null() && count != 0 {
            let message = format!("probabilities: NULL with room for {count}");
            return Err(Failure::new(PROBITY_STATUS_NULL_ARGUMENT, message));
        }
        if !probabilities.is_null() && count != needed {
            let message = format!("probabilities: room for {count}, expected {needed}");
            return Err(Failure::new(PROBITY_STATUS_BUFFER_SIZE, message));
        }
        let decision = agent.decide()?;
        if !probabilities.is_null() {
            // SAFETY: the contract.
            unsafe { slice_mut(probabilities, count, needed, "probabilities")? }.copy_from_slice(&decision.policy());
        }
        Ok(Action(decision.action as u32))
    };
    // SAFETY: the contract.
    unsafe { call_for(action, "action", error, body) }
}

/// The id of an action that is handed out.
struct Action(u32);

impl Give for Action {
    type Given = u32;

    fn give(self) -> Outcome<u32> {
        Ok(self.0)
    }
}

/// Computes the probability of each action in a state, without a decision.
///
/// Nothing is drawn or remembered.
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
        let mut agent = shared.lock()?;
        let needed = agent.scenario().game.count(Player::Row);
        // SAFETY: the contract.
        let out = unsafe { slice_mut(probabilities, count, needed, "probabilities")? };
        // SAFETY: the contract.
        let state = unsafe { last.as_ref() }.map(|round| Profile::from(*round));
        let choice = agent.consider(state)?;
        out.copy_from_slice(&choice.policy());
        if !legality_mass.is_null() {
            // SAFETY: not NULL; the contract.
            unsafe { legality_mass.write(choice.legality_mass) };
        }
        Ok(())
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

fn of_last_decision(agent: probity_agent_t, text: impl FnOnce(&Agent) -> Option<String>) -> Outcome<String> {
    let shared = agent.get()?;
    let agent = shared.lock()?;
    text(&agent).ok_or_else(|| Failure::new(PROBITY_STATUS_NO_DECISION, "agent: has not decided yet"))
}

/// Saves the agent as bytes.
///
/// The bytes hold the history, the random stream, the scenario, and the fingerprints of model and adapters. They do not
/// hold the record of the last decision.
///
/// - `agent`: a live agent that no other thread is using.
/// - `bytes`: receives the bytes, yours to free with `probity_bytes_free`; not NULL.
/// - `length`: receives their number; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_snapshot(
    agent: probity_agent_t,
    bytes: *mut *mut u8,
    length: *mut usize,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(bytes, "bytes")?;
        require(length, "length")?;
        let snapshot = agent.get()?.lock()?.snapshot()?.into_boxed_slice();
        // SAFETY: neither is NULL, checked above; the contract.
        unsafe {
            length.write(snapshot.len());
            bytes.write(Box::into_raw(snapshot).cast());
        }
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Makes an agent from a snapshot; it continues byte for byte.
///
/// - `model`: the live model that the snapshot was taken on.
/// - `adapters`: `count` live adapters, among which the snapshot's are found; read during the call; NULL, with a count
///   of 0, for none.
/// - `bytes`: `length` bytes of the snapshot, read during the call; not NULL.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_restore(
    model: probity_model_t,
    adapters: *const probity_adapter_t,
    count: usize,
    bytes: *const u8,
    length: usize,
    agent: *mut probity_agent_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let model = model.get()?;
        // SAFETY: the contract.
        let (adapters, bytes) = unsafe { (adapters_of(adapters, count)?, slice(bytes, length, "bytes")?) };
        Ok(Shared::new(Agent::restore(&model, &adapters, bytes, ContextOptions::default())?))
    };
    // SAFETY: the contract.
    unsafe { call_for(agent, "agent", error, body) }
}

/// Cancels the agent's running decision.
///
/// The running call fails with `PROBITY_STATUS_CANCELLED` and leaves the agent unchanged. Without a running decision
/// the call does nothing.
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
