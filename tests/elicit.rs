//! What models do for values, by the real loading code: the built-in language model, which can keep to a form and little else,
//! and the built-in embedder where `make test` names an ONNX Runtime.

#![cfg(feature = "embed")]

mod common;

use probity::Error;
use probity::elicit::{Calibration, Duplicate, Interview, Judge, Question, Scribe, Stage, contexts, duplicates, pairs, story};
use probity::embed::{Embedder, LlamaEmbedder, OnnxEmbedder, cosine};
use probity::engine::{ContextOptions, Model, ModelOptions};
use probity::values::{CardId, Deliberation, Policy, ValuesCard};
use serde_json::Value;

fn model() -> Model {
    Model::open(&common::root().join("models/default.gguf"), ModelOptions::default(), |_| true).unwrap()
}

/// The built-in embedder; `None`, said aloud, without a runtime.
fn embedder() -> Option<OnnxEmbedder> {
    if std::env::var_os("ORT_DYLIB_PATH").is_none_or(|path| path.is_empty()) {
        eprintln!("ORT_DYLIB_PATH names no ONNX Runtime: nothing is embedded");
        return None;
    }
    Some(OnnxEmbedder::open(&common::root().join("models/embedder"), None).unwrap())
}

fn merges(found: &[Duplicate]) -> Vec<(String, String)> {
    let mut merges: Vec<_> = found.iter().map(|d| (d.card.to_string(), d.into.to_string())).collect();
    merges.sort();
    merges
}

/// The labelled fixture of the authors' own tests, which is not in this project.
#[test]
fn the_published_fixture_clusters_exactly() {
    let path = common::root().join("../shared/data/moral-graph/dedup-cards.json");
    let (Some(mut embedder), Ok(text)) = (embedder(), std::fs::read_to_string(path)) else {
        eprintln!("without the published fixture nothing is clustered");
        return;
    };
    let fixture: Value = serde_json::from_str(&text).unwrap();
    let mut held = Deliberation::default();
    let mut expected: Vec<(String, String)> = Vec::new();
    let mut first: std::collections::HashMap<String, String> = std::collections::HashMap::new();
    for card in fixture["cards"].as_array().unwrap() {
        let text = |key: &str| card[key].as_str().unwrap().to_owned();
        let policies = card["policies"].as_array().unwrap().iter().map(|p| Policy::from(p.as_str().unwrap())).collect();
        held.cards.push(ValuesCard::new(text("id").as_str().into(), &text("title"), &text("description"), policies));
        match first.get(&text("expectedCluster")) {
            Some(into) => expected.push((text("id"), into.clone())),
            None => _ = first.insert(text("expectedCluster"), text("id")),
        }
    }
    let calibration = Calibration::of(&mut embedder).unwrap();
    eprintln!("{calibration:?}");
    let found = duplicates(&held, &mut embedder, None, &calibration, &mut |_, _| true).unwrap();
    expected.sort();
    assert_eq!(merges(&found), expected);
    eprintln!("{:?}", found.iter().map(|d| d.likeness).collect::<Vec<_>>());
    // Any two of them alone are told as well.
    let cards = held.cards.clone();
    for (i, a) in cards.iter().enumerate() {
        for b in &cards[..i] {
            let two = Deliberation { cards: vec![b.clone(), a.clone()], ..Deliberation::default() };
            let found = duplicates(&two, &mut embedder, None, &calibration, &mut |_, _| true).unwrap();
            let cluster = |card: &ValuesCard| card.id.as_str().split_once('-').unwrap().0.to_owned();
            assert_eq!(found.len(), usize::from(cluster(a) == cluster(b)), "{} {}", a.id, b.id);
        }
    }
}
