//! Every file of every corpus goes through its target: no panic, no abort.

use std::fs;
use std::path::{Path, PathBuf};

use probity::agent::{Agent, Scenario};
use probity_engine::gguf::{GgmlType, Value};
use probity_engine::{Adapter, ContextOptions};
use probity_fuzz::{TARGETS, header, small};
use probity_testing::parts::GgufParts;
use probity_values::Deliberation;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn every_corpus_is_survived() {
    for (name, target) in TARGETS {
        let mut files: Vec<_> =
            fs::read_dir(corpus(name)).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        assert!(files.len() >= 3, "the corpus of {name} has {} files", files.len());
        for file in files {
            // An abort leaves no other trace.
            println!("{}", file.display());
            target(&fs::read(&file).expect("a file"));
        }
    }
}

/// Writes the first files of the corpora.
///
/// They are made of `model/small` and `adapter/small`, the headers of the tests' random model and adapter.
/// `PROBITY_CASES` is a folder that `gguf_cases.py` has filled from the small model, whose place this test tells.
#[test]
#[ignore = "writes fuzz/corpus"]
fn seeds() {
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(corpus(target).join(name), bytes).unwrap();
    };
    let [model, adapter] = small();
    println!("{}", model.display());
    for (name, key, value) in [
        ("alpha-zero", "adapter.lora.alpha", Value::F32(0.0)),
        ("alpha-nan", "adapter.lora.alpha", Value::F32(f32::NAN)),
        ("architecture", "general.architecture", Value::Str("gemma3".into())),
    ] {
        let parts = GgufParts::of(adapter).set(key, value);
        let path = adapter.with_file_name("changed.gguf");
        parts.write(&path);
        seed("adapter", name, &header(&path));
    }
    // The published proofs of concept of llama.cpp, each by its kind. #24884 and #24445 are files of 37 and 45 bytes.
    let empty_key = [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &[0; 8], &1_u64.to_le_bytes(), &[0; 8]].concat();
    seed("model", "llama.cpp-24884", &[&empty_key[..], &[4, 0, 0, 0, 0]].concat());
    seed("model", "llama.cpp-24445", &[&empty_key[..], &[8, 0, 0, 0], &1_u64.to_le_bytes(), b"x"].concat());
    let few = |parts: GgufParts, n: usize| {
        parts
            .set("tokenizer.ggml.tokens", Value::Strs((0..n).map(|i| format!("t{i}")).collect()))
            .set("tokenizer.ggml.token_type", Value::Ints(vec![1; n], 32))
            .set("tokenizer.ggml.merges", Value::Strs(vec!["t 0".into()]))
            .without("tokenizer.ggml.eos_token_id")
            .without("tokenizer.ggml.eot_token_id")
            .without("tokenizer.ggml.bos_token_id")
            .tensor("token_embd.weight", &[32, n as u64], GgmlType::F32, vec![0; 32 * 4 * n])
    };
    let byte_tokens: Vec<String> = (0..255).map(|byte| format!("<0x{byte:02X}>")).chain(["<0x-1>".into()]).collect();
    let bytes = || Value::Uints(vec![1; 400], 8);
    type Change<'a> = Box<dyn Fn(GgufParts) -> GgufParts + 'a>;
    let proofs: [(&str, Change); 6] = [
        ("llama.cpp-25508", Box::new(|parts| few(parts, 3))),
        ("llama.cpp-25821", Box::new(|parts| parts.set("llama.block_count", Value::Uint(600, 32)))),
        ("llama.cpp-26690-types", Box::new(|parts| parts.set("tokenizer.ggml.token_type", bytes()))),
        ("llama.cpp-26690-scores", Box::new(|parts| parts.set("tokenizer.ggml.scores", bytes()))),
        ("llama.cpp-26690-suppress", Box::new(|parts| parts.set("tokenizer.ggml.suppress_tokens", bytes()))),
        (
            "llama.cpp-27226",
            Box::new(move |parts| {
                few(parts, 256)
                    .set("general.architecture", Value::Str("plamo2".into()))
                    .set("tokenizer.ggml.model", Value::Str("plamo2".into()))
                    .set("tokenizer.ggml.tokens", Value::Strs(byte_tokens.clone()))
                    .set("tokenizer.ggml.token_type", Value::Ints(vec![6; 256], 32))
            }),
        ),
    ];
    for (name, change) in proofs {
        let path = model.with_file_name("proof.gguf");
        change(GgufParts::of(model)).write(&path);
        seed("model", name, &header(&path));
    }
    let loaded = probity_testing::open(model);
    let lora = Adapter::load(&loaded, adapter).unwrap();
    let scenarios = [
        ("plain", r#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#),
        (
            "options",
            r#"{"game": "bos", "labels": ["opera", "ballet"], "policy": {"temperature": 0.5, "mask": "betrayal", "tilt": {"reward": {"framework": "utilitarian"}, "beta": 1.0}}, "legality_floor": "off"}"#,
        ),
        (
            "own-game",
            r#"{"game": {"version": 1, "name": "mine", "actions": [["a", "b", "c"], ["d", "e"]], "payoffs": [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, -1], [0, 2.5]]]}, "preamble": "Be kind."}"#,
        ),
    ];
    for (name, json) in scenarios {
        seed("scenario", name, json.as_bytes());
        let scenario = Scenario::from_json(json).unwrap();
        let mut agent = Agent::new(&loaded, scenario, ContextOptions::default()).unwrap();
        for adapters in [vec![], vec![(lora.clone(), 0.5)]] {
            let kind = if adapters.is_empty() { "bare" } else { "adapted" };
            agent.set_adapters(&adapters).unwrap();
            agent.decide().unwrap();
            seed("snapshot", &format!("{name}-{kind}"), &agent.snapshot().unwrap());
            seed("record", &format!("{name}-{kind}"), &serde_json::to_vec(&agent.record().unwrap()).unwrap());
        }
    }
    seed("graph", "example", Deliberation::example().to_json().as_bytes());
    seed("graph", "empty", b"{\"version\": 1}");
    let published = Deliberation::example().published(Default::default()).unwrap();
    seed("graph", "published", published.to_json().as_bytes());

    let Some(cases) = std::env::var_os("PROBITY_CASES").map(PathBuf::from) else { return };
    let mut templates = std::collections::BTreeSet::new();
    for case in probity_testing::files(&cases, "gguf") {
        let name = case.file_stem().unwrap().to_str().unwrap();
        seed("model", name, &header(&case));
        if let Some((_, Value::Str(template))) =
            GgufParts::of(&case).metadata.into_iter().find(|(key, _)| key == "tokenizer.chat_template")
            && templates.insert(template.clone())
        {
            seed("template", name, template.as_bytes());
        }
    }
}
