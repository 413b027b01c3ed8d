//! Adding into a tensor on the CPU.

use super::Accumulate;
use crate::check::host;
use crate::elementwise::{Operands, run};
use crate::{Cpu, Result, View, ViewMut, planted, simd};

impl Accumulate for Cpu {
    fn accumulate(&self, alpha: f64, x: View, mut y: ViewMut) -> Result<()> {
        add("accumulate", planted!("accumulate.alpha_ignored", alpha as f32 => 1.0), &x, &mut y)
    }
    fn accumulate_scaled(&self, alpha: View, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "accumulate_scaled";
        let base = host(OP, "alpha", alpha.base::<f32>())?;
        add(OP, base[alpha.layout().position(0)], &x, &mut y)
    }
}

fn add(op: &'static str, alpha: f32, x: &View, y: &mut ViewMut) -> Result<()> {
    run(Operands { op, a: ("x", x), b: None, update: true }, "y", y, &move |x, _, y| {
        simd::vectorize(
            #[inline(always)]
            move || y.iter_mut().zip(x).for_each(|(y, x)| *y += alpha * x),
        );
    })
}
