//! Adding into a tensor on the CPU.

use super::Accumulate;
use crate::check::host;
use crate::elementwise::{Operands, zip};
use crate::{Cpu, Result, View, ViewMut, planted};

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
    let operands = Operands { op, a: ("x", x), b: None, accumulate: true };
    zip(operands, ("y", y), move |x, _| alpha * x)
}
