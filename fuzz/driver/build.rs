//! Compiles the calls of the C library in any order.

fn main() {
    let calls = "../../tests/c/calls.c";
    println!("cargo::rerun-if-changed={calls}");
    println!("cargo::rerun-if-changed=../../include/probity.h");
    cc::Build::new().file(calls).include("../../include").std("c99").compile("calls");
}
