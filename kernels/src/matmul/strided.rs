//! Matrices inside slices: what the CPU product works on once views, batches and dtypes are dealt with.

use super::kernel::Place;
use crate::{Bf16, DType, Float, planted, simd};
use std::marker::PhantomData;
use std::ops::Range;

/// Elements a slice must have for an (m, n) matrix with these strides.
pub(super) fn span(m: usize, n: usize, row: usize, col: usize) -> usize {
    if m == 0 || n == 0 { 0 } else { (m - 1) * row + (n - 1) * col + 1 }
}

/// One operand, seen from the sum: a set of *lanes* (the rows of A, or the columns of B) that each hold K numbers.
///
/// Seen this way A and B are the same thing, which is why swapping them transposes C.
/// Element k of lane i is at `address + (i * lane + k * step)` elements.
#[derive(Clone, Copy)]
pub(super) struct Lanes<'a> {
    address: *const u8,
    /// f32 or bf16.
    pub dtype: DType,
    /// Number of lanes.
    pub count: usize,
    /// Numbers in each lane.
    pub k: usize,
    /// Distance between lanes.
    pub lane: usize,
    /// Distance between neighbours in the sum.
    pub step: usize,
    _borrow: PhantomData<&'a [u8]>,
}

// SAFETY: a shared borrow of plain numbers.
unsafe impl Send for Lanes<'_> {}
// SAFETY: as above.
unsafe impl Sync for Lanes<'_> {}

impl<'a> Lanes<'a> {
    /// `count` lanes of `k` numbers in a slice. Shorter slices than the strides need are a bug of the caller: it panics.
    pub fn new<T: Float>(data: &'a [T], count: usize, k: usize, lane: usize, step: usize) -> Self {
        assert!(data.len() >= span(count, k, lane, step), "matmul: an operand is too short for its strides");
        Lanes { address: data.as_ptr().cast(), dtype: T::DTYPE, count, k, lane, step, _borrow: PhantomData }
    }
    /// Some of the lanes.
    pub fn part(&self, lanes: Range<usize>) -> Self {
        assert!(lanes.end <= self.count, "matmul: outside an operand");
        Lanes {
            address: self.address.wrapping_add(lanes.start * self.lane * self.dtype.size()),
            count: lanes.len(),
            ..*self
        }
    }
    /// Where element `k` of lane `i` is. `T` must be the type of `dtype`.
    pub fn at<T: Float>(&self, i: usize, k: usize) -> *const T {
        assert!(T::DTYPE == self.dtype && i < self.count && k < self.k, "matmul: outside an operand");
        // SAFETY: `new` checked that every such element lies in the slice.
        unsafe { self.address.cast::<T>().add(i * self.lane + k * self.step) }
    }
}

/// Where C goes: an (m, n) matrix of f32 or bf16 that is written in disjoint parts, by several tasks at a time.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    address: *mut u8,
    /// f32 or bf16.
    pub dtype: DType,
    /// Rows and columns.
    pub size: (usize, usize),
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns.
    pub col: usize,
    _borrow: PhantomData<&'a mut [u8]>,
}

// SAFETY: sharing the address is harmless; the writing methods are unsafe and say who may write what.
unsafe impl Send for Target<'_> {}
// SAFETY: as above.
unsafe impl Sync for Target<'_> {}

impl<'a> Target<'a> {
    /// The (m, n) matrix in the `len` elements from `data` on; panics when it does not fit.
    ///
    /// # Safety
    /// The memory must be valid for 'a, and nobody else may touch the elements of the matrix.
    pub unsafe fn from_raw<T: Float>(
        data: *mut T,
        len: usize,
        size: (usize, usize),
        row: usize,
        col: usize,
    ) -> Self {
        assert!(len >= span(size.0, size.1, row, col), "matmul: c is too short for its strides");
        // A single column may be taken for a row-major matrix. A part of several columns may not, even if it has one column.
        let col = if size.1 == 1 { 1 } else { col };
        Target { address: data.cast(), dtype: T::DTYPE, size, row, col, _borrow: PhantomData }
    }
    /// Where the innermost kernel can write C itself: if neighbours of a row are adjacent.
    pub fn place(&self) -> Option<Place> {
        let place = Place { address: self.address, row: self.row, bytes: self.dtype.size() };
        (self.col == 1).then_some(place)
    }
    /// Some rows and columns.
    pub fn part(&self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.size.0 && cols.end <= self.size.1, "matmul: outside c");
        let at = (rows.start * self.row + cols.start * self.col) * self.dtype.size();
        Target { address: self.address.wrapping_add(at), size: (rows.len(), cols.len()), ..*self }
    }
    /// The same memory as the transposed matrix.
    pub fn t(self) -> Self {
        Target { size: (self.size.1, self.size.0), row: self.col, col: self.row, ..self }
    }
    /// Where element (i, j) is. `T` must be the type of `dtype`.
    pub fn at<T: Float>(&self, i: usize, j: usize) -> *mut T {
        assert!(T::DTYPE == self.dtype && i < self.size.0 && j < self.size.1, "matmul: outside c");
        // SAFETY: `new` checked that every such element lies in the slice.
        unsafe { self.address.cast::<T>().add(i * self.row + j * self.col) }
    }
    /// `c = values + beta · c`, each rounded once, for the (rows, cols) part of C that starts at (i, j); `values` has rows
    /// `width` apart. `beta = 0` does not read C.
    ///
    /// # Safety
    /// Nobody else touches this part of C at the same time.
    pub unsafe fn put(
        &self,
        at: (usize, usize),
        part: (usize, usize),
        values: &[f32],
        width: usize,
        beta: f32,
    ) {
        match self.dtype {
            // SAFETY: passed on.
            DType::Bf16 => unsafe { self.put_as::<Bf16>(at, part, values, width, beta) },
            // SAFETY: passed on.
            _ => unsafe { self.put_as::<f32>(at, part, values, width, beta) },
        }
    }
    unsafe fn put_as<T: Float>(
        &self,
        (i, j): (usize, usize),
        (rows, cols): (usize, usize),
        values: &[f32],
        width: usize,
        beta: f32,
    ) {
        if rows == 0 || cols == 0 {
            return;
        }
        assert!(i + rows <= self.size.0 && j + cols <= self.size.1, "matmul: outside c");
        for r in 0..rows {
            let cols = planted!("matmul.ragged_columns_not_stored", cols => cols / 8 * 8);
            let (first, values) = (self.at::<T>(i + r, j), &values[r * width..r * width + cols]);
            simd::vectorize(
                #[inline(always)]
                || {
                    // SAFETY: within C by the assertion above, and nobody else touches it.
                    let old = |c: usize| unsafe { &mut *first.add(c * self.col) };
                    match (beta == 0.0, self.col == 1) {
                        // SAFETY: as above; the row's elements are adjacent.
                        (true, true) => unsafe { std::slice::from_raw_parts_mut(first, cols) }
                            .iter_mut()
                            .zip(values)
                            .for_each(|(c, &v)| *c = T::from_f32(v)),
                        (true, false) => {
                            values.iter().enumerate().for_each(|(c, &v)| *old(c) = T::from_f32(v))
                        }
                        _ => values
                            .iter()
                            .enumerate()
                            .for_each(|(c, &v)| *old(c) = T::from_f32(v + beta * old(c).to_f32())),
                    }
                },
            );
        }
    }
}
