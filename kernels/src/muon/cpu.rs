//! Muon on the CPU: one streaming pass for the momentum; Newton–Schulz as matrix products with the element-wise parts
//! folded into them or done in one pass over data that is still in the cache.
//!
//! The iteration always works on a wide matrix X (s, l), s ≤ l: a tall argument is transposed while it is scaled, and
//! again while the result is written.

use super::{COEFFICIENTS, Muon, NORM_EPS};
use crate::check::host;
use crate::matmul::{Matmul, matmul_symmetric};
use crate::{Bf16, Cpu, Layout, Result, View, ViewMut, par, planted};

/// Elements per task of the element-wise passes.
const BLOCK: usize = 16384;

impl Muon for Cpu {
    fn muon_momentum(&self, mut buf: ViewMut, g: View, mut u: ViewMut, momentum: f64) -> Result<()> {
        const OP: &str = "muon_momentum";
        let g = host(OP, "g", g.as_slice::<f32>())?;
        let buf = par::SharedPtr::new(host(OP, "buf", buf.as_mut_slice::<f32>())?);
        let u = host(OP, "u", u.as_mut_slice::<f32>())?;
        let (keep, take) = (momentum as f32, (1.0 - momentum) as f32);
        par::for_each_rows(u, 1, BLOCK, |first, u| {
            let (of_g, of_buf) = planted!("muon.nesterov_missing", (take, keep) => (0.0, 1.0));
            // SAFETY: `buf` has the length of `u` (checked), and each range belongs to one task.
            let buf = unsafe { std::slice::from_raw_parts_mut(buf.get().add(first), u.len()) };
            for ((buf, u), g) in buf.iter_mut().zip(u).zip(&g[first..]) {
                *buf += take * (g - *buf);
                *u = of_g * g + of_buf * *buf;
            }
        });
        Ok(())
    }

    fn newton_schulz(
        &self,
        g: View,
        mut o: ViewMut,
        mut scratch: ViewMut,
        steps: usize,
        bf16: bool,
    ) -> Result<()> {
        const OP: &str = "newton_schulz";
        let (rows, cols) = (g.dims()[0], g.dims()[1]);
        let g = host(OP, "g", g.as_slice::<f32>())?;
        let o = host(OP, "o", o.as_mut_slice::<f32>())?;
        let scratch = host(OP, "scratch", scratch.as_mut_slice::<f32>())?;
        if g.is_empty() {
            return Ok(());
        }
        let (s, l) = (rows.min(cols), rows.max(cols));
        let (mut x, scratch) = scratch.split_at_mut(s * l);
        let (mut y, scratch) = scratch.split_at_mut(s * l);
        let squares = &mut scratch[..3 * s * s];
        scale(g, x, bf16);
        let tall = rows > cols;
        if tall {
            transpose(x, y, (rows, cols));
            std::mem::swap(&mut x, &mut y);
        }
        for _ in 0..steps {
            step(self, x, y, squares, (s, l), bf16)?;
            std::mem::swap(&mut x, &mut y);
        }
        if tall {
            transpose(x, o, planted!("muon.turned_back_with_sides_swapped", (s, l) => (l, s)))
        } else {
            o.copy_from_slice(x)
        }
        Ok(())
    }
}

/// `y = a·x + (b·A + c·A·A)·x`, `A = x·xᵀ`.
fn step(
    cpu: &Cpu,
    x: &[f32],
    y: &mut [f32],
    squares: &mut [f32],
    (s, l): (usize, usize),
    bf16: bool,
) -> Result<()> {
    let [a, b, c] = COEFFICIENTS.map(|v| v as f32);
    let (big_a, rest) = squares.split_at_mut(s * s);
    let (big_b, big_c) = rest.split_at_mut(s * s);
    let matrix = |data, cols| {
        View::from_slice_strided(data, Layout::strided(&[data.len() / cols, cols], &[cols, 1], 0)?)
    };
    let xt = View::from_slice_strided(x, Layout::strided(&[l, s], &[1, l], 0)?)?;
    matmul_symmetric(matrix(x, l)?, xt, ViewMut::from_slice(big_a, &[s, s])?, 1.0, 0.0)?;
    if !bf16 {
        // c·A·A + b·A is a product added to b times what is there; a·X is (a on the diagonal of B)·X.
        big_b.copy_from_slice(big_a);
        matmul_symmetric(matrix(big_a, s)?, matrix(big_a, s)?, ViewMut::from_slice(big_b, &[s, s])?, c, b)?;
        big_b.iter_mut().step_by(s + 1).for_each(|diagonal| *diagonal += a);
        return cpu.matmul(matrix(big_b, s)?, matrix(x, l)?, ViewMut::from_slice(y, &[s, l])?, 1.0, 0.0);
    }
    update(big_a, |_, a| round(a));
    update(big_c, |i, _| round(c * big_a[i]));
    cpu.matmul(matrix(big_c, s)?, matrix(big_a, s)?, ViewMut::from_slice(big_b, &[s, s])?, 1.0, 0.0)?;
    update(big_b, |i, caa| round(round(b * big_a[i]) + round(caa)));
    cpu.matmul(matrix(big_b, s)?, matrix(x, l)?, ViewMut::from_slice(y, &[s, l])?, 1.0, 0.0)?;
    update(y, |i, bx| round(round(a * x[i]) + round(bx)));
    Ok(())
}

/// To the nearest bf16, kept in an f32.
fn round(v: f32) -> f32 {
    Bf16::from_f32(v).to_f32()
}

/// `data[i] = f(i, data[i])`.
fn update(data: &mut [f32], f: impl Fn(usize, f32) -> f32 + Sync + Send) {
    par::for_each_rows(data, 1, BLOCK, |first, data| {
        for (i, v) in data.iter_mut().enumerate() {
            *v = f(first + i, *v);
        }
    });
}

/// `x = g / (‖g‖_F + 1e-7)`; the squares are summed in f64, blocks from left to right.
fn scale(g: &[f32], x: &mut [f32], bf16: bool) {
    let round = move |v| if bf16 { round(v) } else { v };
    let sums = par::map_blocks(g.len(), BLOCK, |block| {
        g[block].iter().map(|&v| (round(v) as f64).powi(2)).sum::<f64>()
    });
    let norm = round(sums.iter().sum::<f64>().sqrt() as f32);
    let norm = round(norm + planted!("muon.zero_divided_by_zero", NORM_EPS as f32 => 0.0));
    update(x, |i, _| round(round(g[i]) / norm));
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
