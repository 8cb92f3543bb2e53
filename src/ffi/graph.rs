//! Moral graphs: opened, asked, voted on.
#![allow(non_camel_case_types, reason = "these are the names C sees")]

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::boundary::{Failure, Outcome, boundary, require};
use super::handle::Objects;
use super::model::{MODELS, probity_model_t, probity_progress_t};
use super::status::{PROBITY_STATUS_STORE, probity_error_t, probity_status_t};
use super::strings::{give, optional, text};
use crate::Error;
use crate::elicit::{Calibration, Judge, Nearness, Situation, Threshold, score, situate};
use crate::embed::{LlamaEmbedder, Remembered};
use crate::engine::{ContextOptions, Model};
use crate::store::Store;
use crate::values::robust::Settings;
use crate::values::{Abstention, Bearing, CardId, Deliberation, Graph, Judgement, Method, Ranked, Terms, Vote};

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
    /// What judges for this graph, kept from call to call; of the model that was asked last. A call takes it away while it
    /// works, so that others, from a callback, too, need not wait: they make their own.
    judging: Mutex<Option<Judging>>,
}

/// A model as a judge and, where contexts have to be found, as an embedder with its threshold.
struct Judging {
    judge: Judge,
    nearness: Option<(Remembered<LlamaEmbedder>, Threshold)>,
}

impl Judging {
    /// Does something with that of a model: with what is kept, or a new one, which is kept then.
    fn with<T>(live: &Live, model: &Model, work: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        let kept = live.judging.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut judging = match kept.filter(|kept| kept.judge.model().fingerprint() == model.fingerprint()) {
            Some(kept) => kept,
            None => Self { judge: Judge::new(model, ContextOptions::default())?, nearness: None },
        };
        let done = work(&mut judging);
        let mut slot = live.judging.lock().unwrap_or_else(PoisonError::into_inner);
        // Another call may have been done before; what it measured is not thrown away for what measured nothing.
        let more = |other: &Self| {
            other.judge.model().fingerprint() == model.fingerprint()
                && other.nearness.is_some()
                && judging.nearness.is_none()
        };
        if !slot.as_ref().is_some_and(more) {
            *slot = Some(judging);
        }
        done
    }

    /// How it finds contexts, measured when it is first needed.
    fn nearness(&mut self) -> crate::Result<Nearness<'_>> {
        if self.nearness.is_none() {
            let mut embedder = Remembered::new(LlamaEmbedder::new(self.judge.model())?);
            let threshold = Calibration::situations_of(&mut embedder)?;
            self.nearness = Some((embedder, threshold));
        }
        let (embedder, threshold) = self.nearness.as_mut().expect("just made");
        Ok(Nearness { embedder, threshold: *threshold })
    }
}

/// The contexts of a situation with their wisest values: the document that `probity_graph_situate` gives.
#[derive(Serialize)]
struct Situated {
    contexts: Vec<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abstains: Option<Abstention>,
}

/// A context of a situation.
#[derive(Serialize)]
struct Place {
    #[serde(flatten)]
    bearing: Bearing,
    /// By the lower bounds of their scores, without the contested ones.
    wisest: Vec<Ranked>,
}

impl Live {
    fn graph(&self) -> Outcome<Arc<Graph>> {
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &self.store {
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let version = store.version()?;
            if fitted.as_ref().is_none_or(|(of, _)| *of != version) {
                let graph = Graph::new(store.read_counted()?, &Settings::default()).map_err(Error::from)?;
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
        let live = Live { store: Some(Mutex::new(store)), fitted: Mutex::new(None), judging: Mutex::new(None) };
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
        let fitted = Mutex::new(Some((0, Arc::new(fitted))));
        let id = GRAPHS.insert(Live { store: None, fitted, judging: Mutex::new(None) })?;
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

/// Finds the contexts that a situation, told in words, is of, and the wisest values there, as JSON: `{"contexts": [{"text",
/// "similarity", "weight", "wisest": [{"id", "title", "score", "error", "bound", "voters", "contested"}]}]}`, at most three contexts
/// with ten values each; or none, with `"abstains"` and its reason. The model's hidden states tell what is near what; from where on,
/// is measured when a graph is first asked with this model, and where that shows that it cannot tell, the graph abstains. The graph
/// keeps the model that it was asked with last, even where the model itself is freed, until it is freed. `probity_graph_rank` gives
/// the wisest of a context that is known. Free the JSON with `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_graph_situate(
    graph: probity_graph_t,
    model: probity_model_t,
    situation: *const c_char,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    /// Values of a context that are told.
    const WISEST: usize = 10;
    let body = || {
        require(json, "json")?;
        // SAFETY: the caller's promise about the string.
        let situation = unsafe { text(situation, "situation")? };
        let (live, model) = (GRAPHS.get(graph.id)?, MODELS.get(model.id)?);
        let graph = live.graph()?;
        let found = Judging::with(&live, &model, |judging| Ok(situate(&graph, situation, &mut judging.nearness()?)?))?;
        let (bearings, abstains) = match found {
            Ok(bearings) => (bearings, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        let place = |bearing: Bearing| Place { wisest: graph.wisest_cards(Some(bearing.context), WISEST), bearing };
        let situated = Situated { contexts: bearings.into_iter().map(place).collect(), abstains };
        let situated = serde_json::to_string(&situated).expect("plain data becomes JSON");
        // SAFETY: not NULL, checked above.
        unsafe { json.write(give(situated)) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Scores actions in a situation by the values that people found wisest there, as JSON. `situation` is JSON as well:
/// `{"situation", "actions": [...]}`, and at will `"contexts": [...]` that it is of (found as `probity_graph_situate` finds them where
/// none is named) and `"baseline"`, the action that counts as doing nothing. The answer has `"values"`, one for each action from -1.5
/// (all that the wisest values are not, a penalty of a half included) to 1, with the contexts, cards, votes, policies and penalties
/// that they add up from; or `null`, and `"abstains"` with its reason. The model judges how well each action serves each policy: two
/// questions each. `progress` (may be NULL) runs on the calling thread and stops the work by returning `false`. Free the JSON with
/// `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say; `progress` may be called with `user_data` during this call.
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
        require(json, "json")?;
        // SAFETY: the caller's promise about the string.
        let situation = Situation::from_json(unsafe { text(situation, "situation")? })?;
        let (live, model) = (GRAPHS.get(graph.id)?, MODELS.get(model.id)?);
        let graph = live.graph()?;
        let mut tell = |done: usize, all: usize| match progress {
            // SAFETY: the caller's promise about the callback.
            Some(callback) => unsafe { callback(user_data, done as f32 / all as f32) },
            None => true,
        };
        let judgement: Judgement = Judging::with(&live, &model, |judging| {
            if situation.contexts.is_empty() {
                judging.nearness()?;
            }
            let Judging { judge, nearness } = judging;
            let nearness = nearness.as_mut().map(|(embedder, threshold)| Nearness { embedder, threshold: *threshold });
            Ok(score(&graph, &situation, judge, nearness, &Terms::default(), &mut tell)?)
        })?;
        let judgement = serde_json::to_string(&judgement).expect("plain data becomes JSON");
        // SAFETY: not NULL, checked above.
        unsafe { json.write(give(judgement)) };
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
