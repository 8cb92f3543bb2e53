//! Memory that ends anywhere: an allocation of C or C++ fails. The call returns an error or the usual bits, and the
//! same call made again gives the usual bits.
//!
//! Rust's own allocations are left out: Rust aborts when a small one fails.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use probity::Result;
use probity::agent::{Agent, Scenario};
use probity::engine::{Adapter, ContextOptions, Model, ModelOptions};
use probity::graphs::LiveGraph;
use probity_elicit::Situation;
use probity_game::Profile;
use probity_testing::{root, shipped};

/// Rust's memory does not come from `malloc`, which the preloaded library replaces.
#[global_allocator]
static RUST: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const DELIBERATION: &str = r#"{"version": 1, "cards": [
    {"id": "calm", "title": "Calm", "description": "Staying.", "policies": ["BREATHS that slow down"]},
    {"id": "care", "title": "Care", "description": "Being there.", "policies": ["PEOPLE who are left alone"]}],
    "imported_edges": [{"from": "calm", "to": "care", "contexts": ["When tired"],
        "counts": {"wiser": 8, "not_wiser": 1, "less_wise": 0, "unsure": 0, "impressions": 9}}]}"#;

/// What is tried, in this order.
const PHASES: [&str; 6] = ["open", "adapter", "agent", "decision", "graph", "snapshot"];

/// Faults a phase is tried with, spread evenly, unless `PROBITY_ALL_FAULTS` is set.
const SOME: u64 = 50;

/// The file that the preloaded library maps.
struct Control(File);

impl Control {
    fn fail(&self, allocation: u64) {
        self.0.write_all_at(&[allocation.to_le_bytes(), [0; 8]].concat(), 0).unwrap();
    }

    fn counted(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 8).unwrap();
        u64::from_le_bytes(bytes)
    }
}

#[test]
fn any_allocation_of_c_and_cpp_may_fail() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("fail.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &root().join("tests/faults/fail.c")])
        .status();
    assert!(compiled.unwrap().success());
    let control = folder.path().join("control");
    std::fs::write(&control, [0; 4096]).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "faults", "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", &library)
        .env("PROBITY_FAULTS", &control)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "the process ended with {}", output.status);
}

/// Whether an allocation is tried: `PROBITY_FAULTS_FROM=decision:380` starts there, after a crash was mended.
fn wanted(name: &str, allocation: u64) -> bool {
    let from = std::env::var("PROBITY_FAULTS_FROM").unwrap_or_default();
    let place = |name: &str| PHASES.iter().position(|phase| *phase == name);
    match from.split_once(':') {
        Some((phase, first)) if phase == name => first.parse().is_ok_and(|first: u64| first <= allocation),
        Some((phase, _)) => place(phase) < place(name),
        None => true,
    }
}

/// One of the calls that are tried, and what it came to.
fn sweep(control: &Control, name: &str, call: &mut dyn FnMut() -> Result<String>) {
    // The first call makes what the process keeps.
    call().unwrap();
    control.fail(0);
    let usual = call().unwrap();
    let all = control.counted();
    let step = if std::env::var_os("PROBITY_ALL_FAULTS").is_some() { 1 } else { (all / SOME).max(1) };
    let (mut errors, mut survived) = (0, 0);
    for allocation in (1..=all).step_by(step as usize).filter(|n| wanted(name, *n)) {
        // A crash leaves this line as the last.
        eprintln!("{name}: allocation {allocation} of {all}");
        control.fail(allocation);
        let outcome = call();
        control.fail(0);
        match outcome {
            Err(_) => errors += 1,
            Ok(found) => {
                assert_eq!(found, usual, "{name}, allocation {allocation}");
                survived += 1;
            }
        }
        assert_eq!(call().unwrap(), usual, "{name}, after allocation {allocation}");
    }
    println!("{name}: {all} allocations, {errors} errors, {survived} did without");
    assert!(errors > 0 || std::env::var_os("PROBITY_FAULTS_FROM").is_some(), "{name}: no allocation mattered");
}

#[test]
#[ignore = "run by any_allocation_of_c_and_cpp_may_fail, under a preloaded library"]
fn faults() {
    let control = std::env::var_os("PROBITY_FAULTS").expect("run by the other test");
    let control = Control(OpenOptions::new().read(true).write(true).open(control).unwrap());
    let options = ContextOptions::default().with(|o| o.threads = 2);
    let open = |path: &Path| Model::open(path, ModelOptions::default(), |_| true);
    let scenario = || Scenario::from_json(r#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#);
    let model = open(&shipped("default")).unwrap();
    let adapter = Adapter::load(&model, &shipped("deontological")).unwrap();

    sweep(&control, "open", &mut || Ok(open(&shipped("default"))?.fingerprint().to_owned()));
    sweep(&control, "adapter", &mut || Ok(Adapter::load(&model, &shipped("deontological"))?.fingerprint().to_owned()));
    sweep(&control, "agent", &mut || {
        let mut agent = Agent::new(&model, scenario()?, options)?;
        agent.set_adapters(&[(adapter.clone(), 1.0)])?;
        Ok(format!("{:?}", agent.decide()?))
    });
    // One agent over all faults: it has to come back from each.
    let mut agent = Agent::new(&model, scenario().unwrap(), options).unwrap();
    let state = Some(Profile { own: 0, other: 1 });
    sweep(&control, "decision", &mut || {
        agent.set_adapters(&[])?;
        let bare = agent.consider(state)?;
        agent.set_adapters(&[(adapter.clone(), 1.0)])?;
        Ok(format!("{bare:?} {:?}", agent.consider(state)?))
    });
    let graph = LiveGraph::from_json(DELIBERATION).unwrap();
    let situation = Situation {
        situation: "Two friends share a meal.".into(),
        actions: vec!["share".into(), "keep".into()],
        contexts: vec!["When tired".into()],
        baseline: None,
    };
    sweep(&control, "graph", &mut || Ok(format!("{:?}", graph.score(&model, &situation, &mut |_, _| true)?)));
    let bytes = agent.snapshot().unwrap();
    sweep(&control, "snapshot", &mut || {
        let mut twin = Agent::restore(&model, std::slice::from_ref(&adapter), &bytes, options)?;
        Ok(format!("{:?}", twin.decide()?))
    });
}
