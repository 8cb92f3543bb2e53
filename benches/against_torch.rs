//! One exact training step beside PyTorch with PEFT, on the same batch.
//!
//! A step is forward, backward and Adam on the prisoner's dilemma in four states and four orders of mention, with rank
//! 16 on every linear layer. One model has Qwen2.5-0.5B's shape and random weights. Two are real, where
//! `PROBITY_MODEL_FOLDER` has them: PyTorch reads the same file and dequantises it.
//!
//! PyTorch gets every option of every prompt as a sequence of its own, four at a time (all at once exceed common
//! memory). Only the rows that predict something go through its head, and its allocator is tuned, as ours is. Ours does
//! the same unpacked, and packed as one trie. Both run on the same threads, in turns. Unpacked, a quarter of the batch
//! is timed and counted four times: passes are independent. bfloat16 is compared where the processor multiplies it.
//! `PYTHON` names an interpreter with torch, transformers and peft; `make bench-training` makes one.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use probity::agent::prompt::{Style, encode, options, prompt};
use probity_benches::random;
use probity_benches::report::Report;
use probity_benches::rival::Rival;
use probity_benches::{busy_seconds, median, peak_memory, seconds};
use probity_engine::numeric::{Matrix, MatrixMut, keep_freed_memory, multiplies_bfloat, product};
use probity_engine::score::Continuation;
use probity_engine::{Model, ModelOptions, Token};
use probity_game::moral::{Framework, Reward};
use probity_game::{CatalogGame, History, fair_coin};
use probity_train::objective::{Aim, Group, ObjectiveTerms, PackedState, PromptedState, objective, push, reads_of};
use probity_train::{Adam, Compute, Decoder, LINEARS, Pack, Schedule, Shards};
use serde_json::{Value, json};

fn framework(name: &str) -> Framework {
    Framework::find(name).unwrap()
}

const RANK: usize = 16;
const ROUNDS: usize = 3;
/// Where nothing is packed, one of so many parts of the batch is timed.
const PARTS: usize = 4;
/// Decisions that go through at a time where nothing is packed.
const AT_A_TIME: usize = 2;
const TERMS: ObjectiveTerms = ObjectiveTerms { aim: Aim::Objective, beta: 0.2, legality: 0.0 };

/// A decision on paper.
struct Asked {
    prompt: Vec<Token>,
    options: Vec<Vec<Token>>,
    rewards: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    // As the command line does.
    keep_freed_memory();
    let shape = random::qwen_25_05b();
    if let Some(file) = std::env::var_os("PROBITY_BENCH_STEP") {
        // The memory of one packed step, in a process of its own.
        let model = open(Path::new(&file))?;
        let asked = ipd(&model)?;
        let before = peak_memory();
        let mut step = Ours::new(&model, Compute::F32, Schedule::Narrow)?;
        step.take(&[packed(&asked)]);
        println!("{}", json!({ "before": before, "peak": peak_memory() }));
        return Ok(());
    }
    if std::env::var_os("PROBITY_BENCH_MAKE").is_some() {
        random::file("qwen2.5-0.5b", &shape)?;
        return Ok(());
    }
    if !Command::new(std::env::current_exe()?).env("PROBITY_BENCH_MAKE", "1").status()?.success() {
        return Err("the random model could not be made".into());
    }
    let rival = json!({
        "vocabulary": shape.n_vocab, "width": shape.n_embd, "feed_forward": shape.n_ff, "layers": shape.n_layer,
        "heads": shape.n_head, "heads_kv": shape.n_head_kv, "rope_base": shape.rotation.base,
    });
    let case = Case::open(&random::file("qwen2.5-0.5b", &shape)?, rival)?;
    let mut report = Report::new(
        "against_torch",
        format!(
            "One exact step on Qwen2.5-0.5B's shape at Q4_K_M beside PyTorch with PEFT: {} decisions, {} tokens as sequences, \
             {} as one trie, rank {RANK}, {} threads, medians of {ROUNDS} interleaved rounds.",
            case.asked.len(),
            nodes(&unpacked(&case.asked)),
            nodes(&[packed(&case.asked)]),
            rayon::current_num_threads()
        ),
    );
    random_model(&case, &mut report)?;
    let threads = rayon::current_num_threads();
    let Some(folder) = std::env::var_os("PROBITY_MODEL_FOLDER") else {
        eprintln!("PROBITY_MODEL_FOLDER names no folder: real models are left out");
        return Ok(report.publish()?);
    };
    for name in ["smollm2", "gemma3-270m"] {
        let file = Path::new(&folder).join(format!("{name}.gguf"));
        if !file.exists() {
            eprintln!("{} is not there: left out", file.display());
            continue;
        }
        let case = Case::open(&file, json!({ "gguf": file }))?;
        let Times { packed, torch, busy, .. } = case.beside(Compute::F32)?;
        let [alone, frugal] = case.memory()?;
        report.row(
            format!("{name}: PyTorch with PEFT, float32, dequantised"),
            format!("{torch:.1} s; {:.0} MiB in bfloat16, one decision at a time", frugal.peak),
        );
        report.row(
            format!("{name}: ours, packed"),
            format!(
                "{packed:.1} s, {:.2} of it; {:.0} MiB, {:.2} of it",
                packed / torch,
                alone.peak,
                alone.peak / frugal.peak
            ),
        );
        report.row(format!("{name}: processors that ours keeps busy, in one shard"), format!("{busy:.2} of {threads}"));
    }
    Ok(report.publish()?)
}

fn random_model(case: &Case, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let f32 = case.beside(Compute::F32)?;
    let beside =
        |time: f64, theirs: f64, aim: f64| format!("{time:.1} s, {:.2} of it (aim: at most {aim:.2})", time / theirs);
    report.row("PyTorch with PEFT, float32, unpacked", format!("{:.1} s", f32.torch));
    report.row("ours, unpacked", beside(f32.unpacked, f32.torch, 0.90));
    report.row("ours, packed", beside(f32.packed, f32.torch, 0.35));
    let threads = rayon::current_num_threads();
    report.row("processors that ours keeps busy, packed in one shard", format!("{:.2} of {threads}", f32.busy));
    let peak = products_a_second(rayon::current_num_threads());
    report.row("multiplications a second: gemm", format!("{:.0} G", peak / 1e9));
    report.row("multiplications a second: PyTorch", format!("{:.0} G", f32.theirs / 1e9));
    // One forward pass, and one backward pass through the inputs.
    let decoder = Ours::new(&case.model, Compute::F32, Schedule::Wide)?.decoder;
    let share = |packs: &[(Pack, Group)], time: f64| {
        let products = packs.iter().map(|(pack, _)| decoder.products(pack)).sum::<f64>();
        format!("{:.0}%", 100.0 * 2.0 * products / time / peak)
    };
    report.row("share of gemm's speed, packed", share(&[packed(&case.asked)], f32.packed));
    report.row("share of gemm's speed, unpacked", share(&unpacked(&case.asked), f32.unpacked));
    if multiplies_bfloat() {
        let bf16 = case.beside(Compute::Bf16)?;
        report.row("PyTorch with PEFT, bfloat16, unpacked", format!("{:.1} s", bf16.torch));
        report.row("ours in bfloat16, unpacked", beside(bf16.unpacked, bf16.torch, 1.0));
        report.row("ours in bfloat16, packed", beside(bf16.packed, bf16.torch, 0.25));
    }
    let memory = |Memory { peak, before }: &Memory| format!("{peak:.0} MiB, {before:.0} of them before the step");
    let [alone, frugal] = case.memory()?;
    report.row("peak memory of PyTorch, bfloat16, one decision", memory(&frugal));
    report.row("peak memory of ours, all decisions packed", memory(&alone));
    report.row("peak memory, ours / PyTorch", format!("{:.2} (aim: at most 0.40)", alone.peak / frugal.peak));
    Ok(())
}

/// A model with a batch.
struct Case {
    file: PathBuf,
    model: Model,
    /// What PyTorch builds it from.
    rival: Value,
    asked: Vec<Asked>,
}

/// Median seconds of a step.
struct Times {
    packed: f64,
    unpacked: f64,
    torch: f64,
    /// Multiplications a second of PyTorch's product.
    theirs: f64,
    /// Processors that the packed step keeps busy; it is one shard.
    busy: f64,
}

/// MiB.
struct Memory {
    peak: f64,
    before: f64,
}

impl Case {
    fn open(file: &Path, rival: Value) -> Result<Self, Box<dyn Error>> {
        let model = open(file)?;
        let asked = ipd(&model)?;
        Ok(Self { file: file.into(), model, rival, asked })
    }

    /// What PyTorch gets.
    fn job(&self, asked: &[Asked], dtype: &str, at_a_time: usize, frugal: bool) -> Value {
        let decision = |a: &Asked| {
            let options: Vec<Value> = a
                .options
                .iter()
                .map(|o| {
                    let reads: Vec<_> = (a.prompt.len() - 1..).zip(o).collect();
                    json!({ "sequence": sequence(a, o), "reads": reads })
                })
                .collect();
            json!({ "options": options, "rewards": a.rewards, "reference": vec![0.5_f64.ln(); 2] })
        };
        json!({
            "model": self.rival, "dtype": dtype, "frugal": frugal, "threads": rayon::current_num_threads(), "rank": RANK,
            "decisions_at_a_time": at_a_time, "decisions": asked.iter().map(decision).collect::<Vec<_>>(),
        })
    }

    /// Ours packed, ours unpacked and PyTorch, in turns.
    fn beside(&self, compute: Compute) -> Result<Times, Box<dyn Error>> {
        let dtype = if compute == Compute::Bf16 { "bfloat16" } else { "float32" };
        let few = &self.asked[..self.asked.len() / PARTS];
        let mut torch = Rival::start("against_torch.py", &self.job(few, dtype, AT_A_TIME, false))?;
        // Each with buffers of its own, as in training.
        let mut whole = Ours::new(&self.model, compute, Schedule::Wide)?;
        let mut parts = Ours::new(&self.model, compute, Schedule::Wide)?;
        let (trie, sequences) = ([packed(&self.asked)], unpacked(&self.asked));
        let mut times = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            let [packed, processors] = busy_seconds(|| whole.take(&trie));
            let now = [
                packed,
                PARTS as f64 * seconds(|| parts.take(&sequences[..sequences.len() / PARTS])),
                PARTS as f64 * torch.time("step")?,
                processors / packed,
            ];
            let name = self.file.file_name().unwrap_or_default().display();
            eprintln!(
                "{name}, {dtype}, round {round}: packed {:.1} s, unpacked {:.1} s, PyTorch {:.1} s",
                now[0], now[1], now[2]
            );
            if round > 0 {
                times.iter_mut().zip(now).for_each(|(times, now)| times.push(now));
            }
        }
        let theirs = torch.ask("peak")?["products"].as_f64().ok_or("no product")?;
        let [packed, unpacked, torch, busy] = times.map(|mut times| median(&mut times));
        Ok(Times { packed, unpacked, torch, theirs, busy })
    }

    /// The memory of our most frugal step, and of PyTorch's.
    ///
    /// Ours computes each block twice. Theirs is in bfloat16, one decision at a time, each block computed twice. More
    /// decisions would take no more memory. On a processor without bfloat16 arithmetic even one takes a quarter of an
    /// hour.
    fn memory(&self) -> Result<[Memory; 2], Box<dyn Error>> {
        let alone = Command::new(std::env::current_exe()?).env("PROBITY_BENCH_STEP", &self.file).output()?;
        let alone: Value = serde_json::from_slice(&alone.stdout)?;
        let frugal = Rival::start("against_torch.py", &self.job(&self.asked[..1], "bfloat16", 1, true))?.ask("step")?;
        let of = |v: &Value, key: &str| v[key].as_f64().unwrap_or(f64::NAN);
        Ok([alone, frugal].map(|v| Memory { peak: of(&v, "peak"), before: of(&v, "before") }))
    }
}

/// Tokens that go through the model.
fn nodes(packs: &[(Pack, Group)]) -> usize {
    packs.iter().map(|(pack, _)| pack.len()).sum()
}

fn open(file: &Path) -> Result<Model, Box<dyn Error>> {
    Ok(Model::open(file, ModelOptions::default().with(|o| o.vocab_only = true), |_| true)?)
}

/// The prisoner's dilemma after every profile, in every order of mention.
fn ipd(model: &Model) -> Result<Vec<Asked>, Box<dyn Error>> {
    let game = CatalogGame::find("ipd")?.labelled(["action1", "action2"])?;
    let reward = Reward::from(framework("deontological").with_constant(3.0));
    // One last token of each, so that both sides read the same.
    let options: Vec<Vec<Token>> =
        options(model, &game)?.iter().map(|o| [o.tokens(), &o.last()[..1]].concat()).collect();
    let mut asked = Vec::new();
    for style in Style::all().take(4) {
        for state in History::states(&game) {
            let prompt = encode(model, &prompt(&game, Some(state), style))?.tokens;
            let rewards = reward.expected(&game, Some(state), &fair_coin(&game))?;
            asked.push(Asked { prompt, options: options.clone(), rewards });
        }
    }
    Ok(asked)
}

/// What is read to predict an option: its last token is only predicted.
fn sequence(a: &Asked, option: &[Token]) -> Vec<Token> {
    a.prompt.iter().chain(&option[..option.len() - 1]).copied().collect()
}

fn continuations(a: &Asked) -> Vec<Continuation> {
    a.options.iter().cloned().map(Continuation::from).collect()
}

/// All of them as one trie.
fn packed(asked: &[Asked]) -> (Pack, Group) {
    let mut pack = Pack::default();
    let question = |a: &Asked| PromptedState {
        prompt: a.prompt.clone(),
        rewards: a.rewards.clone(),
        weight: 1.0 / asked.len() as f64,
    };
    let decisions = push(&mut pack, asked.iter().map(question).collect(), &continuations(&asked[0]));
    (pack, Group { decisions, repeated: None })
}

/// Every option of every prompt as a sequence of its own, some at a time.
fn unpacked(asked: &[Asked]) -> Vec<(Pack, Group)> {
    let batch = |some: &[Asked]| {
        let mut pack = Pack::default();
        let mut nodes = Vec::new();
        for a in some {
            let of =
                |o: &Vec<Token>, pack: &mut Pack| pack.push(&[sequence(a, o)]).remove(0)[a.prompt.len() - 1..].to_vec();
            nodes.push(a.options.iter().map(|o| of(o, &mut pack)).collect::<Vec<Vec<u32>>>());
        }
        pack.request(nodes.iter().flatten().flatten().copied());
        let decision = |(a, nodes): (&Asked, &Vec<Vec<u32>>)| PackedState {
            reads: nodes
                .iter()
                .zip(continuations(a))
                .map(|(n, o)| reads_of(&o, &n.iter().map(|&node| pack.output_row(node)).collect::<Vec<_>>()))
                .collect(),
            rewards: a.rewards.clone(),
            weight: 1.0 / asked.len() as f64,
        };
        let decisions = some.iter().zip(&nodes).map(decision).collect();
        (pack, Group { decisions, repeated: None })
    };
    asked.chunks(AT_A_TIME).map(batch).collect()
}

/// Our own step.
struct Ours {
    decoder: Decoder,
    theta: Vec<f32>,
    adam: Adam,
    shards: Shards,
}

impl Ours {
    fn new(model: &Model, compute: Compute, schedule: Schedule) -> Result<Self, Box<dyn Error>> {
        let decoder = Decoder::frozen(model)?.computed_in(compute).with_lora(RANK, 2.0 * RANK as f32, &LINEARS);
        let mut random = random::SplitMix(1);
        let theta: Vec<f32> = (0..decoder.n_params()).map(|_| 0.02 * (random.unit() - 0.5)).collect();
        let adam = Adam::new(theta.len(), 0.98, 0.0);
        Ok(Self { decoder, theta, adam, shards: Shards::new(schedule) })
    }

    /// One pack after the other, then Adam.
    fn take(&mut self, packs: &[(Pack, Group)]) {
        let mut sum = vec![0.0; self.theta.len()];
        let mut grads = if packs.len() > 1 { vec![0.0; self.theta.len()] } else { Vec::new() };
        let reference = vec![vec![0.5_f64.ln(); 2]; packs[0].1.decisions.len()];
        for (pack, group) in packs {
            let into = if packs.len() > 1 { &mut grads } else { &mut sum };
            self.shards.gradient(&self.decoder, &self.theta, &[pack], into, |_, tape| {
                objective(std::slice::from_ref(group), &reference, TERMS, 1.0, pack, &mut tape.logits)
            });
            sum.iter_mut().zip(&grads).for_each(|(s, g)| *s += g);
        }
        self.adam.step(&mut self.theta, &sum, 1e-4);
    }
}

/// Multiplications a second of a large product.
fn products_a_second(threads: usize) -> f64 {
    const SIZE: [usize; 3] = [512, 896, 4864];
    let (x, w) = (vec![0.5_f32; SIZE[0] * SIZE[1]], vec![0.5_f32; SIZE[2] * SIZE[1]]);
    let mut y = vec![0.0; SIZE[0] * SIZE[2]];
    let mut once = || {
        let (x, w) = (Matrix::new(&x, SIZE[0], SIZE[1]), Matrix::new(&w, SIZE[2], SIZE[1]));
        seconds(|| product(MatrixMut::new(&mut y, SIZE[0], SIZE[2]), x, w.t(), 1.0, false, threads))
    };
    let best = (0..30).map(|_| once()).fold(f64::INFINITY, f64::min);
    SIZE.iter().product::<usize>() as f64 / best
}
