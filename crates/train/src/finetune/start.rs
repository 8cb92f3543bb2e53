//! The adapter that a run starts from.

use std::collections::HashMap;
use std::path::Path;

use probity::agent::manifest::Manifest;
use probity_engine::{Error as EngineError, Source};

use super::{Finetuning, Known, width};
use crate::Result;
use crate::curriculum::Reference;
use crate::decoder::Decoder;
use crate::lora::{AdapterWeights, Pair};

impl Finetuning {
    /// Starts from an adapter in place of the bare model.
    ///
    /// A run whose config names an adapter takes no step before it; a resumed run is started, then resumed. The
    /// adapter's policy is the reference where the config says so. An adapter of a lower rank is widened.
    ///
    /// # Errors
    /// [`probity_engine::Error::AdapterMismatch`] for other layers or widths; [`probity_engine::Error::Option`] for a
    /// higher rank; [`probity::Error::Unverified`] for a manifest that does not parse.
    pub fn start_from(&mut self, adapter: &AdapterWeights, file: &Path) -> Result<()> {
        let width = width(&self.config, &self.decoder);
        for theta in self.state.theta.chunks_exact_mut(width) {
            fill(&self.decoder, theta, adapter, file)?;
        }
        self.started = true;
        let start = Manifest::of(&Source::open(file)?.header()?)?;
        self.known = start.map(|start| Known::after(start, &self.config.phases)).unwrap_or_default();
        if self.config.reference == Reference::Start {
            self.origin = Some(self.state.theta[..self.decoder.n_params()].to_vec());
        }
        Ok(())
    }
}

/// Puts an adapter's pairs among the parameters.
///
/// A lower rank leaves the rest of a pair as it is.
///
/// # Errors
/// [`EngineError::AdapterMismatch`] for other layers or widths; [`EngineError::Option`] for a higher rank.
pub(super) fn fill(decoder: &Decoder, theta: &mut [f32], adapter: &AdapterWeights, file: &Path) -> Result<()> {
    let bad = |problem: String| EngineError::AdapterMismatch { file: file.display().to_string(), problem };
    let mut pairs: HashMap<&str, &Pair> = adapter.pairs.iter().map(|pair| (pair.target.as_str(), pair)).collect();
    for (i, block) in decoder.blocks().iter().enumerate() {
        for (name, linear) in block.linears() {
            let Some(lora) = &linear.lora else { continue };
            let target = format!("blk.{i}.{name}.weight");
            let pair = pairs.remove(target.as_str()).ok_or_else(|| bad(format!("has no pair for {target}")))?;
            let (found, expected) = ((pair.n_in, pair.n_out), (linear.n_in, linear.n_out));
            if found != expected {
                return Err(bad(format!("{target}: is of a layer {found:?} wide, expected {expected:?}")).into());
            }
            if pair.rank > lora.rank {
                let (rank, most) = (pair.rank, lora.rank);
                let (given, expected) = (most.to_string(), format!("at least {rank}, that of {}", file.display()));
                return Err(EngineError::Option { name: "rank", given, expected }.into());
            }
            theta[lora.a.clone()][..pair.a.len()].copy_from_slice(&pair.a);
            let scale = pair.scale / lora.scale;
            let rows = theta[lora.b.clone()].chunks_exact_mut(lora.rank).zip(pair.b.chunks_exact(pair.rank));
            for (row, from) in rows {
                row.iter_mut().zip(from).for_each(|(to, from)| *to = scale * from);
            }
        }
    }
    match pairs.keys().min() {
        Some(target) => Err(bad(format!("has a pair for {target}, which is no target of this run")).into()),
        None => Ok(()),
    }
}
