//! The table of metadata keys against the sources of the llama.cpp that is linked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use probity_engine::Architecture;
use probity_engine::preflight::{KEYS, Scope};
use serde_json::Value;

/// The sources of llama.cpp in the package that Cargo has resolved.
fn sources() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "llama-cpp-sys-2").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("llama.cpp/src")
}

/// Every key that llama.cpp names, by the constant that stands for it in its sources.
fn names(sources: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(sources.join("llama-arch.cpp")).unwrap();
    let names: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| {
            let (constant, rest) = line.trim().strip_prefix("{ LLM_KV_")?.split_once(',')?;
            Some((format!("LLM_KV_{constant}"), rest.split('"').nth(1)?.to_owned()))
        })
        .collect();
    assert!(names.len() > 200, "the list of keys has another form than this test knows");
    names
}

#[test]
fn every_key_that_llama_cpp_reads_for_these_architectures_is_in_the_table() {
    let sources = sources();
    let names = names(&sources);
    let mut files: Vec<PathBuf> = ["llama-model.cpp", "llama-hparams.cpp", "llama-vocab.cpp", "llama-model-loader.cpp"]
        .iter()
        .map(|file| sources.join(file))
        .collect();
    files.extend(Architecture::all().map(|a| sources.join("models").join(format!("{}.cpp", a.name))));
    let mut read = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("LLM_KV_")) {
            read.extend(names.get(word));
        }
    }
    assert!(read.len() > 60, "{read:?}");
    // What only a model of sounds has, behind a test of the architecture.
    let elsewhere = ["features_length", "posnet.", "convnext."];
    let unknown: Vec<&&String> = read
        .iter()
        .filter(|name| {
            let (scope, rest) = match (name.strip_prefix("%s."), name.strip_prefix("tokenizer.ggml.")) {
                (Some(rest), _) => (Scope::Architecture, rest),
                (None, Some(rest)) => (Scope::Tokenizer, rest),
                (None, None) => (Scope::Any, name.as_str()),
            };
            !elsewhere.iter().any(|prefix| rest.starts_with(prefix))
                && !KEYS.iter().any(|key| key.scope == scope && key.name == rest)
        })
        .collect();
    assert!(unknown.is_empty(), "llama.cpp reads keys that the preflight does not know: {unknown:?}");
}
