//! The definition of the rotation: one pair at a time.

use super::Rope;
use crate::{KernelError, Reference, Result, View, ViewMut};

impl Rope for Reference {
    fn rope(
        &self,
        x: View,
        positions: View,
        cos: View,
        sin: View,
        mut y: ViewMut,
        inverse: bool,
        accumulate: bool,
    ) -> Result<()> {
        let wrong = |arg| KernelError::WrongSpace { op: "rope", arg };
        let (rows, d) = x.layout().rows();
        let (heads, half) = (x.dims()[2], d / 2);
        let x = x.to_f64().ok_or(wrong("x"))?;
        let positions = positions.to_f64().ok_or(wrong("positions"))?;
        let cos = cos.to_f64().ok_or(wrong("cos"))?;
        let sin = sin.to_f64().ok_or(wrong("sin"))?;
        let mut ys = y.as_view().to_f64().ok_or(wrong("y"))?;
        for row in 0..rows {
            let position = positions[row / heads] as usize;
            for j in 0..half {
                let (first, second) = (row * d + j, row * d + half + j);
                let c = cos[position * half + j];
                let s = if inverse { -sin[position * half + j] } else { sin[position * half + j] };
                for (at, value) in
                    [(first, x[first] * c + x[second] * s), (second, x[second] * c - x[first] * s)]
                {
                    ys[at] = if accumulate { ys[at] + value } else { value };
                }
            }
        }
        y.store_f64(&ys);
        Ok(())
    }
}
