//! The byte plan: held against what the process takes, and refused where it exceeds a limit.

use std::process::Command;

use probity_engine::gguf::{GgmlType, Value};
use probity_engine::score::{PromptTokens, Scorer};
use probity_engine::{Context, ContextOptions, Error, Model, ModelOptions, Plan, Source};
use probity_testing::parts::GgufParts;

fn options(context: usize) -> ContextOptions {
    ContextOptions::default().with(|o| (o.context, o.threads) = (context, 1))
}

/// Bytes of memory that this process uses.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// A process of its own, which [`a_process_takes_what_was_planned`] runs.
#[test]
#[ignore = "needs a process of its own"]
fn a_process_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.gguf");
    wide(32).write(&path);
    for (context, exact) in [(512, false), (1024, true)] {
        let options = options(context).with(|o| o.exact_cache = exact);
        let plan = Plan::of(&Source::open(&path).unwrap(), ModelOptions::default(), options).unwrap();
        let before = resident();
        let model = Model::open(&path, ModelOptions::default(), |_| true).unwrap();
        let mut scorer = Scorer::new(Context::new(&model, options).unwrap());
        // The whole context and whole batches: every buffer is used.
        let prompt = PromptTokens { tokens: vec![300; context - 8], fixed: context - 20 };
        scorer.score(&prompt, &[[301].into(), [302, 303].into()]).unwrap();
        let grown = resident() - before;
        println!("{plan}: took {grown}");
        assert!(grown >= plan.total() / 10 * 8, "{plan}: took only {grown}");
        assert!(grown <= plan.total() / 10 * 11 + (8 << 20), "{plan}: took {grown}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_takes_what_was_planned() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "plans::a_process_of_its_own", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    print!("{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("1 passed"));
}

#[test]
fn a_plan_beyond_its_limit_is_refused_with_the_numbers() {
    let model = probity_testing::default_model();
    let plan = Plan::of(&Source::open(model.path()).unwrap(), ModelOptions::default(), options(512)).unwrap();
    let with = |limit| Context::new(&model, options(512).with(|o| o.memory = limit));
    with(plan.total()).unwrap();
    let error = with(plan.total() - 1).unwrap_err();
    assert!(
        matches!(&error, Error::Memory { plan: refused, limit, .. } if *refused == plan && *limit == plan.total() - 1)
    );
    let told = error.to_string();
    for number in [plan.total(), plan.weights, plan.cache, plan.buffers, plan.total() - 1] {
        assert!(told.contains(&number.to_string()), "{told}");
    }
    let mapped = ModelOptions::default().with(|o| o.mmap = true);
    assert_eq!(Plan::of(&Source::open(model.path()).unwrap(), mapped, options(512)).unwrap(), plan);
    // The cache holds keys and values of every block in 16 bits.
    let shape = model.shape();
    assert_eq!(plan.cache, (2 * 2 * 512 * shape.n_layer * shape.n_head_kv * shape.head_dim) as u64);
}

/// A small file with `heads` wide heads: the cache takes much more.
fn wide(heads: u64) -> GgufParts {
    let (width, head) = (2_u64, 1024_u64);
    let mut parts = GgufParts::of(&probity_testing::shipped("default"));
    let Some(Value::Strs(tokens)) = parts.metadata.iter().find(|(k, _)| k == "tokenizer.ggml.tokens").map(|(_, v)| v)
    else {
        panic!("no tokens")
    };
    let n = tokens.len() as u64;
    parts.tensors.clear();
    for (key, value) in [
        ("block_count", 1),
        ("embedding_length", width),
        ("attention.head_count", heads),
        ("attention.head_count_kv", heads),
        ("attention.key_length", head),
        ("attention.value_length", head),
        ("rope.dimension_count", head),
        ("feed_forward_length", 8),
        ("context_length", 2048),
    ] {
        parts = parts.set(&format!("llama.{key}"), Value::Uint(value, 32));
    }
    let ones = 1.0_f32.to_le_bytes().repeat(width as usize);
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"] {
        parts = parts.tensor(&format!("{name}.weight"), &[width], GgmlType::F32, ones.clone());
    }
    for (name, rows, columns) in [
        ("token_embd", width, n),
        ("blk.0.attn_q", width, heads * head),
        ("blk.0.attn_k", width, heads * head),
        ("blk.0.attn_v", width, heads * head),
        ("blk.0.attn_output", heads * head, width),
        ("blk.0.ffn_gate", width, 8),
        ("blk.0.ffn_up", width, 8),
        ("blk.0.ffn_down", 8, width),
    ] {
        let zeros = vec![0; (rows * columns * 2) as usize];
        parts = parts.tensor(&format!("{name}.weight"), &[rows, columns], GgmlType::F16, zeros);
    }
    parts
}

#[test]
fn a_file_of_megabytes_takes_no_gigabytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.gguf");
    wide(256).write(&path);
    assert!(path.metadata().unwrap().len() < 8 << 20);
    let plan = Plan::of(&Source::open(&path).unwrap(), ModelOptions::default(), ContextOptions::default()).unwrap();
    assert!(plan.cache == 2 << 30 && plan.total() > 2 << 30, "{plan}");
    let model = Model::open(&path, ModelOptions::default(), |_| true).unwrap();
    let refused = Context::new(&model, ContextOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::Memory { .. }), "{refused}");
}
