//! The hand-written backward pass against finite differences, on every parameter tensor.

#![cfg(feature = "train")]

use probity::engine::preflight::{Architecture, ModelShape};
use probity::train::pretrain::{init, normal};
use probity::train::{Decoder, Pack, Tape};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn shape(n_head_kv: usize, tied: bool) -> ModelShape {
    ModelShape {
        architecture: Architecture::Llama,
        n_layer: 3,
        n_embd: 16,
        n_ff: 24,
        n_head: 4,
        n_head_kv,
        head_dim: 4,
        rms_eps: 1e-5,
        rope_base: 10_000.0,
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

/// A loss that is smooth and touches every logit: a fixed random linear form of the tanh of the logits.
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
        // A random direction within the tensor, at a step that suits f32 and the tensor's size, extrapolated (Richardson).
        let direction: Vec<f32> = range.clone().map(|_| normal(&mut rng)).collect();
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
        let step = 4e-3 * rms;
        let difference = (4.0 * central(step / 2.0) - central(step)) / 3.0;
        let scale = along.abs().max(difference.abs()).max(0.02);
        assert!((along - difference).abs() / scale < 0.02, "{name}: gradient {along}, finite difference {difference}");
    }
}

#[test]
fn every_base_tensor() {
    for (kv, tied) in [(4, true), (2, true), (1, false)] {
        let decoder = Decoder::trained(&shape(kv, tied));
        let theta: Vec<f32> = init(&decoder, 3).iter().map(|w| w * 1.5).collect();
        let names: Vec<_> = decoder.base_tensors().into_iter().map(|(n, _, r)| (n, r)).collect();
        check(&decoder, &theta, &names);
    }
}

#[test]
fn every_lora_pair() {
    let decoder = Decoder::trained(&shape(2, true)).with_lora(3, 6.0);
    let base = decoder.base_tensors().iter().map(|(_, _, r)| r.end).max().unwrap();
    let mut theta = init(&decoder, 4);
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    theta[base..].iter_mut().for_each(|w| *w = 0.3 * normal(&mut rng));
    let mut names = Vec::new();
    for (i, block) in decoder.blocks().iter().enumerate() {
        for (name, linear) in block.linears() {
            let lora = linear.lora.as_ref().unwrap();
            names.push((format!("blk.{i}.{name}.lora_a"), lora.a.clone()));
            names.push((format!("blk.{i}.{name}.lora_b"), lora.b.clone()));
        }
    }
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
