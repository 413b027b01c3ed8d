//! The definition of int8 weights.

use super::QuantizeInt8;
use crate::{KernelError, Reference, Result, View, ViewMut};

impl QuantizeInt8 for Reference {
    fn quantize_int8(&self, w: View, mut q: ViewMut, mut scale: ViewMut) -> Result<()> {
        let (n, k) = (w.dims()[0], w.dims()[1]);
        let w = w.to_f64().ok_or(KernelError::WrongSpace { op: "quantize_int8", arg: "w" })?;
        let mut scales = vec![0.0; n];
        let mut fours = vec![[0u8; 4]; q.numel()];
        for j in 0..n {
            let row = &w[j * k..(j + 1) * k];
            let largest =
                row.iter().fold(0.0, |m: f64, v| if v.abs() > m || v.is_nan() { v.abs() } else { m });
            scales[j] = f64::from((largest / 127.0) as f32);
            for l in 0..k {
                let number = if scales[j] == 0.0 { 0.0 } else { row[l] / scales[j] };
                let number = number.round_ties_even().clamp(-127.0, 127.0) as i8;
                fours[(j / 32 * k + l) * 8 + j % 32 / 4][j % 4] = number as u8;
            }
        }
        q.store_f64(&fours.iter().map(|four| f64::from(i32::from_le_bytes(*four))).collect::<Vec<f64>>());
        scale.store_f64(&scales);
        Ok(())
    }
}
