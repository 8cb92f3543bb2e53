//! Weights of an earlier model, as the first weights of a run.

use probity_engine::Model;
use probity_engine::numeric::decode;

use crate::decoder::Decoder;
use crate::{Error, Result};

/// Puts a model's weights in the place of random ones.
///
/// A block that the model does not have adds nothing at first: what it would add to the residual stream is zero. So the
/// run begins with the model's own answers, and grows.
pub(super) fn grow(decoder: &Decoder, theta: &mut [f32], model: &Model) -> Result<()> {
    let file = model.path().display();
    for (name, dims, range) in decoder.base_tensors() {
        let weights = &mut theta[range.clone()];
        match model.gguf().tensor(name) {
            Some(tensor) if tensor.dims == *dims => decode(tensor.ty, &model.read_tensor(tensor)?, weights),
            Some(tensor) => {
                let problem = format!("{file}: {name} is {:?}, expected {dims:?} as the config has it", tensor.dims);
                return Err(Error::Training { problem });
            }
            None if name.contains("attn_output") || name.contains("ffn_down") => weights.fill(0.0),
            None if name.starts_with("blk.") => {}
            None => return Err(Error::Training { problem: format!("{file}: it has no tensor {name}") }),
        }
    }
    Ok(())
}
