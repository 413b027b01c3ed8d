//! A matrix product as BLAS libraries have it: matrices stored by columns, each with the distance of its columns.
//!
//! Ours have any strides. A matrix stored by rows is its transpose stored by columns, so `C = A·B` by rows is `Cᵀ = Bᵀ·Aᵀ` by columns:
//! the operands change places, and nothing is moved. An operand whose dense axis is the other one is named transposed. What is dense
//! along neither axis, or has leading axes that are not one step each, has no such form, and a kernel of ours takes it.

use crate::call::Operand;
use kernels::DType;

/// One matrix, or as many as the product has, one step apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Of the first number.
    pub address: u64,
    /// Of its numbers.
    pub dtype: DType,
    /// Numbers from a column to the next.
    pub leading: usize,
    /// Numbers from a matrix to the next; 0 where all products read the same one.
    pub step: usize,
    /// Is it to be transposed?
    pub transposed: bool,
}

/// `c = alpha·a·b + beta·c`, m × n sums of k products, by columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    /// Rows, columns, products of a sum.
    pub sizes: [usize; 3],
    /// So many of them.
    pub batch: usize,
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of what is there.
    pub beta: f32,
    /// m × k.
    pub a: Stored,
    /// k × n.
    pub b: Stored,
    /// m × n, never transposed.
    pub c: Stored,
}

impl Gemm {
    /// The same product as one of row-major operands, if it has this form and its sizes are a library's.
    pub(crate) fn of([a, b, c]: [&Operand; 3], alpha: f32, beta: f32) -> Option<Gemm> {
        let lead = c.layout.rank().checked_sub(2)?;
        let (m, n, k) = (c.layout.dims()[lead], c.layout.dims()[lead + 1], a.layout.dims()[lead + 1]);
        let batch: usize = c.layout.dims()[..lead].iter().product();
        let fits = |size: usize| size > 0 && i32::try_from(size).is_ok();
        if ![m, n, k, batch].into_iter().all(fits) {
            return None;
        }
        let [x, y, z] = [stored(a, lead)?, stored(b, lead)?, stored(c, lead)?];
        let sizes_fit = [x, y, z].iter().all(|o| fits(o.leading));
        let gemm = if z.transposed {
            // c is stored by rows: all change places, and what was by rows is by columns
            let turned = |o: Stored| Stored { transposed: !o.transposed, ..o };
            Gemm { sizes: [n, m, k], batch, alpha, beta, a: turned(y), b: turned(x), c: turned(z) }
        } else {
            Gemm { sizes: [m, n, k], batch, alpha, beta, a: x, b: y, c: z }
        };
        sizes_fit.then_some(gemm)
    }
}

/// How a matrix is stored, said by columns: transposed if it is dense along its rows.
fn stored(operand: &Operand, lead: usize) -> Option<Stored> {
    let (dims, strides) = (operand.layout.dims(), operand.layout.strides());
    let [rows, columns] = [dims[lead], dims[lead + 1]];
    let [down, right] = [strides[lead], strides[lead + 1]];
    // the stride of an axis of length 1 is never taken
    let by_rows = (columns == 1 || right == 1) && (rows == 1 || down >= columns);
    let by_columns = (rows == 1 || down == 1) && (columns == 1 || right >= rows);
    let leading = match (by_rows, by_columns) {
        (true, _) => {
            if rows == 1 {
                columns
            } else {
                down
            }
        }
        (_, true) => {
            if columns == 1 {
                rows
            } else {
                right
            }
        }
        _ => return None,
    };
    let (dtype, step) = (operand.dtype, step(&dims[..lead], &strides[..lead])?);
    Some(Stored { address: operand.first(), dtype, leading, step, transposed: by_rows })
}

/// The one distance between matrices that several leading axes count, if there is one.
fn step(dims: &[usize], strides: &[usize]) -> Option<usize> {
    let mut axes = dims.iter().zip(strides).rev().filter(|(dim, _)| **dim != 1);
    let Some((&inner, &step)) = axes.next() else { return Some(0) };
    let mut next = step.checked_mul(inner)?;
    for (&dim, &stride) in axes {
        if stride != next {
            return None;
        }
        next = stride.checked_mul(dim)?;
    }
    Some(step)
}
