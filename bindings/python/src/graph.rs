//! Moral graphs.

use std::path::PathBuf;

use probity::Status;
use probity::graphs::LiveGraph;
use probity_elicit::Situation;
use probity_engine::Error as EngineError;
use probity_values::{CardId, Method, Vote};
use pyo3::prelude::*;

use super::errors::Failure;
use super::interrupt::Progress;
use super::model::Model;
use super::{convert, errors, interrupt};

/// A moral graph: a store of values, or one read from JSON.
///
/// Many threads may use it at once.
#[pyclass(frozen, module = "probity")]
pub struct Graph {
    inner: LiveGraph,
}

#[pymethods]
impl Graph {
    /// Opens a store of values, one file, as `probity values` makes it.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self { inner: py.detach(|| LiveGraph::open(&path)).map_err(errors::of)? })
    }

    /// Reads a graph from JSON or a dictionary; it lives in memory and takes no votes.
    #[staticmethod]
    fn parse(document: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { inner: LiveGraph::from_json(&convert::text(document)?).map_err(errors::of)? })
    }

    /// Ranks the values, the wisest first, over all contexts or in one.
    ///
    /// The method is "robust" or "compat".
    #[pyo3(signature = (method="robust", context=None))]
    fn rank<'py>(&self, py: Python<'py>, method: &str, context: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
        let rank = || -> probity::Result<_> {
            let method = Method::named(method)?;
            let graph = self.inner.graph()?;
            let context = context.map(|text| graph.context(text)).transpose()?;
            Ok(graph.ranking(&method, context))
        };
        convert::object(py, &py.detach(rank).map_err(errors::of)?)
    }

    /// Explains the place of a card.
    #[pyo3(signature = (card, context=None))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        card: &Bound<'py, PyAny>,
        context: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let card = card.str()?.to_string();
        let explain = || -> probity::Result<_> {
            let graph = self.inner.graph()?;
            let context = context.map(|text| graph.context(text)).transpose()?;
            Ok(graph.explain(graph.number(&CardId::from(card.as_str()))?, context))
        };
        convert::object(py, &py.detach(explain).map_err(errors::of)?)
    }

    /// Adds a vote to the graph's store: voter, from, to, context, answer.
    fn vote(&self, py: Python<'_>, vote: &Bound<'_, PyAny>) -> PyResult<()> {
        let problem = |e: serde_json::Error| EngineError::Document { what: "vote", problem: e.to_string() };
        let vote: Vote = serde_json::from_str(&convert::text(vote)?).map_err(problem).map_err(errors::of)?;
        match py.detach(|| self.inner.vote(&vote)).map_err(errors::of)? {
            true => Ok(()),
            false => {
                let message = "graph: it was read from JSON, expected a graph from Graph.open";
                Err(Failure::new(Status::STORE, message).into())
            }
        }
    }

    /// Measures a model's threshold for the graph now.
    ///
    /// Later calls with this model then need not.
    #[pyo3(signature = (model, progress=None))]
    fn prepare(&self, py: Python<'_>, model: &Model, progress: Option<Py<PyAny>>) -> PyResult<()> {
        Progress::new(progress)
            .run(py, |tell| self.inner.prepare(&model.inner, &mut |done, all| tell(done as f32 / all as f32)))
    }

    /// The contexts of a situation told in words, with the wisest values there.
    fn situate<'py>(&self, py: Python<'py>, model: &Model, situation: &str) -> PyResult<Bound<'py, PyAny>> {
        let situated = interrupt::run(py, || (), || self.inner.situate(&model.inner, situation))?;
        convert::object(py, &situated)
    }

    /// What the wisest values make of each action of a situation, and why.
    #[pyo3(signature = (model, situation, progress=None))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        model: &Model,
        situation: &Bound<'py, PyAny>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let situation = Situation::from_json(&convert::text(situation)?).map_err(probity::Error::from);
        let situation = situation.map_err(errors::of)?;
        let score = |tell: &dyn Fn(f32) -> bool| {
            self.inner.score(&model.inner, &situation, &mut |done, all| tell(done as f32 / all as f32))
        };
        convert::object(py, &Progress::new(progress).run(py, score)?)
    }
}
