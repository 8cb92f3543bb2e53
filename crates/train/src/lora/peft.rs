//! PEFT's folders: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Two things differ from a GGUF adapter. Names are those of the transformers modules. For the `llama` architecture
//! convert_hf_to_gguf.py interleaves the halves of every query and key head, so the rows of B of these two layers are
//! permuted.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use probity_engine::Error as EngineError;
use probity_engine::files::write_whole;
use probity_engine::preflight::ModelShape;
use regex::Regex;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::json;

use super::{AdapterWeights, Pair};
use crate::{Error, Result};

/// Linear layers: GGUF's name, and that of transformers within a layer.
const LAYERS: [(&str, &str); 7] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// What of PEFT's config changes what an adapter of plain pairs computes.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    r: usize,
    lora_alpha: f32,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    rank_pattern: Pattern<usize>,
    #[serde(default)]
    alpha_pattern: Pattern<f32>,
    #[serde(flatten)]
    rest: HashMap<String, serde_json::Value>,
}

/// Fields that change nothing of what a saved adapter computes.
///
/// With any other field set (DoRA, saved modules, replicated layers, later inventions) the adapter is more than pairs
/// on linear layers.
const BOOKKEEPING: [&str; 19] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
];
/// Initialisations that leave the base unchanged.
///
/// Pairs of any other initialisation (PiSSA, OLoRA, CorDA, LoftQ) are relative to a changed base.
const STARTS: [&str; 3] = ["gaussian", "orthogonal", "eva"];

/// Whether a field says more than nothing.
fn is_set(value: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Bool, Null, Object};
    match value {
        Null | Bool(false) => false,
        Array(items) => !items.is_empty(),
        Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

impl Config {
    /// The rank of a module's pair.
    fn rank(&self, module: &str) -> usize {
        self.rank_pattern.of(module).unwrap_or(self.r)
    }

    /// What the product of a module's pair is multiplied with.
    fn scale(&self, module: &str, rank: usize) -> f32 {
        let alpha = self.alpha_pattern.of(module).unwrap_or(self.lora_alpha);
        alpha / if self.use_rslora { (rank as f32).sqrt() } else { rank as f32 }
    }
}

/// Exceptions for modules: the first key that matches a module's path counts.
///
/// A key is a regular expression for the end of a path, as PEFT's `get_pattern_key` reads it.
#[derive(Default)]
struct Pattern<T>(Vec<(String, Regex, T)>);

impl<T: Copy> Pattern<T> {
    fn of(&self, module: &str) -> Option<T> {
        self.0.iter().find(|(_, key, _)| key.is_match(module)).map(|(.., value)| *value)
    }

    /// The first key that matches no module.
    fn idle(&self, modules: &[&str]) -> Option<&str> {
        let idle = |key: &Regex| !modules.iter().any(|module| key.is_match(module));
        self.0.iter().find(|(_, key, _)| idle(key)).map(|(key, ..)| key.as_str())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pattern<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        /// Takes a map's entries in their order.
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Entries<T> {
            type Value = Pattern<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("regular expressions with their values")
            }

            fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
                Ok(Pattern(Vec::new()))
            }

            fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> std::result::Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{key})$")).map_err(serde::de::Error::custom)?;
                    entries.push((key, regex, value));
                }
                Ok(Pattern(entries))
            }
        }

        deserializer.deserialize_any(Entries(std::marker::PhantomData))
    }
}

/// Reads a PEFT folder for a model of this shape.
///
/// # Errors
/// [`EngineError::Io`]; [`EngineError::UnsupportedAdapter`] listing everything in config and tensors that is not plain
/// LoRA, and for shapes of another model.
pub fn read(folder: &Path, shape: &ModelShape) -> Result<AdapterWeights> {
    let bad =
        |problem: String| Error::from(EngineError::UnsupportedAdapter { file: folder.display().to_string(), problem });
    let path = folder.join(CONFIG);
    let pickle = "adapter_model.bin";
    if !folder.join(WEIGHTS).exists() && folder.join(pickle).exists() {
        let how = format!("expected {WEIGHTS}: save it with PEFT's safe_serialization");
        return Err(bad(format!("{pickle} is a Python pickle, which may run any code, {how}")));
    }
    let text = fs::read_to_string(&path).map_err(EngineError::io(&path))?;
    let config: Config = serde_json::from_str(&text).map_err(|e| bad(format!("{CONFIG}: {e}")))?;
    let start = config.rest.get("init_lora_weights").filter(|start| {
        !start.is_null() && !start.is_boolean() && !start.as_str().is_some_and(|name| STARTS.contains(&name))
    });
    let task = config.rest.get("task_type").filter(|task| !task.is_null() && *task != "CAUSAL_LM");
    let known = |field: &str| BOOKKEEPING.contains(&field) || ["init_lora_weights", "task_type"].contains(&field);
    let mut set: Vec<&str> =
        config.rest.iter().filter(|(field, v)| !known(field) && is_set(v)).map(|(field, _)| field.as_str()).collect();
    set.sort_unstable();
    let said = |value: Option<&serde_json::Value>| value.map_or(String::new(), ToString::to_string);
    for (wrong, what) in [
        (config.peft_type != "LORA", format!("peft_type {:?}, expected \"LORA\"", config.peft_type)),
        (!set.is_empty(), format!("{} is set, expected plain LoRA pairs", set.join(", "))),
        (start.is_some(), format!("init_lora_weights is {}, which changes the base, too", said(start))),
        (task.is_some(), format!("task_type is {}, expected \"CAUSAL_LM\"", said(task))),
        (config.bias.as_ref().is_some_and(|b| b != "none"), "trained biases, expected bias \"none\"".into()),
        (config.r == 0, "r is 0, expected at least 1".into()),
    ] {
        if wrong {
            return Err(bad(format!("{CONFIG}: {what}")));
        }
    }
    let path = folder.join(WEIGHTS);
    let bytes = fs::read(&path).map_err(EngineError::io(&path))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(format!("{WEIGHTS}: {e}")))?;

    // By block and layer: A and B, each with the path of its module.
    type Halves<'a> = [Option<(TensorView<'a>, String)>; 2];
    let mut halves: BTreeMap<(usize, usize), Halves<'_>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (name, tensor) in tensors.tensors() {
        match place(&name).filter(|(block, ..)| *block < shape.n_layer) {
            Some((block, layer, side, module)) if halves.get(&(block, layer)).is_none_or(|h| h[side].is_none()) => {
                halves.entry((block, layer)).or_default()[side] = Some((tensor, module));
            }
            // A module of another model, or a second pair for one module.
            _ => unknown.push(name),
        }
    }
    if !unknown.is_empty() {
        unknown.sort();
        return Err(bad(format!("tensors outside of the model's LoRA pairs: {}", unknown.join(", "))));
    }
    let modules: Vec<&str> = halves.values().flatten().flatten().map(|(_, module)| module.as_str()).collect();
    let idle =
        [("rank_pattern", config.rank_pattern.idle(&modules)), ("alpha_pattern", config.alpha_pattern.idle(&modules))];
    if let Some((pattern, key)) = idle.into_iter().find_map(|(pattern, key)| Some((pattern, key?))) {
        let expected = "expected a regular expression for the end of a module's path";
        return Err(bad(format!("{CONFIG}: {pattern} has {key:?}, which matches no module, {expected}")));
    }
    let mut pairs = Vec::new();
    for ((block, layer), pair) in halves {
        let target = tensor_name(block, layer);
        let [Some((a, module)), Some((b, _))] = pair else {
            return Err(bad(format!("{target} has only one half, expected lora_A and lora_B")));
        };
        let (n_in, n_out) = widths(shape, layer);
        let rank = config.rank(&module);
        if rank == 0 || a.shape() != [rank, n_in] || b.shape() != [n_out, rank] {
            let found = format!("{:?} and {:?}", a.shape(), b.shape());
            return Err(bad(format!("{target} has {found}, expected [{rank}, {n_in}] and [{n_out}, {rank}]")));
        }
        let floats = |t: &TensorView<'_>| {
            floats(t).filter(|v| v.iter().all(|x| x.is_finite())).ok_or_else(|| {
                bad(format!("{target} is {:?} or not finite, expected finite F32, F16 or BF16", t.dtype()))
            })
        };
        let b = reorder(shape, layer, &floats(&b)?, rank, Order::Interleaved);
        let scale = config.scale(&module, rank);
        pairs.push(Pair { a: floats(&a)?, b, target, n_in, n_out, rank, scale });
    }
    if pairs.is_empty() {
        return Err(bad("holds no tensors, expected at least one pair".into()));
    }
    Ok(AdapterWeights { architecture: shape.architecture, pairs })
}

/// Writes an adapter as a PEFT folder, in F32.
///
/// `base` is PEFT's name of the base model.
///
/// # Errors
/// [`EngineError::Io`]; [`EngineError::Option`] for an adapter with layers that PEFT has no names for.
pub fn write(adapter: &AdapterWeights, shape: &ModelShape, base: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(EngineError::io(folder))?;
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let mut modules: Vec<&str> = Vec::new();
    let (mut ranks, mut alphas) = (BTreeMap::new(), BTreeMap::new());
    let rank = adapter.pairs.first().map_or(1, |p| p.rank);
    let alpha = adapter.pairs.first().map_or(1.0, |p| p.scale * p.rank as f32);
    for p in &adapter.pairs {
        let (block, layer) = target(&p.target).ok_or_else(|| EngineError::Option {
            name: "adapter",
            given: p.target.clone(),
            expected: "linear layers of the blocks".into(),
        })?;
        let module = LAYERS[layer].1;
        let last = module.rsplit('.').next().unwrap_or(module);
        if !modules.contains(&last) {
            modules.push(last);
        }
        let path = format!("model.layers.{block}.{module}");
        if p.rank != rank {
            ranks.insert(path.clone(), p.rank);
        }
        let own = p.scale * p.rank as f32;
        if own != alpha {
            alphas.insert(path.clone(), own);
        }
        let b = reorder(shape, layer, &p.b, p.rank, Order::Halves);
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let name = |side: &str| format!("base_model.model.{path}.lora_{side}.weight");
        tensors.insert(name("A"), (vec![p.rank, p.n_in], bytes(&p.a)));
        tensors.insert(name("B"), (vec![p.n_out, p.rank], bytes(&b)));
    }
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "target_modules": modules,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "use_rslora": false,
        "use_dora": false,
    });
    let views = tensors.iter().map(|(name, (dims, bytes))| {
        (name, TensorView::new(Dtype::F32, dims.clone(), bytes).expect("bytes match the shape"))
    });
    let bytes = safetensors::serialize(views, None).expect("tensors of one process serialise");
    write_whole(&folder.join(WEIGHTS), |sink| sink.write_all(&bytes))?;
    let text = serde_json::to_string_pretty(&config).expect("plain data");
    Ok(write_whole(&folder.join(CONFIG), |sink| sink.write_all(text.as_bytes()))?)
}

/// Block, layer, side and module path of a PEFT tensor.
fn place(name: &str) -> Option<(usize, usize, usize, String)> {
    let path = name.strip_prefix("base_model.model.")?.strip_suffix(".weight")?;
    // The name of the adapter stands in the path where the state of the whole model was saved.
    let (module, half) = match path.rsplit_once('.')? {
        (module, half @ ("lora_A" | "lora_B")) => (module, half),
        (path, _) => path.rsplit_once('.')?,
    };
    let side = ["lora_A", "lora_B"].iter().position(|name| *name == half)?;
    let (block, layer) = module_place(module)?;
    Some((block, layer, side, module.to_owned()))
}

/// Block and layer of a module's path in transformers.
///
/// Multimodal models have one more level in the path; before transformers 4.52 it stood in front.
pub(super) fn module_place(module: &str) -> Option<(usize, usize)> {
    let levels = ["model.language_model.", "language_model.model.", "model."];
    let rest = levels.iter().find_map(|level| module.strip_prefix(level))?;
    let (block, layer) = rest.strip_prefix("layers.")?.split_once('.')?;
    Some((block.parse().ok()?, LAYERS.iter().position(|(_, name)| *name == layer)?))
}

/// The name of a layer's tensor in a GGUF file.
pub(super) fn tensor_name(block: usize, layer: usize) -> String {
    format!("blk.{block}.{}.weight", LAYERS[layer].0)
}

/// Block and layer of a GGUF tensor.
fn target(name: &str) -> Option<(usize, usize)> {
    let (block, layer) = name.strip_prefix("blk.")?.strip_suffix(".weight")?.split_once('.')?;
    Some((block.parse().ok()?, LAYERS.iter().position(|(name, _)| *name == layer)?))
}

/// Input and output width of a layer.
pub(super) fn widths(s: &ModelShape, layer: usize) -> (usize, usize) {
    let (heads, kv) = (s.n_head * s.head_dim, s.n_head_kv * s.head_dim);
    match LAYERS[layer].0 {
        "attn_q" => (s.n_embd, heads),
        "attn_k" | "attn_v" => (s.n_embd, kv),
        "attn_output" => (heads, s.n_embd),
        "ffn_down" => (s.n_ff, s.n_embd),
        _ => (s.n_embd, s.n_ff),
    }
}

/// How the elements of a head that are rotated together lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Beside each other: a llama GGUF.
    Interleaved,
    /// In two halves: transformers.
    Halves,
}

/// Permutes B's rows for llama's query and key projections; else a copy.
pub(super) fn reorder(shape: &ModelShape, layer: usize, b: &[f32], rank: usize, to: Order) -> Vec<f32> {
    if !shape.architecture.pairs_neighbours || !["attn_q", "attn_k"].contains(&LAYERS[layer].0) {
        return b.to_vec();
    }
    let (dim, half) = (shape.head_dim, shape.head_dim / 2);
    let from = |row: usize| {
        let (head, i) = (row / dim, row % dim);
        let i = match to {
            Order::Interleaved => i % 2 * half + i / 2,
            Order::Halves => i % half * 2 + i / half,
        };
        head * dim + i
    };
    (0..b.len() / rank).flat_map(|row| b[from(row) * rank..][..rank].iter().copied()).collect()
}

/// The floats of a tensor of F32, F16 or BF16; `None` for another type.
pub(super) fn floats(t: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = t.data();
    Some(match t.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::BF16 => data.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        _ => return None,
    })
}
