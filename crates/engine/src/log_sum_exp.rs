//! The logarithm of a sum of exponentials.
//!
//! It is the one loop over a vocabulary that a decision makes here.
//!
//! Its vector form gives the bits of its plain form. It needs neither a compiler that vectorises nor a build for one
//! processor.

use super::Token;
use super::numeric::exp;

/// Sums that run beside each other.
const LANES: usize = 16;
/// Rounds after which the lanes are added up.
///
/// Short partial sums keep the error of a 256k-word vocabulary near one rounding.
const ROUNDS: usize = 64;

/// Natural logarithm of the sum of exponentials of a row of logits.
#[must_use]
pub fn log_sum_exp(row: &[f32]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both.
        return unsafe { avx2::log_sum_exp(row) };
    }
    plain(row)
}

/// As [`log_sum_exp`], of some of a row's logits; of one it is the logit.
///
/// # Panics
/// For a token that the row does not have.
#[must_use]
pub fn log_sum_exp_of(row: &[f32], tokens: &[Token]) -> f64 {
    match tokens {
        &[token] => f64::from(row[token as usize]),
        tokens => log_sum_exp(&tokens.iter().map(|&token| row[token as usize]).collect::<Vec<_>>()),
    }
}

fn plain(row: &[f32]) -> f64 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let add = |lanes: &mut [f32; LANES], chunk: &[f32; LANES]| {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += exp(x - max));
    };
    finish(row, max, add)
}

/// Adds up what `add` makes of a row's chunks, and the rest of the row.
#[inline(always)]
fn finish(row: &[f32], max: f32, add: impl Fn(&mut [f32; LANES], &[f32; LANES])) -> f64 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut total: f64 = rest.iter().map(|x| f64::from(exp(x - max))).sum();
    for chunks in chunks.chunks(ROUNDS) {
        let mut lanes = [0.0; LANES];
        chunks.iter().for_each(|chunk| add(&mut lanes, chunk));
        total += lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
    }
    f64::from(max) + total.ln()
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_add_epi32, _mm256_add_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_fmadd_ps,
        _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_slli_epi32, _mm256_storeu_ps, _mm256_sub_ps,
    };

    use super::{LANES, finish};

    #[target_feature(enable = "avx2,fma")]
    pub fn log_sum_exp(row: &[f32]) -> f64 {
        let (chunks, rest) = row.as_chunks::<LANES>();
        let mut most = [_mm256_set1_ps(f32::NEG_INFINITY); 2];
        for chunk in chunks {
            // Of a NaN and a number this takes the number, as `f32::max` does.
            let [low, high] = load(chunk);
            most = [_mm256_max_ps(low, most[0]), _mm256_max_ps(high, most[1])];
        }
        let max = store(most).iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
        let wide = _mm256_set1_ps(max);
        finish(row, max, |lanes, chunk| {
            let [low, high] = load(chunk).map(|x| exp(_mm256_sub_ps(x, wide)));
            let sums = load(lanes);
            *lanes = store([_mm256_add_ps(sums[0], low), _mm256_add_ps(sums[1], high)]);
        })
    }

    /// [`exp`](crate::numeric::exp), step by step.
    #[target_feature(enable = "avx2,fma")]
    fn exp(x: __m256) -> __m256 {
        let all = _mm256_set1_ps;
        // The second operand is the result where either is NaN.
        let x = _mm256_max_ps(all(-87.3), _mm256_min_ps(all(88.0), x));
        let shifted = _mm256_fmadd_ps(x, all(std::f32::consts::LOG2_E), all(12_582_912.0));
        let n = _mm256_sub_ps(shifted, all(12_582_912.0));
        let r = _mm256_fmadd_ps(n, all(-0.693_145_75), x);
        let r = _mm256_fmadd_ps(n, all(-1.428_606_8e-6), r);
        let p = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0]
            .into_iter()
            .fold(all(1.0 / 720.0), |p, term| _mm256_fmadd_ps(r, p, all(term)));
        let exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127)), 23);
        _mm256_mul_ps(p, _mm256_castsi256_ps(exponent))
    }

    #[target_feature(enable = "avx2,fma")]
    fn load(lanes: &[f32; LANES]) -> [__m256; 2] {
        // SAFETY: eight floats each, of the array's sixteen.
        unsafe { [_mm256_loadu_ps(lanes.as_ptr()), _mm256_loadu_ps(lanes.as_ptr().add(8))] }
    }

    #[target_feature(enable = "avx2,fma")]
    fn store([low, high]: [__m256; 2]) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: eight floats each, of the array's sixteen.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), low);
            _mm256_storeu_ps(lanes.as_mut_ptr().add(8), high);
        }
        lanes
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn both_forms_give_the_same_bits() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let long = if cfg!(miri) { &[][..] } else { &[1023, 1024, 1025, 4096, 20_000, 151_936] };
        for length in (1..40).chain(long.iter().copied()) {
            for width in [1e-3, 1.0, 30.0, 300.0] {
                let mut row: Vec<f32> = (0..length).map(|_| (rng.random::<f32>() - 0.5) * width).collect();
                assert_eq!(log_sum_exp(&row).to_bits(), plain(&row).to_bits(), "{length} {width}");
                let exact: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
                assert!((log_sum_exp(&row) - exact.ln()).abs() < 1e-6 * (1.0 + exact.ln().abs()), "{length} {width}");
                for odd in [f32::NEG_INFINITY, f32::INFINITY, f32::NAN, -0.0, f32::MIN_POSITIVE / 8.0] {
                    let place = rng.random_range(0..length);
                    let kept = std::mem::replace(&mut row[place], odd);
                    let (a, b) = (log_sum_exp(&row), plain(&row));
                    assert!(
                        a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
                        "{length} {width} {odd}: {a} and {b}"
                    );
                    row[place] = kept;
                }
            }
        }
    }
}
