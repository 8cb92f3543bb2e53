//! Sessions: a model's context, shared by any number of agents.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;

use probity_engine::{ContextOptions, Error as EngineError, Plan};

use super::adapter::{adapters_of, probity_adapter_t};
use super::boundary::{Failure, Give, Outcome, Versioned, call, call_for, require};
use super::handle::object;
use super::model::{probity_model_t, probity_progress_t};
use super::status::{probity_error_t, probity_status_t};
use super::strings::text;
use super::user_data::{Owning, UserData, probity_user_data_free_t};
use crate::agent::record::retake_json;
use crate::agent::{Floor, Seeds, Session, SessionOptions};

/// A session: the context of a model, with its threads and memory.
///
/// It is shared by any number of agents and threads.
///
/// It takes one decision at a time: agents of other threads wait, in no order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_session_t {
    /// Opaque.
    pub id: u64,
}

object!(Session, probity_session_t, "session");

/// Every agent draws from the stream of its scenario's seed.
pub const PROBITY_SEEDS_SCENARIO: u32 = 0;
/// Every agent draws from the stream of its number in the session.
///
/// The streams are those of its scenario's seed.
pub const PROBITY_SEEDS_NUMBERED: u32 = 1;

/// A `legality_floor` under which every decision counts as reliable.
pub const PROBITY_FLOOR_OFF: f64 = -1.0;

/// Options of a session: `size`, and 0 for every default.
///
/// `probity_session_options_t options = {sizeof options};`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_session_options_t {
    /// `sizeof(probity_session_options_t)`.
    ///
    /// Later versions of the library add fields at the end.
    pub size: usize,
    /// Tokens of prompt and labels together; 0 for 2048 or the model's training length.
    pub context: u32,
    /// Threads; 0 for as many as the processor has and the model keeps busy.
    ///
    /// Never more than the process may use.
    pub threads: u32,
    /// Most bytes of weights, cache and buffers together.
    ///
    /// 0 for three times the weights and a gibibyte.
    pub memory: u64,
    /// `PROBITY_SEEDS_SCENARIO` or `PROBITY_SEEDS_NUMBERED`.
    pub seeds: u32,
    /// 1 to keep the cache in 32 bits in place of 16.
    pub exact_cache: u32,
    /// The least legality mass of a reliable decision.
    ///
    /// It counts where the scenario names none; 0 for the default, 0.25.
    pub legality_floor: f64,
    /// Told the share of a decision, on the thread that decides; NULL for none.
    ///
    /// It must use no agent of this session (`PROBITY_STATUS_BUSY`). Where a decision turns out not to be reliable, the
    /// search for the cause runs from 0 to 1 again.
    pub progress: probity_progress_t,
    /// Passed to `progress` as it is.
    pub user_data: *mut c_void,
    /// Called with `user_data` once; NULL for none.
    ///
    /// The call comes when the session and its last agent are gone.
    pub user_data_free: probity_user_data_free_t,
}

// SAFETY: plain numbers, pointers and nullable functions, which C may fill with any bits of their types.
unsafe impl Versioned for probity_session_options_t {
    const NAME: &'static str = "probity_session_options_t";
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        context: 0,
        threads: 0,
        memory: 0,
        seeds: PROBITY_SEEDS_SCENARIO,
        exact_cache: 0,
        legality_floor: 0.0,
        progress: None,
        user_data: std::ptr::null_mut(),
        user_data_free: None,
    };
    const FIRST: usize = offset_of!(Self, user_data_free) + size_of::<probity_user_data_free_t>();
}

fn refuse(name: &'static str, given: String, expected: &str) -> Failure {
    EngineError::Option { name, given, expected: expected.into() }.into()
}

impl probity_session_options_t {
    /// The options that a caller gave; NULL stands for the defaults.
    ///
    /// # Safety
    /// `options` is NULL or points to as many bytes as its first field says.
    unsafe fn of(options: *const Self) -> Outcome<Self> {
        // SAFETY: the caller's promise.
        if options.is_null() { Ok(Self::DEFAULT) } else { unsafe { Self::read(options, "options") } }
    }

    fn context(&self) -> Outcome<ContextOptions> {
        let exact_cache = match self.exact_cache {
            0 => false,
            1 => true,
            other => return Err(refuse("exact_cache", other.to_string(), "0 or 1")),
        };
        Ok(ContextOptions::default().with(|o| {
            o.context = self.context as usize;
            o.threads = self.threads as usize;
            o.memory = self.memory;
            o.exact_cache = exact_cache;
        }))
    }

    fn session(&self) -> Outcome<SessionOptions> {
        let context = self.context()?;
        let seeds = match self.seeds {
            PROBITY_SEEDS_SCENARIO => Seeds::Scenario,
            PROBITY_SEEDS_NUMBERED => Seeds::Numbered,
            other => return Err(refuse("seeds", other.to_string(), "one of PROBITY_SEEDS_*")),
        };
        let legality_floor = match self.legality_floor {
            0.0 => Floor::default(),
            PROBITY_FLOOR_OFF => Floor::Off,
            floor if floor > 0.0 && floor <= 1.0 => Floor::At(floor),
            other => return Err(refuse("legality_floor", other.to_string(), "a number to 1, or PROBITY_FLOOR_OFF")),
        };
        Ok(SessionOptions::default().with(|o| {
            o.context = context;
            o.seeds = seeds;
            o.legality_floor = legality_floor;
        }))
    }
}

/// The memory of a model and a session, bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_plan_t {
    /// The weights, once for all sessions of the model.
    pub weights: u64,
    /// The cache of keys and values.
    pub cache: u64,
    /// The buffers of a decode and its outputs.
    pub buffers: u64,
}

impl Give for Plan {
    type Given = probity_plan_t;

    fn give(self) -> Outcome<probity_plan_t> {
        Ok(probity_plan_t { weights: self.weights, cache: self.cache, buffers: self.buffers })
    }
}

/// Makes a session.
///
/// - `model`: a live model, which other threads may be using.
/// - `options`: read during the call; NULL for the defaults. If the call fails, `user_data_free` is not called.
/// - `session`: receives the session, yours to free with `probity_session_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_session_new(
    model: probity_model_t,
    options: *const probity_session_options_t,
    session: *mut probity_session_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let options = unsafe { probity_session_options_t::of(options)? };
        let made = Session::new(&*model.get()?, options.session()?)?;
        let (user_data, owned) = UserData::new(options.user_data, options.user_data_free);
        if options.progress.is_some() || options.user_data_free.is_some() {
            let tell = move |share: f32| {
                // SAFETY: the contract.
                options.progress.is_none_or(|progress| unsafe { progress(user_data.get(), share) })
            };
            made.set_progress(Some(Box::new(tell)))?;
        }
        Ok(Owning(made, owned))
    };
    // SAFETY: the contract.
    unsafe { call_for(session, "session", error, body) }
}

/// Tells the memory of a session before it is made.
///
/// - `model`: a live model; from any thread.
/// - `options`: as for `probity_session_new`; the limit of memory is not applied.
/// - `plan`: receives the bytes; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_session_plan(
    model: probity_model_t,
    options: *const probity_session_options_t,
    plan: *mut probity_plan_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let options = unsafe { probity_session_options_t::of(options)? };
        Ok(model.get()?.plan(options.context()?)?)
    };
    // SAFETY: the contract.
    unsafe { call_for(plan, "plan", error, body) }
}

/// The context that a caller's options ask for.
///
/// # Safety
/// As [`probity_session_options_t::of`].
pub(super) unsafe fn context_of(options: *const probity_session_options_t) -> Outcome<ContextOptions> {
    // SAFETY: the caller's promise.
    unsafe { probity_session_options_t::of(options)? }.context()
}

/// Takes a recorded decision again.
///
/// The same build on the same kind of processor takes the same decision, to the bit.
///
/// - `session`: a live session on the model that the record names; from any thread.
/// - `adapters`: `count` live adapters, among which the record's are found; read during the call; NULL, with a count of
///   0, for none.
/// - `record`: JSON, as from `probity_agent_record`; read during the call; not NULL.
/// - `same`: receives whether the new record equals the given one; not NULL.
/// - `json`: receives the new record, yours to free with `probity_string_free`; NULL to do without.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_session_retake(
    session: probity_session_t,
    adapters: *const probity_adapter_t,
    count: usize,
    record: *const c_char,
    same: *mut bool,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(same, "same")?;
        // SAFETY: the contract.
        let (adapters, record) = unsafe { (adapters_of(adapters, count)?, text(record, "record")?) };
        let (again, equal) = retake_json(&*session.get()?, &adapters, record)?;
        // SAFETY: `same` is not NULL, checked above; the contract.
        unsafe {
            if !json.is_null() {
                json.write(again.give()?);
            }
            same.write(equal);
        }
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Cancels the running decision of any of the session's agents.
///
/// Where none runs, the next call that asks the model is cancelled.
///
/// - `session`: a live session; from any thread.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_session_cancel(
    session: probity_session_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        session.get()?.cancel_token().cancel();
        Ok(())
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Lets a session go.
///
/// Agents that were made in it keep what they need until they are freed themselves.
///
/// - `session`: a live session; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_session_free(
    session: probity_session_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call(error, || session.remove()) }
}
