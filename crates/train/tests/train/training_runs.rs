//! Interrupted runs: the bits of runs without an interrupt, and refusals of parts that do not belong together.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use probity::agent::prompt::Style;
use probity_engine::gguf::GgmlType;
use probity_game::{CatalogGame, Player, Profile, Reach, Strategy};
use probity_train::Error;
use probity_train::Schedule;
use probity_train::checkpoint::Checkpoint;
use probity_train::curriculum::{GivenGame, Norms, Opponent, Reference, Styles, Task, TrainConfig};
use probity_train::finetune::{Batch, Finetuning, Origin, References};
use probity_train::games;
use probity_train::labels::{self, Split};
use probity_train::objective::ObjectiveParts;
use probity_train::pretrain::{Pretraining, open_vocabulary};
use probity_train::run::{Checkpoints, Run, Session};

fn strategy(name: &str) -> Strategy {
    Strategy::find(name).unwrap()
}

pub const CONFIG: &str = r#"
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
    let (folder, path) = probity_testing::tiny(GgmlType::Q8_0);
    let model = probity_testing::open(&path);
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
    first.state().write(&file, &config, model.content().unwrap()).unwrap();
    let saved = Checkpoint::read(&file, &config, model.content().unwrap()).unwrap();
    // With less memory, too.
    let mut second = Finetuning::new(&model, config.clone(), Schedule::Narrow).unwrap();
    second.resume(saved);
    for _ in 5..8 {
        second.step().unwrap();
    }
    assert!(whole.state().theta == second.state().theta, "the same bits");
    assert_eq!(whole.state().tokens, second.state().tokens);
    assert!(matches!(second.step(), Err(Error::Training { .. })), "past the last phase");

    let refused = |config: &TrainConfig, base: &str| Checkpoint::read(&file, config, base).unwrap_err().to_string();
    let other = config.clone().with(|o| o.beta = 0.3);
    assert!(refused(&other, model.content().unwrap()).contains("beta differs"));
    assert!(refused(&config, "another").contains("another base model"));
    let bytes = fs::read(&file).unwrap();
    for at in [0, 9, 60, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        assert!(refused(&config, model.content().unwrap()).contains("was changed"), "byte {at}");
    }
    fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    assert!(refused(&config, model.content().unwrap()).contains("was changed"));
}

#[test]
fn training_moves_towards_the_optimum() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    // One game with fixed labels, so that batches differ in the learned parameters alone.
    let text = CONFIG.replace("steps = 4", "steps = 30").replace("random = 0.5", "random = 0.0");
    let text = text.replace("labels = \"pool\"", "labels = { fixed = [\"zork\", \"blip\"] }");
    let mut run = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Wide).unwrap();
    let reports: Vec<_> = (0..30).map(|_| run.step().unwrap().parts.unwrap()).collect();
    let mean = |parts: &[ObjectiveParts], of: fn(&ObjectiveParts) -> f64| {
        parts.iter().map(of).sum::<f64>() / parts.len() as f64
    };
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
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let vocabulary = open_vocabulary(&path).unwrap();
    let config = probity_testing::tiny_config().with(|o| {
        o.steps = 24;
        o.course.lessons = 4;
        o.course.chains = 2;
        o.course.turns = 2;
        o.course.shards = 2;
        o.rate = 3e-3;
        // Larger games are longer than the small model's context.
        o.course.actions = 0.0;
    });
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
fn only_what_is_targeted_gets_a_pair() {
    let (_folder, path) = probity_testing::tiny(GgmlType::Q8_0);
    let model = probity_testing::open(&path);
    let text = CONFIG.replace("rank = 4", "rank = 4\ntargets = [\"ffn_down\", \"attn_q\"]");
    let mut run = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Narrow).unwrap();
    run.step().unwrap();
    let before = run.measure().unwrap();
    run.step().unwrap();
    assert!(before[0].0.objective.is_finite() && before != run.measure().unwrap());
    let trained = run.finish().unwrap()[0].weights();
    let targets: Vec<&str> = trained.pairs.iter().map(|p| p.target.as_str()).collect();
    assert_eq!(targets[..3], ["blk.0.attn_q.weight", "blk.0.ffn_down.weight", "blk.1.attn_q.weight"]);
    assert_eq!(targets.len(), 2 * model.shape().n_layer);
    assert!(trained.pairs.iter().all(|p| p.b.iter().any(|&x| x != 0.0)), "every pair has learnt something");
}

#[test]
fn configs_that_cannot_be() {
    let refused = |from: &str, to: &str| TrainConfig::from_toml(&CONFIG.replace(from, to)).unwrap_err().to_string();
    let targets = "rank = 4\ntargets = [\"attn_q\", \"lm_head\"]";
    assert!(refused("rank = 4", targets).contains("expected some of attn_q, attn_k"));
    assert!(refused("rank = 4", "rank = 4\ntargets = []").starts_with("targets: []"));
    let three = "labels = { fixed = [\"a\", \"b\", \"c\"] }";
    assert!(refused("labels = \"pool\"", three).contains("has 3 entries, expected 2"));
    let more = "opponent = { memory-one = [0.0, 0.0, 0.0, 0.0, 0.0], memory = 2 }";
    assert!(refused("opponent = \"random\"", more).contains("and nothing else"));
    let six = "opponent = { memory-one = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0] }";
    assert!(refused("opponent = \"random\"", six).contains("6 probabilities, expected five"));
    assert!(refused("seed = 3", "seed = 3\nalgorithm = \"ppo\"").contains("such as { name = \"ppo\""));
    assert!(refused("beta = 0.2", "beta = 1e-300").contains("from 1e-6 to 1e6"));
    assert!(refused("rank = 4", "rank = 0").starts_with("rank: 0, expected 1 to 512"));
    assert!(refused("beta = 0.2", "beta = -1.0").starts_with("beta: -1"));
    assert!(refused("beta = 0.2", "beta = 0.0\nkl_target = { target = 1.0, horizon = 9.0 }").contains("kl_target"));
    assert!(refused("seed = 3", "seed = 3\narrival = 1.5").starts_with("arrival: 1.5"));
    assert!(refused("\"ipd\", \"icd\"", "\"ipd\", \"ipd\"").contains("\"ipd\" twice"));
    let penalty = refused("\"utilitarian\" }", "\"utilitarian\", illegal = -3.0 }");
    assert!(penalty.contains("exact training has no illegal answers"), "{penalty}");
    let huge = refused("\"utilitarian\" }", "\"deontological\", xi = 1e308 }");
    assert!(huge.contains("from 0 to 1e6"), "{huge}");
    assert!(refused("rate = 0.01", "rate = nan").starts_with("rate: NaN"));
    assert!(refused("\"ipd\", \"icd\"", "\"chess\"").contains("not in the catalogue"));
    assert!(refused("random = 0.5", "random = 1.5").starts_with("games.random"));
    assert!(refused("seed = 3", "seed = 3\nspeed = 9").contains("speed"));
    assert!(refused("\"utilitarian\" }", "\"utilitarian\", illegal = inf }").contains("illegal"));
    assert!(refused("labels = \"pool\"", "labels = { fixed = [\"a\", \"a\"] }").contains("given twice"));
}

/// A run that starts from an adapter starts at its policy, also where the adapter has a lower rank and another scale.
#[test]
fn a_run_starts_from_an_adapter() {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let config = TrainConfig::from_toml(CONFIG).unwrap();
    let mut first = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    for _ in 0..4 {
        first.step().unwrap();
    }
    let end = first.measure().unwrap();
    let weights = first.finish().unwrap()[0].weights();
    let wider = config.clone().with(|o| {
        o.rank = 6;
        o.alpha = 30.0;
    });
    let at = |config: &TrainConfig| -> Result<_, Error> {
        let mut run = Finetuning::new(&model, config.clone(), Schedule::Wide)?;
        // The same batch as the first run's measurement.
        let mut state = run.state().clone();
        state.adam.step = 4;
        run.resume(state);
        run.start_from(&weights, &path)?;
        run.measure()
    };
    for config in [&config, &wider] {
        let (found, expected) = (at(config).unwrap()[0].0, end[0].0);
        assert!((found.objective - expected.objective).abs() < 1e-5, "{found:?} and {expected:?}");
        assert_eq!(found.bare, expected.bare, "the bare model stays the reference");
    }
    let narrow = config.clone().with(|o| o.rank = 2);
    assert!(at(&narrow).unwrap_err().to_string().contains("rank: 2, expected at least 4"));
    let fewer = config.clone().with(|o| o.targets = vec!["attn_q".into()]);
    assert!(at(&fewer).unwrap_err().to_string().contains("no target of this run"));
    drop(folder);
}

/// A finished run goes on under its last reward, and the steps before stay what they were.
#[test]
fn a_finished_run_is_extended() {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let config = TrainConfig::from_toml(CONFIG).unwrap();
    let mut run = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    while !run.finished() {
        run.step().unwrap();
    }
    let (state, file) = (run.state().clone(), folder.path().join("checkpoint.bin"));
    state.write(&file, &config, model.content().unwrap()).unwrap();
    let longer = config.clone().extended(3);
    assert_eq!((longer.steps(), &longer.phases[2].reward), (config.steps() + 3, &config.phases[1].reward));
    let mut more = Finetuning::new(&model, longer.clone(), Schedule::Wide).unwrap();
    more.resume(Checkpoint::read(&file, &config, model.content().unwrap()).unwrap());
    assert!(!more.finished() && more.state().theta == state.theta);
    while !more.finished() {
        more.step().unwrap();
    }
    assert!(more.done() == longer.steps() && more.state().theta != state.theta);
}

/// A run that ended early goes on, too, and its folder is the longer run's from the first moment on.
#[test]
fn a_run_that_ended_early_is_extended() {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let text = CONFIG.replace("[games]", "[early_stop]\ndistance = 0.99\npatience = 2\n\n[games]");
    let config = TrainConfig::from_toml(&text).unwrap();
    let longer = config.clone().extended(3);
    let begin = |config: &TrainConfig, resumed: Option<&TrainConfig>| {
        let mut training = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
        let mut checkpoints = Checkpoints::of(folder.path()).unwrap();
        if let Some(made) = resumed {
            checkpoints.resume(&mut training, made).unwrap();
        }
        Run::open(folder.path(), training, checkpoints).unwrap()
    };
    let stop = AtomicBool::new(false);
    let mut run = begin(&config, None);
    run.steps::<Error>(&Session::new(&stop), |_| Ok(())).unwrap();
    assert_eq!(run.training.done(), 6, "two steps into the last phase");
    let ended = run.training.state().theta.clone();
    drop(run);

    let mut run = begin(&longer, Some(&config));
    assert!(!run.training.finished());
    let file = folder.path().join("checkpoint.bin");
    let kept = Checkpoint::read(&file, &longer, model.content().unwrap()).unwrap();
    assert!(kept.theta == ended && kept.steering.near == 0);
    run.steps::<Error>(&Session::new(&stop), |_| Ok(())).unwrap();
    assert!(run.training.done() > 6 && run.training.state().theta != ended);
    drop(run);
    begin(&longer, Some(&longer));
}

const VALIDATED: &str = "[validation]\ngames = 2\npatience = 3\n\n[games]";

/// The phase of every step that is left, its number, and the distance that validation found.
fn steps_to_the_end(training: &mut Finetuning) -> Vec<(usize, u64, f64)> {
    let mut found = Vec::new();
    while !training.finished() {
        let report = training.step().unwrap();
        found.push((report.phase, report.step, report.validation.unwrap().free_distance));
    }
    found
}

/// A phase ends with the step whose free answers were nearest under labels that no step trains on.
#[test]
fn validation_keeps_the_nearest_parameters() {
    const STEPS: [usize; 2] = [30, 40];
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let text = STEPS.iter().fold(CONFIG.replace("[games]", VALIDATED), |text, steps| {
        text.replacen("steps = 4\n", &format!("steps = {steps}\n"), 1)
    });
    let config = TrainConfig::from_toml(&text).unwrap();
    let mut whole = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    let reports = steps_to_the_end(&mut whole);
    let mut taken = 0;
    for (phase, steps) in STEPS.into_iter().enumerate() {
        let found: Vec<f64> = reports.iter().filter(|r| r.0 == phase).map(|r| r.2).collect();
        let least = found.iter().copied().fold(f64::INFINITY, f64::min);
        let nearest = found.iter().position(|d| *d == least).unwrap() + 1;
        assert!(found.len() == nearest + 3 || found.len() == steps, "{found:?}");
        if phase == 1 {
            assert_eq!(whole.kept_steps(), (taken + nearest) as u64);
            assert_eq!(reports[taken].1, STEPS[0] as u64 + 1, "the schedule of the second phase begins at its start");
        }
        taken += found.len();
    }
    assert_eq!(whole.taken(), taken as u64);
    assert!(taken < STEPS[0] + STEPS[1], "a phase ended early");

    // Another run to the nearest step, and from its checkpoint on.
    let mut short = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    let mut resumed = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    (0..whole.kept_steps()).for_each(|_| drop(short.step().unwrap()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.bin");
    short.state().write(&file, &config, "base").unwrap();
    resumed.resume(Checkpoint::read(&file, &config, "base").unwrap());
    steps_to_the_end(&mut resumed);
    assert!(resumed.done() == whole.done() && resumed.state().theta == whole.state().theta);
    let ended = whole.measure_end(|_| ()).unwrap();
    assert_eq!(resumed.measure_end(|_| ()).unwrap(), ended);
    let [trained, again] = [whole, resumed].map(|run| run.finish().unwrap().remove(0));
    assert!(trained.steps == short.taken() && trained.theta == short.state().theta && again.theta == trained.theta);
}

/// A policy that is NaN is not the nearest one.
#[test]
fn validation_does_not_keep_nan() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let config = TrainConfig::from_toml(&CONFIG.replace("[games]", VALIDATED)).unwrap().with(|o| o.rate = 1e30);
    let mut run = Finetuning::new(&model, config, Schedule::Wide).unwrap();
    let mut found = Vec::new();
    while let Ok(report) = run.step() {
        found.push(report.validation.unwrap().free_distance);
    }
    assert!(found.iter().any(|distance| distance.is_nan()), "{found:?}");
    assert!(run.state().kept.as_ref().is_none_or(|kept| found.contains(&kept.at.distance)), "{found:?}");
}

/// A longer run goes on from the parameters that the shorter run ended with.
#[test]
fn a_validated_run_is_extended_from_its_nearest_parameters() {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let text = CONFIG.replace("[games]", VALIDATED).replace("steps = 4\n", "steps = 12\n");
    let config = TrainConfig::from_toml(&text).unwrap().with(|o| o.rate = 0.3);
    let training = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    let mut run = Run::open(folder.path(), training, Checkpoints::of(folder.path()).unwrap()).unwrap();
    run.steps::<Error>(&Session::new(&AtomicBool::new(false)), |_| Ok(())).unwrap();
    let ended = run.training.state().clone();
    let nearest = ended.kept.unwrap().theta;
    assert_ne!(nearest, ended.theta, "the last step is not the nearest");
    drop(run);
    let mut longer = Finetuning::new(&model, config.clone().extended(3), Schedule::Wide).unwrap();
    Checkpoints::of(folder.path()).unwrap().resume(&mut longer, &config).unwrap();
    assert!(longer.state().theta == nearest && longer.state().kept.is_none() && !longer.finished());
}

/// Labels of a validation are none of a step's, and are shared where the players share theirs.
#[test]
fn validation_has_labels_of_its_own() {
    let fixed =
        CONFIG.replace("labels = \"pool\"", "labels = { fixed = [\"up\", \"down\"] }").replace("[games]", VALIDATED);
    let config = TrainConfig::from_toml(&fixed).unwrap();
    let tasks = config.validation_tasks().unwrap();
    assert_eq!((tasks.len(), &tasks), (2, &config.validation_tasks().unwrap()));
    for Task { game, .. } in &tasks {
        assert_eq!(game.labels(Player::Row), game.labels(Player::Column));
        assert!(game.labels(Player::Row).iter().all(|label| label != "up" && label != "down"));
    }
    let given = fixed.replace("games = 2", "games = 3\nlabels = [[\"left\", \"right\"], [\"a\", \"b\"]]");
    let firsts = TrainConfig::from_toml(&given).unwrap().validation_tasks().unwrap();
    assert_eq!(
        firsts.iter().map(|task| task.game.labels(Player::Row)[0].as_str()).collect::<Vec<_>>(),
        ["left", "a", "left"]
    );
    for (from, to, told) in [
        ("\"left\", \"right\"", "\"up\", \"down\"", "labels.fixed"),
        ("\"left\", \"right\"", "\"left\"", "labels"),
        ("games = 3", "games = 0", "validation.games"),
        ("patience = 3", "patience = 0", "validation.patience"),
        ("patience = 3", "every = 0", "validation.every"),
    ] {
        let problem = TrainConfig::from_toml(&given.replace(from, to)).unwrap_err().to_string();
        assert!(problem.contains(told), "{from}: {problem}");
    }
}

/// PEFT's start: A is uniform within `1 / sqrt(inputs)`, B is 0.
#[test]
fn an_adapter_starts_as_peft_starts_it() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let training = Finetuning::new(&model, TrainConfig::from_toml(CONFIG).unwrap(), Schedule::Wide).unwrap();
    let theta = &training.state().theta;
    for (name, linear) in training.decoder().blocks().iter().flat_map(|block| block.linears()) {
        let lora = linear.lora.as_ref().unwrap();
        let most = 1.0 / (linear.n_in as f32).sqrt();
        let found = theta[lora.a.clone()].iter().fold(0.0_f32, |most, a| most.max(a.abs()));
        assert!(found <= most && found > 0.95 * most, "{name}: {found} of {most}");
        let mean = theta[lora.a.clone()].iter().sum::<f32>() / lora.a.len() as f32;
        assert!(mean.abs() < 0.2 * most, "{name}: {mean}");
        assert!(theta[lora.b.clone()].iter().all(|b| *b == 0.0), "{name}");
    }
}

/// Checkpoints are written by time; a machine's speed does not count here.
#[test]
fn a_checkpoint_is_due_by_time() {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let config = TrainConfig::from_toml(&CONFIG.replace("steps = 4", "steps = 2")).unwrap();
    for (after, kept) in [(Duration::ZERO, [1, 2, 3]), (Duration::MAX, [0, 0, 0])] {
        let run = folder.path().join(format!("{kept:?}"));
        std::fs::create_dir(&run).unwrap();
        let training = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
        let mut open = Run::open(&run, training, Checkpoints::of(&run).unwrap()).unwrap();
        let stop = AtomicBool::new(false);
        let read = || Checkpoint::read(&run.join("checkpoint.bin"), &config, model.content().unwrap()).unwrap().step();
        // A step is told before its checkpoint is written.
        let mut before = Vec::new();
        let session = Session::new(&stop).with(|o| o.checkpoint_after = after);
        open.steps::<Error>(&session, |_| {
            before.push(read());
            Ok(())
        })
        .unwrap();
        assert_eq!((&before[..], read()), (&[&[0], &kept[..]].concat()[..], 4));
    }
}

/// A game whose labels may become too long for the model fails before the first step.
#[test]
fn a_prompt_that_does_not_fit_is_found_by_the_plan() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let rows = |text: &str, n: usize| vec![text; n].join(", ");
    let labels: Vec<String> = (0..40).map(|i| format!("\"action-{i:02}\"")).collect();
    let game = format!(
        "[{{ version = 1, name = \"wide\", actions = [[{}], [\"a\", \"b\"]], payoffs = [{}], cooperative = [0, 0] }}]",
        labels.join(", "),
        rows("[[1, 2], [3, 4]]", 40)
    );
    let text = CONFIG.replace("[\"ipd\", \"icd\"]", &game).replace("random = 0.5", "");
    let config = TrainConfig::from_toml(&text).unwrap();
    let planned = probity_train::finetune::plan(&model, &config, u64::MAX);
    assert!(planned.unwrap_err().to_string().contains("expected at most"));
}

/// A game of one's own stands wherever a name stands: three actions against two, unequal payoffs.
#[test]
fn a_game_of_ones_own_is_trained_on() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let own = r#"{ version = 1, name = "ferry", actions = [["row", "rest", "bail"], ["steer", "sleep"]],
        payoffs = [[[3, 3], [0, 4]], [[4, 0], [1, 1]], [[2, 5], [-3, 2]]], cooperative = [0, 0] }"#;
    let own = own.replace('\n', "");
    let text = CONFIG.replace("[\"ipd\", \"icd\"]", &format!("[\"ipd\", {own}]")).replace("random = 0.5", "");
    let text = text.replace("seed = 3", "seed = 3\nseats = \"row\"");
    let config = TrainConfig::from_toml(&text).unwrap();
    assert_eq!(TrainConfig::from_toml(&config.to_toml()).unwrap(), config);
    let names: Vec<&str> = config.games.catalogue.iter().map(GivenGame::name).collect();
    assert_eq!(names, ["ipd", "ferry"]);
    assert!(config.to_toml().contains("\"ipd\""), "the catalogue's game stays a name: {}", config.to_toml());
    let mut run = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    let report = (0..4).map(|_| run.step().unwrap()).find(|r| r.states.iter().any(|s| s.game == "ferry")).unwrap();
    // Six profiles and the first round; games of more than two actions have numbers.
    let states: Vec<&str> = report.states.iter().filter(|s| s.game == "ferry").map(|s| s.state.as_str()).collect();
    assert_eq!(states, ["start", "0C", "0D", "1C", "1D", "2C", "2D"]);
    let drawn = (0..40).map(|i| config.draw(i).unwrap()).find(|task| task.name == "ferry").unwrap().game;
    let [own_labels, other_labels] = [Player::Row, Player::Column].map(|player| drawn.labels(player));
    assert!(own_labels.iter().all(|label| !other_labels.contains(label)), "{own_labels:?} {other_labels:?}");

    let kept = TrainConfig::from_toml(&text.replace("labels = \"pool\"", "labels = \"own\"")).unwrap();
    let told = (0..40).map(|i| kept.draw(i).unwrap()).find(|task| task.name == "ferry").unwrap().game;
    assert_eq!(told.labels(Player::Row), ["row", "rest", "bail"]);
    let refused = |from: &str, to: &str| TrainConfig::from_toml(&text.replace(from, to)).unwrap_err().to_string();
    assert!(refused("labels = \"pool\"", "labels = { fixed = [\"a\", \"b\"] }").contains("expected 3"));
    assert!(refused("[4, 0]", "[4]").contains("payoffs"), "{}", refused("[4, 0]", "[4]"));
    assert!(refused("cooperative = [0, 0]", "cooperative = [7, 0]").contains("7"));
    let mirror = refused("opponent = \"random\"", "opponent = \"tit-for-tat\"");
    assert!(mirror.contains("expected both players to have the same number"), "{mirror}");
}

/// Both seats, the norm told and untold, labels shared and apart, and no game or label of the test split.
#[test]
fn a_curriculum_draws_what_it_says() {
    let text = fs::read_to_string(probity_testing::root().join("configs/deontological.toml")).unwrap();
    let config = TrainConfig::from_toml(&text).unwrap().with(|o| {
        o.games.random = 0.8;
        o.games.reach = vec![Reach::Digits, Reach::Digits, Reach::Actions];
        o.norms = Norms::Both;
    });
    config.check().unwrap();
    let mut seen = BTreeMap::new();
    let mut see = |what: &str| *seen.entry(what.to_owned()).or_insert(0) += 1;
    for index in 0..600 {
        let Task { name, game, style, .. } = config.draw(index).unwrap();
        let [own, other] = [Player::Row, Player::Column].map(|player| game.labels(player));
        assert!(own.iter().chain(other).all(|label| labels::split_of(label) == Split::Train), "{own:?} {other:?}");
        see(&format!("{:?}", style.norm));
        see(if own == other {
            "shared"
        } else if own.iter().any(|label| other.contains(label)) {
            "in another order"
        } else {
            "apart"
        });
        if name == "random" {
            assert_eq!(games::split_of(&game), Split::Train);
            see(&Reach::of(&game).unwrap().to_string());
        }
        if name == "bos" {
            see(if game.payoff(0, 0) == [3.0, 2.0] { "row" } else { "column" });
        }
    }
    let least = [
        ("Told", 250),
        ("Untold", 200),
        ("shared", 150),
        ("in another order", 40),
        ("apart", 200),
        ("digits", 200),
        ("actions", 100),
        ("row", 5),
        ("column", 5),
    ];
    for (what, least) in least {
        assert!(seen.get(what).is_some_and(|n| *n >= least), "{what}: {seen:?}");
    }
}

/// Where the reference is the first stage, the second stage begins at no divergence.
#[test]
fn the_reference_may_be_the_adapter_that_a_run_starts_from() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let config = TrainConfig::from_toml(CONFIG).unwrap();
    let mut first = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    for _ in 0..4 {
        first.step().unwrap();
    }
    let weights = first.finish().unwrap()[0].weights();
    let measured = |reference| {
        let config = config.clone().with(|o| {
            o.start = Some("a hash".into());
            o.reference = reference;
        });
        let mut run = Finetuning::new(&model, config, Schedule::Wide).unwrap();
        run.start_from(&weights, &path).unwrap();
        run.measure().unwrap()[0].0
    };
    let (bare, start) = (measured(Reference::Bare), measured(Reference::Start));
    assert!(bare.kl > 1e-4 && start.kl.abs() < 1e-9, "{} and {}", bare.kl, start.kl);
    assert!((start.bare - start.objective).abs() < 1e-6 && (start.reward - bare.reward).abs() < 1e-9);
    let alone = config.clone().with(|o| o.reference = Reference::Start);
    let alone = Finetuning::new(&model, alone, Schedule::Wide).map(drop);
    assert!(alone.unwrap_err().to_string().contains("--from ADAPTER"));
    let forgotten = config.with(|o| o.start = Some("a hash".into()));
    let step = Finetuning::new(&model, forgotten, Schedule::Wide).unwrap().step().map(drop);
    assert!(step.unwrap_err().to_string().contains("did not start from"));
}

#[test]
fn a_memory_one_opponent_is_what_it_writes_down() {
    let game = CatalogGame::find("ipd").unwrap().labelled(["share", "keep"]).unwrap();
    let parsed =
        |text: &str| toml::from_str::<BTreeMap<String, Opponent>>(&format!("x = {text}")).map(|m| m["x"].clone());
    let tit_for_tat = parsed("{ memory-one = [1.0, 1.0, 0.0, 1.0, 0.0] }").unwrap();
    assert_eq!(parsed("\"tit-for-tat\"").unwrap(), Opponent::Strategy(strategy("tit-for-tat")));
    assert_eq!(parsed("\"learner\"").unwrap(), Opponent::Learner);
    assert!(parsed("\"tit-for-two-tats\"").unwrap_err().to_string().contains("tit-for-tat, always-cooperate"));
    assert!(parsed("{ memory-one = [1.0, 1.5, 0.0, 1.0, 0.0] }").unwrap_err().to_string().contains("1.5"));
    for state in probity_game::states(&game) {
        assert_eq!(tit_for_tat.policy(&game, state), strategy("tit-for-tat").policy(&game, state));
    }
    // Forgiving after its own defection, so that its policy differs from the learner's.
    let grim = Strategy::MemoryOne([1.0, 0.9, 0.2, 0.7, 0.1]);
    let after = |own, other| grim.policy(&game, Some(Profile { own, other })).unwrap()[0];
    assert_eq!([after(0, 0), after(1, 0), after(0, 1), after(1, 1)], [0.9, 0.2, 0.7, 0.1]);
}

#[test]
fn a_full_batch_is_every_game_in_every_style() {
    let text = CONFIG.replace("games_per_step = 4", "games_per_step = 0").replace("random = 0.5", "random = 0.0");
    let config = TrainConfig::from_toml(&text).unwrap();
    let games = config.tasks_at(3).unwrap();
    // Both games are the same from both seats.
    assert_eq!(games.len(), 16 * config.games.catalogue.len());
    let unequal = TrainConfig::from_toml(&text.replace("\"icd\"", "\"bos\"")).unwrap();
    assert_eq!(unequal.tasks_at(3).unwrap().len(), 16 * 3);
    let paper = config.clone().with(|o| o.styles = Styles::OriginalLayout);
    assert_eq!(paper.tasks_at(3).unwrap().len(), 4 * config.games.catalogue.len());
    assert!(games.iter().zip(config.tasks_at(4).unwrap()).any(|(a, b)| a.game != b.game), "labels are drawn anew");
    let random = text.replace("random = 0.0", "random = 0.5");
    assert!(TrainConfig::from_toml(&random).unwrap_err().to_string().contains("full batch"));
}

#[test]
fn two_learners_are_each_others_opponents() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let text = CONFIG.replace("opponent = \"random\"", "opponent = \"learner\"");
    assert_ne!(text, CONFIG);
    let config = TrainConfig::from_toml(&text).unwrap();
    let mut run = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
    let n = run.decoder().n_params();
    assert_eq!(run.state().theta.len(), 2 * n);
    let start = run.state().theta.clone();
    let mut narrow = Finetuning::new(&model, config, Schedule::Narrow).unwrap();
    for _ in 0..3 {
        let report = run.step().unwrap();
        assert_eq!(report, narrow.step().unwrap());
        let other = report.other.expect("the second learner's parts");
        assert!(other.objective.is_finite() && Some(other) != report.parts);
    }
    let theta = &run.state().theta;
    assert!(*theta == narrow.state().theta, "the same bits");
    let [mine, theirs] = [0, n].map(|at| (&start[at..at + n], &theta[at..at + n]));
    assert!(mine.0 != theirs.0 && mine.0 != mine.1 && theirs.0 != theirs.1, "each is its own, and each learns");
    assert_eq!(run.finish().unwrap().len(), 2);

    // The other seat sees the same profile the other way round.
    let game = CatalogGame::find("bos").unwrap().labelled(["ball", "opera"]).unwrap();
    let batch = Batch::new(
        &model,
        vec![Task { name: "bos".into(), game, style: Style::default(), weight: 1.0 }],
        Origin::default(),
    )
    .unwrap();
    let theirs: Vec<Vec<f64>> = (0..5).map(|i| vec![f64::from(i), 0.0]).collect();
    let seen: Vec<f64> = batch.across(vec![theirs]).remove(0).iter().map(|p| p[0]).collect();
    // First round, then own and other: 00, 01, 10, 11; theirs at 01 is mine at 10.
    assert_eq!(seen, [0.0, 1.0, 3.0, 2.0, 4.0]);
}

#[test]
fn what_the_bare_model_answers_is_asked_once() {
    let (folder, path) = probity_testing::tiny(GgmlType::Q8_0);
    let model = probity_testing::open(&path);
    let config = TrainConfig::from_toml(CONFIG).unwrap();
    let file = folder.path().join("references.bin");
    let run = |steps: usize| {
        let mut run = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
        run.keep_references(References::in_file(&file).unwrap());
        let reports: Vec<_> = (0..steps).map(|_| run.step().unwrap()).collect();
        (reports, fs::metadata(&file).unwrap().len())
    };
    let (first, short) = run(3);
    let (again, same) = run(3);
    assert_eq!(first, again);
    assert_eq!(short, same, "nothing new was asked");
    assert!(run(4).1 > same);
}

#[test]
fn games_count_by_their_weights() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let text =
        CONFIG.replace("random = 0.5", "random = 0.0\nweights = { ipd = 3.0 }").replace("= 4\nshards", "= 0\nshards");
    let mut run = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Wide).unwrap();
    let report = run.step().unwrap();
    assert_eq!(report.states.len(), 10);
    let of = |game: &str| -> f64 {
        let states: Vec<_> = report.states.iter().filter(|s| s.game == game).collect();
        assert_eq!(states.iter().map(|s| s.state.as_str()).collect::<Vec<_>>(), ["start", "CC", "CD", "DC", "DD"]);
        states.iter().map(|s| s.parts.reward).sum::<f64>() / 5.0
    };
    let expected = 0.75 * of("ipd") + 0.25 * of("icd");
    assert!((report.parts.unwrap().reward - expected).abs() < 1e-12);
    let unplayed = text.replace("ipd = 3.0", "bos = 3.0");
    assert!(TrainConfig::from_toml(&unplayed).unwrap_err().to_string().contains("games.weights: bos"));
}

#[test]
fn a_run_ends_early_when_it_is_near_enough() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let text = CONFIG.replace("[games]", "[early_stop]\ndistance = 0.99\npatience = 2\n\n[games]");
    let mut run = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Wide).unwrap();
    while !run.finished() {
        run.step().unwrap();
    }
    assert_eq!(run.done(), 6, "two steps into the last phase");
}

#[test]
fn a_divergence_is_held() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let betas = |target: &str| -> Vec<f64> {
        let text = CONFIG.replace("[games]", &format!("[kl_target]\ntarget = {target}\nhorizon = 2.0\n\n[games]"));
        let mut run = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Wide).unwrap();
        (0..8).map(|_| run.step().unwrap().beta).collect()
    };
    // Far above any divergence, and far below the divergence of the first steps.
    let (free, held) = (betas("100.0"), betas("1e-9"));
    assert!(free.windows(2).all(|b| (b[1] / b[0] - 0.9).abs() < 1e-9), "{free:?}");
    assert!(held[7] > held[2] && (held[7] / held[6] - 1.1).abs() < 1e-9, "{held:?}");
}

#[test]
fn labels_of_the_best_actions_are_learnt() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let text =
        CONFIG.replace("seed = 3", "seed = 3\nalgorithm = { name = \"supervised\" }").replace("= 4\nrew", "= 20\nrew");
    let text = text.replace("= 4\nshards", "= 0\nshards").replace("random = 0.5", "random = 0.0");
    let text = text.replace("labels = \"pool\"", "labels = { fixed = [\"zork\", \"blip\"] }");
    let mut run = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Wide).unwrap();
    let parts: Vec<ObjectiveParts> = (0..20).map(|_| run.step().unwrap().parts.unwrap()).collect();
    assert!(parts[19].miss < parts[0].miss && parts[19].legality > parts[0].legality, "{parts:?}");
}

/// A reward from a moral graph, with small differences: trained to the probabilities of its tilt.
#[test]
fn a_graph_is_trained_on() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let scores = "[[0.2, 0.0], [0.05, 0.0], [0.4, 0.0], [0.1, 0.0], [0.0, 0.5]]";
    let reward = format!("{{ framework = \"values\", game = \"ipd\", source = \"here\", scores = {scores} }}");
    let text = CONFIG.replace("labels = \"pool\"", "labels = { fixed = [\"zork\", \"blip\"] }");
    let text = text.replace("= 4\nshards", "= 0\nshards").replace("random = 0.5", "").replace(", \"icd\"", "");
    let text =
        text.replace("seed = 3", "seed = 3\nalgorithm = { name = \"optimum\" }").replace("= 4\nrew", "= 60\nrew");
    let end = text.find("[[phases]]\nsteps = 60\nreward = { framework = \"utilitarian\" }").unwrap();
    let text = text[..end].replace("legality = 0.1", "legality = 0.0").replace("{ framework = \"game\" }", &reward);
    let config = TrainConfig::from_toml(&text).unwrap();
    assert_eq!(TrainConfig::from_toml(&config.to_toml()).unwrap(), config);
    let mut run = Finetuning::new(&model, config, Schedule::Wide).unwrap();
    let parts: Vec<ObjectiveParts> = (0..60).map(|_| run.step().unwrap().parts.unwrap()).collect();
    let (first, last) = (parts[0].distance, parts[59].distance);
    assert!(first > 0.1 && last < 0.1 * first, "from {first} to {last}");

    let elsewhere = text.replace("catalogue = [\"ipd\"]", "catalogue = [\"ipd\", \"ish\"]");
    let refused = TrainConfig::from_toml(&elsewhere).unwrap_err().to_string();
    assert!(refused.contains(r#"scores of the game "ipd", expected of "ish""#), "{refused}");
    let drawn = text.replace("catalogue = [\"ipd\"]", "catalogue = [\"ipd\"]\nrandom = 0.1");
    let refused = TrainConfig::from_toml(&drawn).unwrap_err().to_string();
    assert!(refused.contains(r#"expected of "random""#), "{refused}");
}

#[test]
fn a_run_that_goes_astray_stops() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    // Steps too small to matter, from an adapter far from the bare model, where that costs.
    let text = CONFIG.replace("rate = 0.01", "rate = 1e-12").replace("steps = 4", "steps = 60");
    let text = text.replace("beta = 0.2", "beta = 5000.0").replace("legality = 0.1", "legality = 0.0");
    let text = text.replace("labels = \"pool\"", "labels = { fixed = [\"zork\", \"blip\"] }");
    let text = text.replace("= 4\nshards", "= 0\nshards").replace("random = 0.5", "random = 0.0");
    let mut run = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Wide).unwrap();
    assert!(run.step().is_ok() && !run.astray());
    let mut state = run.state().clone();
    state.theta.iter_mut().enumerate().for_each(|(i, w)| *w = 0.5 * (i as f32).sin());
    run.resume(state.clone());
    for _ in 0..49 {
        let report = run.step().unwrap();
        assert!(run.astray(), "{:?}", report.parts);
    }
    let before = run.state().theta.clone();
    let error = run.step().unwrap_err().to_string();
    assert!(error.contains("diverging: at step 51") && error.contains("a lower rate may help"), "{error}");
    assert!(before == run.state().theta, "the parameters are those before the step");
    // If the run starts there, as unlearning does, it does not stop.
    let fresh = Finetuning::new(&model, TrainConfig::from_toml(&text).unwrap(), Schedule::Wide).unwrap();
    let mut unlearning = run;
    unlearning.resume(Checkpoint { theta: state.theta, ..fresh.state().clone() });
    for _ in 0..60 {
        unlearning.step().unwrap();
    }
    let mut run = unlearning;
    // NaN is reported at once.
    let mut state = run.state().clone();
    state.theta[0] = f32::NAN;
    run.resume(state);
    let error = run.step().unwrap_err().to_string();
    assert!(error.contains("the objective is NaN at step 61"), "{error}");
}
