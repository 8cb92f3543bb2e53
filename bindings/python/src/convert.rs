//! Documents and numbers, to Python and back.

use probity_game::{Profile, State};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use serde::Serialize;

/// A document as Python's dictionaries and lists.
pub fn object<'py>(py: Python<'py>, document: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(document).expect("documents are plain data");
    loads(py, &text)
}

/// JSON as Python's dictionaries and lists.
pub fn loads<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}

/// A document that Python gives: JSON as it stands, or whatever `json.dumps` takes.
pub fn text(document: &Bound<'_, PyAny>) -> PyResult<String> {
    if document.is_instance_of::<PyString>() {
        return document.extract();
    }
    document.py().import("json")?.call_method1("dumps", (document,))?.extract()
}

/// Numbers as an array of float64.
pub fn array(py: Python<'_>, values: impl Serialize) -> PyResult<Bound<'_, PyAny>> {
    let list = object(py, &values)?;
    py.import("numpy")?.call_method1("array", (list, "float64"))
}

/// The last round: own action and the other player's; `None` before the first.
pub fn state(last: Option<(usize, usize)>) -> State {
    last.map(|(own, other)| Profile { own, other })
}

/// The rounds played, `(n, 2)`, of int64.
pub fn rounds<'py>(py: Python<'py>, rounds: &[Profile]) -> PyResult<Bound<'py, PyAny>> {
    let pairs: Vec<[usize; 2]> = rounds.iter().map(|round| [round.own, round.other]).collect();
    let array = py.import("numpy")?.call_method1("array", (object(py, &pairs)?, "int64"))?;
    array.call_method1("reshape", (PyTuple::new(py, [-1, 2])?,))
}
