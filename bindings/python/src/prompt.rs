//! The prompt of a decision, without a model.

use probity::agent::Scenario;
use probity::agent::prompt::OPENING;
use pyo3::prelude::*;

use super::{convert, errors};

/// The text that a model is asked with in a scenario.
///
/// `last` is the last round, `(own, other)`; `None` before the first. The model's chat template is not applied. The
/// answer is opened with `OPENING`, behind which a label and a quotation mark follow.
#[pyfunction]
#[pyo3(signature = (scenario, last=None))]
pub fn prompt(scenario: &Bound<'_, PyAny>, last: Option<(usize, usize)>) -> PyResult<String> {
    let scenario = Scenario::from_json(&convert::text(scenario)?).map_err(errors::of)?;
    scenario.check().map_err(errors::of)?;
    let state = convert::state(last);
    state.map(|round| scenario.game.check_profile(round)).transpose().map_err(errors::of)?;
    Ok(probity::agent::prompt::prompt(&scenario.game, state, scenario.style).after(&scenario.preamble).text())
}

/// The words that an answer begins with, up to the label.
pub const ANSWER: &str = OPENING;
