//! Agents.

use std::sync::Arc;

use parking_lot::Mutex;
use probity::agent::Scenario;
use probity::{Error, Status};
use probity_engine::{CancelToken, ContextOptions};
use probity_game::{Player, Profile};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::adapter::Adapter;
use super::decision::{Decision, Policy};
use super::errors::Failure;
use super::model::Model;
use super::session::{Session, adapters};
use super::{convert, errors, interrupt};

/// A model with adapters in a game. One thread at a time: a second one gets BUSY.
#[pyclass(frozen, module = "probity")]
pub struct Agent {
    inner: Arc<Mutex<probity::agent::Agent>>,
    token: CancelToken,
}

/// What an agent is made in.
#[derive(FromPyObject)]
enum Host<'py> {
    Session(PyRef<'py, Session>),
    Model(PyRef<'py, Model>),
}

impl Agent {
    pub fn of(agent: probity::agent::Agent) -> Self {
        Self { token: agent.cancel_token(), inner: Arc::new(Mutex::new(agent)) }
    }

    /// Uses the agent, or says that another thread does.
    fn with<T>(&self, work: impl FnOnce(&mut probity::agent::Agent) -> probity::Result<T>) -> PyResult<T> {
        let mut agent = self.inner.try_lock().ok_or_else(|| errors::of(Error::Busy { what: "agent" }))?;
        work(&mut agent).map_err(errors::of)
    }

    /// As [`Agent::with`], for work that asks the model.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut probity::agent::Agent) -> probity::Result<T> + Send,
    ) -> PyResult<T> {
        interrupt::run_with(py, &self.token, || {
            let mut agent = self.inner.try_lock().ok_or(Error::Busy { what: "agent" })?;
            work(&mut agent)
        })
    }

    /// What tells of the last decision.
    fn last<T>(&self, tell: impl FnOnce(&probity::agent::Agent) -> Option<T>) -> PyResult<T> {
        let last = self.with(|agent| Ok(tell(agent)))?;
        Ok(last.ok_or_else(|| Failure::new(Status::NO_DECISION, "agent: has not decided yet"))?)
    }
}

#[pymethods]
impl Agent {
    /// Makes an agent in a session, or on a model with a session of its own.
    ///
    /// The scenario is a dictionary or JSON.
    #[new]
    fn new(py: Python<'_>, host: Host<'_>, scenario: &Bound<'_, PyAny>) -> PyResult<Self> {
        let scenario = Scenario::from_json(&convert::text(scenario)?).map_err(errors::of)?;
        let made = match host {
            Host::Session(session) => session.inner.agent(scenario),
            Host::Model(model) => {
                let model = model.inner.clone();
                py.detach(|| probity::agent::Agent::new(&model, scenario, ContextOptions::default()))
            }
        };
        made.map(Self::of).map_err(errors::of)
    }

    /// Makes an agent from a snapshot; it continues byte for byte.
    #[staticmethod]
    #[pyo3(name = "restore", signature = (model, snapshot, adapters=Vec::new()))]
    fn restore(
        py: Python<'_>,
        model: &Model,
        snapshot: &Bound<'_, PyBytes>,
        adapters: Vec<PyRef<'_, Adapter>>,
    ) -> PyResult<Self> {
        let (adapters, bytes) = (self::adapters(&adapters), snapshot.as_bytes());
        let model = &model.inner;
        let made = py.detach(|| probity::agent::Agent::restore(model, &adapters, bytes, ContextOptions::default()));
        made.map(Self::of).map_err(errors::of)
    }

    /// Replaces the whole set of adapters; `scales` has a number for each.
    #[pyo3(signature = (adapters, scales=None))]
    fn set_adapters(&self, adapters: Vec<PyRef<'_, Adapter>>, scales: Option<Vec<f32>>) -> PyResult<()> {
        let scales = scales.unwrap_or_else(|| vec![1.0; adapters.len()]);
        if scales.len() != adapters.len() {
            let message = format!("scales: {}, expected one for each of {} adapters", scales.len(), adapters.len());
            return Err(PyValueError::new_err(message));
        }
        let set: Vec<_> = self::adapters(&adapters).into_iter().zip(scales).collect();
        self.with(|agent| agent.set_adapters(&set))
    }

    /// The labels of its actions, in order of id.
    #[getter]
    fn actions(&self) -> PyResult<Vec<String>> {
        self.with(|agent| Ok(agent.game().labels(Player::Row).to_vec()))
    }

    /// Takes a decision.
    ///
    /// The history is unchanged until `observe` says what was really played. A decision whose legality mass is below
    /// the floor is taken, and has a `doubt`.
    fn decide(&self, py: Python<'_>) -> PyResult<Py<Decision>> {
        Py::new(py, Decision::of(self.ask(py, probity::agent::Agent::decide)?))
    }

    /// The probability of each action in a state.
    ///
    /// `last` is the last round, `(own, other)`; `None` before the first.
    #[pyo3(signature = (last=None))]
    fn policy(&self, py: Python<'_>, last: Option<(usize, usize)>) -> PyResult<Policy> {
        let state = convert::state(last);
        Ok(Policy { considered: self.ask(py, |agent| agent.consider(state))? })
    }

    /// Tells the agent what was played.
    fn observe(&self, own: usize, other: usize) -> PyResult<()> {
        self.with(|agent| agent.observe(Profile { own, other }))
    }

    /// What was played so far: an array of `(own, other)`, the oldest round first.
    #[getter]
    fn history<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let rounds = self.with(|agent| Ok(agent.history().rounds().to_vec()))?;
        convert::rounds(py, &rounds)
    }

    /// Forgets what was played; the random stream goes on.
    fn forget(&self) -> PyResult<()> {
        self.with(|agent| {
            agent.forget_history();
            Ok(())
        })
    }

    /// The probability that the model answered the last decision with any legal action.
    #[getter]
    fn legality_mass(&self) -> PyResult<f64> {
        self.last(|agent| Some(agent.last_decision()?.considered.legality_mass))
    }

    /// The last decision in words.
    fn explain(&self) -> PyResult<String> {
        self.last(probity::agent::Agent::explain)
    }

    /// The record of the last decision: enough to take it again.
    fn record<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::object(py, &self.last(probity::agent::Agent::record)?)
    }

    /// The agent as bytes.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.with(|agent| agent.snapshot())?))
    }

    /// Stops the running decision or, where none runs, the next; from any thread.
    fn cancel(&self) {
        self.token.cancel();
    }
}
