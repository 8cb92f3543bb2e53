//! Rules of `docs/contributing/style.md` that a test can hold.

use std::fs;

use probity_testing::{files, root};

/// The most characters of a summary.
const SUMMARY: usize = 80;

/// The doc comments of a file: lines, and the number of the first.
fn comments(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut found: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut last = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let Some((mark, said)) = ["///", "//!"].into_iter().find_map(|m| Some((m, line.strip_prefix(m)?))) else {
            last = None;
            continue;
        };
        if last == Some(mark) {
            found.last_mut().expect("a comment").1.push(said);
        } else {
            found.push((number + 1, vec![said]));
        }
        last = Some(mark);
    }
    found
}

/// The most columns of a comment's line; rustfmt sees to the code.
const COLUMNS: usize = 120;

#[test]
fn a_comment_keeps_to_the_columns() {
    for file in ["src", "crates", "bindings", "benches", "tests", "examples"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), "rs"))
    {
        let text = fs::read_to_string(&file).unwrap();
        let comments = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"));
        for (number, line) in comments {
            assert!(line.chars().count() <= COLUMNS, "{}:{}: {line}", file.display(), number + 1);
        }
    }
}

#[test]
fn a_summary_fits_into_a_line() {
    for file in ["src", "crates", "bindings", "benches"].iter().flat_map(|folder| files(&root().join(folder), "rs")) {
        if file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "target") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (line, comment) in comments(&text) {
            let summary: Vec<&str> = comment.into_iter().map(str::trim).take_while(|said| !said.is_empty()).collect();
            let summary = summary.join(" ");
            assert!(summary.chars().count() <= SUMMARY, "{}:{line}: {summary}", file.display());
        }
    }
}
