//! Games on paper.

use probity_game::moral::{Framework, account};
use probity_game::{CatalogGame, MatrixGame, Player, fair_coin};
use pyo3::prelude::*;
use serde_json::Value;

use super::decision::account_row;
use super::{convert, errors};

/// A matrix game of two players.
#[pyclass(frozen, module = "probity")]
pub struct Game {
    pub inner: MatrixGame,
}

#[pymethods]
impl Game {
    /// Makes a game.
    ///
    /// `payoffs` has the shape (rows, columns, 2): the row player's points before the column player's.
    #[new]
    #[pyo3(signature = (name, payoffs, row_labels, column_labels, cooperative=[0, 0]))]
    fn new(
        name: &str,
        payoffs: &Bound<'_, PyAny>,
        row_labels: Vec<String>,
        column_labels: Vec<String>,
        cooperative: [usize; 2],
    ) -> PyResult<Self> {
        let payoffs = match payoffs.hasattr("tolist")? {
            true => payoffs.call_method0("tolist")?,
            false => payoffs.clone(),
        };
        let table: Vec<Vec<[f64; 2]>> = payoffs.extract()?;
        let inner = MatrixGame::new(name, [row_labels, column_labels], table, cooperative).map_err(errors::of)?;
        Ok(Self { inner })
    }

    /// A game of the catalogue, such as "ipd".
    #[staticmethod]
    fn named(name: &str) -> PyResult<Self> {
        Ok(Self { inner: CatalogGame::find(name).map_err(errors::of)?.game() })
    }

    /// The names of the catalogue.
    #[staticmethod]
    fn names() -> Vec<&'static str> {
        probity_game::CATALOG.iter().map(|game| game.name).collect()
    }

    /// Reads a game from its JSON form, or from a dictionary of it.
    #[staticmethod]
    fn parse(document: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { inner: MatrixGame::from_json(&convert::text(document)?).map_err(errors::of)? })
    }

    /// The game's JSON form as a dictionary.
    fn document<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::loads(py, &self.inner.to_json())
    }

    /// The game's name.
    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// The labels of the row player's and of the column player's actions.
    #[getter]
    fn labels(&self) -> (Vec<String>, Vec<String>) {
        (self.inner.labels(Player::Row).to_vec(), self.inner.labels(Player::Column).to_vec())
    }

    /// The payoffs, (rows, columns, 2).
    #[getter]
    fn payoffs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let [rows, columns] = [Player::Row, Player::Column].map(|player| self.inner.count(player));
        let table: Vec<Vec<[f64; 2]>> =
            (0..rows).map(|row| (0..columns).map(|column| self.inner.payoff(row, column)).collect()).collect();
        convert::array(py, table)
    }

    /// The game as its column player sees it.
    fn transposed(&self) -> Self {
        Self { inner: self.inner.transposed() }
    }

    /// The moral account of the row player's actions: a row for each.
    ///
    /// `last` is the last round `(own, other)`; `belief` has a probability for each of the other's actions, equal where
    /// it is missing. `nested` keeps the form of the C ABI, with a list of rewards.
    #[pyo3(signature = (last=None, belief=None, *, nested=false))]
    fn account<'py>(
        &self,
        py: Python<'py>,
        last: Option<(usize, usize)>,
        belief: Option<Vec<f64>>,
        nested: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let state = convert::state(last);
        if let Some(round) = state {
            self.inner.check_profile(round).map_err(errors::of)?;
        }
        let belief = belief.unwrap_or_else(|| fair_coin(&self.inner));
        let accounts = account(&self.inner, state, &belief, &Framework::all_rewards()).map_err(errors::of)?;
        if nested {
            return convert::object(py, &accounts);
        }
        convert::object(py, &accounts.iter().map(|row| Value::Object(account_row(row))).collect::<Vec<_>>())
    }

    fn __repr__(&self) -> String {
        format!("Game({:?})", self.inner.name())
    }
}
