//! Clipping on the CPU: a handful of numbers, and one pass over the gradient if there is anything to clip.

use super::{Clip, NORM_EPS};
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

/// Elements per task.
const PART: usize = 16384;

impl Clip for Cpu {
    fn clip_factor(&self, sums: View, max: f64, mut out: ViewMut) -> Result<()> {
        const OP: &str = "clip_factor";
        let sums = host(OP, "sums", sums.as_slice::<f32>())?;
        let sum: f64 = sums.iter().map(|s| f64::from(*s)).sum();
        let norm = planted!("clip.norm_without_the_root", sum.sqrt() => sum);
        let factor = max / (norm + NORM_EPS);
        let clips = max > 0.0 && factor < 1.0;
        let out = host(OP, "out", out.as_mut_slice::<f32>())?;
        out.copy_from_slice(&[norm as f32, if clips { factor as f32 } else { 1.0 }]);
        Ok(())
    }
    fn scale_by(&self, factor: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "scale_by";
        let base = host(OP, "factor", factor.base::<f32>())?;
        let factor = base[factor.layout().position(0)];
        if factor == 1.0 {
            return Ok(());
        }
        match y.dtype() {
            DType::Bf16 => scale(host(OP, "y", y.as_mut_slice::<Bf16>())?, factor),
            _ => scale(host(OP, "y", y.as_mut_slice::<f32>())?, factor),
        }
        Ok(())
    }
}

fn scale<T: Float>(y: &mut [T], factor: f32) {
    par::for_each_rows(y, 1, PART, |_, y| {
        simd::vectorize(
            #[inline(always)]
            || y.iter_mut().for_each(|y| *y = T::from_f32(factor * y.to_f32())),
        );
    });
}
