//! Sessions: a model's context, shared by any number of agents.

use probity::agent::record::Retake;
use probity::agent::{Floor, Scenario, Seeds, SessionOptions};
use probity_engine::{ContextOptions, Error};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::adapter::Adapter;
use super::agent::Agent;
use super::game::Game;
use super::model::Model;
use super::{convert, errors, interrupt};

/// A model's context.
///
/// It takes one decision at a time; agents of other threads wait.
#[pyclass(frozen, module = "probity")]
pub struct Session {
    pub inner: probity::agent::Session,
}

/// Options of a session, by keyword.
#[derive(Default)]
pub struct SessionSettings {
    context: usize,
    threads: usize,
    memory: u64,
    exact_cache: bool,
    seeds: Option<String>,
    legality_floor: Option<FloorSetting>,
}

/// A number, or "off".
#[derive(FromPyObject)]
enum FloorSetting {
    At(f64),
    Word(String),
}

/// The options that keywords give.
pub fn settings(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<SessionSettings> {
    let mut settings = SessionSettings::default();
    for (name, value) in keywords.into_iter().flatten() {
        match name.extract::<String>()?.as_str() {
            "context" => settings.context = value.extract()?,
            "threads" => settings.threads = value.extract()?,
            "memory" => settings.memory = value.extract()?,
            "exact_cache" => settings.exact_cache = value.extract()?,
            "seeds" => settings.seeds = value.extract()?,
            "legality_floor" => settings.legality_floor = value.extract()?,
            other => {
                let message = format!(
                    "{other}: no option of a session, expected context, threads, memory, exact_cache, seeds or \
                     legality_floor"
                );
                return Err(PyTypeError::new_err(message));
            }
        }
    }
    Ok(settings)
}

impl SessionSettings {
    pub fn context(&self) -> ContextOptions {
        ContextOptions::default().with(|o| {
            o.context = self.context;
            o.threads = self.threads;
            o.memory = self.memory;
            o.exact_cache = self.exact_cache;
        })
    }

    fn session(&self) -> PyResult<SessionOptions> {
        let seeds = match self.seeds.as_deref() {
            None | Some("scenario") => Seeds::Scenario,
            Some("numbered") => Seeds::Numbered,
            Some(other) => return Err(refused("seeds", other, "scenario or numbered")),
        };
        let floor = match &self.legality_floor {
            None => Floor::default(),
            Some(FloorSetting::At(floor)) => Floor::At(*floor),
            Some(FloorSetting::Word(word)) if word == "off" => Floor::Off,
            Some(FloorSetting::Word(word)) => return Err(refused("legality_floor", word, "a number or off")),
        };
        let context = self.context();
        Ok(SessionOptions::default().with(|o| (o.context, o.seeds, o.legality_floor) = (context, seeds, floor)))
    }
}

fn refused(name: &'static str, given: &str, expected: &str) -> PyErr {
    errors::of(Error::Option { name, given: given.into(), expected: expected.into() })
}

/// Adapters as the library takes them.
pub fn adapters(given: &[PyRef<'_, Adapter>]) -> Vec<probity_engine::Adapter> {
    given.iter().map(|adapter| adapter.inner.clone()).collect()
}

#[pymethods]
impl Session {
    /// Makes a session.
    ///
    /// Options: context, threads, memory, exact_cache, seeds, legality_floor.
    #[new]
    #[pyo3(signature = (model, **options))]
    fn new(py: Python<'_>, model: &Model, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let options = settings(options)?.session()?;
        let inner = py.detach(|| probity::agent::Session::new(&model.inner, options)).map_err(errors::of)?;
        Ok(Self { inner })
    }

    /// Makes an agent: a scenario as a dictionary or as JSON.
    fn agent(&self, scenario: &Bound<'_, PyAny>) -> PyResult<Agent> {
        let scenario = Scenario::from_json(&convert::text(scenario)?).map_err(errors::of)?;
        Ok(Agent::of(self.inner.agent(scenario).map_err(errors::of)?))
    }

    /// Makes an agent for a game, as its row player.
    #[pyo3(signature = (game, seed=0))]
    fn play(&self, game: &Game, seed: u64) -> PyResult<Agent> {
        let mut scenario = Scenario::new(game.inner.clone());
        scenario.seed = seed;
        Ok(Agent::of(self.inner.agent(scenario).map_err(errors::of)?))
    }

    /// Makes an agent from a snapshot; it continues byte for byte.
    #[pyo3(signature = (snapshot, adapters=Vec::new()))]
    fn restore(&self, snapshot: &Bound<'_, PyBytes>, adapters: Vec<PyRef<'_, Adapter>>) -> PyResult<Agent> {
        let adapters = self::adapters(&adapters);
        Ok(Agent::of(self.inner.restore(&adapters, snapshot.as_bytes()).map_err(errors::of)?))
    }

    /// Takes a recorded decision again.
    ///
    /// Returns the new record, and whether it equals the given one.
    #[pyo3(signature = (record, adapters=Vec::new()))]
    fn retake<'py>(
        &self,
        py: Python<'py>,
        record: &Bound<'py, PyAny>,
        adapters: Vec<PyRef<'py, Adapter>>,
    ) -> PyResult<(Bound<'py, PyAny>, bool)> {
        let (record, adapters) = (convert::text(record)?, self::adapters(&adapters));
        let retake = interrupt::run(py, || (), || Retake::new(&self.inner, &adapters, &record))?;
        let (again, same) = interrupt::run_with(py, &retake.cancel_token(), || retake.take())?;
        Ok((convert::loads(py, &again)?, same))
    }

    /// Stops the running decision of any of its agents, from any thread.
    ///
    /// Where none runs, it stops the next.
    fn cancel(&self) {
        self.inner.cancel_token().cancel();
    }

    fn __repr__(&self) -> String {
        format!("Session({:?})", self.inner.model().path())
    }
}
