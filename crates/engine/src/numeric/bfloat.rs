//! Matrix products of operands that are rounded to bfloat16, summed in f32.
//!
//! A bfloat16 is the upper half of an f32: 8 digits of mantissa, a relative error of at most 2^-9. Processors with
//! AVX512_BF16 multiply two pairs in a lane at once, at twice the speed of f32. On others the operands are rounded
//! alike and multiplied in f32.

use rayon::prelude::*;

use super::product::{Matrix, MatrixMut, product};

/// Columns of a panel: two vectors of 16.
const NR: usize = 32;
/// Rows of a task.
const MC: usize = 192;

/// Rounds to the nearest bfloat16, ties to even; NaN stays NaN.
#[must_use]
#[inline(always)]
pub fn to_bfloat(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // A carry may reach the exponent, and makes infinity of the largest numbers; of NaN it must not.
    let quiet = bits | 0x0040_0000;
    ((if x.is_nan() { quiet } else { rounded }) >> 16) as u16
}

fn from_bfloat(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// The right operand of products, rounded and laid out for the kernel.
///
/// The buffers are kept for the next operand.
#[derive(Debug, Default)]
pub struct Panels {
    depth: usize,
    columns: usize,
    /// Panel by panel, pair of rows by pair.
    ///
    /// The two values of each column stand side by side.
    values: Vec<u16>,
    /// The left operand of the last product, rounded: row by row, of even length.
    left: Vec<u16>,
    /// Both as f32, where the processor has no such kernel.
    emulated: [Vec<f32>; 2],
}

/// Makes a buffer `n` long, whatever it holds.
///
/// It grows to exactly this length and never shrinks.
fn fit<T: Copy + Default>(buffer: &mut Vec<T>, n: usize) {
    if buffer.capacity() < n {
        *buffer = Vec::new();
        buffer.reserve_exact(n);
    }
    buffer.resize(n, T::default());
}

/// Whether this processor multiplies bfloat16 by itself.
#[must_use]
pub fn multiplies_bfloat() -> bool {
    #[cfg(target_arch = "x86_64")]
    return kernel::available();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn even(depth: usize) -> usize {
    depth.next_multiple_of(2)
}

impl Panels {
    /// Takes a matrix as the right operand of products to come.
    pub fn take(&mut self, b: Matrix<'_>, threads: usize) {
        (self.depth, self.columns) = (b.rows, b.columns);
        let panel = even(b.rows) * NR;
        let panels = b.columns.div_ceil(NR);
        fit(&mut self.values, panels * panel);
        let fill = |(number, values): (usize, &mut [u16])| {
            let first = number * NR;
            let width = NR.min(b.columns - first);
            if width < NR || b.rows % 2 == 1 {
                // What no column and no row fills.
                values.fill(0);
            }
            let from = &b.data[first * b.column_stride..];
            if b.column_stride == 1 {
                fill_from_rows(from, b.row_stride, [b.rows, width], values);
            } else {
                fill_from_columns(from, [b.row_stride, b.column_stride], [b.rows, width], values);
            }
        };
        each_chunk(&mut self.values, panel, threads, fill);
    }

    /// Bytes that the buffers take for an operand of this size.
    ///
    /// Left operands have so many `rows`.
    #[must_use]
    pub fn bytes(rows: usize, depth: usize, columns: usize) -> [usize; 2] {
        let emulated = if multiplies_bfloat() { 0 } else { 4 * even(depth) };
        [2 * even(depth) * columns.next_multiple_of(NR) + emulated * columns, 2 * even(depth) * rows + emulated * rows]
    }
}

/// Fills a panel from rows that are contiguous.
fn fill_from_rows(from: &[f32], stride: usize, [rows, width]: [usize; 2], panel: &mut [u16]) {
    for (pair, values) in panel.chunks_exact_mut(2 * NR).enumerate() {
        for half in 0..2.min(rows - 2 * pair) {
            let row = &from[(2 * pair + half) * stride..][..width];
            for (value, x) in values[half..].iter_mut().step_by(2).zip(row) {
                *value = to_bfloat(*x);
            }
        }
    }
}

/// Fills a panel column by column, as of a transposed matrix.
fn fill_from_columns(from: &[f32], strides: [usize; 2], [rows, width]: [usize; 2], panel: &mut [u16]) {
    /// Rows rounded at a time.
    const ROWS: usize = 64;
    let [row_stride, column_stride] = strides;
    for column in 0..width {
        let column_of = &from[column * column_stride..];
        for (first, values) in (0..rows).step_by(ROWS).zip(panel.chunks_mut(ROWS * NR)) {
            let n = ROWS.min(rows - first);
            let mut rounded = [0_u16; ROWS];
            if row_stride == 1 {
                let run = &column_of[first..first + n];
                rounded.iter_mut().zip(run).for_each(|(to, x)| *to = to_bfloat(*x));
            } else {
                let run = column_of[first * row_stride..].iter().step_by(row_stride);
                rounded[..n].iter_mut().zip(run).for_each(|(to, x)| *to = to_bfloat(*x));
            }
            for (pair, values) in rounded.chunks_exact(2).zip(values.chunks_exact_mut(2 * NR)) {
                values[2 * column..2 * column + 2].copy_from_slice(pair);
            }
        }
    }
}

fn each_chunk<T: Send>(all: &mut [T], chunk: usize, threads: usize, work: impl Fn((usize, &mut [T])) + Send + Sync) {
    if chunk == 0 {
        return;
    }
    if threads > 1 {
        all.par_chunks_mut(chunk).enumerate().for_each(work);
    } else {
        all.chunks_mut(chunk).enumerate().for_each(work);
    }
}

/// `out = a b`, or `out += a b` with `add`, with both operands rounded to bfloat16.
///
/// # Panics
/// For dimensions that do not chain, and for a left operand whose rows are not contiguous.
pub fn product_in_bfloat(out: MatrixMut<'_>, a: Matrix<'_>, b: &mut Panels, add: bool, threads: usize) {
    assert!(
        out.rows == a.rows && a.columns == b.depth && out.columns == b.columns && a.column_stride == 1,
        "{} x {} is not {} x {} times {} x {}",
        out.rows,
        out.columns,
        a.rows,
        a.columns,
        b.depth,
        b.columns
    );
    if out.rows == 0 || out.columns == 0 {
        return;
    }
    let depth = even(b.depth);
    fit(&mut b.left, a.rows * depth);
    each_chunk(&mut b.left, MC * depth, threads, |(chunk, left)| {
        for (i, left) in left.chunks_exact_mut(depth).enumerate() {
            let row = &a.data[(chunk * MC + i) * a.row_stride..][..a.columns];
            left.iter_mut().zip(row).for_each(|(to, from)| *to = to_bfloat(*from));
            left[a.columns..].fill(0);
        }
    });
    #[cfg(target_arch = "x86_64")]
    if kernel::available() {
        let (columns, stride) = (out.columns, out.row_stride);
        let Panels { values, left, .. } = &*b;
        return each_chunk(out.data, MC * stride, threads, |(chunk, out)| {
            let rows = MC.min(a.rows.saturating_sub(chunk * MC));
            let left = &left[chunk * MC * depth..][..rows * depth];
            kernel::multiply(out, stride, [rows, columns, depth], left, values, add);
        });
    }
    emulate(out, a.rows, b, add, threads);
}

/// The same by products of f32.
fn emulate(out: MatrixMut<'_>, rows: usize, b: &mut Panels, add: bool, threads: usize) {
    let depth = even(b.depth);
    let [left, right] = &mut b.emulated;
    fit(left, b.left.len());
    left.iter_mut().zip(&b.left).for_each(|(to, from)| *to = from_bfloat(*from));
    fit(right, depth * b.columns);
    for (number, panel) in b.values.chunks_exact((depth * NR).max(1)).enumerate() {
        for (pair, values) in panel.chunks_exact(2 * NR).enumerate() {
            for (i, value) in values.iter().enumerate() {
                let (row, column) = (2 * pair + i % 2, number * NR + i / 2);
                if column < b.columns {
                    right[row * b.columns + column] = from_bfloat(*value);
                }
            }
        }
    }
    product(out, Matrix::new(left, rows, depth), Matrix::new(right, depth, b.columns), 1.0, add, threads);
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };

    use super::NR;

    /// Rows that one call of the kernel handles at most.
    const MR: usize = 12;
    /// Depth of a block: a panel's block stays in the nearest cache.
    const KC: usize = 512;

    /// Whether this processor has the instructions.
    pub fn available() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }

    /// Some rows of a product.
    ///
    /// `left` lies row by row, `right` in panels, both of an even `depth`.
    ///
    /// # Panics
    /// For slices that are too short, and on a processor without the instructions.
    pub fn multiply(
        out: &mut [f32],
        stride: usize,
        [rows, columns, depth]: [usize; 3],
        left: &[u16],
        right: &[u16],
        add: bool,
    ) {
        assert!(available() && depth.is_multiple_of(2) && left.len() >= rows * depth);
        assert!(right.len() >= columns.div_ceil(NR) * NR * depth);
        assert!(rows == 0 || columns == 0 || out.len() >= (rows - 1) * stride + columns);
        for start in (0..depth.max(1)).step_by(KC) {
            let deep = KC.min(depth - start);
            for (number, first) in (0..columns).step_by(NR).enumerate() {
                let width = NR.min(columns - first);
                let panel = &right[number * depth * NR + start * NR..][..deep * NR];
                let mut row = 0;
                while row < rows {
                    let take = MR.min(rows - row);
                    let tile = Tile {
                        out: &mut out[row * stride + first..],
                        stride,
                        width,
                        left: &left[row * depth + start..],
                        depth,
                        panel,
                        add: add || start > 0,
                    };
                    // SAFETY: the processor has the instructions, and the asserts above cover what a tile reads and
                    // writes: `take` rows of `deep` values, a panel of `deep` rows, `width` columns of `take` rows.
                    unsafe {
                        match take {
                            12 => tile.run::<12>(),
                            11 => tile.run::<11>(),
                            10 => tile.run::<10>(),
                            9 => tile.run::<9>(),
                            8 => tile.run::<8>(),
                            7 => tile.run::<7>(),
                            6 => tile.run::<6>(),
                            5 => tile.run::<5>(),
                            4 => tile.run::<4>(),
                            3 => tile.run::<3>(),
                            2 => tile.run::<2>(),
                            _ => tile.run::<1>(),
                        }
                    }
                    row += take;
                }
            }
        }
    }

    /// A few rows and a panel of columns.
    struct Tile<'a> {
        out: &'a mut [f32],
        stride: usize,
        width: usize,
        left: &'a [u16],
        depth: usize,
        panel: &'a [u16],
        add: bool,
    }

    impl Tile<'_> {
        /// Multiplies `R` rows with the panel.
        ///
        /// # Safety
        /// The processor has AVX512_BF16; `left` holds `R` rows, `depth` apart, as deep as the panel; `out` holds `R`
        /// rows of `width` columns, `stride` apart.
        #[target_feature(enable = "avx512f,avx512bf16")]
        unsafe fn run<const R: usize>(self) {
            let pairs = self.panel.len() / (2 * NR);
            // SAFETY: all loads and stores are within the bounds that the caller promises.
            unsafe {
                let mut sums = [[_mm512_setzero_ps(); 2]; R];
                let mut panel = self.panel.as_ptr();
                for pair in 0..pairs {
                    let columns: [__m512bh; 2] = [
                        std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(panel.cast())),
                        std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(panel.add(NR).cast())),
                    ];
                    panel = panel.add(2 * NR);
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let both = self.left.as_ptr().add(row * self.depth + 2 * pair).cast::<i32>().read_unaligned();
                        let both = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(both));
                        for (sum, column) in sums.iter_mut().zip(columns) {
                            *sum = _mm512_dpbf16_ps(*sum, both, column);
                        }
                    }
                }
                for (row, sums) in sums.into_iter().enumerate() {
                    for (half, sum) in sums.into_iter().enumerate() {
                        let left = self.width.saturating_sub(16 * half).min(16);
                        let mask = ((1_u32 << left) - 1) as u16;
                        let to = self.out.as_mut_ptr().wrapping_add(row * self.stride + 16 * half);
                        let sum: __m512 =
                            if self.add { _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, to)) } else { sum };
                        _mm512_mask_storeu_ps(to, mask, sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn rounding_is_to_the_nearest_and_keeps_what_is_no_number() {
        for (x, expected) in [
            (1.0, 0x3f80),
            (-2.5, 0xc020),
            (f32::from_bits(0x3f80_8000), 0x3f80),
            (f32::from_bits(0x3f81_8000), 0x3f82),
            (f32::from_bits(0x3f80_8001), 0x3f81),
            (f32::MAX, 0x7f80),
            (f32::INFINITY, 0x7f80),
            (0.0, 0),
        ] {
            assert_eq!(to_bfloat(x), expected, "{x}");
        }
        for bits in [0x7fff_ffff_u32, 0x7f80_0001, 0xffff_ffff] {
            assert!(from_bfloat(to_bfloat(f32::from_bits(bits))).is_nan(), "{bits:x}");
        }
    }

    /// Shapes at the edges of tiles, panels and blocks, with any strides.
    #[test]
    fn a_product_is_that_of_the_rounded_operands() {
        let round = |x: &[f32]| -> Vec<f32> { x.iter().map(|x| from_bfloat(to_bfloat(*x))).collect() };
        for (m, n, k) in [(1, 1, 1), (13, 33, 3), (12, 32, 512), (25, 31, 513), (193, 70, 1030), (2, 100, 1)] {
            let (stride, gap) = (k + 3, n + 2);
            let (a, b) = (numbers(m * stride, 1), numbers(n * k, 2));
            let before = numbers(m * gap, 3);
            for transposed in [false, true] {
                fn view(b: &[f32], [n, k]: [usize; 2], transposed: bool) -> Matrix<'_> {
                    if transposed { Matrix::new(b, n, k).t() } else { Matrix::new(b, k, n) }
                }
                let size = [n, k];
                for (add, threads) in [(false, 1), (true, 2)] {
                    let (ra, rb) = (round(&a), round(&b));
                    let mut expected = before.clone();
                    let left = Matrix::strided(&ra, m, k, stride);
                    product(
                        MatrixMut::strided(&mut expected, m, n, gap),
                        left,
                        view(&rb, size, transposed),
                        1.0,
                        add,
                        1,
                    );
                    let mut panels = Panels::default();
                    panels.take(view(&b, size, transposed), threads);
                    let (mut found, mut emulated) = (before.clone(), before.clone());
                    let left = Matrix::strided(&a, m, k, stride);
                    product_in_bfloat(MatrixMut::strided(&mut found, m, n, gap), left, &mut panels, add, threads);
                    emulate(MatrixMut::strided(&mut emulated, m, n, gap), m, &mut panels, add, threads);
                    for (i, e) in expected.iter().enumerate() {
                        let bound = 1e-5 * (k as f32).sqrt().max(1.0);
                        assert!((found[i] - e).abs() <= bound, "{m} x {n} x {k}: {} for {e}", found[i]);
                        assert!((emulated[i] - e).abs() <= bound, "{m} x {n} x {k}: {} for {e}", emulated[i]);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_infinite_or_no_number_stays_so() {
        let mut panels = Panels::default();
        panels.take(Matrix::new(&[1.0, 0.5], 2, 1), 1);
        for value in [f32::NAN, f32::INFINITY] {
            let mut out = [0.0];
            product_in_bfloat(MatrixMut::new(&mut out, 1, 1), Matrix::new(&[value, 1.0], 1, 2), &mut panels, false, 1);
            assert!(!out[0].is_finite());
        }
    }
}
