//! A matrix inside a slice: the operands of the serial product, and of everything below it.

/// A matrix to read: element (i, j) is `data[i * row + j * col]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mat<'a, T> {
    /// The elements, (0, 0) first.
    pub data: &'a [T],
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns.
    pub col: usize,
}

/// A matrix to write: element (i, j) is `data[i * row + j * col]`, and no two elements are the same memory.
#[derive(Debug)]
pub(crate) struct MatMut<'a, T> {
    /// The elements, (0, 0) first.
    pub data: &'a mut [T],
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns.
    pub col: usize,
}

impl<'a, T> Mat<'a, T> {
    /// Row-major, rows `row` apart.
    pub fn rows(data: &'a [T], row: usize) -> Self {
        Mat { data, row, col: 1 }
    }
    /// The transposed matrix, in the same memory.
    pub fn t(self) -> Self {
        Mat { data: self.data, row: self.col, col: self.row }
    }
}

impl<'a, T> MatMut<'a, T> {
    /// Row-major, rows `row` apart.
    pub fn rows(data: &'a mut [T], row: usize) -> Self {
        MatMut { data, row, col: 1 }
    }
}

/// Elements a slice must have for an (m, n) matrix with these strides.
pub(crate) fn span(m: usize, n: usize, row: usize, col: usize) -> usize {
    if m == 0 || n == 0 { 0 } else { (m - 1) * row + (n - 1) * col + 1 }
}
