//! Leaves Python's own symbols to the interpreter that loads the module.
//!
//! Some linkers must be told so.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
