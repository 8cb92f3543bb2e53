//! The trainer's forward pass against llama.cpp, and the objective's gradient against finite differences.

#![cfg(feature = "train")]

mod common;

use std::path::Path;

use probity::agent::prompt::{Style, encode, options, prompt};
use probity::engine::gguf::GgmlType;
use probity::engine::score::{PromptTokens, Scorer};
use probity::engine::{Adapter, Context, ContextOptions, Model};
use probity::game::History;
use probity::train::corpus::random_game;
use probity::train::init::normal;
use probity::train::labels::Split;
use probity::train::objective::{Question, Terms, all_scores, objective, optimum, push, softmax};
use probity::train::{Decoder, Pack, Tape};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Scores of both options in every state of a few random games: by the engine, and by the trainer on one packed trie.
fn largest_gap(model: &Model, adapter: Option<&Path>, decoder: &Decoder, theta: &[f32], prompts: usize) -> f64 {
    let exact = ContextOptions { exact_cache: true, ..Default::default() };
    let mut scorer = Scorer::new(Context::new(model, exact).unwrap());
    if let Some(path) = adapter {
        scorer.set_adapters(&[(Adapter::load(model, path).unwrap(), 1.0)]).unwrap();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let styles: Vec<Style> = Style::all().collect();
    let mut worst = 0.0_f64;
    for i in 0..prompts / 5 {
        let game = random_game(&mut rng, Split::Test);
        let options = options(model, &game).unwrap();
        let states = std::iter::once(None).chain(History::states(&game).map(Some));
        let tokens: Vec<_> = states.map(|s| encode(model, &prompt(&game, s, styles[i % 16])).unwrap()).collect();
        let mut pack = Pack::default();
        let question = |t: &PromptTokens| Question { prompt: t.tokens.clone(), rewards: vec![0.0; 2], weight: 1.0 };
        let decisions = push(&mut pack, tokens.iter().map(question).collect(), &options);
        let mut tape = Tape::default();
        decoder.forward(theta, &pack, &mut tape, 1);
        for (tokens, mine) in tokens.iter().zip(all_scores(&decisions, &tape.logits, &pack)) {
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
    common::convert(&common::shipped("default"), &path, ty);
    let model = common::open(&path);
    let base = Decoder::frozen(&model).unwrap();
    let bare = largest_gap(&model, None, &base, &[], 200);
    let decoder = base.with_lora(4, 8.0);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let theta: Vec<f32> = (0..decoder.n_params()).map(|_| 0.03 * normal(&mut rng)).collect();
    let adapter = folder.path().join("adapter.gguf");
    common::write_lora(&adapter, &decoder, &theta, 8.0);
    [bare, largest_gap(&model, Some(&adapter), &decoder, &theta, 200)]
}

#[test]
fn forward_equals_the_engine() {
    // With F16 weights the engine rounds activations to F16, and so does the trainer; what is left are roundings that
    // fall the other way because the sums before them were added in another order.
    for (ty, most) in [(GgmlType::F32, 1e-3), (GgmlType::F16, 1e-2)] {
        let [bare, adapted] = gaps(ty);
        println!("{}: largest |delta log p| {bare:.2e} bare, {adapted:.2e} with an adapter", ty.name);
        assert!(bare <= most && adapted <= most, "{}: {bare} bare, {adapted} with an adapter", ty.name);
    }
}

#[test]
fn forward_is_near_the_engine_on_q8_0() {
    // Both quantise activations to int8; the gap is what roundings that fall the other way do.
    let [bare, adapted] = gaps(GgmlType::Q8_0);
    println!("Q8_0: largest |delta log p| {bare:.2e} bare, {adapted:.2e} with an adapter");
    assert!(bare < 0.1 && adapted < 0.1, "{bare} bare, {adapted} with an adapter");
}

#[test]
fn the_objectives_gradient() {
    let mut pack = Pack::default();
    let options = [vec![4, 5, 0], vec![4, 6, 0]];
    let prompts = [vec![1, 2, 3], vec![1, 2, 2]];
    let question = |(prompt, weight)| Question { prompt, rewards: vec![1.0, -2.0 * weight], weight };
    let decisions = push(&mut pack, prompts.into_iter().zip([0.3, 0.7]).map(question).collect(), &options);
    let references = vec![vec![0.4, 0.6], vec![0.9, 0.1]];
    let terms = Terms { beta: 0.5, legality: 0.2 };
    let width = 8;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let logits: Vec<f32> = (0..pack.outputs.len() * width).map(|_| normal(&mut rng)).collect();
    let value = |l: &[f32]| objective(&decisions, &references, terms, 1.0, &pack, &mut l.to_vec()).objective;
    let mut gradient = logits.clone();
    objective(&decisions, &references, terms, 1.0, &pack, &mut gradient);
    for i in 0..logits.len() {
        let at = |step: f32| {
            let mut l = logits.clone();
            l[i] += step;
            value(&l)
        };
        let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((difference + f64::from(gradient[i])).abs() < 2e-3, "logit {i}: {difference} and {}", -gradient[i]);
    }
}

#[test]
fn the_closed_form_is_the_optimum() {
    let reference = [0.2, 0.5, 0.3];
    let rewards = [1.0, -1.0, 0.5];
    let beta = 0.7;
    let value = |pi: &[f64]| -> f64 {
        pi.iter().zip(&reference).zip(&rewards).map(|((p, q), r)| p * r - beta * p * (p / q).ln()).sum()
    };
    let best = optimum(&reference, &rewards, beta);
    // J* = beta log sum ref exp(R / beta).
    let closed =
        beta * reference.iter().zip(&rewards).map(|(q, r): (&f64, &f64)| q * (r / beta).exp()).sum::<f64>().ln();
    assert!((value(&best) - closed).abs() < 1e-12);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..1000 {
        let scores: Vec<f64> = (0..3).map(|_| f64::from(normal(&mut rng))).collect();
        assert!(value(&softmax(&scores)) <= closed + 1e-12);
    }
}
