//! Scripted players.

use probity_game::{Profile, State};
use pyo3::prelude::*;

use super::game::Game;
use super::{convert, errors};

/// A scripted player, such as tit-for-tat.
#[pyclass(frozen, module = "probity")]
pub struct Strategy {
    inner: probity_game::Strategy,
}

#[pymethods]
impl Strategy {
    /// A strategy of a name.
    #[staticmethod]
    fn named(name: &str) -> PyResult<Self> {
        let unknown = || {
            let names = probity_game::Strategy::names().join(", ");
            pyo3::exceptions::PyKeyError::new_err(format!("{name}: no strategy, expected one of {names}"))
        };
        Ok(Self { inner: probity_game::Strategy::find(name).ok_or_else(unknown)? })
    }

    /// The names of all strategies.
    #[staticmethod]
    fn names() -> Vec<&'static str> {
        probity_game::Strategy::names()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    /// The probability of each of the row player's actions in a state.
    ///
    /// `last` is the last round, `(own, other)`; `None` before the first.
    #[pyo3(signature = (game, last=None))]
    fn policy<'py>(&self, py: Python<'py>, game: &Game, last: Option<(usize, usize)>) -> PyResult<Bound<'py, PyAny>> {
        // The library's scripted players have the column player's seat.
        let last = convert::state(last);
        last.map(|round| game.inner.check_profile(round)).transpose().map_err(errors::of)?;
        let turned: State = last.map(|last| Profile { own: last.other, other: last.own });
        convert::array(py, self.inner.policy(&game.inner.transposed(), turned).map_err(errors::of)?)
    }

    fn __repr__(&self) -> String {
        format!("Strategy({:?})", self.inner.name())
    }
}
