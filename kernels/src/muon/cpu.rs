//! Muon on the CPU: one streaming pass for the momentum; Newton–Schulz as matrix products (`quintic.rs`).
//! Of several matrices each thread takes some, where they are small.

use super::quintic::{BLOCK, Number, Square, each, iterate, update};
use super::{COEFFICIENTS, Muon, NORM_EPS, matrices};
use crate::check::host;
use crate::{Bf16, Cpu, Float, Result, View, ViewMut, par, planted};

impl Muon for Cpu {
    fn muon_momentum(&self, mut buf: ViewMut, g: View, mut u: ViewMut, factors: View) -> Result<()> {
        const OP: &str = "muon_momentum";
        let g = host(OP, "g", g.as_slice::<f32>())?;
        let buf = par::SharedPtr::new(host(OP, "buf", buf.as_mut_slice::<f32>())?);
        let u = host(OP, "u", u.as_mut_slice::<f32>())?;
        let &[keep, take] = host(OP, "factors", factors.as_slice::<f32>())? else { return Ok(()) };
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
        let (n, rows, cols) = matrices(g.dims());
        let g = host(OP, "g", g.as_slice::<f32>())?;
        let o = host(OP, "o", o.as_mut_slice::<f32>())?;
        let scratch = host(OP, "scratch", scratch.as_mut_slice::<f32>())?;
        if g.is_empty() {
            return Ok(());
        }
        each(g, o, scratch, (n, rows, cols), |g, o, scratch| match bf16 {
            true => orthogonalise::<Bf16>(g, o, scratch, (rows, cols), steps),
            false => orthogonalise::<f32>(g, o, scratch, (rows, cols), steps),
        })
    }
}

fn orthogonalise<T: Number>(
    g: &[f32],
    o: &mut [f32],
    scratch: &mut [f32],
    sides: (usize, usize),
    steps: usize,
) -> Result<()> {
    let polynomials = std::iter::repeat_n(COEFFICIENTS, steps);
    iterate(o, scratch, sides, polynomials, Square::ScaledFirst, |x: &mut [T]| scale(g, x))
}

/// `x = g / (‖g‖_F + 1e-7)`; the squares are summed in f64, blocks from left to right.
fn scale<T: Float>(g: &[f32], x: &mut [T]) {
    let round = |v: f32| T::from_f32(v).to_f32();
    let sums = par::map_blocks(g.len(), BLOCK, |block| {
        g[block].iter().map(|&v| (round(v) as f64).powi(2)).sum::<f64>()
    });
    let norm = round(sums.iter().sum::<f64>().sqrt() as f32);
    let norm = round(norm + planted!("muon.zero_divided_by_zero", NORM_EPS as f32 => 0.0));
    update(x, g, |_, g| round(g) / norm);
}
