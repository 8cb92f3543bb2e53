//! MLX's folders: `adapter_config.json` and `adapters.safetensors`.
//!
//! A pair is `x lora_a lora_b`, so both halves are transposed, and `scale` multiplies the product as it is. The modules
//! have the names of transformers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use probity_engine::Error as EngineError;
use probity_engine::preflight::ModelShape;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::peft::{Order, floats, module_place, reorder, tensor_name, widths};
use super::{AdapterWeights, Pair};
use crate::{Error, Result};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapters.safetensors";

/// What of MLX's config changes what an adapter computes.
#[derive(Deserialize)]
struct Config {
    #[serde(default = "lora")]
    fine_tune_type: String,
    lora_parameters: Parameters,
}

#[derive(Deserialize)]
struct Parameters {
    scale: f32,
}

fn lora() -> String {
    "lora".into()
}

/// Whether a folder is one of MLX's.
pub(super) fn is_mlx(folder: &Path) -> bool {
    folder.join(WEIGHTS).exists()
}

/// Reads an MLX folder for a model of this shape.
///
/// # Errors
/// [`EngineError::Io`]; [`EngineError::UnsupportedAdapter`] for another kind of training, for tensors that are no LoRA
/// pairs of linear layers, and for shapes of another model.
pub(super) fn read(folder: &Path, shape: &ModelShape) -> Result<AdapterWeights> {
    let bad =
        |problem: String| Error::from(EngineError::UnsupportedAdapter { file: folder.display().to_string(), problem });
    let path = folder.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(EngineError::io(&path))?;
    let config: Config = serde_json::from_str(&text).map_err(|e| bad(format!("{CONFIG}: {e}")))?;
    if config.fine_tune_type != "lora" {
        let found = config.fine_tune_type;
        return Err(bad(format!("{CONFIG}: fine_tune_type is {found:?}, expected \"lora\"")));
    }
    let scale = config.lora_parameters.scale;
    if !scale.is_finite() {
        return Err(bad(format!("{CONFIG}: scale is {scale}, expected a finite number")));
    }
    let path = folder.join(WEIGHTS);
    let bytes = fs::read(&path).map_err(EngineError::io(&path))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(format!("{WEIGHTS}: {e}")))?;
    let mut halves: BTreeMap<(usize, usize), [Option<_>; 2]> = BTreeMap::new();
    for (name, tensor) in tensors.tensors() {
        let place = name.rsplit_once('.').and_then(|(module, half)| {
            let side = ["lora_a", "lora_b"].iter().position(|name| *name == half)?;
            Some((module_place(module)?, side))
        });
        match place.filter(|((block, _), _)| *block < shape.n_layer) {
            Some((place, side)) => halves.entry(place).or_default()[side] = Some(tensor),
            None => return Err(bad(format!("tensor outside of the model's LoRA pairs: {name}"))),
        }
    }
    let mut pairs = Vec::new();
    for ((block, layer), pair) in halves {
        let target = tensor_name(block, layer);
        let [Some(a), Some(b)] = pair else {
            return Err(bad(format!("{target} has only one half, expected lora_a and lora_b")));
        };
        let (n_in, n_out) = widths(shape, layer);
        let rank = a.shape().last().copied().unwrap_or_default();
        if rank == 0 || a.shape() != [n_in, rank] || b.shape() != [rank, n_out] {
            let found = format!("{:?} and {:?}", a.shape(), b.shape());
            return Err(bad(format!("{target} has {found}, expected [{n_in}, rank] and [rank, {n_out}]")));
        }
        let values = |t| {
            floats(t).filter(|v| v.iter().all(|x| x.is_finite())).ok_or_else(|| {
                bad(format!("{target} is {:?} or not finite, expected finite F32, F16 or BF16", t.dtype()))
            })
        };
        let (a, b) = (transposed(&values(&a)?, rank), transposed(&values(&b)?, n_out));
        let b = reorder(shape, layer, &b, rank, Order::Interleaved);
        pairs.push(Pair { target, n_in, n_out, rank, scale, a, b });
    }
    if pairs.is_empty() {
        return Err(bad("holds no tensors, expected at least one pair".into()));
    }
    Ok(AdapterWeights { architecture: shape.architecture, pairs })
}

/// A row-major matrix of so many columns, columns first.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}
