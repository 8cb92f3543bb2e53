//! The plan of a training beside what it takes, on real models.
//!
//! `PROBITY_MODEL_FOLDER` has the models. Each runs a literacy course of eight steps, which goes through the lessons of
//! the whole course, and eight steps of the recipe `real`. A run has a process of its own, so that its peak is its own.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use probity_benches::report::Report;
use probity_benches::{peak_memory, root, seconds};
use probity_engine::numeric::{give_freed_memory_back, keep_freed_memory};
use probity_engine::{Model, ModelOptions};
use probity_train::curriculum::{Reference, TrainConfig};
use probity_train::finetune::Finetuning;
use probity_train::literacy::{Literacy, LiteracyConfig, plan};
use probity_train::run::Needs;
use serde_json::{Value, json};

const MIB: f64 = (1 << 20) as f64;
const STEPS: u64 = 8;
const KINDS: [&str; 2] = ["literacy", "real"];

fn main() -> Result<(), Box<dyn Error>> {
    if let (Some(file), Ok(kind)) = (std::env::var_os("PROBITY_BENCH_STEP"), std::env::var("PROBITY_BENCH_KIND")) {
        println!("{}", run(Path::new(&file), &kind)?);
        return Ok(());
    }
    let folder =
        std::env::var_os("PROBITY_MODEL_FOLDER").ok_or("expected a folder of models in PROBITY_MODEL_FOLDER")?;
    let mut report = Report::new(
        "plans",
        format!(
            "{STEPS} steps of each training beside the plan of the same steps, {} threads. Aims: time 0.75 to 1.25 of the plan, \
             memory 0.85 to 1.15.",
            rayon::current_num_threads()
        ),
    );
    // On Linux a process starts with its parent's peak as its own, so this process stays small.
    let itself = std::env::current_exe()?;
    for name in ["smollm2", "gemma3-270m"] {
        let file = Path::new(&folder).join(format!("{name}.gguf"));
        for kind in KINDS {
            let mut child = Command::new(&itself);
            let output = child.env("PROBITY_BENCH_STEP", &file).env("PROBITY_BENCH_KIND", kind).output()?;
            if !output.status.success() {
                return Err(format!("{name}, {kind}: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
            let found: Value = serde_json::from_slice(&output.stdout)?;
            let of = |key: &str| found[key].as_f64().ok_or(key.to_owned());
            let (planned, taken) = (of("planned_seconds")?, of("seconds")?);
            report.row(
                format!("{name}, {kind}: a step"),
                format!("{planned:.1} s planned, {taken:.1} s taken, {:.2} of it", taken / planned),
            );
            let (planned, taken) = (of("planned_mib")?, of("mib")?);
            report.row(
                format!("{name}, {kind}: peak memory"),
                format!("{planned:.0} MiB planned, {taken:.0} MiB taken, {:.2} of it", taken / planned),
            );
        }
    }
    Ok(report.publish()?)
}

/// Plans some steps and takes them.
fn run(file: &Path, kind: &str) -> Result<Value, Box<dyn Error>> {
    // As the command line does.
    keep_freed_memory();
    let model = Model::open(file, ModelOptions::default().with(|o| o.vocab_only = true), |_| true)?;
    let (needs, seconds) = match kind {
        "literacy" => {
            let config = LiteracyConfig::default().with(|o| o.steps = STEPS);
            let needs = Needs::planned(STEPS, None, |memory| plan(&model, &config, memory))?;
            let mut run = Literacy::new(&model, config, needs.schedule())?;
            (needs, mean_seconds(|| run.step().map(|_| ()))?)
        }
        _ => {
            let text = std::fs::read_to_string(root().join("configs/real.toml"))?;
            let config = TrainConfig::from_toml(&text)?.with(|o| {
                // The passes are the same without an adapter to start from.
                o.reference = Reference::Bare;
                o.phases[0].steps = STEPS;
            });
            let needs = Needs::of(&model, &config, None)?;
            let mut run = Finetuning::new(&model, config, needs.schedule())?;
            (needs, mean_seconds(|| run.step().map(|_| ()))?)
        }
    };
    Ok(json!({
        "planned_seconds": needs.plan.seconds, "seconds": seconds,
        "planned_mib": needs.total as f64 / MIB, "mib": peak_memory(),
    }))
}

fn mean_seconds(mut step: impl FnMut() -> probity_train::Result<()>) -> probity_train::Result<f64> {
    let mut all = 0.0;
    for _ in 0..STEPS {
        let mut taken = Ok(());
        all += seconds(|| {
            taken = step();
            give_freed_memory_back();
        });
        taken?;
    }
    Ok(all / STEPS as f64)
}
