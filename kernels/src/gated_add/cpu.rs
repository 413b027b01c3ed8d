//! Gated sums on the CPU: head vectors are rows, shared between threads; the loop over a row is vectorised. Bound by memory.

use super::GatedAdd;
use crate::dot::dot;
use crate::rows::{Rows, RowsMut, each_row};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, planted};

impl GatedAdd for Cpu {
    fn gated_add_fwd(&self, v: View, g: View, u: View, mut y: ViewMut) -> Result<()> {
        match v.dtype() {
            DType::Bf16 => forward::<Bf16>(&v, &g, &u, &mut y),
            _ => forward::<f32>(&v, &g, &u, &mut y),
        }
    }
    fn gated_add_bwd_u(&self, dy: View, g: View, mut du: ViewMut, accumulate: bool) -> Result<()> {
        match dy.dtype() {
            DType::Bf16 => backward_u::<Bf16>(&dy, &g, &mut du, accumulate),
            _ => backward_u::<f32>(&dy, &g, &mut du, accumulate),
        }
    }
    fn gated_add_bwd_g(&self, dy: View, u: View, mut dg: ViewMut, accumulate: bool) -> Result<()> {
        match dy.dtype() {
            DType::Bf16 => backward_g::<Bf16>(&dy, &u, &mut dg, accumulate),
            _ => backward_g::<f32>(&dy, &u, &mut dg, accumulate),
        }
    }
}

fn forward<T: Float>(v: &View, g: &View, u: &View, y: &mut ViewMut) -> Result<()> {
    const OP: &str = "gated_add_fwd";
    let (shape, heads) = (v.layout().rows(), g.layout().rows().1);
    let (v, u) = (Rows::<T>::of(OP, "v", v)?, Rows::<T>::of(OP, "u", u)?);
    let (g, y) = (Rows::<T>::of(OP, "g", g)?, RowsMut::<T>::of(OP, "y", y)?);
    each_row(
        shape,
        #[inline(always)]
        |r| {
            let g = g.element(planted!("gated_add.first_head", r => r / heads * heads)).to_f32();
            // SAFETY: each row belongs to one task.
            let y = unsafe { y.row(r) };
            T::each(
                y,
                v.row(r),
                u.row(r),
                #[inline(always)]
                |v, u, _| v + g * u,
            );
        },
    );
    Ok(())
}

fn backward_u<T: Float>(dy: &View, g: &View, du: &mut ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "gated_add_bwd_u";
    let shape = dy.layout().rows();
    let (dy, g) = (Rows::<T>::of(OP, "dy", dy)?, Rows::<T>::of(OP, "g", g)?);
    let du = RowsMut::<T>::of(OP, "du", du)?;
    each_row(
        shape,
        #[inline(always)]
        |r| {
            // SAFETY: each row belongs to one task.
            let (du, g) = (unsafe { du.row(r) }, g.element(r).to_f32());
            let dy = dy.row(r);
            T::put(
                du,
                dy,
                dy,
                accumulate,
                #[inline(always)]
                |dy, _| g * dy,
            );
        },
    );
    Ok(())
}

fn backward_g<T: Float>(dy: &View, u: &View, dg: &mut ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "gated_add_bwd_g";
    let shape = dy.layout().rows();
    let (dy, u) = (Rows::<T>::of(OP, "dy", dy)?, Rows::<T>::of(OP, "u", u)?);
    let dg = RowsMut::<T>::of(OP, "dg", dg)?;
    each_row(
        shape,
        #[inline(always)]
        |r| {
            // SAFETY: each element belongs to one task.
            let dg = unsafe { dg.element(r) };
            let old = if accumulate { dg.to_f64() } else { 0.0 };
            *dg = T::from_f64(old + dot(dy.row(r), u.row(r)));
        },
    );
    Ok(())
}
