//! Mixtures on the CPU: forward is one elementwise loop; the scalar's gradient is one dot product per row, rows in blocks
//! that threads share, the blocks added from left to right. Both are bound by memory.

use super::Mix;
use crate::check::host;
use crate::dot::dot;
use crate::elementwise::{Operands, zip};
use crate::rows::Rows;
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl Mix for Cpu {
    fn mix_fwd(&self, a: View, x: View, b: View, z: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "mix_fwd";
        let (a, b) = (number(OP, "a", &a)?, number(OP, "b", &b)?);
        let operands = Operands { op: OP, a: ("x", &x), b: Some(("z", &z)), accumulate: false };
        zip(operands, ("y", &mut y), move |x, z| a * x + b * z)
    }

    fn mix_bwd_scalar(&self, dy: View, x: View, mut da: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "mix_bwd_scalar";
        let [sum] = sums(OP, &dy, [&x])?;
        put(OP, sum, &mut da, accumulate)
    }

    fn mix_bwd(
        &self,
        dy: View,
        inputs: [View; 4],
        outputs: [ViewMut; 4],
        accumulate: [bool; 4],
    ) -> Result<()> {
        const OP: &str = "mix_bwd";
        let ([a, x, b, z], [mut da, dx, mut db, dz]) = (inputs, outputs);
        let [left, right] = sums(OP, &dy, [&x, &z])?;
        put(OP, left, &mut da, accumulate[0])?;
        put(OP, right, &mut db, accumulate[2])?;
        for (factor, mut out, add) in [(a, dx, accumulate[1]), (b, dz, accumulate[3])] {
            let factor = number(OP, "a", &factor)?;
            let accumulate = planted!("mix.activations_overwritten", add => false);
            let operands = Operands { op: OP, a: ("dy", &dy), b: None, accumulate };
            zip(operands, ("dx", &mut out), move |dy, _| factor * dy)?;
        }
        Ok(())
    }
}

/// `Σ dy·x` of each x.
fn sums<const N: usize>(op: &'static str, dy: &View, xs: [&View; N]) -> Result<[f64; N]> {
    match dy.dtype() {
        DType::Bf16 => sums_of_products::<Bf16, N>(op, dy, xs),
        _ => sums_of_products::<f32, N>(op, dy, xs),
    }
}

/// `da (+)= sum`, rounded once.
fn put(op: &'static str, sum: f64, da: &mut ViewMut, accumulate: bool) -> Result<()> {
    let at = da.layout().position(0);
    let da = &mut host(op, "da", da.base_mut::<f32>())?[at];
    let old = if planted!("mix.overwrites", accumulate => false) { f64::from(*da) } else { 0.0 };
    *da = (old + sum) as f32;
    Ok(())
}

fn number(op: &'static str, arg: &'static str, scalar: &View) -> Result<f32> {
    Ok(host(op, arg, scalar.base::<f32>())?[scalar.layout().position(0)])
}

fn sums_of_products<T: Float, const N: usize>(
    op: &'static str,
    dy: &View,
    xs: [&View; N],
) -> Result<[f64; N]> {
    let (rows, c) = dy.layout().rows();
    let dy = Rows::<T>::of(op, "dy", dy)?;
    let mut with = Vec::with_capacity(N);
    for x in xs {
        with.push(Rows::<T>::of(op, "x", x)?);
    }
    let blocks = par::map_blocks(rows, par::rows_per_task(c), |block| {
        let mut sums = [0.0; N];
        simd::vectorize(
            #[inline(always)]
            || {
                for r in block.clone() {
                    for (sum, x) in sums.iter_mut().zip(&with) {
                        *sum += dot(dy.row(r), x.row(r));
                    }
                }
            },
        );
        sums
    });
    let add = |total: [f64; N], block: &[f64; N]| std::array::from_fn(|i| total[i] + block[i]);
    Ok(blocks.iter().fold([0.0; N], add))
}

#[cfg(test)]
mod tests {
    use crate::mix::mix_bwd_scalar;
    use crate::{Cpu, View, ViewMut};

    #[test]
    fn a_sum_over_a_million_elements_keeps_its_digits() {
        // 2^20 ones, and a pair of large terms in different blocks that cancel.
        let (mut dy, x) = (vec![1.0f32; 1 << 20], vec![1.0f32; 1 << 20]);
        (dy[0], dy[1 << 19]) = (1e9, -1e9);
        let (dims, mut da) = ([1 << 10, 1 << 10], [5.0f32]);
        let (dy, x) = (View::from_slice(&dy, &dims).unwrap(), View::from_slice(&x, &dims).unwrap());
        mix_bwd_scalar(&Cpu, dy, x, ViewMut::from_slice(&mut da, &[1]).unwrap(), true).unwrap();
        assert_eq!(da[0], ((1 << 20) - 2 + 5) as f32);
    }
}
