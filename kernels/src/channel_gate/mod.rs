//! A gate per head, read from the first channels of a row: `g = scale·σ(a)`, `a = x[…, :n]·Wᵀ`.
//!
//! Today's nanochat has two: how much of a value embedding each key/value head takes (n = 12, scale 3, so that a gate of
//! zero weights is 1.5), and how much of the previous position is smeared into this one (n = 24, one head, scale 1).
//! `x`: (…, C) and `g`: (…, heads) in f32 or bf16, any leading strides; `W`: (heads, n) stays in f32, n ≤ C. Computed in
//! f32, rounded once.
//!
//! With `σ' = σ(1−σ)`: `da = dg·g·(1 − g/scale)`, `dx[:n] += da·W`, `dW += daᵀ·x[:n]` (the sum over rows in f64).
//! So few channels make no matrix product worth its name; read next: `cpu.rs` for how they are vectorised.

mod cpu;
mod reference;
mod registry;

use crate::check::{self, FLOATS};
use crate::{Backend, DType, Layout, Result, View, ViewMut};

pub use registry::KERNELS;

/// The gate and its two gradients.
pub trait ChannelGate {
    /// See [`channel_gate_fwd`].
    fn channel_gate_fwd(&self, x: View, w: View, scale: f64, g: ViewMut) -> Result<()>;
    /// See [`channel_gate_bwd_x`].
    fn channel_gate_bwd_x(
        &self,
        dg: View,
        g: View,
        w: View,
        scale: f64,
        dx: ViewMut,
        accumulate: bool,
    ) -> Result<()>;
    /// See [`channel_gate_bwd_w`].
    fn channel_gate_bwd_w(
        &self,
        dg: View,
        g: View,
        x: View,
        scale: f64,
        dw: ViewMut,
        accumulate: bool,
    ) -> Result<()>;
}

/// `g = scale·σ(x[…, :n]·Wᵀ)`.
///
/// `x`: (…, C), `g`: (…, heads), one dtype; `w`: (heads, n), n ≤ C, f32 (f64 where the others are).
pub fn channel_gate_fwd(b: &dyn Backend, x: View, w: View, scale: f64, g: ViewMut) -> Result<()> {
    const OP: &str = "channel_gate_fwd";
    let args = [("x", x.layout(), x.dtype()), ("g", g.layout(), g.dtype()), ("w", w.layout(), w.dtype())];
    shapes(OP, args, scale)?;
    check::output(OP, "g", &g, &[("x", &x), ("w", &w)])?;
    b.channel_gate_fwd(x, w, scale, g)
}

/// `dx[…, :n] (+)= da·W` with `da = dg·g·(1 − g/scale)`. If `accumulate`, added to what `dx` holds; else the channels from n
/// on become zero.
///
/// `g`: the gate as forward left it; `dx`: (…, C); the rest as in [`channel_gate_fwd`].
pub fn channel_gate_bwd_x(
    b: &dyn Backend,
    dg: View,
    g: View,
    w: View,
    scale: f64,
    dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "channel_gate_bwd_x";
    let args = [("dx", dx.layout(), dx.dtype()), ("g", g.layout(), g.dtype()), ("w", w.layout(), w.dtype())];
    shapes(OP, args, scale)?;
    like(OP, "dg", &dg, &g)?;
    check::output(OP, "dx", &dx, &[("dg", &dg), ("g", &g), ("w", &w)])?;
    b.channel_gate_bwd_x(dg, g, w, scale, dx, accumulate)
}

/// `dW (+)= daᵀ·x[…, :n]` with `da = dg·g·(1 − g/scale)`, summed over all rows; added to what `dw` holds if `accumulate`.
///
/// `g`: the gate as forward left it; `dw`: (heads, n); the rest as in [`channel_gate_fwd`].
pub fn channel_gate_bwd_w(
    b: &dyn Backend,
    dg: View,
    g: View,
    x: View,
    scale: f64,
    dw: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "channel_gate_bwd_w";
    let args = [("x", x.layout(), x.dtype()), ("g", g.layout(), g.dtype()), ("dw", dw.layout(), dw.dtype())];
    shapes(OP, args, scale)?;
    like(OP, "dg", &dg, &g)?;
    check::output(OP, "dw", &dw, &[("dg", &dg), ("g", &g), ("x", &x)])?;
    b.channel_gate_bwd_w(dg, g, x, scale, dw, accumulate)
}

type Described<'a> = (&'static str, &'a Layout, DType);

/// Rows (…, C), gates (…, heads) and weights (heads, n) that fit.
fn shapes(op: &'static str, [rows, gates, weights]: [Described; 3], scale: f64) -> Result<()> {
    let (dims, dtype) = (rows.1.dims(), rows.2);
    check::dtype(op, rows.0, dtype, FLOATS)?;
    check::rank(op, weights.0, weights.1.dims(), 2, "(heads, n)")?;
    let [heads, n] = [weights.1.dims()[0], weights.1.dims()[1]];
    let c = dims.last().copied().unwrap_or(0);
    check::parameter(op, n <= c, || format!("a gate on {n} channels needs rows of as many, these have {c}"))?;
    check::dims(op, gates.0, gates.1.dims(), &[&dims[..dims.len().saturating_sub(1)], &[heads]].concat())?;
    check::dtype(op, gates.0, gates.2, &[dtype])?;
    check::dtype(op, weights.0, weights.2, &[check::accumulator(dtype)])?;
    check::parameter(op, scale > 0.0, || format!("scale is {scale}, not a positive number"))?;
    [rows, gates, weights].iter().try_for_each(|(arg, layout, _)| check::unit_last_stride(op, arg, layout))
}

fn like(op: &'static str, arg: &'static str, dg: &View, g: &View) -> Result<()> {
    check::dims(op, arg, dg.dims(), g.dims())?;
    check::dtype(op, arg, dg.dtype(), &[g.dtype()])?;
    check::unit_last_stride(op, arg, dg.layout())
}
