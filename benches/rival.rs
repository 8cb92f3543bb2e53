//! A decision on a random model of Qwen2.5-0.5B's exact shape at Q4_K_M, against llama-cpp-python on the same file:
//! 193 prompt tokens of which 160 are shared with the next decision, two options of five tokens, two threads.
//!
//! Ours measures the probability of both options, theirs generates one of them under a grammar. The model is made here
//! from a seed and kept in target/bench. `PYTHON` names an interpreter that has llama-cpp-python; `make bench` makes one.

#[path = "common/mod.rs"]
mod common;

use std::cell::RefCell;
use std::error::Error;
use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::{Rounds, peak_memory, seconds};
use probity::engine::gguf::{GgmlType, GgufWriter, Value};
use probity::engine::numeric::encode;
use probity::engine::score::{PromptTokens, Scorer};
use probity::engine::{Context, ContextOptions, Model, ModelOptions, Token};
use serde_json::json;

const WIDTH: usize = 896;
const LAYERS: usize = 24;
const FEED_FORWARD: usize = 4864;
const HEADS: usize = 14;
const KV_HEADS: usize = 2;
const KV_WIDTH: usize = KV_HEADS * WIDTH / HEADS;
const VOCABULARY: usize = 151_936;
const PROMPT: usize = 193;
const SHARED: usize = 160;
const OPTIONS: [&str; 2] = ["40817", "93526"];
const THREADS: usize = 2;
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let file = model_file()?;
    let model = Model::open(&file, ModelOptions::default(), |_| true)?;
    let options: Vec<Vec<Token>> = OPTIONS.iter().map(|o| model.tokenize(o, false)).collect();
    assert!(options.iter().all(|o| o.len() == 5), "each option is five tokens: {options:?}");

    // Two decisions of one game: the same 160 tokens, then 33 of their own.
    let mut random = SplitMix(7);
    let mut words = |n: usize| -> Vec<Token> { (0..n).map(|_| (256 + random.below(100_000)) as Token).collect() };
    let fixed = words(SHARED);
    let prompts: Vec<Vec<Token>> = (0..2).map(|_| [fixed.clone(), words(PROMPT - SHARED)].concat()).collect();
    let asked = |i: usize| PromptTokens { tokens: prompts[i % 2].clone(), fixed: SHARED };

    let context = ContextOptions { context: 512, threads: THREADS, ..ContextOptions::default() };
    let scorer = RefCell::new(Scorer::new(Context::new(&model, context)?));
    let rival = RefCell::new(Rival::start(&file, &prompts, &options)?);
    let theirs = |command: &str, i: usize| rival.borrow_mut().ask(command, i % 2).expect("the rival answers");
    let ours = |i: usize| seconds(|| scorer.borrow_mut().score(&asked(i), &options).expect("a score"));

    let mut rounds = Rounds::new();
    rounds
        .way("ours: both options scored, cold", || {
            scorer.borrow_mut().forget();
            ours(0)
        })
        .way("ours: both options scored, warm", || ours(1))
        .way("theirs: prefill alone, cold", || theirs("prefill", 0).0)
        .way("theirs: one option generated, cold", || theirs("generate cold", 0).0)
        .way("theirs: one option generated, warm", || theirs("generate warm", 1).0)
        .way("theirs: each option scored with its own prefill", || theirs("score", 0).0);
    let medians = rounds.medians(ROUNDS);
    drop(rounds);

    println!(
        "Random Qwen2.5-0.5B at Q4_K_M, {PROMPT} prompt tokens ({SHARED} shared), 2 options of 5 tokens, {THREADS} threads;"
    );
    println!("medians of {ROUNDS} interleaved rounds, against llama-cpp-python:");
    for (name, time) in &medians {
        println!("  {name:50} {:8.0} ms", 1e3 * time);
    }
    let of = |i: usize| medians[i].1;
    println!("  cold decision / their prefill alone        {:.2}  (aim: at most 1.10)", of(0) / of(2));
    println!("  cold decision / their cold generation      {:.2}", of(0) / of(3));
    println!("  warm decision / their warm generation      {:.2}  (aim: at most 0.75)", of(1) / of(4));
    println!("  cold decision / scoring each option alone  {:.2}", of(0) / of(5));
    let mine = scorer.borrow_mut().score(&asked(0), &options)?;
    let other = theirs("score", 0).1;
    let gap = mine.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("  the same log-probabilities up to {gap:.4}; our peak memory {:.0} MiB", peak_memory());
    Ok(())
}

/// The other process.
struct Rival {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Rival {
    fn start(model: &Path, prompts: &[Vec<Token>], options: &[Vec<Token>]) -> Result<Self, Box<dyn Error>> {
        let python = std::env::var_os("PYTHON")
            .ok_or("set PYTHON to an interpreter with llama-cpp-python, or run make bench")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rival.py");
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = BufWriter::new(child.stdin.take().ok_or("no standard input")?);
        let output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let options: Vec<_> =
            OPTIONS.iter().zip(options).map(|(text, tokens)| json!({ "text": text, "tokens": tokens })).collect();
        let job = json!({ "model": model, "prompts": prompts, "options": options, "threads": THREADS });
        writeln!(input, "{job}")?;
        Ok(Self { child, input, output })
    }

    /// Seconds a command took over there, and the scores it found.
    fn ask(&mut self, command: &str, prompt: usize) -> Result<(f64, Vec<f64>), Box<dyn Error>> {
        writeln!(self.input, "{}", json!({ "command": command, "prompt": prompt }))?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let answer: serde_json::Value = serde_json::from_str(&line)
            .map_err(|_| format!("llama-cpp-python gave no answer to {command:?}: {line:?}"))?;
        let scores = answer["scores"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect();
        Ok((answer["ms"].as_f64().ok_or("an answer without a time")? / 1e3, scores))
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // Killing can fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The random model, made when it is not there yet.
fn model_file() -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    let done = folder.join("qwen2.5-0.5b-random.Q4_K_M.gguf");
    if done.exists() {
        return Ok(done);
    }
    fs::create_dir_all(&folder)?;
    let (plain, part) = (folder.join("random.F16.gguf"), folder.join("part.gguf"));
    eprintln!("making {}, once", done.display());
    random_qwen().write(&mut BufWriter::new(fs::File::create(&plain)?))?;
    let path = |p: &Path| CString::new(p.to_string_lossy().as_bytes());
    let (from, to) = (path(&plain)?, path(&part)?);
    // SAFETY: both paths are NUL-terminated and outlive the call; the parameters are llama.cpp's own defaults.
    let status = unsafe {
        let mut params = llama_cpp_sys_2::llama_model_quantize_default_params();
        params.ftype = llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q4_K_M;
        params.nthread = THREADS as i32;
        llama_cpp_sys_2::llama_model_quantize(from.as_ptr(), to.as_ptr(), &raw const params)
    };
    fs::remove_file(&plain)?;
    if status != 0 {
        return Err("llama.cpp did not quantise the random model".into());
    }
    fs::rename(&part, &done)?;
    Ok(done)
}

/// Qwen2.5-0.5B with random weights in F16 and a made-up vocabulary of the same size.
fn random_qwen() -> GgufWriter {
    let mut w = GgufWriter::new();
    w.set_str("general.architecture", "qwen2").set_str("general.name", "random Qwen2.5-0.5B");
    for (key, value) in [
        ("context_length", 32_768),
        ("embedding_length", WIDTH),
        ("block_count", LAYERS),
        ("feed_forward_length", FEED_FORWARD),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
    ] {
        w.set_u32(&format!("qwen2.{key}"), value as u32);
    }
    w.set_f32("qwen2.rope.freq_base", 1e6).set_f32("qwen2.attention.layer_norm_rms_epsilon", 1e-6);
    let (tokens, merges, types) = vocabulary();
    w.set_str("tokenizer.ggml.model", "gpt2").set_str("tokenizer.ggml.pre", "qwen2");
    w.set("tokenizer.ggml.tokens", Value::Strs(tokens)).set("tokenizer.ggml.merges", Value::Strs(merges));
    w.set("tokenizer.ggml.token_type", Value::Ints(types, 32));
    w.set_u32("tokenizer.ggml.eos_token_id", VOCABULARY as u32 - 1);
    w.set("tokenizer.ggml.add_bos_token", Value::Bool(false));

    let mut random = SplitMix(1);
    let mut matrix = |w: &mut GgufWriter, name: &str, columns: usize, rows: usize| {
        // Uniform with the standard deviation of a trained matrix.
        let values: Vec<f32> = (0..columns * rows).map(|_| (random.unit() - 0.5) * 0.07).collect();
        w.tensor(name, &[columns as u64, rows as u64], GgmlType::F16, encode(GgmlType::F16, &values, columns));
    };
    let vector = |w: &mut GgufWriter, name: &str, n: usize, value: f32| {
        w.tensor(name, &[n as u64], GgmlType::F32, encode(GgmlType::F32, &vec![value; n], n));
    };
    matrix(&mut w, "token_embd.weight", WIDTH, VOCABULARY);
    for i in 0..LAYERS {
        let name = |part: &str| format!("blk.{i}.{part}");
        vector(&mut w, &name("attn_norm.weight"), WIDTH, 1.0);
        for (part, rows) in [("attn_q", WIDTH), ("attn_k", KV_WIDTH), ("attn_v", KV_WIDTH)] {
            matrix(&mut w, &name(&format!("{part}.weight")), WIDTH, rows);
            vector(&mut w, &name(&format!("{part}.bias")), rows, 0.01);
        }
        matrix(&mut w, &name("attn_output.weight"), WIDTH, WIDTH);
        vector(&mut w, &name("ffn_norm.weight"), WIDTH, 1.0);
        matrix(&mut w, &name("ffn_gate.weight"), WIDTH, FEED_FORWARD);
        matrix(&mut w, &name("ffn_up.weight"), WIDTH, FEED_FORWARD);
        matrix(&mut w, &name("ffn_down.weight"), FEED_FORWARD, WIDTH);
    }
    vector(&mut w, "output_norm.weight", WIDTH, 1.0);
    w
}

/// The bytes, then all words of two, three and four small letters as merges allow, and an end of text. Digits never
/// merge, so that five digits are five tokens.
fn vocabulary() -> (Vec<String>, Vec<String>, Vec<i64>) {
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
                if tokens.len() + 1 == VOCABULARY {
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
    let types = (0..VOCABULARY).map(|i| if i + 1 == VOCABULARY { 3 } else { 1 }).collect();
    (tokens, merges, types)
}

/// Steele, Lea and Flood 2014: enough for weights that mean nothing, and fast.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 24) as f32
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
