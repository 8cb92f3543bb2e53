//! The README's first decisions, and the Rust examples, run.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use probity_testing::c::compile_file;
use probity_testing::{files, root, shipped};

/// The fenced block of a language that follows a line.
fn block(readme: &str, after: &str, language: &str) -> String {
    let from = readme.find(after).unwrap_or_else(|| panic!("README has no {after:?}"));
    let open = format!("```{language}\n");
    let start = from + readme[from..].find(&open).unwrap_or_else(|| panic!("no {open:?}")) + open.len();
    readme[start..start + readme[start..].find("```").expect("its end")].to_owned()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("README")
}

/// A program that cargo built beside this test.
fn beside(folder: &str, name: &str) -> PathBuf {
    let deps = std::env::current_exe().expect("a program").parent().expect("a folder").to_owned();
    deps.parent().expect("a folder").join(folder).join(name)
}

fn succeeded(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{out}\n{err}");
    out
}

#[test]
fn the_readmes_c_runs() {
    let block = block(&readme(), "From C", "c");
    assert!(block.lines().count() < 15, "a first decision takes under 15 lines");
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("first.c"), folder.path().join("first"));
    let text =
        format!("#include <probity.h>\n#include <stdio.h>\nint main(void) {{\n{block}return (int)err.status;\n}}\n");
    fs::write(&source, text).unwrap();
    compile_file(&source, &program, "cc", &["-std=c99"]);
    let text = succeeded(&Command::new(&program).current_dir(root()).output().expect("it runs"));
    assert!(text.contains("takes \""), "{text}");
}

#[test]
fn the_readmes_commands_run() {
    let block = block(&readme(), "From the command line", "sh");
    let program = beside("", "probity");
    for line in block.lines() {
        let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
        let text = succeeded(&Command::new(&program).args(arguments).output().expect("the program"));
        assert!(text.contains("share"), "{line}: {text}");
    }
}

/// The README's Rust is a doctest of the library; this test checks its length alone.
#[test]
fn the_readmes_rust_is_short() {
    assert!(block(&readme(), "From Rust", "rust").lines().count() < 15);
}

#[test]
fn the_rust_examples_run() {
    let run = |name: &str, arguments: &[PathBuf]| {
        succeeded(&Command::new(beside("examples", name)).args(arguments).output().expect("an example"))
    };
    let text = run("decide", &[shipped("default"), shipped("deontological")]);
    assert_eq!(text.lines().filter(|line| line.starts_with("round")).count(), 10, "{text}");
    let text = run("account", &[]);
    assert!(text.contains("always-defect: deontological regret 2, utilitarian 0.250"), "{text}");
    assert!(text.contains("reciprocal: deontological regret 0"), "{text}");
    let text = run("tilt", &[shipped("default")]);
    assert!(text.contains("three records, taken again to the bit"), "{text}");
}

#[test]
fn every_public_type_has_an_example() {
    let sources = ["src", "crates/game/src", "crates/values/src"].map(|folder| root().join(folder));
    let public = |file: &PathBuf| !file.starts_with(root().join("src/ffi"));
    for file in sources.iter().flat_map(|folder| files(folder, "rs")).filter(public) {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            if !["pub struct ", "pub enum ", "pub trait "].iter().any(|item| line.starts_with(item)) {
                continue;
            }
            let above = lines[..i].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
            assert!(above.into_iter().any(|line| line.starts_with("/// ```")), "{}: {line}", file.display());
        }
    }
}
