//! The walls of the house: which package may depend on which, and where `unsafe` may stand.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use probity_testing::root;
use serde_json::Value;

/// Each package with the packages of this workspace that it may depend on. An arrow only points down.
const WALLS: [(&str, &[&str]); 8] = [
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

#[test]
fn unsafe_stands_in_the_engine_and_at_the_c_boundary_alone() {
    for package in ["game", "values", "elicit", "train", "cli"] {
        let folder = root().join("crates").join(package).join("src");
        let file = if package == "cli" { folder.join("main.rs") } else { folder.join("lib.rs") };
        let text = fs::read_to_string(&file).expect("the root of a package");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{} does not forbid unsafe code", file.display());
    }
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("the library");
    assert!(text.contains("#![deny(unsafe_code)]"), "src/lib.rs does not deny unsafe code");
    assert_eq!(text.matches("expect(unsafe_code").count(), 1, "src/ffi alone may expect unsafe code");
}
