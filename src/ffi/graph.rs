//! Moral graphs: opened, asked, voted on.
#![allow(non_camel_case_types, reason = "these are the names C sees")]

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::boundary::{Failure, Outcome, boundary, require};
use super::handle::Objects;
use super::status::{PROBITY_STATUS_STORE, probity_error_t, probity_status_t};
use super::strings::{give, optional, text};
use crate::Error;
use crate::store::Store;
use crate::values::robust::Settings;
use crate::values::{CardId, Deliberation, Graph, Method, Vote};

pub(super) static GRAPHS: Objects<Live> = Objects::new("graph");

/// A moral graph. Shareable between threads.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_graph_t {
    /// Opaque.
    pub id: u64,
}

/// A graph and the store it is of, where it is of one.
pub(super) struct Live {
    store: Option<Mutex<Store>>,
    /// Fitted when it is first asked for, and anew when somebody, this program or another, changed the store: the version of
    /// what it was fitted to.
    fitted: Mutex<Option<(i64, Arc<Graph>)>>,
}

impl Live {
    fn graph(&self) -> Outcome<Arc<Graph>> {
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &self.store {
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let version = store.version()?;
            if fitted.as_ref().is_none_or(|(of, _)| *of != version) {
                let graph = Graph::new(store.read()?, &Settings::default()).map_err(Error::from)?;
                *fitted = Some((version, Arc::new(graph)));
            }
        }
        Ok(Arc::clone(&fitted.as_ref().expect("a graph without a store is fitted from the start").1))
    }
}

/// The graph of a handle as it is now, and the number of the context it is asked about.
fn asked(graph: probity_graph_t, context: Option<&str>) -> Outcome<(Arc<Graph>, Option<u32>)> {
    let graph = GRAPHS.get(graph.id)?.graph()?;
    let context = context.map(|text| graph.context(text)).transpose().map_err(Error::from)?;
    Ok((graph, context))
}

/// Opens a store of values, one file, as `probity values` makes it; `probity_graph_vote` adds to it. Other programs may use it
/// at the same time. Free the graph with `probity_graph_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_open(
    path: *const c_char,
    graph: *mut probity_graph_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(graph, "graph")?;
        // SAFETY: the caller's promise about the string.
        let store = Store::open(Path::new(unsafe { text(path, "path")? }))?;
        let live = Live { store: Some(Mutex::new(store)), fitted: Mutex::new(None) };
        // What cannot be fitted is refused here, not when it is first asked.
        live.graph()?;
        let id = GRAPHS.insert(live)?;
        // SAFETY: not NULL, checked above.
        unsafe { graph.write(probity_graph_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Reads a graph from JSON: a deliberation (`docs/schema/deliberation.json`) or a published graph. It lives in memory only
/// and takes no votes.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_parse(
    json: *const c_char,
    graph: *mut probity_graph_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(graph, "graph")?;
        // SAFETY: the caller's promise about the string.
        let held = Deliberation::from_json(unsafe { text(json, "json")? }).map_err(Error::from)?;
        let fitted = Graph::new(held, &Settings::default()).map_err(Error::from)?;
        let id = GRAPHS.insert(Live { store: None, fitted: Mutex::new(Some((0, Arc::new(fitted)))) })?;
        // SAFETY: not NULL, checked above.
        unsafe { graph.write(probity_graph_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Ranks the values, the wisest first, as JSON: `{"method", "context", "ranked", "ranking": [{"id", "title", "score", ...}]}`.
/// `method` is "robust" (where NULL) or "compat"; `context` is one that somebody voted in, NULL for all of them. Free the JSON
/// with `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_rank(
    graph: probity_graph_t,
    method: *const c_char,
    context: *const c_char,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(json, "json")?;
        // SAFETY: the caller's promise about the strings.
        let (method, context) = unsafe { (optional(method, "method")?, optional(context, "context")?) };
        let method = Method::named(method.unwrap_or("robust")).map_err(Error::from)?;
        let (graph, context) = asked(graph, context)?;
        let ranking = serde_json::to_string(&graph.ranking(&method, context)).expect("plain data becomes JSON");
        // SAFETY: not NULL, checked above.
        unsafe { json.write(give(ranking)) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Explains where a card stands, as JSON: the card, its places everywhere and in each context, its votes to and from other
/// cards, and `path`, the ids on the way up from it to the wisest card that upheld upgrades lead to. `context` limits the votes
/// and the path; NULL for all of them. Free the JSON with `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_explain(
    graph: probity_graph_t,
    card: *const c_char,
    context: *const c_char,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(json, "json")?;
        // SAFETY: the caller's promise about the strings.
        let (card, context) = unsafe { (text(card, "card")?, optional(context, "context")?) };
        let (graph, context) = asked(graph, context)?;
        let number = graph.number(&CardId::from(card)).map_err(Error::from)?;
        let explained = serde_json::to_string(&graph.explain(number, context)).expect("plain data becomes JSON");
        // SAFETY: not NULL, checked above.
        unsafe { json.write(give(explained)) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Adds a vote to the graph's store, `{"voter", "from", "to", "context", "answer"}` with an answer of "upgrade", "no_upgrade" or
/// "not_sure". It is on the disk when this returns, and what is asked after that counts it.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_vote(
    graph: probity_graph_t,
    vote: *const c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        // SAFETY: the caller's promise about the string.
        let vote = unsafe { text(vote, "vote")? };
        let problem = |e: serde_json::Error| Error::Document { what: "vote", problem: e.to_string() };
        let vote: Vote = serde_json::from_str(vote).map_err(problem)?;
        let live = GRAPHS.get(graph.id)?;
        let Some(store) = &live.store else {
            let message = "graph: was read from JSON, expected one that was opened as a store";
            return Err(Failure::new(PROBITY_STATUS_STORE, message));
        };
        store.lock().unwrap_or_else(PoisonError::into_inner).vote(&vote)?;
        *live.fitted.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Frees a graph. Calls under way end as if it lived.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_free(graph: probity_graph_t, error: *mut probity_error_t) -> probity_status_t {
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, || GRAPHS.remove(graph.id).map(drop)) }
}
