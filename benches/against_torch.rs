//! One exact training step beside PyTorch with PEFT, on the same batch.
//!
//! The model has Qwen2.5-0.5B's shape and random weights. A step is forward, backward and Adam on the prisoner's
//! dilemma in four states and four orders of mention, with rank 16 on every linear layer.
//!
//! PyTorch gets every option of every prompt as a sequence of its own, four at a time (all at once exceed common
//! memory). Only the rows that predict something go through its head, and its allocator is tuned, as ours is. Ours does
//! the same unpacked, and packed as one trie. Both run on the same threads, in turns. Unpacked, a quarter of the batch
//! is timed and counted four times: passes are independent. `PYTHON` names an interpreter with torch, transformers and
//! peft; `make bench-training` makes one.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use probity::agent::prompt::{Style, encode, options, prompt};
use probity_benches::random;
use probity_benches::report::Report;
use probity_benches::rival::Rival;
use probity_benches::{median, peak_memory, seconds};
use probity_engine::numeric::{Matrix, MatrixMut, keep_freed_memory, product};
use probity_engine::score::Continuation;
use probity_engine::{Model, ModelOptions, Token};
use probity_game::moral::{Framework, Reward};
use probity_game::{CatalogGame, History, fair_coin};
use probity_train::objective::{Aim, Group, ObjectiveTerms, PackedState, PromptedState, objective, push, reads_of};
use probity_train::{Adam, Decoder, LINEARS, Pack, Schedule, Shards};
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
        let mut step = Ours::new(&model, Schedule::Narrow)?;
        let packed = [packed(&asked)];
        step.take(&packed);
        println!("{}", json!({ "before": before, "peak": peak_memory() }));
        return Ok(());
    }
    if std::env::var_os("PROBITY_BENCH_MAKE").is_some() {
        random::file("qwen2.5-0.5b", &shape)?;
        return Ok(());
    }
    let itself = std::env::current_exe()?;
    if !Command::new(&itself).env("PROBITY_BENCH_MAKE", "1").status()?.success() {
        return Err("the random model could not be made".into());
    }
    let file = random::file("qwen2.5-0.5b", &shape)?;
    let alone: Value =
        serde_json::from_slice(&Command::new(&itself).env("PROBITY_BENCH_STEP", &file).output()?.stdout)?;

    let model = open(&file)?;
    let asked = ipd(&model)?;
    let threads = rayon::current_num_threads();
    let job = |dtype: &str, asked: &[Asked], at_a_time: usize| {
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
            "shape": {
                "vocabulary": shape.n_vocab, "width": shape.n_embd, "feed_forward": shape.n_ff, "layers": shape.n_layer,
                "heads": shape.n_head, "heads_kv": shape.n_head_kv, "rope_base": shape.rotation.base,
            },
            "dtype": dtype, "frugal": dtype == "bfloat16", "threads": threads, "rank": RANK, "decisions_at_a_time": at_a_time,
            "decisions": asked.iter().map(decision).collect::<Vec<_>>(),
        })
    };
    let mut torch = Rival::start("against_torch.py", &job("float32", &asked[..asked.len() / PARTS], AT_A_TIME))?;
    // Each with buffers of its own, as in training.
    let [mut whole, mut parts] = [Ours::new(&model, Schedule::Wide)?, Ours::new(&model, Schedule::Wide)?];
    let (trie, sequences) = ([packed(&asked)], unpacked(&asked));
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let now = [
            seconds(|| whole.take(&trie)),
            PARTS as f64 * seconds(|| parts.take(&sequences[..sequences.len() / PARTS])),
            PARTS as f64 * torch.time("step")?,
        ];
        eprintln!("round {round}: packed {:.1} s, unpacked {:.1} s, PyTorch {:.1} s", now[0], now[1], now[2]);
        if round > 0 {
            times.iter_mut().zip(now).for_each(|(times, now)| times.push(now));
        }
    }
    let theirs = torch.ask("peak")?["products"].as_f64().ok_or("no product")?;
    let [packed_time, unpacked_time, torch_time] = times.map(|mut times| median(&mut times));
    let peak = products_a_second(threads);
    let nodes = |packs: &[(Pack, Group)]| packs.iter().map(|(pack, _)| pack.len()).sum::<usize>();
    // One forward pass, and one backward pass through the inputs.
    let share = |packs: &[(Pack, Group)], time: f64| {
        2.0 * packs.iter().map(|(pack, _)| whole.decoder.products(pack)).sum::<f64>() / time / peak
    };
    let mut report = Report::new(
        "against_torch",
        format!(
            "One exact step on Qwen2.5-0.5B's shape at Q4_K_M beside PyTorch with PEFT: {} decisions, {} tokens as sequences, \
             {} as one trie, rank {RANK}, {threads} threads, medians of {ROUNDS} interleaved rounds.",
            asked.len(),
            nodes(&sequences),
            nodes(&trie)
        ),
    );
    report.row("PyTorch with PEFT, float32, unpacked", format!("{torch_time:.1} s"));
    let beside = |time: f64, aim: f64| format!("{time:.1} s, {:.2} of it (aim: at most {aim:.2})", time / torch_time);
    report.row("ours, unpacked", beside(unpacked_time, 0.90));
    report.row("ours, packed", beside(packed_time, 0.35));
    report.row("multiplications a second: gemm", format!("{:.0} G", peak / 1e9));
    report.row("multiplications a second: PyTorch", format!("{:.0} G", theirs / 1e9));
    report.row("share of gemm's speed, packed", format!("{:.0}%", 100.0 * share(&trie, packed_time)));
    report.row("share of gemm's speed, unpacked", format!("{:.0}%", 100.0 * share(&sequences, unpacked_time)));
    drop(torch);
    // PyTorch's most frugal way, as ours: bfloat16, one decision at a time, each block computed twice. More decisions
    // would take no more memory. On a processor without bfloat16 arithmetic even one takes a quarter of an hour.
    let mut frugal = Rival::start("against_torch.py", &job("bfloat16", &asked[..1], 1))?;
    let frugal_step = frugal.ask("step")?;
    drop(frugal);
    let of = |v: &Value, key: &str| v[key].as_f64().unwrap_or(f64::NAN);
    let memory = |v: &Value| format!("{:.0} MiB, {:.0} of them before the step", of(v, "peak"), of(v, "before"));
    report.row("peak memory of PyTorch, bfloat16, one decision", memory(&frugal_step));
    report.row("peak memory of ours, all decisions packed", memory(&alone));
    let ratio = of(&alone, "peak") / of(&frugal_step, "peak");
    report.row("peak memory, ours / PyTorch", format!("{ratio:.2} (aim: at most 0.40)"));
    Ok(report.publish()?)
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
    fn new(model: &Model, schedule: Schedule) -> Result<Self, Box<dyn Error>> {
        let decoder = Decoder::frozen(model)?.with_lora(RANK, 2.0 * RANK as f32, &LINEARS);
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
