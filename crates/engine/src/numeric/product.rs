//! Matrix products in f32, by the `gemm` crate.

use gemm::Parallelism;

/// A read-only matrix in a slice, with strides in elements.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// For a last element outside the slice.
    #[must_use]
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        check(data.len(), rows, columns, row_stride, 1);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// A dense row-major matrix.
    ///
    /// # Panics
    /// For a slice that is too short.
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// The transposed view.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix to write to, with the row stride in elements.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// A row-major matrix whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// For a last element outside the slice, and for overlapping rows.
    #[must_use]
    pub fn strided(data: &'a mut [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        check(data.len(), rows, columns, row_stride, 1);
        assert!(row_stride >= columns || rows <= 1, "rows overlap");
        Self { data, rows, columns, row_stride }
    }

    /// A dense row-major matrix.
    ///
    /// # Panics
    /// For a slice that is too short.
    #[must_use]
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }
}

fn check(len: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) {
    let last = match (rows.checked_sub(1), columns.checked_sub(1)) {
        (Some(r), Some(c)) => r.checked_mul(row_stride).and_then(|a| a.checked_add(c.checked_mul(column_stride)?)),
        _ => return,
    };
    assert!(last.is_some_and(|l| l < len), "a {rows} x {columns} matrix does not fit {len} elements");
}

/// `out = scale * a b`, or `out += scale * a b` with `add`, on `threads` threads.
///
/// # Panics
/// For dimensions that do not chain.
pub fn product(out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32, add: bool, threads: usize) {
    assert!(
        out.rows == a.rows && a.columns == b.rows && out.columns == b.columns,
        "{} x {} is not {} x {} times {} x {}",
        out.rows,
        out.columns,
        a.rows,
        a.columns,
        b.rows,
        b.columns
    );
    if out.rows == 0 || out.columns == 0 {
        return;
    }
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    // SAFETY: the constructors checked that every element of the three views lies in its slice, `out` is borrowed
    // mutably and so overlaps neither operand, and the dimensions chain.
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            a.columns,
            out.data.as_mut_ptr(),
            1,
            out.row_stride as isize,
            add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}
