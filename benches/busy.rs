//! A decision on a machine whose processors other programs keep busy.
//!
//! The model has Qwen2.5-0.5B's shape at Q4_K_M. A busy program is a shell that loops. The fair share of a process with
//! as many threads as processors is their number, out of theirs and the loops' together.

use std::cell::RefCell;
use std::error::Error;
use std::process::{Child, Command};

use probity_benches::report::Report;
use probity_benches::{median, random, seconds};
use probity_engine::score::{Continuation, PromptTokens, Scorer};
use probity_engine::{Context, ContextOptions, Model, ModelOptions, Token};

const PROMPT: usize = 193;
const ROUNDS: usize = 3;

/// Programs that keep processors busy until they are dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn start(programs: usize) -> std::io::Result<Self> {
        let start = |_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn();
        Ok(Self((0..programs).map(start).collect::<Result<_, _>>()?))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Killing fails only if the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = random::file("qwen2.5-0.5b", &random::qwen_25_05b())?;
    let model = Model::open(&file, ModelOptions::default(), |_| true)?;
    let mut random = random::SplitMix(7);
    let tokens: Vec<Token> = (0..PROMPT).map(|_| (256 + random.below(100_000)) as Token).collect();
    let prompt = PromptTokens { tokens, fixed: 160 };
    let options = [[1000, 1001], [2000, 2001]].map(Continuation::from);
    let scorer = |threads| -> Result<_, Box<dyn Error>> {
        let options = ContextOptions::default().with(|o| (o.context, o.threads) = (512, threads));
        Ok(RefCell::new(Scorer::new(Context::new(&model, options)?)))
    };
    let (usual, alone) = (scorer(0)?, scorer(1)?);
    let decide = |scorer: &RefCell<Scorer>| {
        let mut scorer = scorer.borrow_mut();
        scorer.forget();
        seconds(|| scorer.score(&prompt, &options).expect("a score"))
    };
    decide(&usual);
    decide(&alone);
    let processors = std::thread::available_parallelism()?.get();
    let mut report = Report::new(
        "busy",
        format!(
            "A cold decision on Qwen2.5-0.5B's shape at Q4_K_M beside programs that loop, {processors} processors, default \
             options, medians of {ROUNDS}."
        ),
    );
    let mut idle = 0.0;
    for loops in [0, 1, 2, 4] {
        let busy = Busy::start(loops)?;
        let (mut times, mut one) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            times.push(decide(&usual));
            one.push(decide(&alone));
        }
        drop(busy);
        let (time, one) = (median(&mut times), median(&mut one));
        if loops == 0 {
            idle = time;
        }
        let fair = idle * (processors + loops) as f64 / processors as f64;
        let aim = if loops == 0 { "" } else { " (aim: at most 1.5)" };
        report.row(
            format!("beside {loops} loops"),
            format!(
                "{:.0} ms, {:.2} times the fair share{aim}; with one thread {:.0} ms",
                1e3 * time,
                time / fair,
                1e3 * one
            ),
        );
    }
    Ok(report.publish()?)
}
