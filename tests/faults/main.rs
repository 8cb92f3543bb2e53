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

/// Faults one process is tried with: a context in which a fault struck is leaked, and the leaks of a whole sweep would
/// take all memory.
const A_PROCESS: usize = 500;

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
    // `PROBITY_FAULTS_FROM=decision:380` starts there, after a crash was mended.
    let from = std::env::var("PROBITY_FAULTS_FROM").unwrap_or_else(|_| "open:1".into());
    let (first, allocation) = from.split_once(':').expect("PROBITY_FAULTS_FROM=PHASE:ALLOCATION");
    let mut next: u64 = allocation.parse().expect("a number of an allocation");
    for phase in PHASES.iter().skip_while(|phase| **phase != first) {
        let (mut errors, mut survived) = (0, 0);
        let all = loop {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "faults", "--nocapture", "--test-threads=1"])
                .env("LD_PRELOAD", &library)
                .env("PROBITY_FAULTS", &control)
                .env("PROBITY_FAULTS_FROM", format!("{phase}:{next}"))
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let swept = text.lines().find_map(|line| line.split_once("SWEPT ")).map(|(_, figures)| figures);
            let Some(swept) = swept.filter(|_| output.status.success()) else {
                println!("{text}{}", String::from_utf8_lossy(&output.stderr));
                panic!("{phase}: the process ended with {}", output.status);
            };
            let figures: Vec<u64> = swept.split(' ').map(|figure| figure.parse().unwrap()).collect();
            let [all, now_errors, now_survived, after] = figures[..] else { panic!("{swept}") };
            errors += now_errors;
            survived += now_survived;
            next = after;
            if next > all {
                break all;
            }
        };
        next = 1;
        println!("{phase}: {all} allocations, {errors} errors, {survived} did without");
        assert!(errors > 0, "{phase}: no allocation mattered");
    }
}

/// Fails allocations of one phase, and prints `SWEPT` with their number, the errors, the calls that did without the
/// allocation, and the next allocation to try.
fn sweep(control: &Control, from: u64, call: &mut dyn FnMut() -> Result<String>) {
    // The first call makes what the process keeps.
    call().unwrap();
    control.fail(0);
    let usual = call().unwrap();
    let all = control.counted();
    let step = if std::env::var_os("PROBITY_ALL_FAULTS").is_some() { 1 } else { (all / SOME).max(1) };
    let (mut errors, mut survived, mut next) = (0, 0, all + 1);
    for (tried, allocation) in (from..=all).step_by(step as usize).enumerate() {
        if tried == A_PROCESS {
            next = allocation;
            break;
        }
        // A crash leaves this line as the last.
        eprintln!("allocation {allocation} of {all}");
        control.fail(allocation);
        let outcome = call();
        control.fail(0);
        match outcome {
            Err(_) => errors += 1,
            Ok(found) => {
                assert_eq!(found, usual, "allocation {allocation}");
                survived += 1;
            }
        }
        assert_eq!(call().unwrap(), usual, "after allocation {allocation}");
    }
    println!("SWEPT {all} {errors} {survived} {next}");
}

#[test]
#[ignore = "run by any_allocation_of_c_and_cpp_may_fail, under a preloaded library"]
fn faults() {
    let control = std::env::var_os("PROBITY_FAULTS").expect("run by the other test");
    let control = Control(OpenOptions::new().read(true).write(true).open(control).unwrap());
    let from = std::env::var("PROBITY_FAULTS_FROM").unwrap();
    let (phase, from) = from.split_once(':').unwrap();
    let from = from.parse().unwrap();

    let options = ContextOptions::default().with(|o| o.threads = 2);
    let open = |path: &Path| Model::open(path, ModelOptions::default(), |_| true);
    let scenario = || Scenario::from_json(r#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#);
    let model = open(&shipped("default")).unwrap();
    let adapter = Adapter::load(&model, &shipped("deontological")).unwrap();
    // One agent over all faults: it has to come back from each.
    let mut agent = Agent::new(&model, scenario().unwrap(), options).unwrap();
    let mut consider = || {
        let state = Some(Profile { own: 0, other: 1 });
        agent.set_adapters(&[])?;
        let bare = agent.consider(state)?;
        agent.set_adapters(&[(adapter.clone(), 1.0)])?;
        Ok(format!("{bare:?} {:?}", agent.consider(state)?))
    };
    match phase {
        "open" => sweep(&control, from, &mut || Ok(open(&shipped("default"))?.fingerprint().to_owned())),
        "adapter" => sweep(&control, from, &mut || {
            Ok(Adapter::load(&model, &shipped("deontological"))?.fingerprint().to_owned())
        }),
        "agent" => sweep(&control, from, &mut || {
            let mut agent = Agent::new(&model, scenario()?, options)?;
            agent.set_adapters(&[(adapter.clone(), 1.0)])?;
            Ok(format!("{:?}", agent.decide()?))
        }),
        "decision" => sweep(&control, from, &mut consider),
        "graph" => {
            let graph = LiveGraph::from_json(DELIBERATION).unwrap();
            let situation = Situation {
                situation: "Two friends share a meal.".into(),
                actions: vec!["share".into(), "keep".into()],
                contexts: vec!["When tired".into()],
                baseline: None,
            };
            sweep(&control, from, &mut || Ok(format!("{:?}", graph.score(&model, &situation, &mut |_, _| true)?)));
        }
        "snapshot" => {
            consider().unwrap();
            let bytes = agent.snapshot().unwrap();
            sweep(&control, from, &mut || {
                let mut twin = Agent::restore(&model, std::slice::from_ref(&adapter), &bytes, options)?;
                Ok(format!("{:?}", twin.decide()?))
            });
        }
        _ => panic!("no phase is named {phase}"),
    }
}
