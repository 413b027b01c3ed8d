//! Smearing on the CPU: rows are shared between threads; the row before was just read by the same thread, so it comes
//! from the cache, and each array crosses the memory bus once. The loop over a row is vectorised.

use super::Smear;
use crate::dot::dot;
use crate::rows::{Rows, RowsMut, each_row};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, planted};

impl Smear for Cpu {
    fn smear_fwd(&self, x: View, g: View, prev: Option<View>, mut y: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => forward::<Bf16>(&x, &g, prev, &mut y),
            _ => forward::<f32>(&x, &g, prev, &mut y),
        }
    }
    fn smear_bwd_x(&self, dy: View, g: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        match dy.dtype() {
            DType::Bf16 => backward_x::<Bf16>(&dy, &g, &mut dx, accumulate),
            _ => backward_x::<f32>(&dy, &g, &mut dx, accumulate),
        }
    }
    fn smear_bwd_g(
        &self,
        dy: View,
        x: View,
        prev: Option<View>,
        mut dg: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        match dy.dtype() {
            DType::Bf16 => backward_g::<Bf16>(&dy, &x, prev, &mut dg, accumulate),
            _ => backward_g::<f32>(&dy, &x, prev, &mut dg, accumulate),
        }
    }
}

/// The row before row `r` of all B·T, if there is one in its sequence or in `prev`.
#[inline(always)]
fn before<'a, T: Float>(
    x: &Rows<'a, T>,
    prev: &Option<Rows<'a, T>>,
    r: usize,
    positions: usize,
) -> Option<&'a [T]> {
    let first = planted!("smear.across_sequences", r.is_multiple_of(positions) => r == 0);
    match first {
        true => prev.as_ref().map(|prev| prev.row(r / positions)),
        false => Some(x.row(r - 1)),
    }
}

fn forward<T: Float>(x: &View, g: &View, prev: Option<View>, y: &mut ViewMut) -> Result<()> {
    const OP: &str = "smear_fwd";
    let (positions, shape) = (x.dims()[1], x.layout().rows());
    let (x, g) = (Rows::<T>::of(OP, "x", x)?, Rows::<T>::of(OP, "g", g)?);
    let prev = prev.map(|prev| Rows::<T>::of(OP, "prev", &prev)).transpose()?;
    let y = RowsMut::<T>::of(OP, "y", y)?;
    each_row(
        shape,
        #[inline(always)]
        |r| {
            // SAFETY: each row belongs to one task.
            let y = unsafe { y.row(r) };
            let Some(before) = before(&x, &prev, r, positions) else { return y.copy_from_slice(x.row(r)) };
            let g = g.element(r).to_f32();
            T::each(
                y,
                x.row(r),
                before,
                #[inline(always)]
                |x, before, _| x + g * before,
            );
        },
    );
    Ok(())
}

fn backward_x<T: Float>(dy: &View, g: &View, dx: &mut ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "smear_bwd_x";
    let (positions, shape) = (dy.dims()[1], dy.layout().rows());
    let (dy, g) = (Rows::<T>::of(OP, "dy", dy)?, Rows::<T>::of(OP, "g", g)?);
    let dx = RowsMut::<T>::of(OP, "dx", dx)?;
    each_row(
        shape,
        #[inline(always)]
        |r| {
            // SAFETY: each row belongs to one task.
            let dx = unsafe { dx.row(r) };
            let here = dy.row(r);
            // After the last position comes nothing: zero times its own row would turn an infinity into NaN.
            if (r + 1).is_multiple_of(positions) {
                for (dx, here) in dx.iter_mut().zip(here) {
                    *dx = if accumulate { T::from_f32(dx.to_f32() + here.to_f32()) } else { *here };
                }
                return;
            }
            let g = g.element(planted!("smear.gate_of_this_position", r + 1 => r)).to_f32();
            let after = dy.row(r + 1);
            T::put(
                dx,
                here,
                after,
                accumulate,
                #[inline(always)]
                |here, after| here + g * after,
            );
        },
    );
    Ok(())
}

fn backward_g<T: Float>(
    dy: &View,
    x: &View,
    prev: Option<View>,
    dg: &mut ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "smear_bwd_g";
    let (positions, shape) = (x.dims()[1], x.layout().rows());
    let (dy, x) = (Rows::<T>::of(OP, "dy", dy)?, Rows::<T>::of(OP, "x", x)?);
    let prev = prev.map(|prev| Rows::<T>::of(OP, "prev", &prev)).transpose()?;
    let dg = RowsMut::<T>::of(OP, "dg", dg)?;
    each_row(
        shape,
        #[inline(always)]
        |r| {
            let sum = before(&x, &prev, r, positions).map_or(0.0, |before| dot(dy.row(r), before));
            // SAFETY: each element belongs to one task.
            let dg = unsafe { dg.element(r) };
            let old = if accumulate { dg.to_f64() } else { 0.0 };
            *dg = T::from_f64(old + sum);
        },
    );
    Ok(())
}
