//! The squared rectifier on the CPU.

use super::ReluSquared;
use crate::elementwise::{Operands, map, zip};
use crate::{Cpu, Result, View, ViewMut, planted};

/// `max(x, 0)`, NaN for NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

impl ReluSquared for Cpu {
    fn relu_squared_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        map("relu_squared_fwd", &x, &mut y, |x| relu(x) * relu(x))
    }

    fn relu_squared_bwd(&self, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        let operands = Operands { op: "relu_squared_bwd", a: ("x", &x), b: Some(("dy", &dy)), accumulate };
        let two = planted!("relu_squared.factor_of_two_missing", 2.0 => 1.0);
        zip(operands, ("dx", &mut dx), move |x, dy| two * relu(x) * dy)
    }
}

#[cfg(test)]
mod tests {
    use crate::relu_squared::relu_squared_fwd;
    use crate::{Cpu, View, ViewMut};

    #[test]
    fn negative_inputs_give_zero_and_nan_stays() {
        let (x, mut y) = ([-3.0f32, 0.0, 3.0, f32::NAN], [7.0f32; 4]);
        let x = View::from_slice(&x, &[4]).unwrap();
        relu_squared_fwd(&Cpu, x, ViewMut::from_slice(&mut y, &[4]).unwrap()).unwrap();
        assert!(y[..3] == [0.0, 0.0, 9.0] && y[3].is_nan());
    }
}
