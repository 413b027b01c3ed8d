//! Rotary position embedding and the norm of queries and keys (Dehghani et al. 2023, arXiv:2302.05442, without weights), fused:
//!
//! `z = R(position)·x`, `y = gain · z · rstd`, `rstd = 1 / sqrt(mean(z²) + eps)` for every head vector
//!
//! `x`, `y`: (B, T, H, D) in f32 or bf16, any leading strides; positions and tables as in [`crate::rope`]; `rstd`: (B, T, H) in
//! f32; `gain` one constant: above 1 it sharpens the attention that follows. Computed in f32 and rounded once, where the two
//! kernels apart round after the rotation, too. In f32 the bits are the same.
//!
//! Backward reads the output and `rstd`, not `x`. With `n = y/gain`, RMSNorm's gradient for `dn = gain·dy` is
//! `dz = rstd·(gain·dy − y·mean(dy ∘ y)/gain)`; the rotation's transpose turns it back: `dx = R(position)ᵀ·dz`.
//!
//! Where to read next: `cpu.rs`, [`crate::attention`], which the result enters.

mod cpu;
mod reference;
mod registry;

use crate::check::{self, FLOATS};
use crate::registry::Cost;
use crate::rope::tables;
use crate::{Backend, Result, View, ViewMut, profile};

pub use registry::KERNELS;

/// Where head vectors are in their sequences, and by how much each place turns them.
#[derive(Clone, Copy)]
pub struct Rotation<'a> {
    /// (B, T) ids in `0..P`.
    pub positions: View<'a>,
    /// (P, D/2), f32, unit last stride.
    pub cos: View<'a>,
    /// (P, D/2), f32, unit last stride.
    pub sin: View<'a>,
}

/// Both directions.
pub trait RopeNorm {
    /// See [`rope_norm_fwd`].
    fn rope_norm_fwd(
        &self,
        x: View,
        rotation: Rotation,
        gain: f64,
        eps: f64,
        y: ViewMut,
        rstd: ViewMut,
    ) -> Result<()>;
    /// See [`rope_norm_bwd`].
    fn rope_norm_bwd(
        &self,
        dy: View,
        y: View,
        rstd: View,
        rotation: Rotation,
        gain: f64,
        dx: ViewMut,
        accumulate: bool,
    ) -> Result<()>;
}

/// `y = gain·z·rstd`, `z = R(position)·x`, `rstd = 1/sqrt(mean(z²) + eps)`.
///
/// `x`, `y`: (B, T, H, D), D even, unit last stride; `rstd`: (B, T, H), f32; `gain` > 0.
pub fn rope_norm_fwd(
    b: &dyn Backend,
    x: View,
    rotation: Rotation,
    gain: f64,
    eps: f64,
    y: ViewMut,
    rstd: ViewMut,
) -> Result<()> {
    const OP: &str = "rope_norm_fwd";
    let Rotation { positions, cos, sin } = rotation;
    heads(OP, ("x", &x), &rotation, gain)?;
    alike(OP, ("y", &y.as_view()), &x)?;
    stats(OP, &rstd.as_view(), &x)?;
    let inputs = [("x", &x), ("positions", &positions), ("cos", &cos), ("sin", &sin)];
    check::output(OP, "y", &y, &inputs)?;
    check::output(OP, "rstd", &rstd, &inputs)?;
    check::disjoint(OP, "rstd", &y, &rstd)?;
    let _timed = profile::call(OP, || Cost {
        flops: 7.0 * x.numel() as f64,
        bytes: x.traffic() + y.traffic() + rstd.traffic(),
    });
    b.rope_norm_fwd(x, rotation, gain, eps, y, rstd)
}

/// `dx (+)= R(position)ᵀ·rstd·(gain·dy − y·mean(dy∘y)/gain)`; added to what `dx` holds if `accumulate`.
///
/// `dy`, `y`, `dx`: (B, T, H, D); `rstd`: (B, T, H), f32, as the forward pass left it.
pub fn rope_norm_bwd(
    b: &dyn Backend,
    dy: View,
    y: View,
    rstd: View,
    rotation: Rotation,
    gain: f64,
    dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "rope_norm_bwd";
    let Rotation { positions, cos, sin } = rotation;
    heads(OP, ("dy", &dy), &rotation, gain)?;
    alike(OP, ("y", &y), &dy)?;
    alike(OP, ("dx", &dx.as_view()), &dy)?;
    stats(OP, &rstd, &dy)?;
    let inputs =
        [("dy", &dy), ("y", &y), ("rstd", &rstd), ("positions", &positions), ("cos", &cos), ("sin", &sin)];
    check::output(OP, "dx", &dx, &inputs)?;
    let _timed = profile::call(OP, || Cost {
        flops: 9.0 * dy.numel() as f64,
        bytes: dy.traffic() + y.traffic() + rstd.traffic() + profile::written(&dx, accumulate),
    });
    b.rope_norm_bwd(dy, y, rstd, rotation, gain, dx, accumulate)
}

fn heads(op: &'static str, (arg, x): check::Arg, rotation: &Rotation, gain: f64) -> Result<()> {
    check::dtype(op, arg, x.dtype(), FLOATS)?;
    check::rank(op, arg, x.dims(), 4, "(B, T, H, D)")?;
    check::unit_last_stride(op, arg, x.layout())?;
    check::parameter(op, gain > 0.0 && gain.is_finite(), || {
        format!("a gain of {gain} cannot be divided out again; it must be positive")
    })?;
    tables(op, x, &rotation.positions, &rotation.cos, &rotation.sin)
}

fn alike(op: &'static str, (arg, view): check::Arg, x: &View) -> Result<()> {
    check::dims(op, arg, view.dims(), x.dims())?;
    check::dtype(op, arg, view.dtype(), &[x.dtype()])?;
    check::unit_last_stride(op, arg, view.layout())
}

fn stats(op: &'static str, rstd: &View, x: &View) -> Result<()> {
    check::dims(op, "rstd", rstd.dims(), &x.dims()[..3])?;
    check::dtype(op, "rstd", rstd.dtype(), &[check::accumulator(x.dtype())])?;
    check::contiguous(op, "rstd", rstd.layout())
}
