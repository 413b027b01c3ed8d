//! The fused residual sum and norm on the CPU: rows in parallel, each added, rounded and normalised while it is in the
//! first-level cache, by the row functions of [`crate::rms_norm`]. Four passes over memory instead of five. Bound by memory
//! bandwidth.

use super::AddRmsNorm;
use crate::check::host;
use crate::rms_norm::cpu::{backward_row, forward_row, row};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};

impl AddRmsNorm for Cpu {
    fn add_rms_norm_fwd(
        &self,
        x: View,
        r: View,
        eps: f64,
        h: ViewMut,
        y: ViewMut,
        rstd: ViewMut,
    ) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => forward::<Bf16>(&x, &r, eps as f32, h, y, rstd),
            _ => forward::<f32>(&x, &r, eps as f32, h, y, rstd),
        }
    }
    fn add_rms_norm_bwd(&self, dh: View, dy: View, y: View, rstd: View, dx: ViewMut) -> Result<()> {
        match dy.dtype() {
            DType::Bf16 => backward::<Bf16>(&dh, &dy, &y, &rstd, dx),
            _ => backward::<f32>(&dh, &dy, &y, &rstd, dx),
        }
    }
}

fn forward<T: Float>(
    x: &View,
    r: &View,
    eps: f32,
    mut h: ViewMut,
    mut y: ViewMut,
    mut rstd: ViewMut,
) -> Result<()> {
    const OP: &str = "add_rms_norm_fwd";
    let (_, c) = x.layout().rows();
    let (x_layout, r_layout) = (*x.layout(), *r.layout());
    let (h_layout, y_layout) = (*h.layout(), *y.layout());
    let (x, r) = (host(OP, "x", x.base::<T>())?, host(OP, "r", r.base::<T>())?);
    let h = par::SharedPtr::new(host(OP, "h", h.base_mut::<T>())?);
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    let rstd = host(OP, "rstd", rstd.as_mut_slice::<f32>())?;
    par::for_each_rows(rstd, 1, par::rows_per_task(c), |first, rstd| {
        simd::vectorize(
            #[inline(always)]
            || {
                for (i, rstd) in rstd.iter_mut().enumerate() {
                    let (x, r) = (row(x, &x_layout, first + i, c), row(r, &r_layout, first + i, c));
                    let h_at = h_layout.row_position(first + i);
                    let y_at = y_layout.row_position(first + i);
                    // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                    let h = unsafe { std::slice::from_raw_parts_mut(h.get().add(h_at), c) };
                    // SAFETY: as above; the two outputs share no memory (checked).
                    let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(y_at), c) };
                    for ((h, x), r) in h.iter_mut().zip(x).zip(r) {
                        *h = T::from_f32(x.to_f32() + r.to_f32());
                    }
                    *rstd = planted!("add_rms_norm.normalises_the_input",
                        forward_row(h, eps, y) => forward_row(x, eps, y));
                }
            },
        )
    });
    Ok(())
}

fn backward<T: Float>(dh: &View, dy: &View, y: &View, rstd: &View, mut dx: ViewMut) -> Result<()> {
    const OP: &str = "add_rms_norm_bwd";
    let (rows, c) = dy.layout().rows();
    let (dh_layout, dy_layout) = (*dh.layout(), *dy.layout());
    let (y_layout, dx_layout) = (*y.layout(), *dx.layout());
    let (dh, dy) = (host(OP, "dh", dh.base::<T>())?, host(OP, "dy", dy.base::<T>())?);
    let (y, rstd) = (host(OP, "y", y.base::<T>())?, host(OP, "rstd", rstd.as_slice::<f32>())?);
    let dx = par::SharedPtr::new(host(OP, "dx", dx.base_mut::<T>())?);
    let per_task = par::rows_per_task(c);
    par::for_each_task(rows.div_ceil(per_task), |task| {
        simd::vectorize(
            #[inline(always)]
            || {
                for r in task * per_task..((task + 1) * per_task).min(rows) {
                    let (dy, y) = (row(dy, &dy_layout, r, c), row(y, &y_layout, r, c));
                    let at = dx_layout.row_position(r);
                    // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                    let dx = unsafe { std::slice::from_raw_parts_mut(dx.get().add(at), c) };
                    dx.copy_from_slice(row(dh, &dh_layout, r, c));
                    let accumulate = planted!("add_rms_norm.loses_the_residual", true => false);
                    backward_row(dy, y, rstd[r], dx, accumulate);
                }
            },
        )
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::add_rms_norm::{add_rms_norm_bwd, add_rms_norm_fwd};
    use crate::binary::{BinaryOp, binary};
    use crate::philox::Philox;
    use crate::rms_norm::{rms_norm_bwd, rms_norm_fwd};
    use crate::{Cpu, Float, View, ViewMut};

    fn draw<T: Float>(stream: u64, n: usize) -> Vec<T> {
        let mut rng = Philox::new(5, stream);
        (0..n).map(|_| T::from_f64(rng.normal())).collect()
    }

    fn bits<T: Float>(x: &[T]) -> Vec<u64> {
        x.iter().map(|v| v.to_f64().to_bits()).collect()
    }

    fn fused_equals_composed<T: Float>() {
        let (rows, c) = (77, 261);
        let (dims, n, eps) = ([rows, c], rows * c, 1e-6);
        let (x, r) = (draw::<T>(0, n), draw::<T>(1, n));
        let (dh, dy) = (draw::<T>(2, n), draw::<T>(3, n));
        let view = |v| View::from_slice(v, &dims).unwrap();
        let zeros = || vec![T::default(); n];

        let (mut h, mut y, mut rstd, mut dx) = (zeros(), zeros(), vec![0.0f32; rows], zeros());
        add_rms_norm_fwd(
            &Cpu,
            view(&x),
            view(&r),
            eps,
            ViewMut::from_slice(&mut h, &dims).unwrap(),
            ViewMut::from_slice(&mut y, &dims).unwrap(),
            ViewMut::from_slice(&mut rstd, &[rows]).unwrap(),
        )
        .unwrap();
        let stats = View::from_slice(&rstd, &[rows]).unwrap();
        let out = ViewMut::from_slice(&mut dx, &dims).unwrap();
        add_rms_norm_bwd(&Cpu, view(&dh), view(&dy), view(&y), stats, out).unwrap();

        let (mut h2, mut y2, mut rstd2, mut dx2) = (zeros(), zeros(), vec![0.0f32; rows], dh.clone());
        let out = ViewMut::from_slice(&mut h2, &dims).unwrap();
        binary(&Cpu, BinaryOp::Add, view(&x), view(&r), out).unwrap();
        let (out, stats) = (ViewMut::from_slice(&mut y2, &dims), ViewMut::from_slice(&mut rstd2, &[rows]));
        rms_norm_fwd(&Cpu, view(&h2), eps, out.unwrap(), stats.unwrap()).unwrap();
        let stats = View::from_slice(&rstd2, &[rows]).unwrap();
        let out = ViewMut::from_slice(&mut dx2, &dims).unwrap();
        rms_norm_bwd(&Cpu, view(&dy), view(&y2), stats, out, true).unwrap();

        assert_eq!((bits(&h), bits(&y), bits(&rstd)), (bits(&h2), bits(&y2), bits(&rstd2)));
        assert_eq!(bits(&dx), bits(&dx2));
    }

    #[test]
    fn the_bits_are_those_of_a_sum_and_a_norm_apart() {
        fused_equals_composed::<f32>();
        fused_equals_composed::<crate::Bf16>();
    }
}
