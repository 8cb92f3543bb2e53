//! The plan of a training run against its real allocations.

use std::process::Command;

use peak_alloc::PeakAlloc;
use probity_engine::gguf::GgmlType;
use probity_engine::numeric::{Matrix, MatrixMut, product};
use probity_train::curriculum::TrainConfig;
use probity_train::finetune::{Batch, Origin, plan};
use probity_train::literacy::{self, Literacy, LiteracyConfig};
use probity_train::model_file::write_model;
use probity_train::plan::Plan;
use probity_train::{Compute, Decoder, LINEARS, Pack, Schedule, Shards};

use crate::training_runs::CONFIG;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Whether this is the test's own process, where no other test allocates; if not, runs it there.
fn alone(test: &str) -> bool {
    const ALONE: &str = "PROBITY_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let program = std::env::current_exe().unwrap();
        let test = format!("trainer_memory::{test}");
        let output = Command::new(program).args(["--exact", &test]).env(ALONE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return false;
    }
    // Each thread keeps a slab of its own from its first product on; its size depends on the processor.
    let slab = || {
        let mut y = vec![0.0; 256 * 256];
        let x = vec![1.0; 256 * 256];
        let (a, b) = (Matrix::new(&x, 256, 256), Matrix::new(&x, 256, 256));
        product(MatrixMut::new(&mut y, 256, 256), a, b, 1.0, false, 1);
    };
    slab();
    rayon::broadcast(|_| slab());
    true
}

#[test]
fn a_step_takes_the_memory_that_was_planned() {
    if !alone("a_step_takes_the_memory_that_was_planned") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    for shape in probity_testing::architectures(256) {
        let trained = Decoder::trained(&shape);
        let weights = probity_testing::lively(&trained, 1);
        write_model(&path, &trained, &weights, probity_testing::tiny_vocabulary(), GgmlType::Q8_0, &[]).unwrap();
        let model = probity_testing::open(&path);
        drop((trained, weights));
        let packs: Vec<Pack> = (0..4)
            .map(|p| {
                let mut pack = Pack::default();
                let tail = |i: i32| (0..60).map(|t| 4 + (t * 7 + i) % 200).collect::<Vec<_>>();
                let head: Vec<_> = (0..200 + 20 * p).map(|t| 4 + t % 90).collect();
                let nodes = pack.push(&[0, 1, 2, 3].map(|i| [head.clone(), tail(i)].concat()));
                pack.request(nodes.iter().map(|n| *n.last().unwrap()));
                pack
            })
            .collect();
        let asked: Vec<&Pack> = packs.iter().collect();
        let ways = Schedule::ALL.map(|schedule| (schedule, Compute::F32));
        for (schedule, compute) in ways.into_iter().chain([(Schedule::Serial, Compute::Bf16)]) {
            let described = Decoder::described(&model).unwrap().computed_in(compute).with_lora(16, 32.0, &LINEARS);
            let plan = Plan::of(&described, &asked, schedule, 1);
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            let decoder = Decoder::frozen(&model).unwrap().computed_in(compute).with_lora(16, 32.0, &LINEARS);
            // Parameters, two moments, and the gradient.
            let mut vectors = [0; 4].map(|_| vec![0.01_f32; decoder.n_params()]);
            let (theta, rest) = vectors.split_first_mut().unwrap();
            let mut shards = Shards::new(schedule);
            for _ in 0..2 {
                shards.forward(&decoder, theta, &asked, |_, _| ());
                shards.gradient(&decoder, theta, &asked, &mut rest[0], |_, tape| tape.logits.fill(0.1));
            }
            let found = (ALLOCATOR.peak_usage() - before) as f64;
            let name = shape.architecture.name;
            println!("{name} {schedule:?} {compute:?}: planned {} of {found} bytes", plan.bytes);
            // Products on several threads pack their operands in some more room, whatever the model.
            let room = (rayon::current_num_threads() << 21) as f64;
            let planned = plan.bytes as f64;
            let fits = planned <= 1.05 * found && found <= 1.05 * planned + room;
            assert!(fits, "{name} {schedule:?}: planned {plan:?}, took {found}");
        }
    }
}

/// Random games differ in size: memory is planned for the largest step, time for the mean step.
#[test]
fn the_plan_holds_for_every_step_of_random_games() {
    let text = CONFIG
        .replace("catalogue = [\"ipd\", \"icd\"]\nrandom = 0.5", "random = 1.0\nreach = [\"digits\", \"actions\"]");
    let config = TrainConfig::from_toml(&text.replace("steps = 4", "steps = 30")).unwrap();
    // Games of four actions are longer than the context of the tests' own models.
    let model = probity_testing::open(&probity_testing::shipped("default"));
    let planned = plan(&model, &config, u64::MAX).unwrap();
    let decoder = Decoder::frozen(&model).unwrap().with_lora(config.rank, config.alpha, &config.targets);
    let step = |step| {
        let tasks = config.tasks_at(step).unwrap();
        let batches = tasks.chunks(2).map(|tasks| Batch::new(&model, tasks.to_vec(), Origin::default()).unwrap());
        let batches: Vec<Batch> = batches.collect();
        let packs: Vec<&Pack> = batches.iter().map(|batch| &batch.pack).collect();
        Plan::of(&decoder, &packs, Schedule::Wide, 1)
    };
    let steps: Vec<Plan> = (0..config.steps()).map(step).collect();
    let largest = steps.iter().map(|plan| plan.bytes).max().unwrap();
    let mean = steps.iter().map(|plan| plan.nodes as f64).sum::<f64>() / steps.len() as f64;
    assert!(steps[0].bytes as f64 * 1.2 < largest as f64, "the first step says too little");
    assert!(planned.bytes as f64 >= 0.97 * largest as f64, "planned {planned:?}, of the largest step {largest}");
    assert!((planned.nodes as f64 / mean - 1.0).abs() < 0.1, "planned {} nodes, the mean {mean}", planned.nodes);
}

/// Lessons differ in size, and buffers are kept: the largest lessons of all steps take memory together.
#[test]
fn literacy_takes_the_memory_that_was_planned() {
    if !alone("literacy_takes_the_memory_that_was_planned") {
        return;
    }
    let model = probity_testing::open(&probity_testing::shipped("default"));
    // The lessons are those of the whole course, and few.
    let config = LiteracyConfig::default().with(|o| {
        o.steps = 24;
        o.course.lessons = 4;
    });
    let needs = |memory| literacy::plan(&model, &config, memory).unwrap();
    let wide = needs(u64::MAX);
    let serial = needs(4 * wide.bytes as u64 - 4);
    let narrow = needs(serial.bytes as u64 - 1);
    let schedules = [wide, serial, narrow].map(|plan| plan.schedule);
    assert_eq!(schedules, [Schedule::Wide, Schedule::Serial, Schedule::Narrow]);
    assert!(serial.bytes < wide.bytes / 2, "{serial:?}, {wide:?}");
    for plan in [wide, serial, narrow] {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let mut run = Literacy::new(&model, config.clone(), plan.schedule).unwrap();
        let mut tokens = 0;
        while run.state().step() < config.steps {
            tokens = run.step().unwrap().tokens;
        }
        let found = (ALLOCATOR.peak_usage() - before) as f64;
        println!("{:?}: planned {} of {found} bytes", plan.schedule, plan.bytes);
        let planned = plan.bytes as f64;
        assert!((0.87..=1.15).contains(&(planned / found)), "planned {plan:?}, took {found}");
        let mean = tokens as f64 / config.steps as f64;
        assert!((plan.nodes as f64 / mean - 1.0).abs() < 0.1, "planned {} nodes, the mean {mean}", plan.nodes);
    }
}

/// Validation keeps a copy of the parameters, and takes a forward pass.
#[test]
fn the_plan_counts_validation() {
    let model = probity_testing::open(&probity_testing::shipped("default"));
    let config = TrainConfig::from_toml(CONFIG).unwrap();
    let validated = CONFIG.replace("[games]", "[validation]\ngames = 4\n\n[games]");
    let validated = TrainConfig::from_toml(&validated).unwrap();
    let [without, with] = [&config, &validated].map(|config| plan(&model, config, u64::MAX).unwrap());
    let decoder = Decoder::described(&model).unwrap().with_lora(config.rank, config.alpha, &config.targets);
    assert_eq!(with.bytes - without.bytes, 4 * decoder.n_params());
    let ways_forth = |plan: &Plan| (plan.seconds - plan.back) / plan.forth;
    assert!(ways_forth(&with) > ways_forth(&without) + 0.5, "{without:?}, {with:?}");
}
