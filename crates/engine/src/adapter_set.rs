//! Adapters that work together.
//!
//! llama.cpp adds several adapters in the order of an unordered map of pointers, so the same set gives other bits in
//! another process. Here several become one adapter, whose rank is the sum of theirs: their rows stand beside each
//! other in the order of their fingerprints, so that a set is the same in whatever order it is given.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::gguf::{GgmlType, GgufWriter};
use super::numeric::{decode, encode};
use super::{Adapter, Model, Source};
use crate::{Error, Result};

/// Adapters with their scales, ready for any context on their model.
#[derive(Debug, Clone, Default)]
pub struct AdapterSet {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// As the caller gave them.
    parts: Vec<(Adapter, f32)>,
    /// As llama.cpp gets them: one adapter, or none.
    applied: Option<(Adapter, f32)>,
}

impl AdapterSet {
    /// Makes one set of a model's adapters.
    ///
    /// # Errors
    /// [`Error::Option`] for a scale that is not finite or an adapter given twice, [`Error::AdapterMismatch`] for an
    /// adapter that was loaded for another model object, [`Error::UnsupportedAdapter`] for ranks of more than 4096
    /// together; [`Error::Llama`] if the memory ends.
    pub fn new(model: &Model, adapters: &[(Adapter, f32)]) -> Result<Self> {
        for (adapter, scale) in adapters {
            if !scale.is_finite() {
                let expected = "a finite number".into();
                return Err(Error::Option { name: "adapter scale", given: scale.to_string(), expected });
            }
            if adapter.model().raw() != model.raw() {
                return Err(Error::AdapterMismatch {
                    file: adapter.path().display().to_string(),
                    problem: "it was loaded for another model object, expected the agent's own".into(),
                });
            }
        }
        if (1..adapters.len()).any(|i| adapters[..i].iter().any(|(a, _)| a.raw() == adapters[i].0.raw())) {
            let expected = "each once, with the scales added up".into();
            return Err(Error::Option { name: "adapters", given: "one of them twice".into(), expected });
        }
        let applied = match adapters {
            [] => None,
            [one] => Some(one.clone()),
            several => {
                let mut sorted = several.to_vec();
                sorted.sort_by(|(a, s), (b, t)| a.fingerprint().cmp(b.fingerprint()).then(s.total_cmp(t)));
                Some((merged(model, &sorted)?, 1.0))
            }
        };
        Ok(Self { inner: Arc::new(Inner { parts: adapters.to_vec(), applied }) })
    }

    /// The adapters, as they were given.
    #[must_use]
    pub fn adapters(&self) -> &[(Adapter, f32)] {
        &self.inner.parts
    }

    /// Whether both are the same object.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// What llama.cpp is given.
    pub(super) fn applied(&self) -> &[(Adapter, f32)] {
        self.inner.applied.as_slice()
    }
}

/// The halves of a target's sum.
#[derive(Default)]
struct Pair {
    n_in: usize,
    n_out: usize,
    /// A row of `n_in` a rank.
    a: Vec<f32>,
    /// Of every adapter, its columns of all `n_out` rows, scaled.
    b: Vec<Vec<f32>>,
}

/// The exact weighted sum: `[s1 B1, s2 B2, ...] [A1; A2; ...]`.
fn merged(model: &Model, adapters: &[(Adapter, f32)]) -> Result<Adapter> {
    let mut pairs: BTreeMap<&str, Pair> = BTreeMap::new();
    for (adapter, scale) in adapters {
        for target in &adapter.shape().targets {
            let half = |side: &str| -> Result<(Vec<f32>, [usize; 2])> {
                let tensor = adapter.gguf().tensor(&format!("{target}{side}")).expect("a target has both halves");
                let mut values = vec![0.0; tensor.elements() as usize];
                decode(tensor.ty, &adapter.read_tensor(tensor)?, &mut values);
                Ok((values, [tensor.dim(0) as usize, tensor.dim(1) as usize]))
            };
            let ((a, [n_in, rank]), (mut b, [_, n_out])) = (half(".lora_a")?, half(".lora_b")?);
            let alpha = adapter.shape().alpha;
            let scale = if alpha == 0.0 { *scale } else { scale * alpha / rank as f32 };
            b.iter_mut().for_each(|value| *value *= scale);
            let pair = pairs.entry(target).or_default();
            (pair.n_in, pair.n_out) = (n_in, n_out);
            pair.a.extend(a);
            pair.b.push(b);
        }
    }
    let mut file = GgufWriter::new();
    file.set_str("general.type", "adapter")
        .set_str("general.architecture", model.shape().architecture.name)
        .set_str("adapter.type", "lora");
    for (target, Pair { n_in, n_out, a, b }) in &pairs {
        let rank = a.len() / n_in;
        let row = |i: usize| b.iter().flat_map(move |b| &b[i * b.len() / n_out..(i + 1) * b.len() / n_out]);
        let rows: Vec<f32> = (0..*n_out).flat_map(row).copied().collect();
        let [n_in, n_out, width] = [*n_in, *n_out, rank];
        file.tensor(
            &format!("{target}.lora_a"),
            &[n_in as u64, rank as u64],
            GgmlType::F32,
            encode(GgmlType::F32, a, n_in),
        );
        let b = encode(GgmlType::F32, &rows, width);
        file.tensor(&format!("{target}.lora_b"), &[rank as u64, n_out as u64], GgmlType::F32, b);
    }
    let names = adapters.iter().map(|(adapter, _)| adapter.path().display().to_string());
    let path = PathBuf::from(names.collect::<Vec<_>>().join(" + "));
    let mut bytes = Vec::new();
    file.write(&mut bytes).map_err(Error::io(&path))?;
    Adapter::from_source(model, Source::memory(bytes, &path))
}
