//! The rotation on the CPU: tokens in parallel; a token's heads share one row of the tables. Bound by memory bandwidth.

use super::Rope;
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl Rope for Cpu {
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
        match x.dtype() {
            DType::Bf16 => rotate::<Bf16>(&x, &positions, &cos, &sin, &mut y, inverse, accumulate),
            _ => rotate::<f32>(&x, &positions, &cos, &sin, &mut y, inverse, accumulate),
        }
    }
}

fn rotate<T: Float>(
    x: &View,
    positions: &View,
    cos: &View,
    sin: &View,
    y: &mut ViewMut,
    inverse: bool,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "rope";
    let &[batch, time, heads, d] = x.dims() else { return Ok(()) };
    let (x_layout, y_layout, p_layout) = (*x.layout(), *y.layout(), *positions.layout());
    let (c_layout, s_layout) = (*cos.layout(), *sin.layout());
    let x = host(OP, "x", x.base::<T>())?;
    let positions = host(OP, "positions", positions.base::<i32>())?;
    let cos = host(OP, "cos", cos.base::<f32>())?;
    let sin = host(OP, "sin", sin.base::<f32>())?;
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    let (tokens, half) = (batch * time, d / 2);
    let per_task = par::rows_per_task(heads * d);
    let sign = if planted!("rope.inverse_ignored", inverse => false) { -1.0 } else { 1.0 };
    par::for_each_task(tokens.div_ceil(per_task), |task| {
        for token in task * per_task..((task + 1) * per_task).min(tokens) {
            let position = positions[p_layout.position(token)] as usize;
            let position = planted!("rope.position_from_the_index", position => token % time);
            let (c_at, s_at) = (c_layout.row_position(position), s_layout.row_position(position));
            let (cos, sin) = (&cos[c_at..c_at + half], &sin[s_at..s_at + half]);
            for head in token * heads..(token + 1) * heads {
                let at = x_layout.row_position(head);
                // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                let y =
                    unsafe { std::slice::from_raw_parts_mut(y.get().add(y_layout.row_position(head)), d) };
                simd::vectorize(
                    #[inline(always)]
                    || rotate_row(&x[at..at + d], cos, sin, y, sign, accumulate),
                );
            }
        }
    });
    Ok(())
}

// ANCHOR: row
#[inline(always)]
fn rotate_row<T: Float>(x: &[T], cos: &[f32], sin: &[f32], y: &mut [T], sign: f32, accumulate: bool) {
    let half = cos.len();
    let ((x1, x2), (y1, y2)) = (x.split_at(half), y.split_at_mut(half));
    let sign = planted!("rope.turns_the_other_way", sign => -sign);
    let (x2, sin, y2) = (&x2[..half], &sin[..half], &mut y2[..half]);
    for j in 0..half {
        let (a, b, c, s) = (x1[j].to_f32(), x2[j].to_f32(), cos[j], sign * sin[j]);
        let (first, second) = (a * c + b * s, b * c - a * s);
        let (old1, old2) = if accumulate { (y1[j].to_f32(), y2[j].to_f32()) } else { (0.0, 0.0) };
        y1[j] = T::from_f32(if accumulate { old1 + first } else { first });
        y2[j] = T::from_f32(if accumulate { old2 + second } else { second });
    }
}
// ANCHOR_END: row
