//! One step of an iteration that applies an odd polynomial of degree five to the singular values of a wide matrix X (s, l),
//! s ≤ l, with matrix products alone: `A = X·Xᵀ`, `X ← a·X + (b·A + c·A²)·X`.
//!
//! In f32 the element-wise parts are folded into the products. In bf16 every matrix is rounded where a bf16 tensor would
//! be, and kept in f32. Used by Newton–Schulz ([`super::newton_schulz`]) and Polar Express ([`crate::polar_express`]),
//! which differ in their coefficients.

use super::newton_schulz_scratch;
use crate::matmul::{Matmul, matmul_symmetric};
use crate::{Bf16, Cpu, Layout, Result, View, ViewMut, par, planted};

/// Elements per task of the element-wise passes.
pub(crate) const BLOCK: usize = 16384;

/// How bf16 rounds `c·A²`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Square {
    /// As `(c·A)·A`, with `c·A` rounded before the product.
    ScaledFirst,
    /// As `c·(A·A)`, with the product rounded first.
    ScaledLast,
}

/// Multiply-adds of one product up to which a matrix is left to one thread, if there are several matrices.
const SHARE: usize = 1 << 28;

/// Is a matrix small enough to be left to one thread? Two that share it hand each other every product's result; with
/// matrices of their own they share nothing.
pub(crate) fn alone(rows: usize, cols: usize) -> bool {
    rows.min(cols) * rows * cols <= SHARE
}

/// `f` on each of `n` matrices (R, C): its part of `g`, of `o`, and scratch memory of its own.
pub(crate) fn each(
    g: &[f32],
    o: &mut [f32],
    scratch: &mut [f32],
    (n, rows, cols): (usize, usize, usize),
    f: impl Fn(&[f32], &mut [f32], &mut [f32]) -> Result<()> + Sync + Send,
) -> Result<()> {
    let (size, room) = (rows * cols, newton_schulz_scratch(&[rows, cols]));
    let (o, scratch) = (par::SharedPtr::new(o), par::SharedPtr::new(&mut scratch[..n * room]));
    let one = |i: usize| {
        // SAFETY: n matrices and n rooms (checked when the views were), each i given to one task.
        let o = unsafe { std::slice::from_raw_parts_mut(o.get().add(i * size), size) };
        // SAFETY: as above.
        let scratch = unsafe { std::slice::from_raw_parts_mut(scratch.get().add(i * room), room) };
        f(&g[i * size..][..size], o, scratch)
    };
    match alone(rows, cols) {
        true => par::map_blocks(n, 1, |i| one(i.start)).into_iter().collect(),
        false => (0..n).try_for_each(one),
    }
}

/// `o` (R, C) = the matrix that `prepare` writes, after one step per polynomial. The iteration works on a wide matrix (s, l): a
/// tall one is transposed first, and again while the result is written. `scratch`: as [`super::newton_schulz_scratch`] says.
pub(crate) fn iterate(
    o: &mut [f32],
    scratch: &mut [f32],
    (rows, cols): (usize, usize),
    polynomials: impl Iterator<Item = [f64; 3]>,
    bf16: Option<Square>,
    prepare: impl FnOnce(&mut [f32]),
) -> Result<()> {
    let (s, l) = (rows.min(cols), rows.max(cols));
    let (mut x, scratch) = scratch.split_at_mut(s * l);
    let (mut y, scratch) = scratch.split_at_mut(s * l);
    let squares = &mut scratch[..3 * s * s];
    prepare(x);
    let tall = rows > cols;
    if tall {
        transpose(x, y, (rows, cols));
        std::mem::swap(&mut x, &mut y);
    }
    for polynomial in polynomials {
        step(x, y, squares, (s, l), polynomial, bf16)?;
        std::mem::swap(&mut x, &mut y);
    }
    if tall {
        transpose(x, o, planted!("muon.turned_back_with_sides_swapped", (s, l) => (l, s)))
    } else {
        o.copy_from_slice(x)
    }
    Ok(())
}

/// `y = a·x + (b·A + c·A·A)·x`, `A = x·xᵀ`. `squares`: room for three matrices (s, s). `bf16`: round like bf16 tensors.
fn step(
    x: &[f32],
    y: &mut [f32],
    squares: &mut [f32],
    (s, l): (usize, usize),
    coefficients: [f64; 3],
    bf16: Option<Square>,
) -> Result<()> {
    let [a, b, c] = coefficients.map(|v| v as f32);
    let (big_a, rest) = squares.split_at_mut(s * s);
    let (big_b, big_c) = rest.split_at_mut(s * s);
    let matrix = |data, cols| {
        View::from_slice_strided(data, Layout::strided(&[data.len() / cols, cols], &[cols, 1], 0)?)
    };
    let xt = View::from_slice_strided(x, Layout::strided(&[l, s], &[1, l], 0)?)?;
    matmul_symmetric(matrix(x, l)?, xt, ViewMut::from_slice(big_a, &[s, s])?, 1.0, 0.0)?;
    let Some(order) = bf16 else {
        // c·A·A + b·A is a product added to b times what is there; a·X is (a on the diagonal of B)·X.
        big_b.copy_from_slice(big_a);
        matmul_symmetric(matrix(big_a, s)?, matrix(big_a, s)?, ViewMut::from_slice(big_b, &[s, s])?, c, b)?;
        big_b.iter_mut().step_by(s + 1).for_each(|diagonal| *diagonal += a);
        return Cpu.matmul(matrix(big_b, s)?, matrix(x, l)?, ViewMut::from_slice(y, &[s, l])?, 1.0, 0.0);
    };
    update(big_a, |_, a| round(a));
    if order == Square::ScaledFirst {
        update(big_c, |i, _| round(c * big_a[i]));
        Cpu.matmul(matrix(big_c, s)?, matrix(big_a, s)?, ViewMut::from_slice(big_b, &[s, s])?, 1.0, 0.0)?;
        update(big_b, |i, caa| round(round(b * big_a[i]) + round(caa)));
    } else {
        let aa = ViewMut::from_slice(big_b, &[s, s])?;
        matmul_symmetric(matrix(big_a, s)?, matrix(big_a, s)?, aa, 1.0, 0.0)?;
        update(big_b, |i, aa| round(round(b * big_a[i]) + round(c * round(aa))));
    }
    Cpu.matmul(matrix(big_b, s)?, matrix(x, l)?, ViewMut::from_slice(y, &[s, l])?, 1.0, 0.0)?;
    update(y, |i, bx| round(round(a * x[i]) + round(bx)));
    Ok(())
}

/// To the nearest bf16, kept in an f32.
pub(crate) fn round(v: f32) -> f32 {
    Bf16::from_f32(v).to_f32()
}

/// `data[i] = f(i, data[i])`.
pub(crate) fn update(data: &mut [f32], f: impl Fn(usize, f32) -> f32 + Sync + Send) {
    par::for_each_rows(data, 1, BLOCK, |first, data| {
        for (i, v) in data.iter_mut().enumerate() {
            *v = f(first + i, *v);
        }
    });
}

/// `y` (cols, rows) = the transpose of `x` (rows, cols).
fn transpose(x: &[f32], y: &mut [f32], (rows, cols): (usize, usize)) {
    par::for_each_rows(y, rows, par::rows_per_task(rows), |first, y| {
        for (j, y) in y.chunks_exact_mut(rows).enumerate() {
            for (i, y) in y.iter_mut().enumerate() {
                *y = x[i * cols + first + j];
            }
        }
    });
}
