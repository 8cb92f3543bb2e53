//! Sums of adapters, and adapters merged into their base.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use probity::agent::legality::READING;
use probity_engine::Error as EngineError;
use probity_engine::Model;
use probity_engine::files::write_whole;
use probity_engine::gguf::{GgmlType, GgufWriter};
use probity_engine::numeric::{Matrix, MatrixMut, decode, encode, product};
use probity_game::Reading;

use super::{AdapterWeights, Pair};
use crate::{Error, Result};

/// The exact weighted sum of adapters, at the sum of their ranks.
///
/// # Errors
/// [`EngineError::Option`] without adapters, for a weight that is NaN or infinite, and for adapters of different
/// architectures or shapes.
pub fn mix(adapters: &[(AdapterWeights, f32)]) -> Result<AdapterWeights> {
    let bad = |given: String, expected: &str| {
        Error::from(EngineError::Option { name: "adapters", given, expected: expected.into() })
    };
    let Some((first, _)) = adapters.first() else { return Err(bad("none".into(), "at least one")) };
    if let Some((_, weight)) = adapters.iter().find(|(_, w)| !w.is_finite()) {
        return Err(bad(format!("a weight of {weight}"), "finite weights"));
    }
    if adapters.iter().any(|(a, _)| a.architecture != first.architecture) {
        return Err(bad("adapters of different architectures".into(), "adapters of one base"));
    }
    let mut pairs: Vec<Pair> = Vec::new();
    for (adapter, weight) in adapters {
        for p in &adapter.pairs {
            // Every pair's scale and weight go into its B, so the sum's scale is 1.
            let scaled = p.b.iter().map(|v| v * p.scale * weight).collect();
            let new = Pair { scale: 1.0, b: scaled, ..p.clone() };
            match pairs.iter_mut().find(|q| q.target == p.target) {
                None => pairs.push(new),
                Some(old) if (old.n_in, old.n_out) != (p.n_in, p.n_out) => {
                    return Err(bad(format!("{} in two shapes", p.target), "adapters of one base"));
                }
                Some(old) => *old = beside(old, &new),
            }
        }
    }
    Ok(AdapterWeights { architecture: first.architecture, pairs })
}

/// `[B1 B2] [A1; A2]`.
fn beside(x: &Pair, y: &Pair) -> Pair {
    let rows = x.b.chunks_exact(x.rank).zip(y.b.chunks_exact(y.rank));
    Pair {
        rank: x.rank + y.rank,
        a: [x.a.as_slice(), &y.a].concat(),
        b: rows.flat_map(|(x, y)| [x, y].concat()).collect(),
        ..x.clone()
    }
}

/// Writes a model with an adapter merged into its matrices.
///
/// Changed matrices keep their element types, or take `ty`. `reads` becomes the metadata `probity.reading`.
///
/// # Errors
/// [`EngineError::Io`]; [`EngineError::Option`] for an element type that needs calibration data.
pub fn write_merged(
    model: &Model,
    adapter: &AdapterWeights,
    ty: Option<GgmlType>,
    reads: Option<&[Reading]>,
    path: &Path,
) -> Result<()> {
    let gguf = model.gguf();
    let mut w = GgufWriter::new();
    for key in gguf.keys() {
        w.set(key, gguf.get(key).expect("listed").clone());
    }
    if let Some(reads) = reads {
        let kinds: Vec<String> = reads.iter().map(Reading::to_string).collect();
        w.set_str(READING, serde_json::to_string(&kinds).expect("a list of words"));
    }
    let pair = |name: &str| adapter.pairs.iter().find(|p| p.target == name);
    let mut types = Vec::new();
    for t in gguf.tensors() {
        let new = if pair(&t.name).is_some() { ty.unwrap_or(t.ty) } else { t.ty };
        if pair(&t.name).is_some() && (new.name.starts_with("IQ") || (t.dims[0] % new.block) != 0) {
            let given = format!("{} for {}", new.name, t.name);
            let expected = "F32, F16, BF16, Q8_0, or another type without calibration data that divides the rows";
            return Err(EngineError::Option { name: "type", given, expected: expected.into() }.into());
        }
        types.push(new);
        w.declare(&t.name, &t.dims, new);
    }
    // One tensor at a time is in memory.
    let make = |i: usize| {
        let t = &gguf.tensors()[i];
        let bytes = model.read_tensor(t).map_err(io::Error::other)?;
        let Some(p) = pair(&t.name) else { return Ok(Cow::Owned(bytes)) };
        let mut values = vec![0.0; t.elements() as usize];
        decode(t.ty, &bytes, &mut values);
        let (a, b) = (Matrix::new(&p.a, p.rank, p.n_in), Matrix::new(&p.b, p.n_out, p.rank));
        product(MatrixMut::new(&mut values, p.n_out, p.n_in), b, a, p.scale, true, rayon::current_num_threads());
        Ok(Cow::Owned(encode(types[i], &values, p.n_in)))
    };
    Ok(write_whole(path, |mut sink| w.write_made(&mut sink, make))?)
}
