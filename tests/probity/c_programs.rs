//! Real C and C++ programs against the shared library, under AddressSanitizer and UBSan.

use std::path::Path;
use std::process::Command;

use probity_engine::gguf::{GgmlType, Value as GgufValue};
use probity_testing::c::{compile, library, run};
use probity_testing::parts::GgufParts;
use probity_testing::{root, shipped, tiny_config, write_random};
use probity_values::Deliberation;
use probity_values::store::Store;
use serde_json::Value;

const SANITIZE: [&str; 3] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"];

fn sanitized(standard: &'static str) -> Vec<&'static str> {
    SANITIZE.into_iter().chain([standard]).collect()
}

#[test]
fn the_c_example() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("decide");
    compile("examples/c/decide.c", &program, "cc", &sanitized("-std=c99"));
    let output = run(&program, &[&shipped("default"), &shipped("deontological")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|l| l.starts_with("round")).count(), 10, "{text}");
    assert!(text.contains("deontological"), "{text}");
    let again = run(&program, &[&shipped("default"), &shipped("deontological")]);
    assert_eq!(text, String::from_utf8(again.stdout).unwrap(), "same seed, same bytes");
}

#[test]
fn the_c_example_of_values() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("values");
    compile("examples/c/values.c", &program, "cc", &sanitized("-std=c99"));
    let store = folder.path().join("values.db");
    let held = Deliberation::from_json(
        r#"{"version": 1, "cards": [
            {"id": "calm", "title": "Calm", "description": "Staying.", "policies": ["BREATHS that slow down"]},
            {"id": 7, "title": "Care", "description": "Being there.", "policies": ["PEOPLE who are left alone"]}],
            "imported_edges": [{"from": "calm", "to": 7, "contexts": ["When tired"],
                "counts": {"wiser": 8, "not_wiser": 1, "less_wise": 0, "unsure": 0, "impressions": 9}}]}"#,
    )
    .unwrap();
    Store::open_or_create(&store).unwrap().change(|store| Ok(store.add(held)?)).unwrap();
    let output = run(&program, &[&store, &shipped("default")]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line.split_once(": ").unwrap().1).unwrap()).collect();
    assert_eq!(lines[0]["ranking"][0]["id"], 7, "{text}");
    assert_eq!(lines[0]["ranking"][0]["voters"], 9);
    assert_eq!(lines[1]["ranking"][0]["voters"], 10, "the vote counts: {text}");
    assert_eq!(lines[2]["path"], serde_json::json!(["calm", 7]));
    assert!(lines[3]["contexts"].is_array(), "{text}");
    // Whether a model that knows games alone can separate the actions is not tested; the account is complete.
    let scored = &lines[4];
    assert!(scored["values"].is_array() != scored["abstains"]["reason"].is_string(), "{text}");
    assert_eq!(scored["cards"][0]["card"], 7, "{text}");
    assert_eq!(scored["cards"][0]["policies"][0]["served"].as_array().unwrap().len(), 2);
    assert_eq!(Store::open(&store).unwrap().read().unwrap().votes.len(), 1);
}

#[test]
fn the_cpp_example() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("decide");
    compile("examples/cpp/decide.cpp", &program, "c++", &sanitized("-std=c++17"));
    let output = run(&program, &[&shipped("default"), &shipped("deontological")]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("a restored twin decides the same"));
}

#[test]
fn everything_a_c_program_can_get_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("misuse");
    compile("tests/c/misuse.c", &program, "cc", &sanitized("-std=c99"));
    let small = folder.path().join("small.gguf");
    write_random(&small, &tiny_config().with(|o| o.context = 64), GgmlType::F32, 7);
    let truncated = folder.path().join("truncated.gguf");
    let model = std::fs::read(shipped("default")).unwrap();
    std::fs::write(&truncated, &model[..model.len() - 1]).unwrap();
    run(&program, &[&shipped("default"), &shipped("deontological"), &root().join("README.md"), &small, &truncated]);
}

#[test]
fn a_village_on_one_session() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("sessions");
    compile("tests/c/sessions.c", &program, "cc", &sanitized("-std=c99"));
    let random = folder.path().join("random.gguf");
    write_random(&random, &tiny_config(), GgmlType::F32, 7);
    run(&program, &[&shipped("default"), &shipped("deontological"), &random]);
}

#[test]
fn models_from_descriptors_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("sources");
    // POSIX for descriptors.
    compile("tests/c/sources.c", &program, "cc", &sanitized("-std=gnu99"));
    run(&program, &[&shipped("default"), &shipped("deontological"), folder.path()]);
}

/// `PROBITY_CYCLES=100000` for as many, a quarter of an hour.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_memory_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    compile("tests/c/cycles.c", &at("cycles"), "cc", &["-std=c99"]);
    let (model, adapter) = (at("model.gguf"), at("adapter.gguf"));
    write_random(&model, &tiny_config(), GgmlType::F32, 7);
    probity_testing::write_adapter(&adapter, 3);
    let cycles = std::env::var("PROBITY_CYCLES").unwrap_or_else(|_| "2000".into());
    let output = run(&at("cycles"), &[&model, &adapter, Path::new(&cycles)]);
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

/// The corpus of the fuzzer's target `calls`.
#[test]
fn calls_in_any_order() {
    let (folder, model) = probity_testing::tiny(GgmlType::F32);
    let (program, adapter) = (folder.path().join("calls"), folder.path().join("adapter.gguf"));
    probity_testing::write_adapter(&adapter, 3);
    compile("tests/c/calls.c", &program, "cc", &[sanitized("-std=c99"), vec!["-DREPLAY"]].concat());
    let mut files = vec![model, adapter];
    let corpus = std::fs::read_dir(root().join("fuzz/corpus/calls")).unwrap();
    files.extend(corpus.map(|entry| entry.unwrap().path()));
    assert!(files.len() >= 5, "the corpus is there");
    run(&program, &files.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>());
}

#[test]
fn the_wrapper_for_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("wrapper");
    compile("tests/c/wrapper.cpp", &program, "c++", &sanitized("-std=c++17"));
    run(&program, &[&shipped("default"), &shipped("deontological")]);
}

/// No sanitizer: its frames are larger than a small stack, and it does not go through a fork with threads.
#[test]
fn whatever_a_host_does_to_its_threads_and_processes() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("host");
    compile("tests/c/host.c", &program, "cc", &["-std=c99", "-pthread"]);
    let mut files = vec![shipped("default")];
    // The kinds of regular expressions that recursed too deep, and two that did not.
    for pre in ["tekken", "gpt-4o", "llama4", "deepseek-llm", "smollm", "qwen35"] {
        let file = folder.path().join(format!("{pre}.gguf"));
        GgufParts::of(&shipped("default")).set("tokenizer.ggml.pre", GgufValue::Str(pre.into())).write(&file);
        files.push(file);
    }
    run(&program, &files.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>());
}

#[test]
fn the_header_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("header");
    compile("tests/c/header.c", &program, "cc", &["-std=c11", "-pedantic"]);
    run(&program, &[]);
    compile("tests/c/header.c", &program, "c++", &["-std=c++17", "-pedantic", "-x", "c++"]);
    run(&program, &[]);
}

#[test]
fn the_shared_library_exports_its_own_names_only() {
    let file = library::file(&library::folder());
    let mut nm = Command::new("nm");
    if cfg!(target_os = "macos") {
        nm.args(["-gU"])
    } else {
        nm.args(["-D", "--defined-only"])
    };
    let output = nm.arg(&file).output().expect("nm");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: Vec<&str> = text.lines().filter_map(|l| l.split_whitespace().last()).collect();
    assert!(names.len() > 20, "{text}");
    let foreign: Vec<&&str> = names.iter().filter(|n| !n.trim_start_matches('_').starts_with("probity_")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    // A test of the tables holds the list to the header.
    let map = std::fs::read_to_string(root().join("include/probity.map")).unwrap();
    let listed: Vec<&str> =
        map.lines().filter_map(|l| l.trim().strip_suffix(';')).filter(|n| *n != "*" && *n != "}").collect();
    let mut exported: Vec<&str> = names.iter().map(|n| n.trim_start_matches('_')).collect();
    exported.sort_unstable();
    assert_eq!(exported, listed);
}

/// Bytes of a library without its symbols.
fn stripped(library: &Path) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("stripped");
    std::fs::copy(library, &copy).unwrap();
    let flag = if cfg!(target_os = "macos") { "-x" } else { "--strip-all" };
    assert!(Command::new("strip").arg(flag).arg(&copy).status().expect("strip").success());
    std::fs::metadata(&copy).unwrap().len()
}

/// Both limits hold with AVX-512, whose kernels take 0.2 MB more than those for AVX2.
#[test]
fn the_shared_library_is_small() {
    let size = stripped(&library::file(&library::folder()));
    assert!(size <= 8_000_000, "{size} bytes with moral graphs, expected at most 8.0 MB");
    let slim = root().join("target/slim");
    assert!(library::file(&slim).exists(), "{} is missing: run `make lib-native` first", slim.display());
    let size = stripped(&library::file(&slim));
    assert!(size <= 7_000_000, "{size} bytes without moral graphs, expected at most 7.0 MB");
}

#[test]
fn status_numbers_are_used_once() {
    let header = std::fs::read_to_string(root().join("include/probity.h")).unwrap();
    let codes: Vec<(&str, &str)> = header
        .lines()
        .filter_map(|l| l.strip_prefix("#define PROBITY_STATUS_"))
        .filter_map(|l| l.split_once(' '))
        .collect();
    assert!(codes.len() >= 40, "{}", codes.len());
    for (i, (name, number)) in codes.iter().enumerate() {
        assert!(codes[..i].iter().all(|(_, n)| n != number), "{name} = {number} stands twice");
    }
}
