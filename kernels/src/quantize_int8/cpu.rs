//! int8 weights on the CPU: a task takes a tile of 32 rows, finds their scales, and writes their numbers side by side.

use super::QuantizeInt8;
use crate::check::host;
use crate::packed_linear::WIDTH;
use crate::{Cpu, Result, View, ViewMut, par, planted, simd};

impl QuantizeInt8 for Cpu {
    fn quantize_int8(&self, w: View, mut q: ViewMut, mut scale: ViewMut) -> Result<()> {
        const OP: &str = "quantize_int8";
        let k = w.dims()[1];
        let w = host(OP, "w", w.as_slice::<f32>())?;
        let q = host(OP, "q", q.as_mut_slice::<i32>())?;
        let scales = host(OP, "scale", scale.as_mut_slice::<f32>())?;
        par::for_each_rows(scales, 1, WIDTH, |first, scales| {
            for (r, scale) in scales.iter_mut().enumerate() {
                *scale = scale_of(&w[(first + r) * k..][..k]);
            }
        });
        let scales = &*scales;
        par::for_each_rows(q, k * WIDTH / 4, 1, |tile, q| {
            simd::vectorize(
                #[inline(always)]
                || {
                    q.fill(0);
                    let rows = scales.iter().enumerate().skip(tile * WIDTH).take(WIDTH);
                    for (j, &scale) in rows.filter(|(_, scale)| **scale != 0.0) {
                        let (c, row) = (j % WIDTH, &w[j * k..][..k]);
                        for (l, &v) in row.iter().enumerate() {
                            let four = &mut q[l * WIDTH / 4 + c / 4];
                            *four |= i32::from(number(v, scale) as u8) << (8 * (c % 4));
                        }
                    }
                },
            )
        });
        Ok(())
    }
}

/// `max|w|/127`; NaN if there is one.
fn scale_of(row: &[f32]) -> f32 {
    let larger = |m: f32, v: &f32| if v.abs() > m || v.is_nan() { v.abs() } else { m };
    (f64::from(row.iter().fold(0.0, larger)) / 127.0) as f32
}

/// `round(v/scale)`.
#[inline(always)]
fn number(v: f32, scale: f32) -> i8 {
    let quotient = f64::from(v) / f64::from(scale);
    let rounded =
        planted!("quantize_int8.ties_away_from_zero", quotient.round_ties_even() => quotient.round());
    planted!("quantize_int8.one_number_too_many", rounded.clamp(-127.0, 127.0) => rounded.clamp(-128.0, 126.0))
        as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_number_and_the_largest_is_127() {
        let row = [127.0f32, 0.5, 1.5, -0.5, -2.5, -127.0];
        assert_eq!(scale_of(&row), 1.0);
        assert_eq!(row.map(|v| number(v, 1.0)), [127, 0, 2, 0, -2, -127]);
    }
}
