//! Safe doors to unsafe numerics: `gemm`, and ggml's row codecs.
//!
//! Every function checks its arguments before it passes them on.

#[cfg(feature = "numeric")]
mod bfloat;
#[cfg(feature = "numeric")]
mod product;

#[cfg(feature = "numeric")]
pub use bfloat::{Panels, multiplies_bfloat, product_in_bfloat, to_bfloat};
#[cfg(feature = "numeric")]
pub use product::{Matrix, MatrixMut, product};

use llama_cpp_sys_2 as sys;

use super::gguf::GgmlType;

/// `e^x` in the range of softmax and SiLU; relative error below 2e-7.
///
/// It has no branches, so that loops over it vectorise.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Beyond these the result is 0 or infinity in f32 anyway.
    let x = x.clamp(-87.3, 88.0);
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low mantissa bits.
    let shifted = x.mul_add(std::f32::consts::LOG2_E, 12_582_912.0);
    let n = shifted - 12_582_912.0;
    // ln 2 in two parts, so that the reduction loses no digits (Cody and Waite).
    let r = n.mul_add(-0.693_145_75, x);
    let r = n.mul_add(-1.428_606_8e-6, r);
    let p = 1.0 / 720.0;
    let p = r.mul_add(p, 1.0 / 120.0);
    let p = r.mul_add(p, 1.0 / 24.0);
    let p = r.mul_add(p, 1.0 / 6.0);
    let p = r.mul_add(p, 0.5);
    let p = r.mul_add(p, 1.0);
    let p = r.mul_add(p, 1.0);
    let exponent = shifted.to_bits().wrapping_add(127) << 23;
    p * f32::from_bits(exponent)
}

/// Decodes ggml rows to floats: `bytes` holds `out.len()` elements of `ty`.
///
/// # Panics
/// For lengths that do not match: a caller's mistake, not bad input.
pub fn decode(ty: GgmlType, bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len() as u64, ty.bytes(out.len() as u64), "{} bytes do not match", ty.name);
    if ty == GgmlType::F32 {
        for (o, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
            *o = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
        return;
    }
    // SAFETY: ggml's table is static; every type in `GgmlType::ALL` but F32 has a decoder, which reads exactly the
    // bytes and writes exactly the floats whose lengths were compared above.
    unsafe {
        let traits = &*sys::ggml_get_type_traits(ty.id);
        let to_float = traits.to_float.expect("every accepted type decodes");
        to_float(bytes.as_ptr().cast(), out.as_mut_ptr(), out.len() as i64);
    }
}

/// Rounds activations in place as the engine does for weights of type `ty`.
///
/// ggml's processor kernels first convert activations to the type of the weight's dot product: F16 for F16, int8 blocks
/// for most quantised types. A trainer with the same conversion computes the engine's policy. `scratch` is reused
/// between calls.
///
/// # Panics
/// For values that are not whole blocks of that type: a caller's mistake, not bad input.
pub fn round_activations(ty: GgmlType, values: &mut [f32], scratch: &mut Vec<u8>) {
    if ty == GgmlType::F32 {
        return;
    }
    // SAFETY: ggml's tables are static, and the types are types that ggml knows; the scratch has room for the converted
    // values, and both converters get the exact number of elements.
    unsafe {
        let target = (*sys::ggml_get_type_traits_cpu(ty.id)).vec_dot_type;
        let Some(encode) = (*sys::ggml_get_type_traits_cpu(target)).from_float else { return };
        let traits = &*sys::ggml_get_type_traits(target);
        assert!((values.len() as i64) % traits.blck_size == 0, "activations are not whole blocks");
        scratch.resize(values.len() / traits.blck_size as usize * traits.type_size, 0);
        encode(values.as_ptr(), scratch.as_mut_ptr().cast(), values.len() as i64);
        if target == sys::GGML_TYPE_Q8_K {
            decode_q8_k(scratch, values);
        } else if let Some(decode) = traits.to_float {
            decode(scratch.as_ptr().cast(), values.as_mut_ptr(), values.len() as i64);
        }
    }
}

/// Activations in blocks of an f32 scale, 256 int8 values, and their sums.
///
/// ggml has no decoder for this type.
fn decode_q8_k(bytes: &[u8], values: &mut [f32]) {
    const VALUES: usize = 256;
    const BLOCK: usize = 4 + VALUES + VALUES / 16 * 2;
    for (block, values) in bytes.chunks_exact(BLOCK).zip(values.chunks_exact_mut(VALUES)) {
        let scale = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        for (v, &q) in values.iter_mut().zip(&block[4..]) {
            *v = scale * f32::from(q.cast_signed());
        }
    }
}

/// Encodes floats as ggml rows of `row` elements each.
///
/// `row` must be a multiple of the type's block.
///
/// # Panics
/// For lengths that do not match: a caller's mistake, not bad input.
#[must_use]
pub fn encode(ty: GgmlType, values: &[f32], row: usize) -> Vec<u8> {
    assert!(row > 0 && values.len().is_multiple_of(row) && (row as u64).is_multiple_of(ty.block), "rows do not match");
    if ty == GgmlType::F32 {
        return values.iter().flat_map(|v| v.to_le_bytes()).collect();
    }
    let mut out = vec![0_u8; ty.bytes(values.len() as u64) as usize];
    // SAFETY: source and destination have the lengths that ggml computes from the row count; the types whose encoder
    // needs an importance matrix are never asked for (F16, BF16 and Q8_0 are).
    let written = unsafe {
        sys::ggml_quantize_chunk(
            ty.id,
            values.as_ptr(),
            out.as_mut_ptr().cast(),
            0,
            (values.len() / row) as i64,
            row as i64,
            std::ptr::null(),
        )
    };
    assert_eq!(written, out.len(), "{} rows of {row} did not encode", ty.name);
    out
}

/// Keeps freed memory in the process, for programs that train.
///
/// Every matrix product and training step allocates the same buffers. glibc otherwise returns them to the system each
/// time, which clears them page by page. Buffers of 8 MiB and more live for many steps: each is mapped on its own, so
/// that it leaves no hole behind when it grows. On other systems the call does nothing.
#[cfg(feature = "numeric")]
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two numbers and may be called at any time; it refuses unknown settings.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 23);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 1 << 26);
    }
}

/// Returns freed memory to the system, after [`keep_freed_memory`].
///
/// Buffers that grow leave holes. A training that calls it after each step takes the memory of its buffers; without it,
/// literacy on SmolLM2-135M was seen to take half as much again.
#[cfg(feature = "numeric")]
pub fn give_freed_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
