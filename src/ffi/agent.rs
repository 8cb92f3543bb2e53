//! Agents: used by one thread at a time; a second one gets `PROBITY_STATUS_BUSY`.
#![allow(non_camel_case_types, reason = "these are the names C sees")]

use std::ffi::c_char;
use std::sync::{Mutex, MutexGuard, TryLockError};

use super::adapter::{ADAPTERS, probity_adapter_t};
use super::boundary::{Failure, Outcome, boundary, require, slice, slice_mut};
use super::game::probity_round_t;
use super::handle::Objects;
use super::model::{MODELS, probity_model_t};
use super::status::{
    PROBITY_STATUS_BUFFER_SIZE, PROBITY_STATUS_NO_DECISION, PROBITY_STATUS_NULL_ARGUMENT, PROBITY_STATUS_PANIC,
    probity_error_t, probity_status_t,
};
use super::strings::{give, text};
use crate::agent::{Agent, Scenario};
use crate::engine::{Adapter, CancelToken, ContextOptions};
use crate::game::Profile;

pub(super) static AGENTS: Objects<Shared> = Objects::new("agent");

pub(super) struct Shared {
    agent: Mutex<Agent>,
    /// Beside the lock: cancelling must work while a decision holds it.
    cancel: CancelToken,
}

impl Shared {
    fn new(agent: Agent) -> Self {
        Self { cancel: agent.cancel_token(), agent: Mutex::new(agent) }
    }

    fn lock(&self) -> Outcome<MutexGuard<'_, Agent>> {
        self.agent.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => crate::Error::Busy { what: "agent" }.into(),
            TryLockError::Poisoned(_) => {
                Failure::new(PROBITY_STATUS_PANIC, "agent: a defect stopped an earlier call; free it and make another")
            }
        })
    }
}

/// An agent. Used by one thread at a time; only `probity_agent_cancel` may be called from others.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_agent_t {
    /// Opaque.
    pub id: u64,
}

/// Makes an agent from a scenario (`docs/schema/scenario.json`), for example
/// `{"game": "ipd", "labels": ["share", "keep"], "seed": 7}`. Free it with `probity_agent_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_new(
    model: probity_model_t,
    scenario: *const c_char,
    agent: *mut probity_agent_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(agent, "agent")?;
        // SAFETY: the caller's promise about the string.
        let scenario = Scenario::from_json(unsafe { text(scenario, "scenario")? })?;
        let model = MODELS.get(model.id)?;
        let id = AGENTS.insert(Shared::new(Agent::new(&model, scenario, ContextOptions::default())?))?;
        // SAFETY: not NULL, checked above.
        unsafe { agent.write(probity_agent_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Replaces the agent's whole set of adapters by `count` of them; `scales` is NULL for 1 each. What was computed under
/// the old set is forgotten. On failure the old set stays.
///
/// # Safety
/// Pointers are NULL or valid as their types say, with `count` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_set_adapters(
    agent: probity_agent_t,
    adapters: *const probity_adapter_t,
    scales: *const f32,
    count: usize,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let shared = AGENTS.get(agent.id)?;
        // SAFETY: the caller's promises.
        let set = unsafe { adapters_of(adapters, count)? };
        let scales = if scales.is_null() {
            vec![1.0; count]
        } else {
            // SAFETY: the caller's promises.
            unsafe { slice(scales, count, "scales")? }.to_vec()
        };
        shared.lock()?.set_adapters(&set.into_iter().zip(scales).collect::<Vec<_>>())?;
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// # Safety
/// `adapters` is NULL or points to `count` handles.
unsafe fn adapters_of(adapters: *const probity_adapter_t, count: usize) -> Outcome<Vec<Adapter>> {
    // SAFETY: the caller's promise.
    let handles = unsafe { slice(adapters, count, "adapters")? };
    handles.iter().map(|h| Ok((*ADAPTERS.get(h.id)?).clone())).collect()
}

/// Takes a decision: writes the action's id, and where `probabilities` is not NULL the probability of each of the
/// `count` actions. The history is unchanged until `probity_agent_observe` says what was really played.
///
/// # Safety
/// Pointers are NULL or valid as their types say, with `count` values.
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
        let shared = AGENTS.get(agent.id)?;
        let mut agent = shared.lock()?;
        let needed = agent.scenario().game.count(crate::game::Player::Row);
        if probabilities.is_null() && count != 0 {
            return Err(Failure::new(
                PROBITY_STATUS_NULL_ARGUMENT,
                format!("probabilities: NULL with room for {count}"),
            ));
        }
        if !probabilities.is_null() && count != needed {
            let message = format!("probabilities: room for {count}, expected {needed}");
            return Err(Failure::new(PROBITY_STATUS_BUFFER_SIZE, message));
        }
        let decision = agent.decide()?;
        if !probabilities.is_null() {
            // SAFETY: the caller's promise.
            unsafe { slice_mut(probabilities, count, needed, "probabilities")? }.copy_from_slice(&decision.policy());
        }
        // SAFETY: not NULL, checked above.
        unsafe { action.write(decision.action as u32) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// The probability of each of the `count` actions in a state, without deciding: nothing is drawn or remembered. `last`
/// is NULL for the first round. Where `legality_mass` is not NULL, the probability that the model answers with any
/// legal action at all.
///
/// # Safety
/// Pointers are NULL or valid as their types say, with `count` values.
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
        let shared = AGENTS.get(agent.id)?;
        let mut agent = shared.lock()?;
        let game = &agent.scenario().game;
        // SAFETY: the caller's promises.
        let out = unsafe { slice_mut(probabilities, count, game.count(crate::game::Player::Row), "probabilities")? };
        // SAFETY: NULL or valid, by the caller's promise.
        let state = unsafe { last.as_ref() }.map(|r| Profile::from(*r));
        let decision = agent.consider(state)?;
        out.copy_from_slice(&decision.policy());
        if !legality_mass.is_null() {
            // SAFETY: not NULL, and valid by the caller's promise.
            unsafe { legality_mass.write(decision.legality_mass) };
        }
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Tells the agent what was played: its own action and the other player's.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_observe(
    agent: probity_agent_t,
    own: u32,
    other: u32,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let shared = AGENTS.get(agent.id)?;
        shared.lock()?.observe(Profile { own: own as usize, other: other as usize })?;
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// The last decision in words. Free the string with `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_explain(
    agent: probity_agent_t,
    words: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the same promises.
    unsafe { last_decision(agent, words, error, Agent::explain) }
}

/// The record of the last decision, as JSON (`docs/schema/record.json`): everything it followed from, complete enough
/// to take it again. Free the string with `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_record(
    agent: probity_agent_t,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let record = |agent: &Agent| agent.record().map(|r| serde_json::to_string(&r).expect("a record is plain data"));
    // SAFETY: the same promises.
    unsafe { last_decision(agent, json, error, record) }
}

/// # Safety
/// Pointers are NULL or valid as their types say.
unsafe fn last_decision(
    agent: probity_agent_t,
    out: *mut *mut c_char,
    error: *mut probity_error_t,
    text: impl FnOnce(&Agent) -> Option<String>,
) -> probity_status_t {
    let body = || {
        require(out, "the string")?;
        let shared = AGENTS.get(agent.id)?;
        let text = text(&*shared.lock()?)
            .ok_or_else(|| Failure::new(PROBITY_STATUS_NO_DECISION, "agent: has not decided yet"))?;
        // SAFETY: not NULL, checked above.
        unsafe { out.write(give(text)) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// The agent as bytes: history, random stream, scenario, and which model and adapters it runs on; not the record of its
/// last decision. Free them with `probity_bytes_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
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
        let shared = AGENTS.get(agent.id)?;
        let snapshot = shared.lock()?.snapshot()?.into_boxed_slice();
        // SAFETY: neither is NULL, checked above.
        unsafe {
            length.write(snapshot.len());
            bytes.write(Box::into_raw(snapshot).cast());
        }
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Makes the agent a snapshot was taken of, which goes on byte for byte. `adapters` are `count` loaded adapters among
/// which the snapshot's are found.
///
/// # Safety
/// Pointers are NULL or valid as their types say, with the stated numbers of values.
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
        require(agent, "agent")?;
        let model = MODELS.get(model.id)?;
        // SAFETY: the caller's promises.
        let (adapters, bytes) = unsafe { (adapters_of(adapters, count)?, slice(bytes, length, "bytes")?) };
        let restored = Agent::restore(&model, &adapters, bytes, ContextOptions::default())?;
        let id = AGENTS.insert(Shared::new(restored))?;
        // SAFETY: not NULL, checked above.
        unsafe { agent.write(probity_agent_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Stops the decision the agent is taking, from any thread; that call then fails with `PROBITY_STATUS_CANCELLED` and
/// leaves the agent as it was. Without a running decision it does nothing.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_cancel(agent: probity_agent_t, error: *mut probity_error_t) -> probity_status_t {
    let body = || {
        AGENTS.get(agent.id)?.cancel.cancel();
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Lets an agent go; a decision that another thread is taking with it finishes first.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_free(agent: probity_agent_t, error: *mut probity_error_t) -> probity_status_t {
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, || AGENTS.remove(agent.id).map(drop)) }
}
