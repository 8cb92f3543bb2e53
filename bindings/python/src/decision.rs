//! Decisions and policies.

use std::sync::Arc;

use probity::agent::Consideration;
use probity_game::moral::Account;
use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use super::convert;

/// The probability of each action in a state, with every action's account.
#[pyclass(frozen, subclass, module = "probity")]
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

    /// Why the probabilities are not to be relied on, or `None`.
    #[getter]
    fn doubt(&self) -> Option<String> {
        self.considered.unreliable.as_ref().map(ToString::to_string)
    }

    /// A row for each action.
    ///
    /// It has label, probability, expected points, and each reward with its regret.
    /// `pandas.DataFrame(policy.table())` is a table of them.
    fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::object(py, &rows(&self.considered))
    }
}

/// An action taken, with the policy it was drawn from.
#[pyclass(frozen, extends = Policy, module = "probity")]
pub struct Decision {
    /// The action taken, by id.
    #[pyo3(get)]
    action: usize,
    label: String,
}

impl Decision {
    pub fn of(decision: probity::agent::Decision) -> PyClassInitializer<Self> {
        let (action, label) = (decision.action, decision.label().to_owned());
        PyClassInitializer::from(Policy { considered: decision.considered }).add_subclass(Self { action, label })
    }
}

#[pymethods]
impl Decision {
    /// The label of the action taken.
    #[getter]
    fn label(&self) -> &str {
        &self.label
    }

    fn __repr__(self_: PyRef<'_, Self>) -> String {
        let considered = &self_.as_super().considered;
        let reliable = if considered.unreliable.is_none() { "True" } else { "False" };
        let p = considered.actions[self_.action].probability;
        format!("Decision({:?}, probability={p:.4}, reliable={reliable})", self_.label)
    }
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
