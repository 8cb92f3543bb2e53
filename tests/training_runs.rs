//! Runs that stop and go on: the same bits as runs that never stopped, and refusals of what does not belong together.

#![cfg(feature = "train")]

mod common;

use std::fs;

use probity::Error;
use probity::engine::gguf::GgmlType;
use probity::train::Schedule;
use probity::train::checkpoint::Checkpoint;
use probity::train::curriculum::TrainConfig;
use probity::train::finetune::Finetuning;
use probity::train::objective::Parts;
use probity::train::pretrain::{Pretraining, open_vocabulary};

const CONFIG: &str = r#"
name = "test"
seed = 3
labels = "pool"
styles = "all"
opponent = "random"
games_per_step = 4
shards = 2
rank = 4
alpha = 8.0
rate = 0.01
beta = 0.2
legality = 0.1

[games]
catalogue = ["ipd", "icd"]
random = 0.5

[[phases]]
steps = 4
reward = { framework = "game" }

[[phases]]
steps = 4
reward = { framework = "utilitarian" }
"#;

#[test]
fn a_resumed_run_is_the_run() {
    let (folder, path) = common::tiny(GgmlType::Q8_0);
    let model = common::open(&path);
    let config = TrainConfig::from_toml(CONFIG).unwrap();
    assert_eq!(TrainConfig::from_toml(&config.to_toml()).unwrap(), config);
    let mut whole = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    let mut first = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    let file = folder.path().join("checkpoint.bin");
    for step in 0..8 {
        let report = whole.step().unwrap();
        assert_eq!(report.phase, usize::from(step >= 4));
        if step < 5 {
            first.step().unwrap();
        }
    }
    first.state().write(&file, &config, model.fingerprint()).unwrap();
    let saved = Checkpoint::read(&file, &config, model.fingerprint()).unwrap();
    // Where there is less memory, too.
    let mut second = Finetuning::new(&model, config.clone(), Schedule::Narrow).unwrap();
    second.resume(saved);
    for _ in 5..8 {
        second.step().unwrap();
    }
    assert!(whole.state().theta == second.state().theta, "the same bits");
    assert_eq!(whole.state().tokens, second.state().tokens);
    assert!(matches!(second.step(), Err(Error::Training { .. })), "past the last phase");

    let refused = |config: &TrainConfig, base: &str| Checkpoint::read(&file, config, base).unwrap_err().to_string();
    let other = TrainConfig { beta: 0.3, ..config.clone() };
    assert!(refused(&other, model.fingerprint()).contains("beta differs"));
    assert!(refused(&config, "another").contains("another base model"));
    let bytes = fs::read(&file).unwrap();
    for at in [0, 9, 60, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        assert!(refused(&config, model.fingerprint()).contains("was changed"), "byte {at}");
    }
    fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    assert!(refused(&config, model.fingerprint()).contains("was changed"));
}

#[test]
fn training_moves_towards_the_optimum() {
    let (_folder, path) = common::tiny(GgmlType::F32);
    let model = common::open(&path);
    // One game with fixed labels, so that batches differ in nothing but what was learned.
    let text = CONFIG.replace("steps = 4", "steps = 30").replace("random = 0.5", "random = 0.0");
    let text = text.replace("labels = \"pool\"", "labels = { fixed = [\"zork\", \"blip\"] }");
    let mut run = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Wide).unwrap();
    let reports: Vec<_> = (0..30).map(|_| run.step().unwrap().parts).collect();
    let mean = |parts: &[Parts], of: fn(&Parts) -> f64| parts.iter().map(of).sum::<f64>() / parts.len() as f64;
    assert_eq!(reports[0].kl, 0.0, "an adapter starts as nothing");
    let [early, late] = [&reports[..5], &reports[25..]];
    assert!(mean(late, |p| p.objective) > mean(early, |p| p.objective));
    assert!(mean(late, |p| p.distance) < mean(early, |p| p.distance));
    for p in &reports {
        assert!(
            (0.0..=1.0).contains(&p.distance) && p.kl >= 0.0 && p.reward <= p.best + 1e-9 && p.legality <= 1.0 + 1e-6
        );
    }
}

#[test]
fn pretraining_resumes_and_learns() {
    let (folder, path) = common::tiny(GgmlType::F32);
    let vocabulary = open_vocabulary(&path).unwrap();
    let config = probity::train::pretrain::PretrainConfig {
        steps: 24,
        lessons: 4,
        chains: 2,
        turns: 2,
        shards: 2,
        rate: 3e-3,
        ..common::tiny_config()
    };
    config.check().unwrap();
    let mut whole = Pretraining::new(config.clone());
    let losses: Vec<f64> = (0..24).map(|_| whole.step(&vocabulary).unwrap().loss).collect();
    assert!(losses[20..].iter().sum::<f64>() < losses[..4].iter().sum::<f64>(), "{losses:?}");
    let mut first = Pretraining::new(config.clone());
    for _ in 0..10 {
        first.step(&vocabulary).unwrap();
    }
    let file = folder.path().join("checkpoint.bin");
    first.state().write(&file, &config, "").unwrap();
    let saved = Checkpoint::read(&file, &config, "").unwrap();
    let mut second = Pretraining::new(config);
    second.resume(saved);
    for _ in 10..24 {
        second.step(&vocabulary).unwrap();
    }
    assert!(whole.state().theta == second.state().theta, "the same bits");
}

#[test]
fn configs_that_cannot_be() {
    let refused = |from: &str, to: &str| TrainConfig::from_toml(&CONFIG.replace(from, to)).unwrap_err().to_string();
    assert!(refused("rank = 4", "rank = 0").starts_with("rank: 0, expected 1 to 512"));
    assert!(refused("beta = 0.2", "beta = 0.0").starts_with("beta: 0"));
    assert!(refused("rate = 0.01", "rate = nan").starts_with("rate: NaN"));
    assert!(refused("\"ipd\", \"icd\"", "\"chess\"").contains("not in the catalogue"));
    assert!(refused("random = 0.5", "random = 1.5").starts_with("games.random"));
    assert!(refused("seed = 3", "seed = 3\nspeed = 9").contains("speed"));
    assert!(refused("\"utilitarian\" }", "\"utilitarian\", illegal = inf }").contains("illegal"));
    assert!(refused("labels = \"pool\"", "labels = { fixed = [\"a\", \"a\"] }").contains("given twice"));
}
