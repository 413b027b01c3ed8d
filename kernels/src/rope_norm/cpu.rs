//! The fused rotation and norm on the CPU: tokens in parallel; a token's heads share one row of the tables. A head vector is
//! turned into a buffer of f32 in the first-level cache and normalised from there. Bound by memory bandwidth.

use super::{RopeNorm, Rotation};
use crate::check::host;
use crate::rms_norm::cpu::{row, row_sum};
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, planted, simd};

impl RopeNorm for Cpu {
    fn rope_norm_fwd(
        &self,
        x: View,
        rotation: Rotation,
        gain: f64,
        eps: f64,
        y: ViewMut,
        rstd: ViewMut,
    ) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => forward::<Bf16>(&x, &rotation, gain as f32, eps as f32, y, rstd),
            _ => forward::<f32>(&x, &rotation, gain as f32, eps as f32, y, rstd),
        }
    }
    fn rope_norm_bwd(
        &self,
        dy: View,
        y: View,
        rstd: View,
        rotation: Rotation,
        gain: f64,
        dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        match dy.dtype() {
            DType::Bf16 => backward::<Bf16>(&dy, &y, &rstd, &rotation, gain as f32, dx, accumulate),
            _ => backward::<f32>(&dy, &y, &rstd, &rotation, gain as f32, dx, accumulate),
        }
    }
}

/// Positions and tables as memory.
struct Angles<'a> {
    positions: (&'a [i32], Layout),
    tables: [(&'a [f32], Layout); 2],
    half: usize,
}

impl<'a> Angles<'a> {
    fn of(op: &'static str, r: &Rotation<'a>) -> Result<Self> {
        Ok(Angles {
            positions: (host(op, "positions", r.positions.base())?, *r.positions.layout()),
            tables: [
                (host(op, "cos", r.cos.base())?, *r.cos.layout()),
                (host(op, "sin", r.sin.base())?, *r.sin.layout()),
            ],
            half: r.cos.dims()[1],
        })
    }
    /// cos and sin of a token.
    fn at(&self, token: usize) -> [&'a [f32]; 2] {
        let position = self.positions.0[self.positions.1.position(token)] as usize;
        self.tables.map(|(base, layout)| row(base, &layout, position, self.half))
    }
}

/// Call `f(head, [cos, sin], buffer)` for every head vector, in parallel over tokens; the buffer holds D numbers.
fn for_each_head(
    [tokens, heads, d]: [usize; 3],
    angles: &Angles,
    f: impl Fn(usize, [&[f32]; 2], &mut [f32]) + Sync + Send,
) {
    let per_task = par::rows_per_task(heads * d);
    par::for_each_task(tokens.div_ceil(per_task), |task| {
        let mut buffer = vec![0.0; d];
        for token in task * per_task..((task + 1) * per_task).min(tokens) {
            let tables = angles.at(token);
            (token * heads..(token + 1) * heads).for_each(|head| f(head, tables, &mut buffer));
        }
    });
}

/// One head vector forward; returns its rstd.
#[inline(always)]
fn forward_row<T: Float>(
    x: &[T],
    [cos, sin]: [&[f32]; 2],
    gain: f32,
    eps: f32,
    z: &mut [f32],
    y: &mut [T],
) -> f32 {
    let (half, d) = (cos.len(), z.len());
    let ((x1, x2), (z1, z2)) = (x.split_at(half), z.split_at_mut(half));
    let (x2, sin, z2) = (&x2[..half], &sin[..half], &mut z2[..half]);
    for j in 0..half {
        let (a, b, c, s) = (x1[j].to_f32(), x2[j].to_f32(), cos[j], sin[j]);
        (z1[j], z2[j]) = (a * c + b * s, b * c - a * s);
    }
    let mean_square = row_sum(
        z,
        z,
        #[inline(always)]
        |z, _| z * z,
    ) / d as f32;
    let rstd = 1.0 / (mean_square + eps).sqrt();
    y[..d].iter_mut().zip(z).for_each(|(y, z)| *y = T::from_f32(*z * rstd * gain));
    rstd
}

fn forward<T: Float>(
    x: &View,
    rotation: &Rotation,
    gain: f32,
    eps: f32,
    mut y: ViewMut,
    mut rstd: ViewMut,
) -> Result<()> {
    const OP: &str = "rope_norm_fwd";
    let &[batch, time, heads, d] = x.dims() else { return Ok(()) };
    let (x_layout, y_layout) = (*x.layout(), *y.layout());
    let angles = Angles::of(OP, rotation)?;
    let x = host(OP, "x", x.base::<T>())?;
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<T>())?);
    let rstd = par::SharedPtr::new(host(OP, "rstd", rstd.as_mut_slice::<f32>())?);
    for_each_head([batch * time, heads, d], &angles, |head, tables, buffer| {
        let x = row(x, &x_layout, head, d);
        // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
        let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(y_layout.row_position(head)), d) };
        let own = simd::vectorize(
            #[inline(always)]
            || forward_row(x, tables, gain, eps, buffer, y),
        );
        // SAFETY: one number per head vector (checked), written by the vector's task.
        unsafe { *rstd.get().add(head) = own };
    });
    Ok(())
}

/// One head vector backward.
#[inline(always)]
fn backward_row<T: Float>(
    [dy, y]: [&[T]; 2],
    rstd: f32,
    [cos, sin]: [&[f32]; 2],
    gain: f32,
    dz: &mut [f32],
    dx: &mut [T],
    accumulate: bool,
) {
    let (half, d) = (cos.len(), dz.len());
    let (dy, y) = (&dy[..d], &y[..d]);
    let mean = row_sum(
        dy,
        y,
        #[inline(always)]
        |dy, y| dy.to_f32() * y.to_f32(),
    ) / d as f32;
    let along = planted!("rope_norm.gain_not_divided_out", mean / gain => mean);
    (0..d).for_each(|i| dz[i] = rstd * (gain * dy[i].to_f32() - y[i].to_f32() * along));
    let ((z1, z2), (dx1, dx2)) = (dz.split_at(half), dx.split_at_mut(half));
    let (z2, sin, dx2) = (&z2[..half], &sin[..half], &mut dx2[..half]);
    for j in 0..half {
        let (a, b, c) = (z1[j], z2[j], cos[j]);
        let s = planted!("rope_norm.turns_on_instead_of_back", -sin[j] => sin[j]);
        let (first, second) = (a * c + b * s, b * c - a * s);
        let (old1, old2) = if accumulate { (dx1[j].to_f32(), dx2[j].to_f32()) } else { (0.0, 0.0) };
        dx1[j] = T::from_f32(if accumulate { old1 + first } else { first });
        dx2[j] = T::from_f32(if accumulate { old2 + second } else { second });
    }
}

fn backward<T: Float>(
    dy: &View,
    y: &View,
    rstd: &View,
    rotation: &Rotation,
    gain: f32,
    mut dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "rope_norm_bwd";
    let &[batch, time, heads, d] = dy.dims() else { return Ok(()) };
    let (dy_layout, y_layout, dx_layout) = (*dy.layout(), *y.layout(), *dx.layout());
    let angles = Angles::of(OP, rotation)?;
    let (dy, y) = (host(OP, "dy", dy.base::<T>())?, host(OP, "y", y.base::<T>())?);
    let rstd = host(OP, "rstd", rstd.as_slice::<f32>())?;
    let dx = par::SharedPtr::new(host(OP, "dx", dx.base_mut::<T>())?);
    for_each_head([batch * time, heads, d], &angles, |head, tables, buffer| {
        let rows = [row(dy, &dy_layout, head, d), row(y, &y_layout, head, d)];
        // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
        let dx = unsafe { std::slice::from_raw_parts_mut(dx.get().add(dx_layout.row_position(head)), d) };
        simd::vectorize(
            #[inline(always)]
            || backward_row(rows, rstd[head], tables, gain, buffer, dx, accumulate),
        );
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::philox::Philox;
    use crate::rms_norm::rms_norm_fwd;
    use crate::rope::rope;
    use crate::rope_norm::{Rotation, rope_norm_fwd};
    use crate::{Cpu, KernelError, View, ViewMut};

    #[test]
    fn in_f32_the_bits_are_those_of_a_rotation_and_a_norm_apart() {
        let (dims, stats) = ([2usize, 5, 3, 34], [2usize, 5, 3]);
        let n = dims.iter().product();
        let mut rng = Philox::new(9, 0);
        let x: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
        let angles: Vec<f64> = (0..12 * 17).map(|i| f64::from(i) * 0.37).collect();
        let cos: Vec<f32> = angles.iter().map(|a| a.cos() as f32).collect();
        let sin: Vec<f32> = angles.iter().map(|a| a.sin() as f32).collect();
        let positions: Vec<i32> = (0..10).map(|i| (i * 7) % 12).collect();
        let rotation = Rotation {
            positions: View::from_slice(&positions, &[2, 5]).unwrap(),
            cos: View::from_slice(&cos, &[12, 17]).unwrap(),
            sin: View::from_slice(&sin, &[12, 17]).unwrap(),
        };
        let x = View::from_slice(&x, &dims).unwrap();
        let (mut y, mut rstd) = (vec![0.0f32; n], [0.0f32; 30]);
        let fused = |gain: f64, y: &mut [f32], rstd: &mut [f32]| {
            let (y, rstd) = (ViewMut::from_slice(y, &dims)?, ViewMut::from_slice(rstd, &stats)?);
            rope_norm_fwd(&Cpu, x, rotation, gain, 1e-6, y, rstd)
        };
        fused(1.0, &mut y, &mut rstd).unwrap();

        let (mut z, mut want, mut want_rstd) = (vec![0.0f32; n], vec![0.0f32; n], [0.0f32; 30]);
        let (out, Rotation { positions, cos, sin }) = (ViewMut::from_slice(&mut z, &dims), rotation);
        rope(&Cpu, x, positions, cos, sin, out.unwrap(), false, false).unwrap();
        let (z, out) = (View::from_slice(&z, &dims).unwrap(), ViewMut::from_slice(&mut want, &dims).unwrap());
        rms_norm_fwd(&Cpu, z, 1e-6, out, ViewMut::from_slice(&mut want_rstd, &stats).unwrap()).unwrap();
        assert_eq!((&y, rstd), (&want, want_rstd));

        for gain in [0.0, -1.0, f64::NAN] {
            assert!(matches!(fused(gain, &mut y, &mut rstd), Err(KernelError::Parameter { .. })));
        }
    }
}
