//! The walls of the house: which package may depend on which, and where `unsafe` may stand.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use probity_testing::{files, root};
use serde_json::Value;

/// Each package with the packages of this workspace that it may depend on. An arrow only points down.
const WALLS: [(&str, &[&str]); 9] = [
    ("probity-game", &[]),
    ("probity-values", &[]),
    ("probity-engine", &[]),
    ("probity-elicit", &["probity-engine", "probity-values"]),
    ("probity", &["probity-elicit", "probity-engine", "probity-game", "probity-values"]),
    ("probity-train", &["probity", "probity-engine", "probity-game"]),
    ("probity-embedder", &[]),
    (
        "probity-cli",
        &[
            "probity",
            "probity-elicit",
            "probity-embedder",
            "probity-engine",
            "probity-game",
            "probity-train",
            "probity-values",
        ],
    ),
    (
        "probity-python",
        &["probity", "probity-elicit", "probity-engine", "probity-game", "probity-train", "probity-values"],
    ),
];

/// Other dependencies of the pure packages: no I/O, no threads, no C compiler. The store of values needs SQLite, and is
/// optional.
const PURE: [(&str, &[&str]); 2] = [
    ("probity-game", &["rand", "serde", "serde_json", "thiserror"]),
    ("probity-values", &["petgraph", "rand", "rand_chacha", "rand_distr", "serde", "serde_json", "thiserror"]),
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// The dependencies compiled into a package, by whether they are optional.
fn dependencies(package: &Value, optional: bool) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().expect("dependencies").iter();
    all.filter(|d| d["kind"].is_null() && (optional || d["optional"] == false))
        .map(|d| d["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn arrows_point_down() {
    let packages = packages();
    let named = |name: &str| packages.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("no package {name}"));
    for (name, may) in WALLS {
        let ours = dependencies(named(name), true).into_iter().filter(|d| d.starts_with("probity"));
        for dependency in ours {
            assert!(may.contains(&dependency.as_str()), "{name} may not depend on {dependency}");
        }
    }
    let unpublished = |p: &&Value| p["publish"].as_array().is_some_and(Vec::is_empty);
    for package in packages.iter().filter(|p| !unpublished(p)) {
        let name = package["name"].as_str().expect("a name");
        assert!(WALLS.iter().any(|(known, _)| *known == name), "{name} has no walls: add it to the table");
    }
    for (name, may) in PURE {
        let needed = dependencies(named(name), false);
        assert!(needed.iter().all(|d| may.contains(&d.as_str())), "{name} is pure, and depends on {needed:?}");
    }
}

/// The packages of this workspace that tests need beyond [`WALLS`].
const TESTS: [(&str, &[&str]); 5] = [
    // Scores and templates are tested on the agent's prompts.
    ("probity-engine", &["probity", "probity-game", "probity-testing"]),
    ("probity-elicit", &["probity-testing"]),
    // Small models for the library's tests are made by the trainer's code.
    ("probity", &["probity-testing", "probity-train"]),
    ("probity-train", &["probity-testing"]),
    ("probity-cli", &["probity-testing"]),
];

#[test]
fn tests_need_no_more_than_they_say() {
    for package in packages() {
        let name = package["name"].as_str().expect("a name");
        let Some((_, own)) = WALLS.iter().find(|(known, _)| *known == name) else { continue };
        let more = TESTS.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, more)| more);
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let needed = dependency["name"].as_str().expect("a name");
            let known = own.contains(&needed) || more.contains(&needed);
            assert!(!needed.starts_with("probity") || known, "tests of {name} may not depend on {needed}");
        }
    }
}

#[test]
fn pure_packages_touch_no_file_and_start_no_thread() {
    for package in ["game", "values"] {
        for file in files(&root().join("crates").join(package).join("src"), "rs") {
            if file.components().any(|part| part.as_os_str() == "store") {
                continue;
            }
            let text = fs::read_to_string(&file).expect("a source file");
            for word in ["std::fs", "std::net", "std::thread", "std::process", "std::env", "std::io"] {
                assert!(!text.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn unsafe_stands_in_the_engine_and_at_the_c_boundary_alone() {
    let top = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(top.contains("unsafe_code = \"forbid\"") && top.contains("unsafe_code = \"deny\""), "the lints are gone");
    for package in packages() {
        let name = package["name"].as_str().expect("a name");
        let manifest = fs::read_to_string(package["manifest_path"].as_str().expect("a path")).expect("a manifest");
        let forbids = manifest.contains("[lints]\nworkspace = true");
        assert!(forbids || ["probity", "probity-engine"].contains(&name), "{name} does not forbid unsafe code");
    }
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("the library");
    assert_eq!(text.matches("expect(unsafe_code").count(), 1, "src/ffi alone may expect unsafe code");
}
