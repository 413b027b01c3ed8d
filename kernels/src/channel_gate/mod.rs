//! A gate per head, read from the first channels of a row: `g = scale·σ(a)`, `a = x[…, :n]·Wᵀ`.
//!
//! Today's nanochat has two: how much of a value embedding each key/value head takes (n = 12, scale 3, so that a gate of
//! zero weights is 1.5), and how much of the previous position is smeared into this one (n = 24, one head, scale 1).
//! `x`: (…, C) and `g`: (…, heads) in f32 or bf16, any leading strides; `W`: (heads, n) stays in f32, n ≤ C. Computed in
//! f32, rounded once.
//!
//! With `σ' = σ(1−σ)`: `da = dg·scale·σ(1−σ)`, `dx[:n] += da·W`, `dW += daᵀ·x[:n]` (the sum over rows in f64). Backward computes
//! `a` again rather than read `σ` off the gate: a gate near its end has been rounded to it, and its slope to zero.
//! No paper: from nanochat's code. So few channels make no matrix product worth its name; read next: `cpu.rs` for how they are vectorised.

mod cpu;
mod reference;
mod registry;

use crate::check::{self, FLOATS};
use crate::registry::Cost;
use crate::{Backend, DType, Layout, Result, View, ViewMut, profile};

pub use registry::KERNELS;

/// The gate and its two gradients.
pub trait ChannelGate {
    /// See [`channel_gate_fwd`].
    fn channel_gate_fwd(&self, x: View, w: View, scale: f64, g: ViewMut) -> Result<()>;
    /// See [`channel_gate_bwd_x`].
    fn channel_gate_bwd_x(
        &self,
        dg: View,
        x: View,
        w: View,
        scale: f64,
        dx: ViewMut,
        accumulate: bool,
    ) -> Result<()>;
    /// See [`channel_gate_bwd_w`].
    fn channel_gate_bwd_w(
        &self,
        dg: View,
        x: View,
        w: View,
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
    shapes(OP, &x, ("g", g.layout(), g.dtype()), &w, scale)?;
    check::output(OP, "g", &g, &[("x", &x), ("w", &w)])?;
    let _timed = profile::call(OP, || Cost {
        flops: gate_flops(&g.as_view(), &w),
        bytes: x.traffic() * w.dims()[1] as f64 / x.dims()[x.dims().len() - 1].max(1) as f64
            + w.traffic()
            + g.traffic(),
    });
    b.channel_gate_fwd(x, w, scale, g)
}

/// `dx[…, :n] (+)= da·W` with `da = dg·scale·σ(1−σ)`. If `accumulate`, added to what `dx` holds; else the channels from n on
/// become zero.
///
/// `dg`: (…, heads); `dx`: (…, C); the rest as in [`channel_gate_fwd`].
pub fn channel_gate_bwd_x(
    b: &dyn Backend,
    dg: View,
    x: View,
    w: View,
    scale: f64,
    dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "channel_gate_bwd_x";
    shapes(OP, &x, ("dg", dg.layout(), dg.dtype()), &w, scale)?;
    check::dims(OP, "dx", dx.dims(), x.dims())?;
    check::dtype(OP, "dx", dx.dtype(), &[x.dtype()])?;
    check::unit_last_stride(OP, "dx", dx.layout())?;
    check::output(OP, "dx", &dx, &[("dg", &dg), ("x", &x), ("w", &w)])?;
    let _timed = profile::call(OP, || Cost {
        flops: gate_flops(&dg, &w),
        bytes: x.traffic() * w.dims()[1] as f64 / x.dims()[x.dims().len() - 1].max(1) as f64
            + dg.traffic()
            + w.traffic()
            + profile::written(&dx, accumulate),
    });
    b.channel_gate_bwd_x(dg, x, w, scale, dx, accumulate)
}

/// `dW (+)= daᵀ·x[…, :n]` with `da = dg·scale·σ(1−σ)`, summed over all rows; added to what `dw` holds if `accumulate`.
///
/// `dg`: (…, heads); `dw`: (heads, n), as `w`; the rest as in [`channel_gate_fwd`].
pub fn channel_gate_bwd_w(
    b: &dyn Backend,
    dg: View,
    x: View,
    w: View,
    scale: f64,
    dw: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "channel_gate_bwd_w";
    shapes(OP, &x, ("dg", dg.layout(), dg.dtype()), &w, scale)?;
    check::dims(OP, "dw", dw.dims(), w.dims())?;
    check::dtype(OP, "dw", dw.dtype(), &[w.dtype()])?;
    check::unit_last_stride(OP, "dw", dw.layout())?;
    check::output(OP, "dw", &dw, &[("dg", &dg), ("x", &x), ("w", &w)])?;
    let _timed = profile::call(OP, || Cost {
        flops: gate_flops(&dg, &w),
        bytes: x.traffic() * w.dims()[1] as f64 / x.dims()[x.dims().len() - 1].max(1) as f64
            + dg.traffic()
            + profile::written(&dw, accumulate),
    });
    b.channel_gate_bwd_w(dg, x, w, scale, dw, accumulate)
}

/// Per gate, a product with n channels and a sigmoid.
fn gate_flops(g: &View, w: &View) -> f64 {
    g.numel() as f64 * (2.0 * w.dims()[1] as f64 + 8.0)
}

/// Rows (…, C), gates (…, heads) and weights (heads, n) that fit.
fn shapes(
    op: &'static str,
    x: &View,
    gate: (&'static str, &Layout, DType),
    w: &View,
    scale: f64,
) -> Result<()> {
    check::dtype(op, "x", x.dtype(), FLOATS)?;
    check::rank(op, "w", w.dims(), 2, "(heads, n)")?;
    let [heads, n] = [w.dims()[0], w.dims()[1]];
    let c = x.dims().last().copied().unwrap_or(0);
    check::parameter(op, n <= c, || format!("a gate on {n} channels needs rows of as many, these have {c}"))?;
    let lead = &x.dims()[..x.dims().len().saturating_sub(1)];
    check::dims(op, gate.0, gate.1.dims(), &[lead, &[heads]].concat())?;
    check::dtype(op, gate.0, gate.2, &[x.dtype()])?;
    check::dtype(op, "w", w.dtype(), &[check::accumulator(x.dtype())])?;
    check::parameter(op, scale > 0.0, || format!("scale is {scale}, not a positive number"))?;
    let layouts = [("x", x.layout()), (gate.0, gate.1), ("w", w.layout())];
    layouts.iter().try_for_each(|(arg, layout)| check::unit_last_stride(op, arg, layout))
}
