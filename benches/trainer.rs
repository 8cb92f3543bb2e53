//! A training step on Gemma-2-2B's shape: memory and time beside the plan.
//!
//! The step is the exact full batch of the prisoner's dilemma: every state in the original layout's four orders of
//! mention, rank 16 on every linear layer. It runs in a process of its own, so that its peak is its own.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use probity_benches::random;
use probity_benches::report::Report;
use probity_benches::{peak_memory, seconds};
use probity_engine::{Model, ModelOptions};
use probity_train::curriculum::TrainConfig;
use probity_train::finetune::{Finetuning, plan};
use serde_json::{Value, json};

const MIB: f64 = (1 << 20) as f64;
const CONFIG: &str = r#"
name = "bench"
seed = 1
labels = { fixed = ["action1", "action2"] }
styles = "original-layout"
opponent = "tit-for-tat"
games_per_step = 0
shards = 1
rank = 16
alpha = 32.0
rate = 1e-4
beta = 0.2
legality = 0.1

[games]
catalogue = ["ipd"]

[[phases]]
steps = 2
reward = { framework = "deontological" }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(file) = std::env::var_os("PROBITY_BENCH_STEP") {
        println!("{}", step(Path::new(&file))?);
        return Ok(());
    }
    if std::env::var_os("PROBITY_BENCH_MAKE").is_some() {
        random::file("gemma-2-2b", &random::gemma_2_2b())?;
        return Ok(());
    }
    // On Linux a process starts with its parent's peak as its own, so this process stays small.
    let itself = std::env::current_exe()?;
    if !Command::new(&itself).env("PROBITY_BENCH_MAKE", "1").status()?.success() {
        return Err("the random model could not be made".into());
    }
    let file = random::file("gemma-2-2b", &random::gemma_2_2b())?;
    let output = Command::new(&itself).env("PROBITY_BENCH_STEP", &file).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let r: Value = serde_json::from_slice(&output.stdout)?;
    let of = |key: &str| r[key].as_f64().unwrap_or(f64::NAN);
    let mut report = Report::new(
        "trainer",
        format!(
            "One exact step on Gemma-2-2B's shape at Q4_K_M, the prisoner's dilemma, {} trie nodes, rank 16, {} threads.",
            r["nodes"], r["threads"]
        ),
    );
    report.row("the model's file", format!("{:.0} MiB", std::fs::metadata(&file)?.len() as f64 / MIB));
    report.row("peak memory", format!("{:.0} MiB (aim: at most 4096)", of("peak")));
    report.row("peak memory / the plan's", format!("{:.2} (aim: 0.85 to 1.15)", of("peak") / of("planned")));
    for (name, key) in [("the first step", "first"), ("the second step", "second"), ("a step as planned", "seconds")] {
        report.row(name, format!("{:.1} s", of(key)));
    }
    Ok(report.publish()?)
}

/// Two steps; what they took as JSON.
fn step(file: &Path) -> Result<Value, Box<dyn Error>> {
    let options = ModelOptions::default().with(|o| o.vocab_only = true);
    let model = Model::open(file, options, |_| true)?;
    let config = TrainConfig::from_toml(CONFIG)?;
    // The vocabulary takes most of it.
    let before = peak_memory();
    // With little memory allowed: the frugal schedule is measured.
    let plan = plan(&model, &config, 0)?;
    let mut run = Finetuning::new(&model, config, plan.schedule)?;
    let first = seconds(|| run.step().expect("a step"));
    let second = seconds(|| run.step().expect("a step"));
    Ok(json!({
        "nodes": plan.nodes,
        "threads": plan.threads,
        "planned": before + plan.bytes as f64 / MIB,
        "peak": peak_memory(),
        "seconds": plan.seconds,
        "first": first,
        "second": second,
    }))
}
