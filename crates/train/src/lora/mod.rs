//! Adapters in memory: GGUF, PEFT and MLX files, mixing, merging.

pub mod merge;
mod mlx;
pub mod peft;

use std::path::Path;

use probity::agent::Manifest;
use probity::agent::manifest::MANIFEST_KEY;
use probity_engine::files::write_whole;
use probity_engine::gguf::{GgmlType, GgufWriter, Tensor};
use probity_engine::numeric::{decode, encode};
use probity_engine::preflight::{Architecture, ModelShape, check_adapter, check_fit};
use probity_engine::{Model, Source};
use rand::{Rng, RngExt};

use super::curriculum::Precision;
use super::decoder::Decoder;
use crate::Result;

/// Reads an adapter's folder, PEFT's or MLX's, for a model of this shape.
///
/// # Errors
/// As [`peft::read`].
pub fn read_folder(folder: &Path, shape: &ModelShape) -> Result<AdapterWeights> {
    if mlx::is_mlx(folder) { mlx::read(folder, shape) } else { peft::read(folder, shape) }
}

/// The first weights of a decoder's pairs.
///
/// A is random and B zero, so that training starts at the bare model. Source: Hu et al. 2021. The spread of A is
/// PEFT's: Kaiming's uniform start with a = sqrt(5).
pub(crate) fn start_pairs(decoder: &Decoder, theta: &mut [f32], rng: &mut impl Rng) {
    for (_, linear) in decoder.blocks().iter().flat_map(|block| block.linears()) {
        let Some(lora) = &linear.lora else { continue };
        let most = 1.0 / (linear.n_in as f32).sqrt();
        theta[lora.a.clone()].iter_mut().for_each(|w| *w = rng.random_range(-most..most));
    }
}

/// The update `scale * B A` of one linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The base tensor, by its GGUF name.
    pub target: String,
    /// Input width.
    pub n_in: usize,
    /// Output width.
    pub n_out: usize,
    /// Rank.
    pub rank: usize,
    /// What the product is multiplied with.
    pub scale: f32,
    /// `A`, `[rank, n_in]` row-major.
    pub a: Vec<f32>,
    /// `B`, `[n_out, rank]` row-major, rows in the order of the GGUF file.
    pub b: Vec<f32>,
}

/// An adapter's weights.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterWeights {
    /// The architecture of the base.
    pub architecture: Architecture,
    /// Its pairs, in the order of the base's blocks.
    pub pairs: Vec<Pair>,
}

impl AdapterWeights {
    /// The pairs of a decoder's parameters.
    #[must_use]
    pub fn of(decoder: &Decoder, theta: &[f32]) -> Self {
        let mut pairs = Vec::new();
        for (i, block) in decoder.blocks().iter().enumerate() {
            for (name, linear) in block.linears() {
                let Some(lora) = &linear.lora else { continue };
                pairs.push(Pair {
                    target: format!("blk.{i}.{name}.weight"),
                    n_in: linear.n_in,
                    n_out: linear.n_out,
                    rank: lora.rank,
                    scale: lora.scale,
                    a: theta[lora.a.clone()].to_vec(),
                    b: theta[lora.b.clone()].to_vec(),
                });
            }
        }
        Self { architecture: decoder.shape().architecture, pairs }
    }

    /// Reads an adapter file; a vocabulary-only model is enough.
    ///
    /// # Errors
    /// As [`probity::agent::verify::load`].
    pub fn load(model: &Model, path: &Path) -> Result<Self> {
        let source = Source::open(path)?;
        let gguf = source.header()?;
        let read = |t: &Tensor| source.tensor(t);
        let alpha = check_adapter(&gguf, read)?.alpha;
        check_fit(&gguf, model.gguf(), model.shape())?;
        if let Some(manifest) = Manifest::of(&gguf)? {
            manifest.check_for(model, path)?;
        }
        let values = |t: &Tensor| -> Result<Vec<f32>> {
            let mut out = vec![0.0; t.elements() as usize];
            decode(t.ty, &read(t)?, &mut out);
            Ok(out)
        };
        let mut pairs = Vec::new();
        for a in gguf.tensors() {
            let Some(target) = a.name.strip_suffix(".lora_a") else { continue };
            let b = gguf.tensor(&format!("{target}.lora_b")).expect("the preflight saw both halves");
            let rank = a.dim(1) as usize;
            // llama.cpp multiplies by alpha / rank, or by 1 where there is no alpha.
            let scale = if alpha == 0.0 { 1.0 } else { alpha / rank as f32 };
            let (n_in, n_out) = (a.dim(0) as usize, b.dim(1) as usize);
            let target = target.to_owned();
            pairs.push(Pair { target, n_in, n_out, rank, scale, a: values(a)?, b: values(b)? });
        }
        Ok(Self { architecture: model.shape().architecture, pairs })
    }

    /// Writes a GGUF adapter, with its manifest in the metadata.
    ///
    /// The file has one alpha, and llama.cpp divides it by each pair's rank. A pair with another scale has its scale
    /// folded into B.
    ///
    /// # Errors
    /// [`probity_engine::Error::Io`]; a file at `path` is then untouched.
    pub fn write(&self, path: &Path, precision: Precision, manifest: &Manifest) -> Result<()> {
        let ty = match precision {
            Precision::F32 => GgmlType::F32,
            Precision::F16 => GgmlType::F16,
            Precision::Q8_0 => GgmlType::Q8_0,
        };
        // An alpha of 0 would mean no scale at all.
        let alpha = self.pairs.iter().map(|p| p.scale * p.rank as f32).find(|a| *a != 0.0).unwrap_or(1.0);
        let mut w = GgufWriter::new();
        w.set_str("general.type", "adapter");
        w.set_str("general.architecture", self.architecture.name);
        w.set_str("general.name", manifest.name.clone());
        w.set_str("adapter.type", "lora");
        w.set_f32("adapter.lora.alpha", alpha);
        w.set_str(MANIFEST_KEY, serde_json::to_string(manifest).expect("a manifest is plain data"));
        for p in &self.pairs {
            let mut put = |side: &str, dims: [usize; 2], values: &[f32]| {
                // A row that is not a whole number of blocks, as of B at ranks below 32, stays F16.
                let ty = if (dims[0] as u64).is_multiple_of(ty.block) { ty } else { GgmlType::F16 };
                let bytes = encode(ty, values, dims[0]);
                w.tensor(&format!("{}.{side}", p.target), &dims.map(|d| d as u64), ty, bytes);
            };
            put("lora_a", [p.n_in, p.rank], &p.a);
            let fold = p.scale * p.rank as f32 / alpha;
            if fold == 1.0 {
                put("lora_b", [p.rank, p.n_out], &p.b);
            } else {
                put("lora_b", [p.rank, p.n_out], &p.b.iter().map(|v| v * fold).collect::<Vec<_>>());
            }
        }
        Ok(write_whole(path, |mut sink| w.write(&mut sink))?)
    }
}
