//! Shared code of the tests: small models, GGUF parts, C programs.

pub mod c;
pub mod parts;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use probity_engine::gguf::GgmlType;
use probity_engine::preflight::{Architecture, ModelShape, Rotation, Window};
use probity_engine::{Model, ModelOptions};
use probity_train::Decoder;
use probity_train::init::init;
use probity_train::model_file::write_model;
use probity_train::pretrain::PretrainConfig;
use probity_train::vocab::{self, Vocabulary};

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file with an extension in a folder and the folders below it, in order.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A shipped model or adapter.
pub fn shipped(name: &str) -> PathBuf {
    root().join("models").join(format!("{name}.gguf"))
}

/// Opens a model that a test has just written.
pub fn open(path: &Path) -> Model {
    Model::open(path, ModelOptions::default().with(|o| o.mmap = false), |_| true).expect("the model opens")
}

/// The shipped default model.
pub fn default_model() -> Model {
    open(&shipped("default"))
}

/// The shape of the tests' smallest model.
pub fn tiny_config() -> PretrainConfig {
    PretrainConfig::default().with(|o| {
        o.layers = 2;
        o.width = 32;
        o.heads = 2;
        o.feed_forward = 64;
        o.vocabulary = 400;
        o.context = 512;
    })
}

/// A vocabulary for the tests' models, trained once.
pub fn tiny_vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| vocab::train(400, 1, 300).expect("a vocabulary"))
}

/// Writes a random model of a config.
pub fn write_random(path: &Path, config: &PretrainConfig, ty: GgmlType, seed: u64) {
    let decoder = Decoder::trained(&config.shape());
    write_model(path, &decoder, &init(&decoder, seed), tiny_vocabulary(), ty, &[]).expect("the model is written");
}

/// A small shape of every architecture, with all its optional parts.
///
/// Shared keys, biases, norms of heads, windows shorter than a game's prompt, soft caps, a head of its own. A width of
/// 256 suits every element type.
pub fn architectures(width: usize) -> Vec<ModelShape> {
    let scale = |dim: usize| (dim as f32).sqrt().recip();
    let plain = |architecture: Architecture, n_vocab: usize| ModelShape {
        architecture,
        n_layer: 3,
        n_embd: width,
        n_ff: width,
        n_head: 4,
        n_head_kv: 2,
        head_dim: width / 4,
        rms_eps: 1e-6,
        rotation: Rotation { base: 10_000.0, scale: 1.0 },
        window: None,
        attention_scale: scale(width / 4),
        attention_cap: None,
        logit_cap: None,
        context: 512,
        n_vocab,
        tied: true,
    };
    let n_vocab = tiny_vocabulary().tokens.len();
    let mut all: Vec<ModelShape> = Architecture::all().map(|a| plain(a, n_vocab)).collect();
    for shape in &mut all {
        match shape.architecture.name {
            "llama" => shape.rotation.scale = 0.5,
            "qwen2" => shape.tied = false,
            // A head wider than its share of the stream, as Qwen 3 and Gemma have.
            "qwen3" => (shape.head_dim, shape.attention_scale) = (width / 2, scale(width / 2)),
            "gemma2" => {
                (shape.attention_cap, shape.logit_cap) = (Some(2.0), Some(3.0));
                let blocks = vec![true, false, true];
                shape.window = Some(Window { tokens: 50, blocks, rotation: shape.rotation });
            }
            "gemma3" => {
                (shape.head_dim, shape.attention_scale) = (width / 2, scale(width / 2));
                shape.rotation = Rotation { base: 1_000_000.0, scale: 0.125 };
                let rotation = Rotation { base: 10_000.0, scale: 1.0 };
                shape.window = Some(Window { tokens: 40, blocks: vec![true, true, false], rotation });
            }
            other => panic!("{other}: give it a shape with what sets it apart"),
        }
    }
    all
}

/// Random weights of a decoder in which no gain is 1 and no bias 0.
pub fn lively(decoder: &Decoder, seed: u64) -> Vec<f32> {
    use rand_chacha::rand_core::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut theta = init(decoder, seed);
    for (name, dims, range) in decoder.base_tensors() {
        // Logits of about 1: the rounding error of a log-probability is proportional to them.
        let head = match name.as_str() {
            "output.weight" => 0.2,
            "token_embd.weight" => 0.6,
            _ => 1.0,
        };
        theta[range.clone()].iter_mut().for_each(|w| *w *= head);
        let jitter = if dims.len() == 1 { 0.1 } else { 0.0 };
        theta[range.clone()].iter_mut().for_each(|w| *w += jitter * probity_train::init::normal(&mut rng));
    }
    theta
}

/// A random model in a fresh folder.
pub fn tiny(ty: GgmlType) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    write_random(&path, &tiny_config(), ty, 7);
    (folder, path)
}

/// Writes trained LoRA parameters as an adapter without a manifest.
pub fn write_lora(path: &Path, decoder: &Decoder, theta: &[f32], alpha: f32) {
    use probity_engine::gguf::GgufWriter;
    use probity_engine::numeric::encode;
    let mut w = GgufWriter::new();
    w.set_str("general.type", "adapter")
        .set_str("general.architecture", decoder.shape().architecture.name)
        .set_str("adapter.type", "lora");
    w.set_f32("adapter.lora.alpha", alpha);
    for (i, block) in decoder.blocks().iter().enumerate() {
        for (name, linear) in block.linears() {
            let lora = linear.lora.as_ref().expect("every layer has one");
            for (side, dims, range) in
                [("lora_a", [linear.n_in, lora.rank], &lora.a), ("lora_b", [lora.rank, linear.n_out], &lora.b)]
            {
                let bytes = encode(GgmlType::F32, &theta[range.clone()], dims[0]);
                w.tensor(&format!("blk.{i}.{name}.weight.{side}"), &dims.map(|d| d as u64), GgmlType::F32, bytes);
            }
        }
    }
    let mut file = Vec::new();
    w.write(&mut file).expect("memory holds it");
    std::fs::write(path, file).expect("the adapter is written");
}

/// Copies a model with its matrices in another element type.
pub fn convert(from: &Path, to: &Path, ty: GgmlType) {
    use probity_engine::gguf::{Gguf, GgufWriter};
    use probity_engine::numeric::{decode, encode};
    let bytes = std::fs::read(from).expect("the model is there");
    let gguf = Gguf::read("model", bytes.as_slice(), bytes.len() as u64).expect("it is a model");
    let mut w = GgufWriter::new();
    for key in gguf.keys() {
        w.set(key, gguf.get(key).expect("listed").clone());
    }
    for t in gguf.tensors() {
        let mut values = vec![0.0; t.elements() as usize];
        decode(t.ty, &bytes[t.offset as usize..][..t.bytes as usize], &mut values);
        let ty = if t.dims.len() == 1 { GgmlType::F32 } else { ty };
        w.tensor(&t.name, &t.dims, ty, encode(ty, &values, t.dims[0] as usize));
    }
    let mut file = Vec::new();
    w.write(&mut file).expect("memory holds it");
    std::fs::write(to, file).expect("the model is written");
}

/// A random adapter on every linear layer of the tiny model.
pub fn write_adapter(path: &Path, seed: u64) {
    use probity_engine::gguf::GgufWriter;
    use probity_train::init::normal;
    use rand_chacha::rand_core::SeedableRng;
    let c = tiny_config();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut w = GgufWriter::new();
    w.set_str("general.type", "adapter").set_str("general.architecture", "llama").set_str("adapter.type", "lora");
    w.set_f32("adapter.lora.alpha", 8.0);
    for layer in 0..c.layers {
        let (d, ff) = (c.width, c.feed_forward);
        for (name, n_in, n_out) in [
            ("attn_q", d, d),
            ("attn_k", d, d),
            ("attn_v", d, d),
            ("attn_output", d, d),
            ("ffn_gate", d, ff),
            ("ffn_up", d, ff),
            ("ffn_down", ff, d),
        ] {
            for (side, rows, columns) in [("lora_a", n_in, 4), ("lora_b", 4, n_out)] {
                let values: Vec<f32> = (0..rows * columns).map(|_| 0.2 * normal(&mut rng)).collect();
                let bytes = probity_engine::numeric::encode(GgmlType::F32, &values, rows);
                w.tensor(
                    &format!("blk.{layer}.{name}.weight.{side}"),
                    &[rows as u64, columns as u64],
                    GgmlType::F32,
                    bytes,
                );
            }
        }
    }
    std::fs::write(path, {
        let mut b = Vec::new();
        w.write(&mut b).unwrap();
        b
    })
    .unwrap();
}
