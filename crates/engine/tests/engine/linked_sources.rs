//! What follows from the sources of the llama.cpp that is linked: the table of metadata keys, and the ways of splitting
//! a text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use probity_engine::gguf::Value as GgufValue;
use probity_engine::preflight::{KEYS, Scope};
use probity_engine::{Architecture, Model, ModelOptions};
use probity_testing::parts::GgufParts;
use serde_json::Value;

/// The sources of llama.cpp in the package that Cargo has resolved.
fn sources() -> PathBuf {
    let compiler = Command::new("rustc").arg("-vV").output().unwrap();
    let about = String::from_utf8(compiler.stdout).unwrap();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // The packages of other platforms need not be here.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--filter-platform", host, "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "llama-cpp-sys-2").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("llama.cpp/src")
}

/// Long words by every way of splitting a text that llama.cpp has, on the stack of a background thread
/// [llama.cpp#27783, #26965, #14655].
#[test]
fn no_long_word_overflows_the_stack() {
    let text = std::fs::read_to_string(sources().join("llama-vocab.cpp")).unwrap();
    let known: BTreeSet<&str> =
        text.split("tokenizer_pre == \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(known.len() > 50, "llama.cpp names its ways in another form than this test knows: {known:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.gguf");
    let words =
        ["A", "a", "7", " ", "\n", "'", "é", "漢", "🙂", "A7 ", "aA"].map(|word| word.repeat(8192 / word.len()));
    for pre in known {
        let parts = GgufParts::of(&probity_testing::shipped("default"));
        parts.set("tokenizer.ggml.pre", GgufValue::Str(pre.into())).write(&path);
        // A few ways have parts that this vocabulary lacks.
        let Ok(model) = Model::open(&path, ModelOptions::default(), |_| true) else { continue };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(512 << 10);
            // A way made for another kind of vocabulary may refuse a word; an overflow would end the process.
            let work = || words.iter().for_each(|word| _ = model.tokenize(word, false));
            thread.spawn_scoped(scope, work).unwrap().join().unwrap();
        });
    }
}

/// The shim declares what stands in a header that llama.cpp does not install.
#[test]
fn the_shim_declares_the_breakdown_of_memory_as_llama_cpp_does() {
    let header = std::fs::read_to_string(sources().join("llama-ext.h")).unwrap();
    let start = "struct llama_memory_breakdown_data {";
    let fields = |text: &str| -> Vec<String> {
        let body = text.split(start).nth(1).unwrap().split("};").next().unwrap();
        let declared = body.lines().filter(|line| line.trim().starts_with("size_t ") && line.contains('='));
        declared.map(|line| line.split(';').next().unwrap().split_whitespace().collect()).collect()
    };
    let shim = include_str!("../../shim/shim.cpp");
    assert_eq!(fields(shim), fields(&header));
    assert_eq!(fields(shim), ["size_tmodel=0", "size_tcontext=0", "size_tcompute=0"]);
    for declared in [
        "using llama_memory_breakdown = std::map<ggml_backend_buffer_type_t, llama_memory_breakdown_data>;",
        "llama_memory_breakdown llama_get_memory_breakdown(const struct llama_context * ctx);",
    ] {
        assert!(header.contains(declared) && shim.contains(declared), "{declared}");
    }
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
