//! A moral graph whose store this program and others may change.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use probity_elicit::embed::{LlamaEmbedder, Remembered};
use probity_elicit::{Calibration, Judge, Nearness, Progress, Situation, Threshold, score, situate};
use probity_engine::{ContextOptions, Model};
use probity_values::robust::Settings;
use probity_values::store::Store;
use probity_values::{Abstention, ContextWeight, Deliberation, Graph, Judgement, Ranked, ScoreTerms, Vote};
use serde::Serialize;

use crate::Result;

/// A graph, and the store it is kept in, if there is one.
///
/// Shareable between threads.
///
/// ```
/// use probity::graphs::LiveGraph;
///
/// # fn main() -> probity::Result<()> {
/// let graph = LiveGraph::from_json(
///     r#"{ "version": 1, "cards": [
///         { "id": 1, "title": "Advice", "description": "Help.", "policies": ["WAYS out"] },
///         { "id": 2, "title": "Presence", "description": "Be there.", "policies": ["MOMENTS of silence"] }
///     ] }"#,
/// )?;
/// assert_eq!(graph.graph()?.deliberation().cards.len(), 2);
/// # Ok(())
/// # }
/// ```
pub struct LiveGraph {
    store: Option<Mutex<Store>>,
    /// The fitted graph with its store's version; refitted after a change.
    fitted: Mutex<Option<(i64, Arc<Graph>)>>,
    /// The judge of the model that was asked last.
    ///
    /// A call takes the judge out while it works. A second call, even from the first call's callback, makes its own
    /// judge and does not wait.
    judging: Mutex<Option<Judging>>,
}

/// The contexts of a situation, with their wisest values.
///
/// ```
/// use probity::graphs::Situated;
/// use probity_values::Abstention;
///
/// let nowhere = Situated { contexts: Vec::new(), abstains: Some(Abstention::NoContext { nearest: 0.2 }) };
/// assert_eq!(serde_json::to_value(&nowhere).unwrap()["abstains"]["reason"], "no_context");
/// ```
#[derive(Debug, Serialize)]
pub struct Situated {
    /// The nearest contexts; empty where the graph abstains.
    pub contexts: Vec<SituatedContext>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstains: Option<Abstention>,
}

/// A context of a situation.
///
/// ```
/// use probity::graphs::SituatedContext;
/// use probity_values::ContextWeight;
///
/// let context = ContextWeight { context: 0, text: "When a friend grieves".into(), similarity: 0.8, weight: 1.0 };
/// let situated = SituatedContext { context, wisest: Vec::new() };
/// assert_eq!(serde_json::to_value(&situated).unwrap()["weight"], 1.0);
/// ```
#[derive(Debug, Serialize)]
pub struct SituatedContext {
    /// The context, its similarity and its weight.
    #[serde(flatten)]
    pub context: ContextWeight,
    /// Its values by the lower bounds of their scores, without the contested ones.
    pub wisest: Vec<Ranked>,
}

impl LiveGraph {
    /// Values that [`LiveGraph::situate`] tells of a context.
    pub const WISEST: usize = 10;

    /// Opens the graph of a store.
    ///
    /// # Errors
    /// [`crate::Error::Store`] for an unusable store, [`crate::Error::Values`] for votes that cannot be fitted.
    pub fn open(path: &Path) -> Result<Self> {
        let store = Some(Mutex::new(Store::open(path)?));
        let live = Self { store, fitted: Mutex::new(None), judging: Mutex::new(None) };
        // The graph is fitted here once, so that the caller learns of a failure now.
        live.graph()?;
        Ok(live)
    }

    /// Reads a deliberation or a published graph from JSON.
    ///
    /// It lives in memory and takes no votes.
    ///
    /// # Errors
    /// [`crate::Error::Values`].
    pub fn from_json(json: &str) -> Result<Self> {
        let graph = Graph::new(Deliberation::from_json(json)?, &Settings::default())?;
        Ok(Self { store: None, fitted: Mutex::new(Some((0, Arc::new(graph)))), judging: Mutex::new(None) })
    }

    /// The graph as it is now.
    ///
    /// # Errors
    /// As [`LiveGraph::open`].
    pub fn graph(&self) -> Result<Arc<Graph>> {
        let mut fitted = self.fitted.lock();
        if let Some(store) = &self.store {
            let store = store.lock();
            let version = store.version()?;
            if fitted.as_ref().is_none_or(|(of, _)| *of != version) {
                let graph = Graph::new(store.read_counted()?, &Settings::default())?;
                *fitted = Some((version, Arc::new(graph)));
            }
        }
        Ok(Arc::clone(&fitted.as_ref().expect("a graph without a store is fitted from the start").1))
    }

    /// Adds a vote to the store; it is on the disk when this returns.
    ///
    /// `false` where the graph has no store.
    ///
    /// # Errors
    /// [`crate::Error::Values`] for an invalid vote, [`crate::Error::Store`] for a failed write.
    pub fn vote(&self, vote: &Vote) -> Result<bool> {
        let Some(store) = &self.store else { return Ok(false) };
        store.lock().vote(vote)?;
        *self.fitted.lock() = None;
        Ok(true)
    }

    /// Measures a model's threshold now, so that later calls with this model need not.
    ///
    /// # Errors
    /// [`probity_engine::Error::Cancelled`] if `progress` returns `false`; the errors of the model.
    pub fn prepare(&self, model: &Model, progress: &mut Progress<'_>) -> Result<()> {
        self.judge(model, |judging| judging.nearness(progress).map(|_| ()))
    }

    /// Finds the contexts of a situation and the wisest values there.
    ///
    /// The model's hidden states measure the similarity of a context. The first call with a model measures its
    /// threshold.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] for a blank or overlong text, and for a failure of the model.
    pub fn situate(&self, model: &Model, situation: &str) -> Result<Situated> {
        let graph = self.graph()?;
        let found =
            self.judge(model, |judging| Ok(situate(&graph, situation, &mut judging.nearness(&mut |_, _| true)?)?))?;
        let with_values = |context: ContextWeight| SituatedContext {
            wisest: graph.wisest_cards(Some(context.context), Self::WISEST),
            context,
        };
        Ok(match found {
            Ok(contexts) => Situated { contexts: contexts.into_iter().map(with_values).collect(), abstains: None },
            Err(reason) => Situated { contexts: Vec::new(), abstains: Some(reason) },
        })
    }

    /// Scores the actions of a situation by the wisest values of its contexts.
    ///
    /// The first call with a model measures its threshold; `progress` then runs twice from none to all.
    ///
    /// # Errors
    /// As [`probity_elicit::score`].
    pub fn score(&self, model: &Model, situation: &Situation, progress: &mut Progress<'_>) -> Result<Judgement> {
        let graph = self.graph()?;
        self.judge(model, |judging| {
            if situation.contexts.is_empty() {
                judging.nearness(progress)?;
            }
            let Judging { judge, nearness } = judging;
            let nearness = nearness.as_mut().map(|(embedder, threshold)| Nearness { embedder, threshold: *threshold });
            Ok(score(&graph, situation, judge, nearness, &ScoreTerms::default(), progress)?)
        })
    }

    /// Runs `work` with the judge of a model, kept or new, and keeps the judge.
    fn judge<T>(&self, model: &Model, work: impl FnOnce(&mut Judging) -> Result<T>) -> Result<T> {
        let of_model = |judging: &Judging| judging.judge.model().fingerprint() == model.fingerprint();
        let kept = self.judging.lock().take().filter(of_model);
        let mut judging = match kept {
            Some(kept) => kept,
            None => Judging { judge: Judge::new(model, ContextOptions::default())?, nearness: None },
        };
        let done = work(&mut judging);
        let mut slot = self.judging.lock();
        // Another call may have put its own judge back meanwhile. A judge with a threshold stays: measuring a threshold
        // takes long.
        let measured_more = slot
            .as_ref()
            .is_some_and(|other| of_model(other) && other.nearness.is_some() && judging.nearness.is_none());
        if !measured_more {
            *slot = Some(judging);
        }
        done
    }
}

/// A model as a judge, and as an embedder with its threshold if needed.
struct Judging {
    judge: Judge,
    nearness: Option<(Remembered<LlamaEmbedder>, Threshold)>,
}

impl Judging {
    /// The embedder with its threshold, measured when it is first needed.
    fn nearness(&mut self, progress: &mut Progress<'_>) -> Result<Nearness<'_>> {
        if self.nearness.is_none() {
            let mut embedder = Remembered::new(LlamaEmbedder::new(self.judge.model())?);
            let threshold = Calibration::situations_of(&mut embedder, progress)?;
            self.nearness = Some((embedder, threshold));
        }
        let (embedder, threshold) = self.nearness.as_mut().expect("just measured");
        Ok(Nearness { embedder, threshold: *threshold })
    }
}
