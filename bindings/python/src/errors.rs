//! Errors: one exception, with the number and the name that C has.

use probity::Status;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

pyo3::create_exception!(
    probity,
    ProbityError,
    PyException,
    "A call failed. `code` and `name` are the status of the C ABI; the text says what was wrong and what would be right."
);

/// An error on its way to Python.
pub struct Failure {
    status: Status,
    message: String,
}

impl Failure {
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// Whatever the library returns as an error.
impl<E: Into<probity::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        Self::new(error.status(), error.to_string())
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| {
            let error = ProbityError::new_err(failure.message);
            let (value, status) = (error.value(py), failure.status);
            let set = value.setattr("code", status.number()).and_then(|()| value.setattr("name", status.name()));
            set.map_or_else(|failed| failed, |()| error)
        })
    }
}

/// The exception of an error of the library.
pub fn of(error: impl Into<probity::Error>) -> PyErr {
    Failure::from(error).into()
}

/// An error of the trainer.
pub fn of_training(error: &probity_train::Error) -> Failure {
    Failure::new(error.status(), error.to_string())
}
