//! Embeddings by a real ONNX Runtime. It is not linked: `make test` fetches it from PyPI and names it in
//! `ORT_DYLIB_PATH`; where nobody does, only its absence is tested.

use std::process::Command;

use probity_elicit::Error;
use probity_elicit::embed::{Embedder, OnnxEmbedder, cosine};

/// The built-in embedder; `None`, with a message, without a runtime.
fn builtin() -> Option<OnnxEmbedder> {
    if std::env::var_os("ORT_DYLIB_PATH").is_none_or(|path| path.is_empty()) {
        eprintln!("ORT_DYLIB_PATH names no ONNX Runtime: nothing is embedded");
        return None;
    }
    Some(OnnxEmbedder::open(&probity_testing::root().join("models/embedder"), None).unwrap())
}

#[test]
fn what_means_the_same_is_near() {
    let Some(mut embedder) = builtin() else { return };
    let texts = [
        "A person is deciding whether to tell a friend a painful truth.",
        "Somebody wonders if honesty towards a close friend is worth the hurt.",
        "The database file is locked by another process.",
    ];
    let vectors = embedder.embed(&texts).unwrap();
    let near = |a: usize, b: usize| cosine(&vectors[a], &vectors[b]);
    assert!(near(0, 1) > 0.5 && near(0, 2) < 0.2 && near(1, 2) < 0.2, "{} {} {}", near(0, 1), near(0, 2), near(1, 2));
    for vector in &vectors {
        assert_eq!(vector.len(), 384);
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-5);
    }
    // Python's results on the same graph and tokenizer: equal tokens, pooling and scaling.
    let python = [0.017_228_47, 0.095_740_77, 0.015_406_33, 0.044_255_95, -0.032_364_79, -0.021_957_55];
    for (ours, theirs) in vectors[0].iter().zip(python) {
        assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
    }
    // Alone or among other texts, in any order: the same.
    let alone = embedder.embed(&texts[1..2]).unwrap();
    assert!((cosine(&alone[0], &vectors[1]) - 1.0).abs() < 1e-5);
    assert_eq!(embedder.embed(&texts).unwrap(), vectors);
}

/// An empty text, control characters, names of control tokens, other scripts, and an overlong text.
#[test]
fn odd_texts_are_embedded() {
    let Some(mut embedder) = builtin() else { return };
    let long = "a word and another ".repeat(10_000);
    let texts = ["", " ", "\u{0}\u{1b}[2J", "[CLS] [SEP] <s> </s>", "éèü 漢字 🙂", &long];
    let vectors = embedder.embed(&texts).unwrap();
    assert!(vectors.iter().all(|v| v.len() == 384 && v.iter().all(|x| x.is_finite())));
    assert!(embedder.embed(&[]).unwrap().is_empty());
    // Text beyond the most tokens makes no difference.
    let longer = embedder.embed(&[&"a word and another ".repeat(500)]).unwrap();
    assert!(cosine(&longer[0], &vectors[5]) > 0.999_99);
}

#[test]
fn folders_that_are_none_are_refused_in_words() {
    if builtin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let problem = || OnnxEmbedder::open(folder.path(), None).map(drop).unwrap_err();
    assert!(matches!(problem(), Error::Engine(probity_engine::Error::Io { .. })));
    std::fs::write(folder.path().join("model.onnx"), "no graph").unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert!(problem().to_string().starts_with("model.onnx: "), "{}", problem());
    std::fs::copy(probity_testing::root().join("models/embedder/model.onnx"), folder.path().join("model.onnx"))
        .unwrap();
    assert!(problem().to_string().starts_with("tokenizer.json: "), "{}", problem());
}

/// In a process of its own, because the runtime is loaded once.
#[test]
fn without_a_runtime_it_says_so() {
    let program = std::env::current_exe().unwrap();
    let run = |library: &str| {
        let output = Command::new(&program)
            .args(["--exact", "embed::opens_the_built_in_one", "--ignored", "--nocapture"])
            .env("ORT_DYLIB_PATH", library)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let missing = run("/nowhere/libonnxruntime.so");
    assert!(missing.contains("ONNX Runtime: ") && missing.contains("ORT_DYLIB_PATH"), "{missing}");
    let wrong = run(&probity_testing::root().join("README.md").to_string_lossy());
    assert!(wrong.contains("ONNX Runtime: "), "{wrong}");
}

/// Not a test of its own: the test above runs it.
#[test]
#[ignore = "is run by another test"]
fn opens_the_built_in_one() {
    match OnnxEmbedder::open(&probity_testing::root().join("models/embedder"), None) {
        Ok(_) => println!("opened"),
        Err(e) => println!("{e}"),
    }
}
