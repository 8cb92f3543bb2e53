//! Files that abort or crash llama.cpp, built one by one. Each is refused with its error before C++ sees a byte. The
//! survival of this process is part of the test.

use std::fs;
use std::path::{Path, PathBuf};

use probity::agent::{Agent, Scenario};
use probity_engine::gguf::{GgmlType, Gguf, Value};
use probity_engine::{Adapter, ContextOptions, Model, ModelOptions};
use probity_engine::{Error, Result};
use probity_game::CatalogGame;
use probity_testing::parts::GgufParts;

fn u32(v: u64) -> Value {
    Value::Uint(v, 32)
}

fn text(s: &str) -> Value {
    Value::Str(s.into())
}

fn open(path: &Path) -> Result<Model> {
    Model::open(path, ModelOptions::default().with(|o| o.mmap = false), |_| true)
}

fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let (folder, good) = probity_testing::tiny(GgmlType::F32);
    let bad = folder.path().join("bad.gguf");
    (folder, good, bad)
}

#[test]
fn model_metadata_that_aborts_the_engine() {
    let (_folder, good, bad) = place();
    type Change = Box<dyn Fn(GgufParts) -> GgufParts>;
    let set = |key: &'static str, value: Value| -> Change { Box::new(move |p| p.set(key, value.clone())) };
    let cases: Vec<(&str, Change)> = vec![
        ("general.alignment", set("general.alignment", u32(8))),
        ("general.alignment", set("general.alignment", text("32"))),
        ("block_count", set("llama.block_count", u32(0))),
        ("block_count", set("llama.block_count", u32(513))),
        ("block_count", set("llama.block_count", text("2"))),
        ("tensor blk.2", set("llama.block_count", u32(3))),
        ("head_count", set("llama.attention.head_count", u32(0))),
        ("head_count_kv", set("llama.attention.head_count_kv", u32(0))),
        ("multiple of the", set("llama.attention.head_count", u32(3))),
        ("key, value and rotary", set("llama.attention.value_length", u32(8))),
        ("key, value and rotary", set("llama.rope.dimension_count", u32(8))),
        (
            "key, value and rotary",
            Box::new(|p: GgufParts| {
                ["key_length", "value_length"]
                    .iter()
                    .fold(p, |p, k| p.set(&format!("llama.attention.{k}"), u32(15)))
                    .set("llama.rope.dimension_count", u32(15))
            }),
        ),
        ("rms_epsilon", set("llama.attention.layer_norm_rms_epsilon", Value::F32(-1e-5))),
        ("rms_epsilon", set("llama.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN))),
        ("freq_base", set("llama.rope.freq_base", Value::F32(0.0))),
        ("rope.scaling.type", set("llama.rope.scaling.type", text("sideways"))),
        ("expert_count", set("llama.expert_count", u32(4))),
        ("nextn", set("llama.nextn_predict_layers", u32(9))),
        ("split.count", set("split.count", Value::Uint(2, 16))),
        ("architecture", set("general.architecture", text("mamba"))),
        ("general.type", set("general.type", text("adapter"))),
        ("merges", Box::new(|p: GgufParts| p.without("tokenizer.ggml.merges"))),
        ("byte tokens", set("tokenizer.ggml.model", text("llama"))),
        ("tokenizer.ggml.model", set("tokenizer.ggml.model", text("bert"))),
        ("eos_token_id", set("tokenizer.ggml.eos_token_id", u32(4_000_000_000))),
        ("add_bos_token", set("tokenizer.ggml.add_bos_token", Value::Bool(true))),
        ("token_type", set("tokenizer.ggml.token_type", Value::Ints(vec![1, 1], 32))),
        ("dimensions", set("llama.embedding_length", u32(64))),
        ("missing", Box::new(|p: GgufParts| p.without_tensor("blk.1.ffn_up.weight"))),
        ("expected F32", Box::new(|p: GgufParts| p.tensor("output_norm.weight", &[32], GgmlType::F16, vec![0; 64]))),
        ("expected F32", Box::new(|p: GgufParts| p.tensor("rope_freqs.weight", &[8], GgmlType::F16, vec![0; 16]))),
        ("expected F32", Box::new(|p: GgufParts| p.tensor("blk.0.attn_q.bias", &[32], GgmlType::F16, vec![0; 64]))),
        ("dimensions", Box::new(|p: GgufParts| p.tensor("blk.0.ffn_up.bias", &[32], GgmlType::F32, vec![0; 128]))),
        ("is not one of", Box::new(|p: GgufParts| p.tensor("blk.0.attn_q.scale", &[1], GgmlType::F16, vec![0; 2]))),
        ("key_length_swa", set("llama.attention.key_length_swa", u32(8))),
    ];
    for (expected, change) in cases {
        change(GgufParts::of(&good)).write(&bad);
        let error = open(&bad).expect_err(expected);
        assert!(
            matches!(error, Error::UnsupportedModel { .. } | Error::MalformedGguf { .. })
                && error.to_string().contains(expected),
            "{expected}: {error}"
        );
    }
    assert!(open(&good).is_ok());
}

#[test]
fn headers_that_break_the_format() {
    let (_folder, good, bad) = place();
    let bytes = fs::read(&good).unwrap();
    let try_bytes = |b: &[u8]| {
        fs::write(&bad, b).unwrap();
        open(&bad).expect_err("a damaged file")
    };
    assert!(matches!(try_bytes(b"just some text, saved as .gguf"), Error::NotGguf { .. }));
    assert!(matches!(try_bytes(b""), Error::NotGguf { .. }));
    assert!(matches!(try_bytes(b"GGUF"), Error::Truncated { .. }));
    let with = |at: usize, new: &[u8]| {
        let mut b = bytes.clone();
        b[at..at + new.len()].copy_from_slice(new);
        b
    };
    assert!(try_bytes(&with(4, &9_u32.to_le_bytes())).to_string().contains("version 9"));
    assert!(try_bytes(&with(4, &3_u32.to_be_bytes())).to_string().contains("little-endian"));
    assert!(try_bytes(&with(8, &u64::MAX.to_le_bytes())).to_string().contains("tensors"));
    assert!(try_bytes(&with(16, &u64::MAX.to_le_bytes())).to_string().contains("metadata keys"));
    // The first key's length, then its type: huge, empty, unknown.
    assert!(try_bytes(&with(24, &u64::MAX.to_le_bytes())).to_string().contains("at most 256"));
    assert!(try_bytes(&with(24, &0_u64.to_le_bytes())).to_string().contains("empty"));
    let key = u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize;
    assert!(try_bytes(&with(32 + key, &77_u32.to_le_bytes())).to_string().contains("value type 77"));
    // An array of no elements, of a type that does not exist.
    GgufParts::of(&good).set("x.empty", Value::Uints(Vec::new(), 32)).write(&bad);
    let mut empty = fs::read(&bad).unwrap();
    let at = empty.windows(7).position(|w| w == b"x.empty").unwrap() + 7 + 4;
    empty[at..at + 4].copy_from_slice(&13_u32.to_le_bytes());
    assert!(try_bytes(&empty).to_string().contains("array of value type 13"));
    // Cut at every length of the header, then at a few of the data.
    let gguf = Gguf::read("good", bytes.as_slice(), bytes.len() as u64).unwrap();
    let data = gguf.tensors()[0].offset as usize;
    for length in (5..data).step_by(97).chain([data, data + 1, bytes.len() - 1]) {
        let error = try_bytes(&bytes[..length]);
        assert!(matches!(error, Error::Truncated { .. }), "cut at {length}: {error}");
    }
}

/// Element types that load and then crash at the first decode (integers, f64), and a type number out of range.
#[test]
fn tensor_types_without_kernels() {
    let (_folder, good, bad) = place();
    let bytes = fs::read(&good).unwrap();
    let name = b"blk.0.attn_q.weight";
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap() + name.len() + 4 + 16;
    for ty in [24_u32, 25, 26, 27, 28, 31, 4, 999] {
        let mut b = bytes.clone();
        b[at..at + 4].copy_from_slice(&ty.to_le_bytes());
        fs::write(&bad, b).unwrap();
        let error = open(&bad).expect_err("a type without kernels");
        assert!(error.to_string().contains(&format!("element type number {ty}")), "{error}");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_header_never_kills_the_process() {
    let (_folder, good, bad) = place();
    let bytes = fs::read(&good).unwrap();
    let gguf = Gguf::read("good", bytes.as_slice(), bytes.len() as u64).unwrap();
    let data = gguf.tensors()[0].offset as usize;
    let mut opened = 0;
    for (i, at) in (0..data).step_by(53).enumerate() {
        let mut b = bytes.clone();
        b[at] ^= 1 << (i % 8);
        fs::write(&bad, b).unwrap();
        opened += usize::from(open(&bad).is_ok());
    }
    assert!(opened > 0, "a flip inside a token's text is not damage");
}

/// With a mapped file the next decode would be a SIGBUS.
#[test]
fn a_file_that_is_truncated_after_loading_does_no_harm() {
    let (_folder, good, bad) = place();
    fs::copy(&good, &bad).unwrap();
    let model = Model::open(&bad, ModelOptions::default(), |_| true).unwrap();
    let [mut before, mut after] = [0; 2].map(|_| agent(&model));
    let expected = before.decide().unwrap();
    fs::write(&bad, "").unwrap();
    assert_eq!(after.decide().unwrap(), expected);
}

#[test]
fn a_model_of_nan_says_so_instead_of_deciding() {
    let (_folder, good, bad) = place();
    let nan = [f32::NAN; 32].iter().flat_map(|v| v.to_le_bytes()).collect();
    GgufParts::of(&good).tensor("output_norm.weight", &[32], GgmlType::F32, nan).write(&bad);
    let error = agent(&open(&bad).unwrap()).decide().unwrap_err();
    assert!(
        matches!(error, probity::Error::Engine(Error::Llama { .. })) && error.to_string().contains("damaged"),
        "{error}"
    );
}

fn agent(model: &Model) -> Agent {
    let game = CatalogGame::find("ipd").unwrap().labelled(["zork", "blip"]).unwrap();
    Agent::new(model, Scenario::new(game), ContextOptions::default()).unwrap()
}

fn adapter_parts() -> GgufParts {
    let f32s = |n: usize| vec![0_u8; 4 * n];
    GgufParts {
        metadata: vec![
            ("general.type".into(), text("adapter")),
            ("general.architecture".into(), text("llama")),
            ("adapter.type".into(), text("lora")),
            ("adapter.lora.alpha".into(), Value::F32(8.0)),
        ],
        tensors: vec![
            ("blk.0.attn_q.weight.lora_a".into(), vec![32, 4], GgmlType::F32, f32s(128)),
            ("blk.0.attn_q.weight.lora_b".into(), vec![4, 32], GgmlType::F32, f32s(128)),
        ],
    }
}

#[test]
fn adapters_that_abort_the_engine() {
    let (_folder, good, bad) = place();
    let model = open(&good).unwrap();
    let f32s = |n: usize| vec![0_u8; 4 * n];
    let nan = || [f32::NAN.to_le_bytes().to_vec(), f32s(127)].concat();
    let a = "blk.0.attn_q.weight.lora_a";
    let b = "blk.0.attn_q.weight.lora_b";
    let cases = [
        ("alpha", adapter_parts().set("adapter.lora.alpha", Value::F64(8.0))),
        ("alpha", adapter_parts().set("adapter.lora.alpha", Value::F32(f32::NAN))),
        ("general.type", adapter_parts().set("general.type", u32(1))),
        ("general.architecture", adapter_parts().set("general.architecture", u32(1))),
        ("adapter.type", adapter_parts().set("adapter.type", u32(1))),
        ("adapter.type", adapter_parts().without("adapter.type")),
        ("neither", adapter_parts().tensor("blk.0.attn_q.weight.dora", &[32], GgmlType::F32, f32s(32))),
        ("only one half", adapter_parts().without_tensor(b)),
        ("expected two each", adapter_parts().tensor(a, &[32, 4, 2], GgmlType::F32, f32s(256))),
        ("ranks", adapter_parts().tensor(b, &[8, 32], GgmlType::F32, f32s(256))),
        ("F32, F16, BF16 or Q8_0", adapter_parts().tensor(a, &[32, 4], GgmlType::from_id(2).unwrap(), vec![0; 72])),
        ("NaN", adapter_parts().tensor(a, &[32, 4], GgmlType::F32, nan())),
        (
            "no linear layer",
            adapter_parts().tensor("token_embd.weight.lora_a", &[4, 400], GgmlType::F32, f32s(1600)).tensor(
                "token_embd.weight.lora_b",
                &[4, 32],
                GgmlType::F32,
                f32s(128),
            ),
        ),
        (
            "no linear layer",
            adapter_parts().tensor("blk.0.attn_norm.weight.lora_a", &[32, 4], GgmlType::F32, f32s(128)).tensor(
                "blk.0.attn_norm.weight.lora_b",
                &[4, 1],
                GgmlType::F32,
                f32s(4),
            ),
        ),
        ("no tensors", GgufParts { tensors: Vec::new(), ..adapter_parts() }),
    ];
    for (expected, parts) in cases {
        parts.write(&bad);
        let error = Adapter::load(&model, &bad).expect_err(expected);
        assert!(
            matches!(error, Error::UnsupportedAdapter { .. }) && error.to_string().contains(expected),
            "{expected}: {error}"
        );
    }
    let others = [
        ("architecture", adapter_parts().set("general.architecture", text("qwen2"))),
        (
            "no tensor",
            adapter_parts().tensor("output.weight.lora_a", &[32, 4], GgmlType::F32, f32s(128)).tensor(
                "output.weight.lora_b",
                &[4, 400],
                GgmlType::F32,
                f32s(1600),
            ),
        ),
        ("maps", adapter_parts().tensor(a, &[64, 4], GgmlType::F32, f32s(256))),
    ];
    for (expected, parts) in others {
        parts.write(&bad);
        let error = Adapter::load(&model, &bad).expect_err(expected);
        assert!(
            matches!(error, Error::AdapterMismatch { .. }) && error.to_string().contains(expected),
            "{expected}: {error}"
        );
    }
    fs::write(&bad, fs::read(&good).unwrap()).unwrap();
    assert!(Adapter::load(&model, &bad).is_err(), "a model is no adapter");
    let bytes = adapter_parts().bytes();
    fs::write(&bad, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(Adapter::load(&model, &bad), Err(Error::Truncated { .. })));
    // The right file loads, and the model is unchanged.
    adapter_parts().write(&bad);
    assert_eq!(Adapter::load(&model, &bad).unwrap().shape().targets, ["blk.0.attn_q.weight"]);
}

#[test]
fn a_missing_file_says_so() {
    let error = open(Path::new("/nowhere/model.gguf")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/model.gguf: "), "{error}");
}
