//! Decisions and policies.

use std::sync::Arc;

use probity::agent::Consideration;
use probity_game::moral::Account;
use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use super::convert;

/// An action taken, with its policy and the account of every action.
#[pyclass(frozen, module = "probity")]
pub struct Decision {
    /// The action taken, by id.
    #[pyo3(get)]
    action: usize,
    considered: Arc<Consideration>,
}

impl Decision {
    pub fn of(decision: probity::agent::Decision) -> Self {
        Self { action: decision.action, considered: decision.considered }
    }
}

#[pymethods]
impl Decision {
    /// The label of the action taken.
    #[getter]
    fn label(&self) -> &str {
        &self.considered.actions[self.action].label
    }

    /// The probability of each action, in order of id.
    #[getter]
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::array(py, self.considered.policy())
    }

    /// The probability that the model answers with any legal action.
    #[getter]
    fn legality_mass(&self) -> f64 {
        self.considered.legality_mass
    }

    /// Whether the probabilities are to be relied on; `doubt` says why not.
    #[getter]
    fn reliable(&self) -> bool {
        self.considered.unreliable.is_none()
    }

    /// Why the decision is not to be relied on, or `None`.
    #[getter]
    fn doubt(&self) -> Option<String> {
        doubt(&self.considered)
    }

    /// A row for each action.
    ///
    /// It has label, probability, expected points, and each reward with its regret.
    /// `pandas.DataFrame(decision.table())` is a table of them.
    fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::object(py, &rows(&self.considered))
    }

    fn __repr__(&self) -> String {
        let p = self.considered.actions[self.action].probability;
        format!("Decision({:?}, probability={p:.4}, reliable={})", self.label(), self.reliable_word())
    }
}

impl Decision {
    fn reliable_word(&self) -> &'static str {
        if self.considered.unreliable.is_none() { "True" } else { "False" }
    }
}

/// The probability of each action in a state, without a decision.
#[pyclass(frozen, module = "probity")]
pub struct Policy {
    pub considered: Arc<Consideration>,
}

#[pymethods]
impl Policy {
    /// The probability of each action, in order of id.
    #[getter]
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::array(py, self.considered.policy())
    }

    /// The probability that the model answers with any legal action.
    #[getter]
    fn legality_mass(&self) -> f64 {
        self.considered.legality_mass
    }

    /// Whether the probabilities are to be relied on; `doubt` says why not.
    #[getter]
    fn reliable(&self) -> bool {
        self.considered.unreliable.is_none()
    }

    /// Why the policy is not to be relied on, or `None`.
    #[getter]
    fn doubt(&self) -> Option<String> {
        doubt(&self.considered)
    }

    /// A row for each action, as of a decision.
    fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::object(py, &rows(&self.considered))
    }
}

fn doubt(considered: &Consideration) -> Option<String> {
    considered.unreliable.as_ref().map(ToString::to_string)
}

fn rows(considered: &Consideration) -> Vec<Value> {
    let row = |choice: &probity::agent::decision::Choice| {
        let mut row = account_row(&choice.account);
        row.insert("label".into(), json!(choice.label));
        row.insert("probability".into(), json!(choice.probability));
        row.insert("log_prob".into(), json!(choice.log_prob));
        Value::Object(row)
    };
    considered.actions.iter().map(row).collect()
}

/// An account as one row: each reward by its framework, and its regret.
pub fn account_row(account: &Account) -> Map<String, Value> {
    let Value::Object(mut row) = json!(account) else { unreachable!("an account is an object") };
    let Some(Value::Array(rewards)) = row.remove("rewards") else { return row };
    for reward in rewards {
        let name = reward["framework"].as_str().unwrap_or("values").to_owned();
        row.insert(format!("{name}_regret"), reward["regret"].clone());
        row.insert(name, reward["value"].clone());
    }
    row
}
