//! Moral graphs: opened, asked, voted on.

use std::ffi::{c_char, c_void};
use std::path::Path;

use probity_elicit::Situation;
use probity_engine::Error as EngineError;
use probity_values::{CardId, Graph, Method, Vote};

use super::boundary::{Failure, Outcome, call, call_for};
use super::handle::object;
use super::model::{probity_model_t, probity_progress_t};
use super::status::{probity_error_t, probity_status_t};
use super::strings::{json, optional, text};
use crate::Status;
use crate::graphs::LiveGraph;

/// A moral graph. May be used by many threads at once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_graph_t {
    /// Opaque.
    pub id: u64,
}

object!(LiveGraph, probity_graph_t, "graph");

/// The number of a context by its text; `None` for all contexts.
fn number(graph: &Graph, context: Option<&str>) -> Outcome<Option<u32>> {
    Ok(context.map(|text| graph.context(text)).transpose()?)
}

/// Opens a store of values, one file, as `probity values` makes it.
///
/// Other programs may use it at the same time.
///
/// - `path`: the file; read during the call; not NULL.
/// - `graph`: receives the graph, yours to free with `probity_graph_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_open(
    path: *const c_char,
    graph: *mut probity_graph_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(graph, "graph", error, || Ok(LiveGraph::open(Path::new(text(path, "path")?))?)) }
}

/// Reads a graph from JSON.
///
/// The document is a deliberation (`docs/schema/deliberation.json`) or a published graph. The graph lives in memory and
/// takes no votes.
///
/// - `json`: read during the call; not NULL.
/// - `graph`: receives the graph, yours to free with `probity_graph_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_parse(
    json: *const c_char,
    graph: *mut probity_graph_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(graph, "graph", error, || Ok(LiveGraph::from_json(text(json, "json")?)?)) }
}

/// Ranks the values, the wisest first, as JSON.
///
/// `{"method", "context", "ranked", "ranking": [{"id", "title", "score", ...}]}`.
///
/// - `graph`: a live graph; from any thread.
/// - `method`: "robust" or "compat"; read during the call; NULL for "robust".
/// - `context`: the text of a context that somebody voted in; read during the call; NULL for all contexts.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_rank(
    graph: probity_graph_t,
    method: *const c_char,
    context: *const c_char,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let (method, context) = unsafe { (optional(method, "method")?, optional(context, "context")?) };
        let method = Method::named(method.unwrap_or("robust"))?;
        let graph = graph.get()?.graph()?;
        Ok(self::json(&graph.ranking(&method, number(&graph, context)?)))
    };
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, body) }
}

/// Explains the place of a card, as JSON.
///
/// The document holds the card, its places over all contexts and in each, its votes from and to other cards, and
/// `path`: the ids of the upheld upgrades from the card to the wisest reachable card.
///
/// - `graph`: a live graph; from any thread.
/// - `card`: the card's id; read during the call; not NULL.
/// - `context`: limits the votes and the path to one context; read during the call; NULL for all contexts.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_explain(
    graph: probity_graph_t,
    card: *const c_char,
    context: *const c_char,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let (card, context) = unsafe { (text(card, "card")?, optional(context, "context")?) };
        let graph = graph.get()?.graph()?;
        let context = number(&graph, context)?;
        Ok(self::json(&graph.explain(graph.number(&CardId::from(card))?, context)))
    };
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, body) }
}

/// Adds a vote to the graph's store.
///
/// It is on the disk when this returns, and every later answer counts it.
///
/// - `graph`: a live graph that was opened as a store; from any thread.
/// - `vote`: JSON, `{"voter", "from", "to", "context", "answer"}`, with "upgrade", "no_upgrade" or "not_sure" for an
///   answer; read during the call; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_vote(
    graph: probity_graph_t,
    vote: *const c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let vote: Vote = serde_json::from_str(unsafe { text(vote, "vote")? })
            .map_err(|e| EngineError::Document { what: "vote", problem: e.to_string() })?;
        match graph.get()?.vote(&vote)? {
            true => Ok(()),
            false => {
                let message = "graph: it was read from JSON, expected a graph from probity_graph_open";
                Err(Failure::new(Status::STORE, message))
            }
        }
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Measures a model's threshold for the graph now, with progress.
///
/// Later calls with this model then need not.
///
/// - `graph`: a live graph; from any thread.
/// - `model`: a live model, which other threads may be using.
/// - `progress`: called on this thread during the call; NULL for none. Stopped, the call fails with
///   `PROBITY_STATUS_CANCELLED`.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_prepare(
    graph: probity_graph_t,
    model: probity_model_t,
    progress: probity_progress_t,
    user_data: *mut c_void,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let mut tell = |done: usize, all: usize| {
            // SAFETY: the contract.
            progress.is_none_or(|progress| unsafe { progress(user_data, done as f32 / all as f32) })
        };
        Ok(graph.get()?.prepare(&*model.get()?, &mut tell)?)
    };
    // SAFETY: the contract.
    unsafe { call(error, body) }
}

/// Finds the contexts of a situation and their wisest values, as JSON.
///
/// `{"contexts": [{"text", "similarity", "weight", "wisest": [{"id", "title", "score", "error", "bound", "voters",
/// "contested"}]}]}`, with at most three contexts of ten values each. If the graph abstains, `"abstains"` has the
/// reason.
///
/// The model's hidden states tell which contexts are near. The threshold is measured when a graph is first asked with
/// this model; where the model cannot tell near from far, the graph abstains. The graph keeps the model that it was
/// asked with last, even where the model itself is freed.
///
/// - `graph`: a live graph; from any thread.
/// - `model`: a live model, which other threads may be using.
/// - `situation`: the situation in words; read during the call; not NULL.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_situate(
    graph: probity_graph_t,
    model: probity_model_t,
    situation: *const c_char,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let situation = unsafe { text(situation, "situation")? };
        Ok(self::json(&graph.get()?.situate(&*model.get()?, situation)?))
    };
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, body) }
}

/// Scores the actions of a situation by its wisest values, as JSON.
///
/// `"values"` has a number from -1.5 to 1 for each action. The document lists the contexts, cards, votes, policies and
/// penalties of the sum. If the graph abstains, `"values"` is `null` and `"abstains"` has the reason.
///
/// The model judges how well each action serves each policy, by two questions each.
///
/// - `graph`: a live graph; from any thread.
/// - `model`: a live model, which other threads may be using.
/// - `situation`: JSON, `{"situation", "actions": [...]}`, and optionally `"contexts": [...]`, which are found as in
///   `probity_graph_situate` where none is named, and `"baseline"`, the action that counts as doing nothing; read
///   during the call; not NULL.
/// - `progress`: called on this thread during the call; NULL for none.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_score(
    graph: probity_graph_t,
    model: probity_model_t,
    situation: *const c_char,
    progress: probity_progress_t,
    user_data: *mut c_void,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the contract.
        let situation = Situation::from_json(unsafe { text(situation, "situation")? })?;
        let mut tell = |done: usize, all: usize| {
            // SAFETY: the contract.
            progress.is_none_or(|progress| unsafe { progress(user_data, done as f32 / all as f32) })
        };
        Ok(self::json(&graph.get()?.score(&*model.get()?, &situation, &mut tell)?))
    };
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, body) }
}

/// Lets a graph go. Calls that are using it finish first.
///
/// - `graph`: a live graph; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_free(graph: probity_graph_t, error: *mut probity_error_t) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call(error, || graph.remove()) }
}
