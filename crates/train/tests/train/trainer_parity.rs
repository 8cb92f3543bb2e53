//! The trainer's forward pass against llama.cpp.

use std::path::Path;

use probity::agent::prompt::{Style, encode, options, prompt};
use probity_engine::gguf::{GgmlType, Value};
use probity_engine::preflight::ModelShape;
use probity_engine::score::{PromptTokens, Scorer};
use probity_engine::{Adapter, Context, ContextOptions, Model};
use probity_game::History;
use probity_testing::parts::GgufParts;
use probity_train::games::{Reach, random_game};
use probity_train::init::normal;
use probity_train::labels::{Split, labelled, plain};
use probity_train::model_file::write_model;
use probity_train::objective::{PromptedState, all_scores, push};
use probity_train::{Decoder, LINEARS, Pack, Tape};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Scores of both options in every state of a few random games: by the engine, and by the trainer on one packed trie.
fn largest_gap(model: &Model, adapter: Option<&Path>, decoder: &Decoder, theta: &[f32], prompts: usize) -> f64 {
    let exact = ContextOptions::default().with(|o| o.exact_cache = true);
    let mut scorer = Scorer::new(Context::new(model, exact).unwrap());
    if let Some(path) = adapter {
        scorer.set_adapters(&[(Adapter::load(model, path).unwrap(), 1.0)]).unwrap();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let styles: Vec<Style> = Style::all().collect();
    let mut worst = 0.0_f64;
    for i in 0..prompts / 5 {
        // Labels that the model knows: the log-probabilities of others are far lower, and their errors larger.
        let game = random_game(&mut rng, Split::Test, Reach::Digits);
        let game = labelled(&mut rng, game, Split::Test, plain);
        let options = options(model, &game).unwrap();
        let states = std::iter::once(None).chain(History::states(&game).map(Some));
        let tokens: Vec<_> = states.map(|s| encode(model, &prompt(&game, s, styles[i % 16])).unwrap()).collect();
        let mut pack = Pack::default();
        let question =
            |t: &PromptTokens| PromptedState { prompt: t.tokens.clone(), rewards: vec![0.0; 2], weight: 1.0 };
        let decisions = push(&mut pack, tokens.iter().map(question).collect(), &options);
        let mut tape = Tape::default();
        decoder.forward(theta, &pack, &mut tape, 1);
        for (tokens, mine) in tokens.iter().zip(all_scores(&decisions, &mut tape.logits, &pack)) {
            for (a, b) in scorer.score(tokens, &options).unwrap().iter().zip(mine) {
                worst = worst.max((a - b).abs());
            }
        }
    }
    worst
}

/// The default model in one element type, without and with a random adapter.
fn gaps(ty: GgmlType) -> [f64; 2] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    probity_testing::convert(&probity_testing::shipped("default"), &path, ty);
    let model = probity_testing::open(&path);
    let base = Decoder::frozen(&model).unwrap();
    let bare = largest_gap(&model, None, &base, &[], 200);
    let decoder = base.with_lora(4, 8.0, &LINEARS);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let theta: Vec<f32> = (0..decoder.n_params()).map(|_| 0.03 * normal(&mut rng)).collect();
    let adapter = folder.path().join("adapter.gguf");
    probity_testing::write_lora(&adapter, &decoder, &theta, 8.0);
    [bare, largest_gap(&model, Some(&adapter), &decoder, &theta, 200)]
}

#[test]
fn forward_equals_the_engine() {
    // With F16 weights the engine rounds activations to F16, and so does the trainer. The rest are roundings that
    // differ because sums were added in another order. Norms summed in f64 and angles computed as ggml's do not change
    // it; the engine's own two attention kernels differ by 2e-2 on this model.
    for (ty, most) in [(GgmlType::F32, 1e-3), (GgmlType::F16, 1e-2)] {
        let [bare, adapted] = gaps(ty);
        println!("{}: largest |delta log p| {bare:.2e} bare, {adapted:.2e} with an adapter", ty.name);
        assert!(bare <= most && adapted <= most, "{}: {bare} bare, {adapted} with an adapter", ty.name);
    }
}

/// Gaps on a small random model: bare, with a random adapter, and the effect of the engine's own roundings on the
/// latter.
fn random_gaps(shape: &ModelShape, ty: &str, prompts: usize) -> [f64; 3] {
    let folder = tempfile::tempdir().unwrap();
    let trained = Decoder::trained(shape);
    let ty = *GgmlType::ALL.iter().find(|t| t.name == ty).unwrap();
    let path = folder.path().join("model.gguf");
    write_model(&path, &trained, &probity_testing::lively(&trained, 11), probity_testing::tiny_vocabulary(), ty, &[])
        .unwrap();
    let model = probity_testing::open(&path);
    assert_eq!(model.shape(), shape);
    let base = Decoder::frozen(&model).unwrap();
    let bare = largest_gap(&model, None, &base, &[], prompts);
    let decoder = base.with_lora(4, 8.0, &LINEARS);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let theta: Vec<f32> = (0..decoder.n_params()).map(|_| 0.03 * normal(&mut rng)).collect();
    let adapter = folder.path().join("adapter.gguf");
    probity_testing::write_lora(&adapter, &decoder, &theta, 8.0);
    let adapted = largest_gap(&model, Some(&adapter), &decoder, &theta, prompts);
    [bare, adapted, largest_gap(&model, Some(&adapter), &decoder.without_rounding(), &theta, prompts)]
}

/// Prompts are longer than the windows of the models with windows.
#[test]
fn every_architecture_equals_the_engine() {
    for shape in probity_testing::architectures(64) {
        for ty in ["F32", "F16"] {
            let [bare, adapted, _] = random_gaps(&shape, ty, 200);
            let name = shape.architecture.name;
            println!("{name} {ty}: largest |delta log p| {bare:.1e} bare, {adapted:.1e} with an adapter");
            assert!(bare <= 1e-3 && adapted <= 1e-3, "{name} {ty}: {bare} bare, {adapted} with an adapter");
        }
    }
}

/// Other metadata of a file: frequency factors (Llama 3.x), linear scaling by the older key, windows where the
/// architecture has them by default.
#[test]
fn what_files_say_of_positions_and_windows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let [llama, _, _, gemma2, gemma3] = probity_testing::architectures(64).try_into().unwrap();
    let factors: Vec<u8> = (0..8).flat_map(|i| (1.0 + i as f32).to_le_bytes()).collect();
    type Change = Box<dyn Fn(GgufParts) -> GgufParts>;
    let cases: [(ModelShape, Change); 4] = [
        (llama.clone(), Box::new(move |p| p.tensor("rope_freqs.weight", &[8], GgmlType::F32, factors.clone()))),
        (
            llama,
            Box::new(|p| {
                p.without("llama.rope.scaling.type")
                    .without("llama.rope.scaling.factor")
                    .set("llama.rope.scale_linear", Value::F32(4.0))
            }),
        ),
        (gemma2, Box::new(|p| p.without("gemma2.attention.sliding_window_pattern"))),
        (
            gemma3,
            Box::new(|p| {
                p.set("gemma3.attention.sliding_window_pattern", Value::Uint(2, 32))
                    .without("gemma3.rope.freq_base_swa")
            }),
        ),
    ];
    for (shape, change) in cases {
        let trained = Decoder::trained(&shape);
        let weights = probity_testing::lively(&trained, 11);
        write_model(&path, &trained, &weights, probity_testing::tiny_vocabulary(), GgmlType::F32, &[]).unwrap();
        change(GgufParts::of(&path)).write(&path);
        let model = probity_testing::open(&path);
        let decoder = Decoder::frozen(&model).unwrap();
        let gap = largest_gap(&model, None, &decoder, &[], 50);
        assert!(gap <= 1e-3, "{}: {gap}", shape.architecture.name);
    }
}

/// The engine rounds activations. In a random network a rounding that differs changes everything after it, so the gap
/// between engine and trainer is about as large as the engine's own rounding error.
#[test]
fn every_architecture_is_within_the_engines_own_error_in_every_type() {
    for shape in probity_testing::architectures(256) {
        for ty in ["BF16", "Q8_0", "Q4_0", "Q4_K", "Q5_K", "Q6_K"] {
            let [bare, adapted, own] = random_gaps(&shape, ty, 25);
            let name = shape.architecture.name;
            println!(
                "{name:6} {ty:4} {bare:.1e} bare, {adapted:.1e} with an adapter; the engine's own error {own:.1e}"
            );
            assert!(bare.max(adapted) <= 2.0 * own, "{name} {ty}: {bare} bare, {adapted} with an adapter, own {own}");
        }
    }
}

#[test]
fn forward_is_near_the_engine_on_q8_0() {
    // Both quantise activations to int8; the gap comes from roundings that differ.
    let [bare, adapted] = gaps(GgmlType::Q8_0);
    println!("Q8_0: largest |delta log p| {bare:.2e} bare, {adapted:.2e} with an adapter");
    assert!(bare < 0.1 && adapted < 0.1, "{bare} bare, {adapted} with an adapter");
}
