//! One step of an iteration that applies an odd polynomial of degree five to the singular values of a wide matrix X (s, l),
//! s ≤ l, with matrix products alone: `A = X·Xᵀ`, `X ← a·X + (b·A + c·A²)·X`.
//!
//! In f32 the element-wise parts are folded into the products. In bf16 every matrix is a matrix of bf16, half the memory, and
//! its products are those of [`crate::matmul`]: pairs of bf16 where the processor multiplies them. Used by Newton–Schulz
//! ([`super::newton_schulz`]) and Polar Express ([`crate::polar_express`]), which differ in their coefficients.

use super::newton_schulz_scratch;
use crate::matmul::{Matmul, matmul_symmetric};
use crate::{Bf16, Cpu, Float, Layout, Result, View, ViewMut, par, planted, simd};

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

/// What the matrices of the iteration hold: f32 or bf16.
pub(crate) trait Number: Float {
    /// Room for a slice of these numbers in a slice of f32 that is at least as long.
    fn room(scratch: &mut [f32]) -> &mut [Self];
    /// `y = a·x + (b·A + c·A·A)·x`, `A = x·xᵀ`. `squares`: room for three matrices (s, s).
    fn step(
        x: &[Self],
        y: &mut [Self],
        squares: &mut [Self],
        sides: (usize, usize),
        coefficients: [f32; 3],
        order: Square,
    ) -> Result<()>;
}

/// `o` (R, C) = the matrix that `prepare` writes, after one step per polynomial. The iteration works on a wide matrix (s, l): a
/// tall one is transposed first, and again while the result is written. `scratch`: as [`super::newton_schulz_scratch`] says.
pub(crate) fn iterate<T: Number>(
    o: &mut [f32],
    scratch: &mut [f32],
    (rows, cols): (usize, usize),
    polynomials: impl Iterator<Item = [f64; 3]>,
    order: Square,
    prepare: impl FnOnce(&mut [T]),
) -> Result<()> {
    let (s, l) = (rows.min(cols), rows.max(cols));
    let (mut x, scratch) = T::room(scratch).split_at_mut(s * l);
    let (mut y, scratch) = scratch.split_at_mut(s * l);
    let squares = &mut scratch[..3 * s * s];
    prepare(x);
    let tall = rows > cols;
    if tall {
        transpose(x, y, (rows, cols));
        std::mem::swap(&mut x, &mut y);
    }
    for polynomial in polynomials {
        T::step(x, y, squares, (s, l), polynomial.map(|v| v as f32), order)?;
        std::mem::swap(&mut x, &mut y);
    }
    if tall {
        transpose(x, o, planted!("muon.turned_back_with_sides_swapped", (s, l) => (l, s)))
    } else {
        update(o, x, |_, x| x)
    }
    Ok(())
}

/// A matrix with so many columns.
fn matrix<T: Float>(data: &[T], cols: usize) -> Result<View<'_>> {
    View::from_slice_strided(data, Layout::strided(&[data.len() / cols, cols], &[cols, 1], 0)?)
}

/// `x·xᵀ` of a matrix (s, l).
fn square_of<T: Float>(x: &[T], (s, l): (usize, usize), big_a: &mut [T]) -> Result<()> {
    let xt = View::from_slice_strided(x, Layout::strided(&[l, s], &[1, l], 0)?)?;
    matmul_symmetric(matrix(x, l)?, xt, ViewMut::from_slice(big_a, &[s, s])?, 1.0, 0.0)
}

impl Number for f32 {
    fn room(scratch: &mut [f32]) -> &mut [f32] {
        scratch
    }
    fn step(
        x: &[f32],
        y: &mut [f32],
        squares: &mut [f32],
        (s, l): (usize, usize),
        [a, b, c]: [f32; 3],
        _: Square,
    ) -> Result<()> {
        let (big_a, rest) = squares.split_at_mut(s * s);
        let big_b = &mut rest[..s * s];
        square_of(x, (s, l), big_a)?;
        // c·A·A + b·A is a product added to b times what is there; a·X is (a on the diagonal of B)·X.
        big_b.copy_from_slice(big_a);
        matmul_symmetric(matrix(big_a, s)?, matrix(big_a, s)?, ViewMut::from_slice(big_b, &[s, s])?, c, b)?;
        big_b.iter_mut().step_by(s + 1).for_each(|diagonal| *diagonal += a);
        Cpu.matmul(matrix(big_b, s)?, matrix(x, l)?, ViewMut::from_slice(y, &[s, l])?, 1.0, 0.0)
    }
}

impl Number for Bf16 {
    fn room(scratch: &mut [f32]) -> &mut [Bf16] {
        // SAFETY: an f32 is as long as two bf16 and more strictly aligned, and every bit pattern is a number of both.
        unsafe { std::slice::from_raw_parts_mut(scratch.as_mut_ptr().cast(), 2 * scratch.len()) }
    }
    fn step(
        x: &[Bf16],
        y: &mut [Bf16],
        squares: &mut [Bf16],
        (s, l): (usize, usize),
        [a, b, c]: [f32; 3],
        order: Square,
    ) -> Result<()> {
        let (big_a, rest) = squares.split_at_mut(s * s);
        let (big_b, big_c) = rest.split_at_mut(s * s);
        square_of(x, (s, l), big_a)?;
        let aa = ViewMut::from_slice(big_b, &[s, s])?;
        if order == Square::ScaledFirst {
            update(big_c, big_a, |_, big_a| c * big_a);
            // Not symmetric to the last bit: c·A is rounded, and stands on the left.
            Cpu.matmul(matrix(big_c, s)?, matrix(big_a, s)?, aa, 1.0, 0.0)?;
            update(big_b, big_a, |caa, big_a| round(b * big_a) + caa);
        } else {
            matmul_symmetric(matrix(big_a, s)?, matrix(big_a, s)?, aa, 1.0, 0.0)?;
            update(big_b, big_a, |aa, big_a| round(b * big_a) + round(c * aa));
        }
        Cpu.matmul(matrix(big_b, s)?, matrix(x, l)?, ViewMut::from_slice(y, &[s, l])?, 1.0, 0.0)?;
        update(y, x, |bx, x| round(a * x) + bx);
        Ok(())
    }
}

/// To the nearest bf16, kept in an f32.
#[inline(always)]
fn round(v: f32) -> f32 {
    Bf16::from_f32(v).to_f32()
}

/// `data[i] = f(data[i], other[i])`, rounded once.
pub(crate) fn update<T: Float, U: Float>(
    data: &mut [T],
    other: &[U],
    f: impl Fn(f32, f32) -> f32 + Sync + Send,
) {
    par::for_each_rows(data, 1, BLOCK, |first, data| {
        let other = &other[first..][..data.len()];
        simd::vectorize(
            #[inline(always)]
            || data.iter_mut().zip(other).for_each(|(v, w)| *v = T::from_f32(f(v.to_f32(), w.to_f32()))),
        );
    });
}

/// `y` (cols, rows) = the transpose of `x` (rows, cols).
fn transpose<T: Float, U: Float>(x: &[T], y: &mut [U], (rows, cols): (usize, usize)) {
    par::for_each_rows(y, rows, par::rows_per_task(rows), |first, y| {
        for (j, y) in y.chunks_exact_mut(rows).enumerate() {
            for (i, y) in y.iter_mut().enumerate() {
                *y = U::from_f32(x[i * cols + first + j].to_f32());
            }
        }
    });
}
