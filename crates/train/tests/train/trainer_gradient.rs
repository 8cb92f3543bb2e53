//! The hand-written backward pass against finite differences and against PyTorch, on every parameter tensor.

use std::collections::BTreeMap;

use probity_engine::Token;
use probity_engine::gguf::GgmlType;
use probity_engine::preflight::{Architecture, ModelShape, Rotation};
use probity_engine::score::Continuation;
use probity_train::init::{init, normal};
use probity_train::objective::{Aim, Group, ObjectiveTerms, PromptedState, all_scores, objective, push};
use probity_train::{Compute, Decoder, LINEARS, Pack, Schedule, Shards, Tape};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn shape(n_head_kv: usize, tied: bool) -> ModelShape {
    ModelShape {
        architecture: Architecture::llama(),
        n_layer: 3,
        n_embd: 16,
        n_ff: 24,
        n_head: 4,
        n_head_kv,
        head_dim: 4,
        rms_eps: 1e-5,
        rotation: Rotation { base: 10_000.0, scale: 1.0 },
        window: None,
        attention_scale: 0.5,
        attention_cap: None,
        logit_cap: None,
        context: 64,
        n_vocab: 11,
        tied,
    }
}

/// Two tries: one that branches twice, one plain sequence; logits at inner nodes and leaves.
fn pack() -> Pack {
    let mut pack = Pack::default();
    let nodes = pack.push(&[vec![1, 2, 3, 4, 5], vec![1, 2, 3, 7], vec![1, 2, 8, 9, 9]]);
    pack.request([nodes[0][2], nodes[0][4], nodes[1][3], nodes[2][3]]);
    let nodes = pack.push(&[vec![3, 3, 10, 0]]);
    pack.request([nodes[0][1], nodes[0][3]]);
    pack
}

/// A smooth loss that touches every logit: a fixed random linear form of the tanh of the logits.
fn loss(logits: &[f32], weights: &[f32]) -> f64 {
    logits.iter().zip(weights).map(|(l, w)| f64::from(l.tanh() * w)).sum()
}

fn check(decoder: &Decoder, theta: &[f32], names: &[(String, std::ops::Range<usize>)]) {
    let pack = pack();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let weights: Vec<f32> = (0..pack.outputs.len() * decoder.shape().n_vocab).map(|_| normal(&mut rng)).collect();
    let mut tape = Tape::default();
    decoder.forward(theta, &pack, &mut tape, 1);
    for (l, w) in tape.logits.iter_mut().zip(&weights) {
        *l = w * (1.0 - l.tanh().powi(2));
    }
    let mut grads = vec![0.0; theta.len()];
    decoder.backward(theta, &pack, &mut tape, &mut grads, 1);

    for (name, range) in names {
        // A random direction within the tensor, so that nothing cancels and the change stands out of f32's noise. The
        // step changes the loss by more than its noise and is small enough to extrapolate (Richardson).
        let direction: Vec<f32> = grads[range.clone()].iter().map(|g| normal(&mut rng).abs() * g.signum()).collect();
        let along: f64 = grads[range.clone()].iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
        let at = |step: f32| {
            let mut moved = theta.to_vec();
            moved[range.clone()].iter_mut().zip(&direction).for_each(|(t, d)| *t += step * d);
            let mut tape = Tape::default();
            decoder.forward(&moved, &pack, &mut tape, 1);
            loss(&tape.logits, &weights)
        };
        let rms = (theta[range.clone()].iter().map(|t| t * t).sum::<f32>() / range.len() as f32).sqrt();
        let central = |step: f32| (at(step) - at(-step)) / f64::from(2.0 * step);
        let step = (0.02 / along.abs() as f32).min(2e-2 * rms);
        let difference = (4.0 * central(step / 2.0) - central(step)) / 3.0;
        let scale = along.abs().max(difference.abs()).max(0.1);
        let name = format!("{} {name}", decoder.shape().architecture.name);
        assert!((along - difference).abs() / scale < 0.02, "{name}: gradient {along}, finite difference {difference}");
    }
}

#[test]
fn every_base_tensor() {
    for (kv, tied) in [(4, true), (2, true), (1, false)] {
        let decoder = Decoder::trained(&shape(kv, tied));
        let theta: Vec<f32> = init(&decoder, 3).iter().map(|w| w * 1.5).collect();
        let names: Vec<_> = decoder.base_tensors().iter().map(|(n, _, r)| (n.clone(), r.clone())).collect();
        check(&decoder, &theta, &names);
    }
}

#[test]
fn every_tensor_of_every_architecture() {
    for mut shape in probity_testing::architectures(32) {
        // The tries of this test are short, so the window must end within them.
        if let Some(window) = &mut shape.window {
            window.tokens = 3;
        }
        shape.n_vocab = 11;
        let decoder = Decoder::trained(&shape).with_lora(3, 6.0, &LINEARS);
        let base = decoder.base_tensors().iter().map(|(_, _, r)| r.end).max().unwrap();
        let mut theta = probity_testing::lively(&decoder, 3);
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        theta[base..].iter_mut().for_each(|w| *w = 0.1 * normal(&mut rng));
        check(&decoder, &theta, &parameter_names(&decoder));
    }
}

#[test]
fn every_lora_pair() {
    let decoder = Decoder::trained(&shape(2, true)).with_lora(3, 6.0, &LINEARS);
    let base = decoder.base_tensors().iter().map(|(_, _, r)| r.end).max().unwrap();
    let mut theta = init(&decoder, 4);
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    theta[base..].iter_mut().for_each(|w| *w = 0.3 * normal(&mut rng));
    let names: Vec<_> = parameter_names(&decoder).into_iter().filter(|(name, _)| name.contains("lora")).collect();
    check(&decoder, &theta, &names);
}

#[test]
fn a_trie_equals_its_sequences_one_by_one() {
    let decoder = Decoder::trained(&shape(2, true));
    let theta = init(&decoder, 6);
    let sequences = [vec![1, 2, 3, 4, 5], vec![1, 2, 3, 7], vec![1, 2, 8, 9, 9]];
    let mut packed = Pack::default();
    let nodes = packed.push(&sequences);
    packed.request(nodes.iter().flatten().copied());
    let mut together = Tape::default();
    decoder.forward(&theta, &packed, &mut together, 1);
    let width = decoder.shape().n_vocab;
    for (sequence, nodes) in sequences.iter().zip(&nodes) {
        let mut single = Pack::default();
        let own = single.push(std::slice::from_ref(sequence));
        single.request(own[0].iter().copied());
        let mut alone = Tape::default();
        decoder.forward(&theta, &single, &mut alone, 1);
        for (i, &node) in nodes.iter().enumerate() {
            let row = packed.output_row(node);
            let a = &together.logits[row * width..(row + 1) * width];
            let b = &alone.logits[i * width..(i + 1) * width];
            let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "token {i} of {sequence:?} differs by {worst}");
        }
    }
}

/// The output of tests/data/torch_gradient.py.
#[derive(serde::Deserialize)]
struct Reference {
    shape: ReferenceShape,
    beta: f64,
    legality: f64,
    options: Vec<Vec<Token>>,
    decisions: Vec<ReferenceDecision>,
    scores: Vec<Vec<f64>>,
    objective: f64,
    parameters: BTreeMap<String, Vec<f32>>,
    gradients: BTreeMap<String, Vec<f32>>,
}

#[derive(serde::Deserialize)]
struct ReferenceShape {
    width: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    feed_forward: usize,
    vocabulary: usize,
    rank: usize,
    alpha: f32,
    eps: f32,
    rope_base: f32,
}

#[derive(serde::Deserialize)]
struct ReferenceDecision {
    prompt: Vec<Token>,
    rewards: Vec<f64>,
    weight: f64,
    reference: Vec<f64>,
}

/// The packed objective and its gradient in every weight, base and adapter, against PyTorch's autograd on unpacked
/// sequences in double precision.
#[test]
fn the_objective_against_pytorch() {
    let r: Reference = serde_json::from_str(include_str!("../data/torch_gradient.json")).unwrap();
    let shape = ModelShape {
        architecture: Architecture::llama(),
        n_layer: r.shape.layers,
        n_embd: r.shape.width,
        n_ff: r.shape.feed_forward,
        n_head: r.shape.heads,
        n_head_kv: r.shape.kv_heads,
        head_dim: r.shape.width / r.shape.heads,
        rms_eps: r.shape.eps,
        rotation: Rotation { base: r.shape.rope_base, scale: 1.0 },
        window: None,
        attention_scale: ((r.shape.width / r.shape.heads) as f32).sqrt().recip(),
        attention_cap: None,
        logit_cap: None,
        context: 64,
        n_vocab: r.shape.vocabulary,
        tied: true,
    };
    let decoder = Decoder::trained(&shape).with_lora(r.shape.rank, r.shape.alpha, &LINEARS);
    let names = parameter_names(&decoder);
    assert_eq!(names.len(), r.parameters.len());
    let mut theta = vec![0.0; decoder.n_params()];
    for (name, range) in &names {
        theta[range.clone()].copy_from_slice(&r.parameters[name]);
    }

    let mut pack = Pack::default();
    let question = |d: &ReferenceDecision| PromptedState {
        prompt: d.prompt.clone(),
        rewards: d.rewards.clone(),
        weight: d.weight,
    };
    let decisions = push(
        &mut pack,
        r.decisions.iter().map(question).collect(),
        &r.options.iter().cloned().map(Continuation::from).collect::<Vec<_>>(),
    );
    let references: Vec<Vec<f64>> = r.decisions.iter().map(|d| d.reference.iter().map(|p| p.ln()).collect()).collect();

    let mut tape = Tape::default();
    decoder.forward(&theta, &pack, &mut tape, 1);
    let scores = all_scores(&decisions, &mut tape.logits, &pack);
    for (found, expected) in scores.iter().flatten().zip(r.scores.iter().flatten()) {
        assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "score {found}, PyTorch {expected}");
    }
    let terms = ObjectiveTerms { aim: Aim::Objective, beta: r.beta, legality: r.legality };
    let groups = [Group { decisions, repeated: None }];
    let parts = objective(&groups, &references, terms, 1.0, &pack, &mut tape.logits);
    let value: f64 = parts.iter().map(|j| j.parts.objective).sum();
    assert!((value - r.objective).abs() < 1e-4, "{value} and {}", r.objective);
    let mut grads = vec![0.0; theta.len()];
    decoder.backward(&theta, &pack, &mut tape, &mut grads, 1);
    for (name, range) in &names {
        let expected = &r.gradients[name];
        let size = expected.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
        for (i, (found, expected)) in grads[range.clone()].iter().zip(expected).enumerate() {
            // The trainer descends: its gradient is that of the negative objective.
            let off = (-found - expected).abs();
            assert!(off <= 1e-4 * size + 1e-7, "{name}[{i}]: {}, PyTorch {expected}", -found);
        }
    }
}

fn parameter_names(decoder: &Decoder) -> Vec<(String, std::ops::Range<usize>)> {
    let mut names: Vec<_> = decoder.base_tensors().iter().map(|(n, _, r)| (n.clone(), r.clone())).collect();
    for (i, block) in decoder.blocks().iter().enumerate() {
        for (name, linear) in block.linears() {
            let lora = linear.lora.as_ref().expect("every layer has one");
            names.push((format!("blk.{i}.{name}.lora_a"), lora.a.clone()));
            names.push((format!("blk.{i}.{name}.lora_b"), lora.b.clone()));
        }
    }
    names
}

/// A reader of the final hidden states beside the head, such as a value head, has its gradient in the adapter, too.
#[test]
fn a_gradient_comes_in_beside_the_head() {
    for shape in probity_testing::architectures(64) {
        let decoder = Decoder::trained(&shape).with_lora(3, 6.0, &LINEARS);
        let theta = probity_testing::lively(&decoder, 3);
        let mut pack = Pack::default();
        let nodes = pack.push(&[vec![5, 6, 7, 8], vec![5, 6, 9, 10]]);
        pack.request(nodes.iter().flat_map(|n| n[2..].to_vec()));
        let pull = |i: usize| (i as f32 * 0.7).sin();
        let value = |theta: &[f32]| -> f64 {
            let mut tape = Tape::default();
            decoder.forward(theta, &pack, &mut tape, 1);
            tape.normed.iter().enumerate().map(|(i, h)| f64::from(pull(i) * h)).sum()
        };
        let mut tape = Tape::default();
        decoder.forward(&theta, &pack, &mut tape, 1);
        tape.logits.fill(0.0);
        assert!(tape.dnormed.iter().all(|d| *d == 0.0) && tape.dnormed.len() == tape.normed.len());
        tape.dnormed.iter_mut().enumerate().for_each(|(i, d)| *d = pull(i));
        let mut grads = vec![0.0; theta.len()];
        decoder.backward(&theta, &pack, &mut tape, &mut grads, 1);
        for (name, range) in parameter_names(&decoder) {
            if !name.contains("lora") {
                continue;
            }
            let strongest =
                range.clone().max_by(|&a, &b| grads[a].abs().total_cmp(&grads[b].abs())).expect("not empty");
            let at = |step: f32| {
                let mut theta = theta.clone();
                theta[strongest] += step;
                value(&theta)
            };
            let step = 1e-2;
            let difference = (at(step) - at(-step)) / f64::from(2.0 * step);
            let found = f64::from(grads[strongest]);
            assert!((difference - found).abs() <= 0.03 * found.abs() + 1e-3, "{name}: {difference} and {found}");
        }
    }
}

/// Every bit of the gradient is the same for any number of threads and any kept activations.
#[test]
fn schedules_change_no_bit() {
    for shape in probity_testing::architectures(256) {
        let decoder = Decoder::trained(&shape).with_lora(3, 6.0, &LINEARS);
        let theta = probity_testing::lively(&decoder, 3);
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut word = || rng.random_range(0..shape.n_vocab as Token);
        let shared: Vec<Token> = (0..150).map(|_| word()).collect();
        let packs: Vec<Pack> = (0..3)
            .map(|_| {
                let mut pack = Pack::default();
                let tails = [0, 1, 2].map(|_| (0..20).map(|_| word()).collect::<Vec<_>>());
                let nodes = pack.push(&tails.map(|tail| [shared.clone(), tail].concat()));
                pack.request(nodes.iter().map(|n| n[160]));
                pack
            })
            .collect();
        let asked: Vec<&Pack> = packs.iter().collect();
        let gradient = |schedule: Schedule, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut grads = vec![0.0; decoder.n_params()];
                let mut shards = Shards::new(schedule);
                // The second step reuses the buffers.
                for _ in 0..2 {
                    shards.forward(&decoder, &theta, &asked, |_, tape| tape.logits.len());
                    shards.gradient(&decoder, &theta, &asked, &mut grads, |_, tape| {
                        tape.logits.iter_mut().for_each(|l| *l = l.cos());
                    });
                }
                grads.iter().map(|g| g.to_bits()).collect::<Vec<u32>>()
            })
        };
        let expected = gradient(Schedule::Wide, 1);
        assert!(expected.iter().any(|&bits| bits != 0));
        for (schedule, threads) in [
            (Schedule::Wide, 4),
            (Schedule::Serial, 1),
            (Schedule::Serial, 3),
            (Schedule::Narrow, 1),
            (Schedule::Narrow, 3),
        ] {
            let same = gradient(schedule, threads) == expected;
            assert!(same, "{} {schedule:?} on {threads} threads", shape.architecture.name);
        }
    }
}

/// Operands rounded to bfloat16 have a relative error of 2^-9 each: logits and gradients stay near those of f32.
#[test]
fn products_in_bfloat_are_near_those_in_f32() {
    let (_folder, path) = probity_testing::tiny(GgmlType::Q8_0);
    let model = probity_testing::open(&path);
    let pack = pack();
    let asked = [&pack];
    let found = [Compute::F32, Compute::Bf16].map(|compute| {
        let decoder = Decoder::frozen(&model).unwrap().computed_in(compute).with_lora(4, 8.0, &LINEARS);
        let theta: Vec<f32> = (0..decoder.n_params()).map(|i| 0.02 * ((i * 7919 % 101) as f32 / 50.0 - 1.0)).collect();
        let (mut shards, mut grads) = (Shards::new(Schedule::Wide), vec![0.0; decoder.n_params()]);
        let logits = shards.gradient(&decoder, &theta, &asked, &mut grads, |_, tape| {
            let logits = tape.logits.clone();
            tape.logits.iter_mut().for_each(|l| *l = l.cos());
            logits
        });
        [logits.concat(), grads]
    });
    for (exact, rounded) in found[0].iter().zip(&found[1]) {
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let off = norm(&mut exact.iter().zip(rounded).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
        assert!(off > 0.0 && off < 0.02, "{off}");
    }
}
