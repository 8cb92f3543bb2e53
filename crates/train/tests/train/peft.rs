//! Adapters that PEFT saved for tiny random transformers models, against what transformers computes with them
//! (tests/data/peft_adapter.py).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use probity_engine::gguf::{GgmlType, GgufWriter, Value};
use probity_engine::numeric::encode;
use probity_engine::preflight::{Architecture, ModelShape, Rotation, Window};
use probity_engine::score::{Continuation, PromptTokens, Scorer};
use probity_engine::{Adapter, Context, ContextOptions, Error as EngineError, Model, Token};
use probity_train::curriculum::Precision;
use probity_train::finish::foreign_manifest;
use probity_train::lora::merge::{mix, write_merged};
use probity_train::lora::{AdapterWeights, peft, read_folder};
use probity_train::model_file::set_shape;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

fn architecture(name: &str) -> Architecture {
    Architecture::find(name).unwrap()
}

const VOCABULARY: usize = 320;

#[derive(serde::Deserialize)]
struct Expected {
    prompt: Vec<Token>,
    tokens: Vec<Token>,
    bare: Vec<f64>,
    adapted: Vec<f64>,
}

fn data(architecture: Architecture) -> PathBuf {
    probity_testing::root().join("crates/train/tests/data/peft").join(architecture.name)
}

/// The shape of the script's configs.
fn shape(architecture: Architecture) -> ModelShape {
    let head_dim = match architecture.name {
        "llama" | "qwen2" => 8,
        _ => 16,
    };
    let local = Rotation { base: 10_000.0, scale: 1.0 };
    let rotation = if architecture.name == "gemma3" { Rotation { base: 1e6, scale: 1.0 } } else { local };
    let windowed = |blocks: [bool; 2]| Some(Window { tokens: 6, blocks: blocks.to_vec(), rotation: local });
    ModelShape {
        architecture,
        n_layer: 2,
        n_embd: 32,
        n_ff: 64,
        n_head: 4,
        n_head_kv: 2,
        head_dim,
        rms_eps: 1e-6,
        rotation,
        window: match architecture.name {
            "gemma2" => windowed([true, false]),
            "gemma3" => windowed([true, true]),
            _ => None,
        },
        attention_scale: (head_dim as f32).sqrt().recip(),
        attention_cap: (architecture.name == "gemma2").then_some(50.0),
        logit_cap: (architecture.name == "gemma2").then_some(30.0),
        context: 512,
        n_vocab: VOCABULARY,
        tied: architecture.name != "qwen2",
    }
}

/// GGUF's name of a transformers tensor.
fn gguf_name(name: &str, gemma: bool) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".into(),
        "model.norm.weight" => return "output_norm.weight".into(),
        "lm_head.weight" => return "output.weight".into(),
        _ => {}
    }
    let (block, rest) = name.strip_prefix("model.layers.").and_then(|r| r.split_once('.')).expect("a layer's tensor");
    let (module, kind) = rest.rsplit_once('.').expect("a weight or bias");
    let layer = match module {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" if gemma => "post_attention_norm",
        "post_attention_layernorm" | "pre_feedforward_layernorm" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        other => panic!("unknown module {other}"),
    };
    format!("blk.{block}.{layer}.{kind}")
}

/// The transformers model as GGUF, as convert_hf_to_gguf.py would write it.
fn convert(architecture: Architecture, path: &Path) {
    let bytes = fs::read(data(architecture).join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let shape = shape(architecture);
    let mut w = GgufWriter::new();
    set_shape(&mut w, &shape);
    let words = &probity_testing::tiny_vocabulary().tokens[..VOCABULARY];
    let merges = probity_testing::tiny_vocabulary().merges.iter().filter(|m| words.contains(&m.replace(' ', "")));
    w.set_str("tokenizer.ggml.model", "gpt2").set_str("tokenizer.ggml.pre", "gpt-2");
    w.set("tokenizer.ggml.tokens", Value::Strs(words.to_vec()));
    w.set("tokenizer.ggml.merges", Value::Strs(merges.cloned().collect()));
    w.set("tokenizer.ggml.token_type", Value::Ints(vec![1; VOCABULARY], 32));
    w.set_u32("tokenizer.ggml.eos_token_id", 0);
    w.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
    for (name, t) in tensors.tensors() {
        let halves = t.data().chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32());
        let mut values: Vec<f32> = halves.collect();
        if architecture.is_gemma && name.ends_with("norm.weight") {
            values.iter_mut().for_each(|v| *v += 1.0);
        }
        if architecture.name == "llama" && (name.contains("q_proj") || name.contains("k_proj")) {
            // The halves of every head interleaved.
            let (row, dim) = (shape.n_embd, shape.head_dim);
            let from = |r: usize| r / dim * dim + r % 2 * (dim / 2) + r % dim / 2;
            values = (0..values.len() / row).flat_map(|r| values[from(r) * row..][..row].to_vec()).collect();
        }
        let dims: Vec<u64> = t.shape().iter().rev().map(|&d| d as u64).collect();
        let bytes = encode(GgmlType::F32, &values, dims[0] as usize);
        w.tensor(&gguf_name(&name, architecture.is_gemma), &dims, GgmlType::F32, bytes);
    }
    let mut file = Vec::new();
    w.write(&mut file).unwrap();
    fs::write(path, file).unwrap();
}

/// Log-probabilities of the asked tokens after the prompt.
fn ask(model: &Model, adapter: Option<&Path>, expected: &Expected) -> Vec<f64> {
    let exact = ContextOptions::default().with(|o| o.exact_cache = true);
    let mut scorer = Scorer::new(Context::new(model, exact).unwrap());
    if let Some(path) = adapter {
        scorer.set_adapters(&[(Adapter::load(model, path).unwrap(), 1.0)]).unwrap();
    }
    let options: Vec<Continuation> = expected.tokens.iter().map(|&t| [t].into()).collect();
    scorer.score(&PromptTokens { tokens: expected.prompt.clone(), fixed: 0 }, &options).unwrap()
}

fn close(found: &[f64], expected: &[f64], what: &str) {
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-3, "{what}: {found:?}, transformers {expected:?}");
}

#[test]
fn what_peft_saved_is_what_transformers_computes() {
    for architecture in Architecture::all() {
        let name = architecture.name;
        let folder = tempfile::tempdir().unwrap();
        let at = |file: &str| folder.path().join(file);
        let text = fs::read_to_string(data(architecture).join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap();
        convert(architecture, &at("model.gguf"));
        let model = probity_testing::open(&at("model.gguf"));
        assert_eq!(model.shape(), &shape(architecture));
        close(&ask(&model, None, &expected), &expected.bare, &format!("{name} bare"));

        let saved = data(architecture).join("adapter");
        let weights = peft::read(&saved, model.shape()).unwrap();
        assert_eq!(weights.pairs.len(), 14);
        let manifest = foreign_manifest(&model, name, "a test").unwrap();
        weights.write(&at("adapter.gguf"), Precision::F32, &manifest).unwrap();
        let found = ask(&model, Some(&at("adapter.gguf")), &expected);
        close(&found, &expected.adapted, &format!("{name} adapted"));
        let apart = found.iter().zip(&expected.bare).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart > 0.1, "{name}: the adapter does something");

        // Out again: what PEFT saved, tensor for tensor.
        let again = AdapterWeights::load(&model, &at("adapter.gguf")).unwrap();
        assert_eq!(again, weights);
        peft::write(&again, model.shape(), "tiny", &at(name)).unwrap();
        let [ours, theirs] = [at(name), saved].map(|f| fs::read(f.join("adapter_model.safetensors")).unwrap());
        let [ours, theirs] = [&ours, &theirs].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
        assert_eq!(ours.len(), theirs.len());
        for (tensor, t) in theirs.tensors() {
            let found = ours.tensor(&tensor).unwrap();
            assert!(found.shape() == t.shape() && found.data() == t.data(), "{name}: {tensor} differs");
        }
        assert_eq!(peft::read(&at(name), model.shape()).unwrap(), weights);
        if let Some(python) = std::env::var_os("PYTHON") {
            // An interpreter with torch, transformers and peft: what PEFT itself makes of the folder.
            let script = probity_testing::root().join("crates/train/tests/data/peft_adapter.py");
            let run = Command::new(python).arg(script).arg(at(name)).output().unwrap();
            assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
            close(
                &serde_json::from_slice::<Vec<f64>>(&run.stdout).unwrap(),
                &expected.adapted,
                &format!("{name} in PEFT"),
            );
        }

        // In halves, and merged into the model, it is the same adapter.
        let mixed = mix(&[(weights.clone(), 0.25), (weights.clone(), 0.75)]).unwrap();
        assert_eq!(mixed.pairs[0].rank, 2 * weights.pairs[0].rank);
        mixed.write(&at("mixed.gguf"), Precision::F32, &manifest).unwrap();
        close(&ask(&model, Some(&at("mixed.gguf")), &expected), &expected.adapted, &format!("{name} mixed"));
        write_merged(&model, &weights, None, None, &at("merged.gguf")).unwrap();
        let merged = ask(&probity_testing::open(&at("merged.gguf")), None, &expected);
        close(&merged, &expected.adapted, &format!("{name} merged"));
    }
}

#[test]
fn what_is_no_plain_lora_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let saved = data(architecture("qwen3")).join("adapter");
    let (config, weights) = ("adapter_config.json", "adapter_model.safetensors");
    for file in [config, weights] {
        fs::copy(saved.join(file), folder.path().join(file)).unwrap();
    }
    let refused = |shape: &ModelShape| match peft::read(folder.path(), shape).unwrap_err() {
        probity_train::Error::Probity(probity::Error::Engine(EngineError::UnsupportedAdapter { problem, .. })) => {
            problem
        }
        other => panic!("{other}"),
    };
    let text = fs::read_to_string(saved.join(config)).unwrap();
    let good: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (field, value, said) in [
        ("peft_type", serde_json::json!("IA3"), "expected \"LORA\""),
        ("use_dora", true.into(), "use_dora"),
        ("bias", "all".into(), "biases"),
        ("modules_to_save", serde_json::json!(["lm_head"]), "modules_to_save"),
        ("what_comes_next", 1.into(), "what_comes_next is set"),
        ("init_lora_weights", "pissa".into(), "\"pissa\", which changes the base"),
        ("task_type", "SEQ_CLS".into(), "expected \"CAUSAL_LM\""),
        ("alpha_pattern", serde_json::json!({ "layers\\.9\\.self_attn\\.q_proj": 3200 }), "which matches no module"),
        ("alpha_pattern", serde_json::json!({ "proj": 8 }), "which matches no module"),
        ("rank_pattern", serde_json::json!({ "q_(proj": 8 }), "unclosed group"),
        ("r", 8.into(), "expected [8,"),
        ("r", "four".into(), config),
    ] {
        let mut changed = good.clone();
        changed[field] = value;
        fs::write(folder.path().join(config), changed.to_string()).unwrap();
        let problem = refused(&shape(architecture("qwen3")));
        assert!(problem.contains(said), "{field}: {problem}");
    }
    fs::write(folder.path().join(config), text).unwrap();
    // Another model's shape, a layer it does not have.
    assert!(refused(&ModelShape { n_embd: 48, ..shape(architecture("qwen3")) }).contains("expected [4, 48]"));
    let problem = refused(&ModelShape { n_layer: 1, ..shape(architecture("qwen3")) });
    assert!(problem.contains("layers.1.mlp.down_proj.lora_A") && problem.contains("layers.1.self_attn.q_proj.lora_B"));
    // A tensor without dimensions, and a second one for a place that is taken.
    let bytes = fs::read(saved.join(weights)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let one = 1.0_f32.to_le_bytes();
    let lora_a = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight";
    for (name, said) in [
        (lora_a, "[] and [64, 4]"),
        ("base_model.model.model.language_model.layers.0.mlp.up_proj.lora_A.weight", "up_proj.lora_A"),
    ] {
        let mut all: BTreeMap<String, TensorView<'_>> = tensors.tensors().into_iter().collect();
        all.insert(name.into(), TensorView::new(Dtype::F32, Vec::new(), &one).unwrap());
        fs::write(folder.path().join(weights), safetensors::serialize(all, None).unwrap()).unwrap();
        let problem = refused(&shape(architecture("qwen3")));
        assert!(problem.contains(said), "{problem}");
    }
    fs::write(folder.path().join(weights), &bytes[..bytes.len() / 2]).unwrap();
    assert!(refused(&shape(architecture("qwen3"))).contains(weights));
    fs::remove_file(folder.path().join(weights)).unwrap();
    assert!(matches!(
        peft::read(folder.path(), &shape(architecture("qwen3"))),
        Err(probity_train::Error::Probity(probity::Error::Engine(EngineError::Io { .. })))
    ));
}

/// Copies a fixture's folder, with its config and its tensors changed.
fn changed(
    name: &str,
    folder: &Path,
    config: impl FnOnce(&mut serde_json::Value),
    rename: impl Fn(&str) -> String,
) -> ModelShape {
    let saved = data(architecture(name)).join("adapter");
    let mut document = serde_json::from_str(&fs::read_to_string(saved.join("adapter_config.json")).unwrap()).unwrap();
    config(&mut document);
    fs::write(folder.join("adapter_config.json"), document.to_string()).unwrap();
    let bytes = fs::read(saved.join("adapter_model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let all: BTreeMap<String, TensorView<'_>> = tensors.tensors().into_iter().map(|(n, t)| (rename(&n), t)).collect();
    fs::write(folder.join("adapter_model.safetensors"), safetensors::serialize(all, None).unwrap()).unwrap();
    shape(architecture(name))
}

/// Keys that other versions of PEFT and transformers wrote.
#[test]
fn keys_of_other_versions_are_the_same_adapter() {
    let folder = tempfile::tempdir().unwrap();
    for (name, rename) in [
        ("qwen3", (|n: &str| n.replace(".weight", ".default.weight")) as fn(&str) -> String),
        ("gemma3", |n| n.replace("base_model.model.model.language_model.", "base_model.model.language_model.model.")),
        ("gemma3", |n| n.replace("base_model.model.model.layers", "base_model.model.language_model.model.layers")),
    ] {
        let shape = changed(name, folder.path(), |_| {}, rename);
        let expected = peft::read(&data(architecture(name)).join("adapter"), &shape).unwrap();
        assert_eq!(read_folder(folder.path(), &shape).unwrap(), expected, "{name}");
    }
}

/// A pattern's keys are regular expressions for the end of a path, and the first that matches counts.
#[test]
fn patterns_are_regular_expressions() {
    let folder = tempfile::tempdir().unwrap();
    let pattern = r#"{ "layers\\.1\\.self_attn\\.[qk]_proj": 20, "(q|k)_proj": 12, ".*down_proj": 4 }"#;
    // The order of the keys is the file's.
    let set = |config: &mut serde_json::Value| {
        config["lora_alpha"] = 8.into();
        config["rank_pattern"] = serde_json::json!({});
        config["alpha_pattern"] = "PATTERN".into();
    };
    let shape = changed("qwen3", folder.path(), set, str::to_owned);
    let file = folder.path().join("adapter_config.json");
    let text = fs::read_to_string(&file).unwrap().replace("\"PATTERN\"", pattern);
    fs::write(&file, text).unwrap();
    let read = read_folder(folder.path(), &shape).unwrap();
    for pair in &read.pairs {
        let alpha = match pair.target.as_str() {
            "blk.1.attn_q.weight" | "blk.1.attn_k.weight" => 20.0,
            target if target.contains("attn_q") || target.contains("attn_k") => 12.0,
            target if target.contains("ffn_down") => 4.0,
            _ => 8.0,
        };
        assert_eq!(pair.scale, alpha / pair.rank as f32, "{}", pair.target);
    }
    assert!(read.pairs.len() > 4);
}

/// The same adapter, as MLX would have saved it.
#[test]
fn an_mlx_folder_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    for architecture in Architecture::all() {
        let shape = shape(architecture);
        let saved = data(architecture).join("adapter");
        let mut expected = peft::read(&saved, &shape).unwrap();
        expected.pairs.iter_mut().for_each(|pair| pair.scale = 2.5);
        let bytes = fs::read(saved.join("adapter_model.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut all = BTreeMap::new();
        for (name, tensor) in tensors.tensors() {
            let [rows, columns] = *tensor.shape() else { panic!("{name}") };
            let at = |row: usize, column: usize| &tensor.data()[(row * columns + column) * 4..][..4];
            let data: Vec<u8> = (0..columns).flat_map(|c| (0..rows).flat_map(move |r| at(r, c))).copied().collect();
            let name = name.replace("base_model.model.", "").replace(".lora_A.weight", ".lora_a");
            assert_eq!(tensor.dtype(), Dtype::F32);
            all.insert(name.replace(".lora_B.weight", ".lora_b"), (vec![columns, rows], data));
        }
        let views = all.iter().map(|(n, (shape, data))| (n, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
        fs::write(folder.path().join("adapters.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
        let config = |kind: &str| {
            let parameters = serde_json::json!({ "rank": 4, "scale": 2.5, "dropout": 0.0 });
            let config = serde_json::json!({ "fine_tune_type": kind, "num_layers": 2, "lora_parameters": parameters });
            fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
        };
        config("lora");
        assert_eq!(read_folder(folder.path(), &shape).unwrap(), expected, "{}", architecture.name);
        config("dora");
        assert!(read_folder(folder.path(), &shape).unwrap_err().to_string().contains("fine_tune_type is \"dora\""));
    }
}

#[test]
fn a_pickle_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let shape = changed("qwen3", folder.path(), |_| {}, str::to_owned);
    fs::rename(folder.path().join("adapter_model.safetensors"), folder.path().join("adapter_model.bin")).unwrap();
    assert!(read_folder(folder.path(), &shape).unwrap_err().to_string().contains("Python pickle"));
}
