//! A decision beside llama-cpp-python, on the same random model.
//!
//! The model has Qwen2.5-0.5B's shape at Q4_K_M. The prompt has 193 tokens, of which the next decision shares 160.
//! There are two options of five tokens, and two threads.
//!
//! Ours measures the probability of both options, theirs generates one of them under a grammar. The model is made here
//! from a seed and kept in target/bench. `PYTHON` names an interpreter that has llama-cpp-python; `make bench` makes
//! one.

use std::cell::RefCell;
use std::error::Error;

use probity_benches::random;
use probity_benches::report::Report;
use probity_benches::rival::Rival;
use probity_benches::{Rounds, peak_memory, seconds};
use probity_engine::score::{Continuation, PromptTokens, Scorer};
use probity_engine::{Context, ContextOptions, Model, ModelOptions, Token};
use serde_json::json;

const PROMPT: usize = 193;
const SHARED: usize = 160;
const OPTIONS: [&str; 2] = ["40817", "93526"];
const THREADS: usize = 2;
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let file = random::file("qwen2.5-0.5b", &random::qwen_25_05b())?;
    let model = Model::open(&file, ModelOptions::default(), |_| true)?;
    let options: Vec<Vec<Token>> = OPTIONS.iter().map(|o| model.tokenize(o, false)).collect::<Result<_, _>>()?;
    assert!(options.iter().all(|o| o.len() == 5), "each option is five tokens: {options:?}");
    let among: Vec<Continuation> = options.iter().cloned().map(Continuation::from).collect();

    // Two decisions of one game: the same 160 tokens, then 33 of their own.
    let mut random = random::SplitMix(7);
    let mut words = |n: usize| -> Vec<Token> { (0..n).map(|_| (256 + random.below(100_000)) as Token).collect() };
    let fixed = words(SHARED);
    let prompts: Vec<Vec<Token>> = (0..2).map(|_| [fixed.clone(), words(PROMPT - SHARED)].concat()).collect();
    let asked = |i: usize| PromptTokens { tokens: prompts[i % 2].clone(), fixed: SHARED };

    let context = ContextOptions::default().with(|o| {
        o.context = 512;
        o.threads = THREADS;
    });
    let scorer = RefCell::new(Scorer::new(Context::new(&model, context)?));
    let written: Vec<_> =
        OPTIONS.iter().zip(&options).map(|(text, tokens)| json!({ "text": text, "tokens": tokens })).collect();
    let job = json!({ "model": file, "prompts": prompts, "options": written, "threads": THREADS });
    let rival = RefCell::new(Rival::start("rival.py", &job)?);
    let command = |command: &str, i: usize| json!({ "command": command, "prompt": i % 2 }).to_string();
    let theirs = |what: &str, i: usize| rival.borrow_mut().time(&command(what, i)).expect("the rival answers");
    let ours = |i: usize| seconds(|| scorer.borrow_mut().score(&asked(i), &among).expect("a score"));

    let mut rounds = Rounds::new();
    rounds
        .way("ours: both options scored, cold", || {
            scorer.borrow_mut().forget();
            ours(0)
        })
        .way("ours: both options scored, warm", || ours(1))
        .way("theirs: prefill alone, cold", || theirs("prefill", 0))
        .way("theirs: one option generated, cold", || theirs("generate cold", 0))
        .way("theirs: one option generated, warm", || theirs("generate warm", 1))
        .way("theirs: each option scored with its own prefill", || theirs("score", 0));
    let medians = rounds.medians(ROUNDS);
    drop(rounds);

    let mut report = Report::new(
        "rival",
        format!(
            "A decision on Qwen2.5-0.5B's shape at Q4_K_M beside llama-cpp-python: {PROMPT} prompt tokens of which the next \
             decision shares {SHARED}, 2 options of 5 tokens, {THREADS} threads, medians of {ROUNDS} interleaved rounds."
        ),
    );
    for (name, time) in &medians {
        report.row(*name, format!("{:.0} ms", 1e3 * time));
    }
    let of = |i: usize| medians[i].1;
    report.row("cold decision / their prefill alone", format!("{:.2} (aim: at most 1.10)", of(0) / of(2)));
    report.row("cold decision / their cold generation", format!("{:.2}", of(0) / of(3)));
    report.row("warm decision / their warm generation", format!("{:.2} (aim: at most 0.75)", of(1) / of(4)));
    report.row("cold decision / scoring each option alone", format!("{:.2}", of(0) / of(5)));
    let mine = scorer.borrow_mut().score(&asked(0), &among)?;
    let other: Vec<f64> = serde_json::from_value(rival.borrow_mut().ask(&command("score", 0))?["scores"].take())?;
    let gap = mine.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    report.row("largest difference of a log-probability", format!("{gap:.4}"));
    report.row("our peak memory", format!("{:.0} MiB", peak_memory()));
    Ok(report.publish()?)
}
