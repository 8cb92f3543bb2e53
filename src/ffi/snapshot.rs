//! Snapshots: agents as bytes, and back.

use probity_engine::{Adapter, ContextOptions};

use super::adapter::{adapters_of, probity_adapter_t};
use super::agent::{Shared, probity_agent_t};
use super::boundary::{Outcome, call, call_for, require, slice};
use super::model::probity_model_t;
use super::session::probity_session_t;
use super::status::{probity_error_t, probity_status_t};
use crate::agent::Agent;

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
        let (adapters, bytes) = unsafe { of_snapshot(adapters, count, bytes, length)? };
        Ok(Shared::new(Agent::restore(&model, &adapters, bytes, ContextOptions::default())?))
    };
    // SAFETY: the contract.
    unsafe { call_for(agent, "agent", error, body) }
}

/// Makes an agent from a snapshot, in a session; it continues byte for byte.
///
/// - `session`: a live session on the model that the snapshot was taken on.
/// - `adapters`, `count`, `bytes`, `length`: as in `probity_agent_restore`.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_agent_rejoin(
    session: probity_session_t,
    adapters: *const probity_adapter_t,
    count: usize,
    bytes: *const u8,
    length: usize,
    agent: *mut probity_agent_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let session = session.get()?;
        // SAFETY: the contract.
        let (adapters, bytes) = unsafe { of_snapshot(adapters, count, bytes, length)? };
        Ok(Shared::new(session.restore(&adapters, bytes)?))
    };
    // SAFETY: the contract.
    unsafe { call_for(agent, "agent", error, body) }
}

/// The adapters and the bytes of a snapshot.
///
/// # Safety
/// The contract of the arguments of the same names.
unsafe fn of_snapshot<'a>(
    adapters: *const probity_adapter_t,
    count: usize,
    bytes: *const u8,
    length: usize,
) -> Outcome<(Vec<Adapter>, &'a [u8])> {
    // SAFETY: the caller's promise.
    unsafe { Ok((adapters_of(adapters, count)?, slice(bytes, length, "bytes")?)) }
}
