//! Random models of popular shapes in Q4_K_M, kept in target/bench.

use std::error::Error;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use probity_engine::gguf::{GgmlType, GgufWriter, Value};
use probity_engine::numeric::encode;
use probity_engine::preflight::{Architecture, ModelShape, Rotation, Window};
use probity_train::Decoder;
use probity_train::model_file::set_shape;

/// Gemma-2-2B.
pub fn gemma_2_2b() -> ModelShape {
    let rotation = Rotation { base: 10_000.0, scale: 1.0 };
    ModelShape {
        architecture: Architecture::find("gemma2").expect("a known architecture"),
        n_layer: 26,
        n_embd: 2304,
        n_ff: 9216,
        n_head: 8,
        n_head_kv: 4,
        head_dim: 256,
        rms_eps: 1e-6,
        rotation,
        window: Some(Window { tokens: 4096, blocks: (0..26).map(|i| i % 2 == 0).collect(), rotation }),
        attention_scale: 1.0 / 16.0,
        attention_cap: Some(50.0),
        logit_cap: Some(30.0),
        context: 8192,
        n_vocab: 256_000,
        tied: true,
    }
}

/// Qwen2.5-0.5B.
pub fn qwen_25_05b() -> ModelShape {
    ModelShape {
        architecture: Architecture::find("qwen2").expect("a known architecture"),
        n_layer: 24,
        n_embd: 896,
        n_ff: 4864,
        n_head: 14,
        n_head_kv: 2,
        head_dim: 64,
        rms_eps: 1e-6,
        rotation: Rotation { base: 1e6, scale: 1.0 },
        window: None,
        attention_scale: 0.125,
        attention_cap: None,
        logit_cap: None,
        context: 32_768,
        n_vocab: 151_936,
        tied: true,
    }
}

/// The file of a shape, made when it is not there yet.
///
/// Matrices have the types that llama.cpp's Q4_K_M gives them.
pub fn file(name: &str, shape: &ModelShape) -> Result<PathBuf, Box<dyn Error>> {
    let folder = crate::root().join("target/bench");
    let done = folder.join(format!("{name}-random-blocks.Q4_K_M.gguf"));
    if done.exists() {
        return Ok(done);
    }
    fs::create_dir_all(&folder)?;
    eprintln!("making {}, once", done.display());
    let mut w = GgufWriter::new();
    set_shape(&mut w, shape);
    let (tokens, merges, types) = vocabulary(shape.n_vocab);
    w.set_str("tokenizer.ggml.model", "gpt2").set_str("tokenizer.ggml.pre", "qwen2");
    w.set("tokenizer.ggml.tokens", Value::Strs(tokens)).set("tokenizer.ggml.merges", Value::Strs(merges));
    w.set("tokenizer.ggml.token_type", Value::Ints(types, 32));
    w.set_u32("tokenizer.ggml.eos_token_id", shape.n_vocab as u32 - 1);
    w.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
    let mut random = SplitMix(1);
    for (name, dims, _) in Decoder::trained(shape).base_tensors() {
        let (ty, bytes) = match dims[..] {
            [columns, rows] => {
                let ty = q4_k_m(name, columns, shape);
                (ty, random_blocks(&mut random, ty, (columns * rows) as usize))
            }
            _ => {
                let value = if name.ends_with("bias") { 0.01 } else { 1.0 };
                let n = dims[0] as usize;
                (GgmlType::F32, encode(GgmlType::F32, &vec![value; n], n))
            }
        };
        w.tensor(name, dims, ty, bytes);
    }
    let part = done.with_extension("part");
    let mut out = BufWriter::new(fs::File::create(&part)?);
    w.write(&mut out)?;
    out.flush()?;
    fs::rename(&part, &done)?;
    Ok(done)
}

/// The type of a matrix in Q4_K_M.
///
/// The head, half the values and half the feed-forward outputs get more bits. Rows that are no multiple of 256 get
/// blocks of 32.
fn q4_k_m(name: &str, columns: u64, shape: &ModelShape) -> GgmlType {
    let named = |n: &str| *GgmlType::ALL.iter().find(|t| t.name == n).expect("a type of that name");
    let block: usize = name.split('.').nth(1).and_then(|i| i.parse().ok()).unwrap_or(0);
    let eighth = shape.n_layer / 8;
    let more = block < eighth || block >= 7 * eighth || (block - eighth) % 3 == 2;
    let six = name == "token_embd.weight" || (more && (name.contains("attn_v") || name.contains("ffn_down")));
    match (six, columns.is_multiple_of(256)) {
        (true, true) => named("Q6_K"),
        (true, false) => GgmlType::Q8_0,
        (false, true) => named("Q4_K"),
        (false, false) => named("Q5_0"),
    }
}

/// Blocks with a trained matrix's standard deviation: repeated random bytes.
fn random_blocks(random: &mut SplitMix, ty: GgmlType, n: usize) -> Vec<u8> {
    const STRETCH: usize = 1 << 18;
    let values: Vec<f32> = (0..STRETCH).map(|_| (random.unit() - 0.5) * 0.07).collect();
    let stretch = encode(ty, &values, 256);
    let total = ty.bytes(n as u64) as usize;
    let mut bytes = Vec::with_capacity(total);
    while bytes.len() < total {
        let start = random.below(stretch.len() as u64 / ty.block_bytes / 2) * ty.block_bytes;
        let rest = &stretch[start as usize..];
        bytes.extend(&rest[..rest.len().min(total - bytes.len())]);
    }
    bytes
}

/// A made-up vocabulary: bytes, words of small letters, an end of text.
///
/// Digits never merge, so five digits are five tokens.
pub fn vocabulary(size: usize) -> (Vec<String>, Vec<String>, Vec<i64>) {
    let mut tokens: Vec<String> =
        tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().map(String::from).collect();
    tokens.sort();
    let letters: Vec<String> = ('a'..='z').map(String::from).collect();
    let mut merges = Vec::new();
    let mut stems = letters.clone();
    'full: loop {
        let mut longer = Vec::new();
        for stem in &stems {
            for letter in &letters {
                if tokens.len() + 1 == size {
                    break 'full;
                }
                merges.push(format!("{stem} {letter}"));
                tokens.push(format!("{stem}{letter}"));
                longer.push(format!("{stem}{letter}"));
            }
        }
        stems = longer;
    }
    tokens.push("<|endoftext|>".into());
    let types = (0..size).map(|i| if i + 1 == size { 3 } else { 1 }).collect();
    (tokens, merges, types)
}

/// Steele, Lea and Flood 2014: enough for weights that mean nothing, and fast.
pub struct SplitMix(pub u64);

impl SplitMix {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to 1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }
}
