//! Tokens until a policy is within 0.05 of the best, on the built-in model.
//!
//! Both exact objectives, the default (`optimum`) and `exact`, run beside the sampled loop of arXiv 2410.01639,
//! REINFORCE and GRPO.
//!
//! One game, fixed labels, four orders of mention, against tit-for-tat, as the paper trains. All algorithms have the
//! same rank and optimiser and the same sweep of learning rates. Each gets the best of its own rates, by the median of
//! the seeds. A policy arrives when exact measurements are near enough at ten steps in a row; tokens count up to the
//! first of them. For a sampled run that does not arrive in its 800 answers, its tokens so far are a lower bound.
//! Tokens of the published loop count as it computes them: sampling, old and reference log-probabilities, four passes
//! over the samples.

use std::error::Error;

use probity_benches::median;
use probity_benches::report::Report;
use probity_engine::{Model, ModelOptions};
use probity_train::Schedule;
use probity_train::curriculum::TrainConfig;
use probity_train::finetune::Finetuning;

/// Passes of the published loop over each sampled sequence.
const PUBLISHED: u64 = 7;
const NEAR: f64 = 0.05;
/// Measurements in a row.
const STAYS: u64 = 10;
const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

struct Way {
    name: &'static str,
    algorithm: &'static str,
    /// Episodes or groups of a step; 0 is the full batch.
    games: usize,
    rates: &'static [f32],
    steps: u64,
}

impl Way {
    fn is_exact(&self) -> bool {
        self.games == 0
    }
}

/// The same for every way.
const RATES: &[f32] = &[3e-4, 1e-3, 3e-3];

/// The sampled ways answer about 800 questions.
///
/// These are 160 episodes of five rounds, or 100 groups of eight answers.
const WAYS: [Way; 5] = [
    Way { name: "optimum", algorithm: "{ name = \"optimum\" }", games: 0, rates: RATES, steps: 150 },
    Way { name: "exact", algorithm: "{ name = \"exact\" }", games: 0, rates: RATES, steps: 150 },
    Way { name: "ppo", algorithm: "{ name = \"ppo\" }", games: 1, rates: RATES, steps: 160 },
    Way { name: "reinforce", algorithm: "{ name = \"reinforce\", rounds = 5 }", games: 2, rates: RATES, steps: 80 },
    Way { name: "grpo", algorithm: "{ name = \"grpo\" }", games: 1, rates: RATES, steps: 100 },
];

fn config(way: &Way, reward: &str, rate: f32, seed: u64) -> Result<TrainConfig, Box<dyn Error>> {
    let exact = way.is_exact();
    let text = format!(
        r#"
name = "{}"
seed = {seed}
algorithm = {}
labels = {{ fixed = ["zork", "blip"] }}
styles = "original-layout"
norms = "untold"
opponent = "tit-for-tat"
games_per_step = {}
shards = 1
rank = 16
alpha = 32.0
rate = {rate}
annealing = "none"
max_norm = 1.0
beta2 = 0.99
beta = 0.1
legality = {}
measure_every = 1

[games]
catalogue = ["ipd"]

[[phases]]
steps = {}
reward = {{ framework = "{reward}" }}
"#,
        way.name,
        way.algorithm,
        way.games,
        if exact { "0.1" } else { "0.0" },
        way.steps,
    );
    Ok(TrainConfig::from_toml(&text)?)
}

/// Tokens of our loop, tokens of the published loop, and steps, until near.
///
/// For a run that does not arrive: all its tokens, and infinitely many steps.
fn run(model: &Model, way: &Way, reward: &str, rate: f32, seed: u64) -> Result<[f64; 3], Box<dyn Error>> {
    let mut training = Finetuning::new(model, config(way, reward, rate, seed)?, Schedule::Wide)?;
    let (mut own, mut published) = (0, 0);
    let (mut arrived, mut stayed) = ([0.0; 3], 0);
    while !training.finished() {
        let report = training.step()?;
        // A step reports the policy before it. Play never returns to the first round, so it is left out of all three.
        let played = report.states.iter().filter(|s| s.state != "start");
        let miss: Vec<f64> = played.map(|s| s.parts.miss).collect();
        if !miss.is_empty() && miss.iter().sum::<f64>() <= NEAR * miss.len() as f64 {
            if stayed == 0 {
                arrived = [own, published, report.step - 1].map(|n| n as f64);
            }
            stayed += 1;
            if stayed == STAYS {
                return Ok(arrived);
            }
        } else {
            stayed = 0;
        }
        own = report.tokens;
        published += report.played.map_or(0, |p| PUBLISHED * p.tokens);
        if way.is_exact() && report.step == 1 {
            // The bare model's answers, once.
            published += report.tokens;
        }
    }
    Ok([own as f64, published as f64, f64::INFINITY])
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = probity_benches::root().join("models/default.gguf");
    let model = Model::open(&file, ModelOptions::default().with(|o| o.vocab_only = true), |_| true)?;
    let mut report = Report::new(
        "sampled",
        format!(
            "Tokens until the policy is within {NEAR} of the best, on the built-in model, medians of {} seeds, in brackets the \
             least and the most; each way at the best of its rates.",
            SEEDS.len()
        ),
    );
    for reward in ["game-deontological", "utilitarian", "game"] {
        let mut found = Vec::new();
        for way in &WAYS {
            let mut best: Option<(f32, [f64; 3], [f64; 2])> = None;
            for &rate in way.rates {
                let runs = SEEDS.iter().map(|&seed| run(&model, way, reward, rate, seed));
                let runs = runs.collect::<Result<Vec<_>, _>>()?;
                let medians = [0, 1, 2].map(|i| median(&mut runs.iter().map(|r| r[i]).collect::<Vec<_>>()));
                eprintln!(
                    "{reward}, {} at {rate}: {:?} steps",
                    way.name,
                    runs.iter().map(|r| r[2]).collect::<Vec<_>>()
                );
                let tokens =
                    |extreme: fn(f64, f64) -> f64| runs.iter().map(|r| r[0]).reduce(extreme).unwrap_or(f64::NAN);
                if best.is_none_or(|(_, b, _)| (medians[2], medians[0]) < (b[2], b[0])) {
                    best = Some((rate, medians, [tokens(f64::min), tokens(f64::max)]));
                }
            }
            found.push(best.ok_or("no rate")?);
        }
        let exact = found[0].1[0] + found[0].1[1];
        for (way, (rate, [own, published, steps], [least, most])) in WAYS.iter().zip(&found) {
            let name = format!("{reward}, {} at rate {rate}", way.name);
            let reached = if steps.is_finite() { format!("{steps:.0} steps, ") } else { "not reached in ".into() };
            let tokens = match way.is_exact() {
                true => format!("{:.0} tokens, the bare model's answers included", own + published),
                false => format!(
                    "{own:.0} tokens by our loop ({least:.0} to {most:.0}; {:.1} times optimum), {published:.0} by the published one \
                     ({:.1} times)",
                    own / exact,
                    published / exact
                ),
            };
            report.row(name, format!("{reached}{tokens}"));
        }
    }
    Ok(report.publish()?)
}
