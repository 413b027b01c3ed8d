//! Softmax and log-sum-exp along the last axis, each with its gradient, in one kernel.
//!
//! `y = exp(x − m)/s` and `lse = m + ln s`, with `m = max x` and `s = Σ exp(x − m)`: no exponential overflows, and one term of
//! `s` is 1. (Where a row is too long to be read twice, both come out of one pass: Milakov & Gimelshein 2018, "Online
//! normalizer calculation for softmax", arXiv:1805.02867, the idea of [`crate::attention`].) With `dy`, `dl` given:
//!
//! `dx = y∘(dy − Σ dy∘y)` and `dx = exp(x − lse)·dl`
//!
//! `x`, `y`: (…, C), f32 or bf16, any leading strides; `lse`: (…), f32, contiguous. Sums in f32, results rounded once;
//! what is below e⁻⁸⁷ beside the largest may be 0. A row of −∞ alone has `0/0` everywhere: softmax is NaN, as it is with an
//! element of +∞ or NaN; log-sum-exp is −∞ and +∞ there, and its gradient NaN. Where to read next: `cpu.rs`.

mod cpu;
mod reference;
mod registry;

pub use registry::KERNELS;

use crate::check::{self, FLOATS};
use crate::{Backend, DType, Layout, Result, View, ViewMut};

/// Both functions, both directions.
pub trait Softmax {
    /// See [`softmax_fwd`].
    fn softmax_fwd(&self, x: View, y: ViewMut) -> Result<()>;
    /// See [`softmax_bwd`].
    fn softmax_bwd(&self, dy: View, y: View, dx: ViewMut, accumulate: bool) -> Result<()>;
    /// See [`logsumexp_fwd`].
    fn logsumexp_fwd(&self, x: View, lse: ViewMut) -> Result<()>;
    /// See [`logsumexp_bwd`].
    fn logsumexp_bwd(&self, x: View, lse: View, dl: View, dx: ViewMut, accumulate: bool) -> Result<()>;
}

/// `y = exp(x − max x) / Σ exp(x − max x)` along the last axis. `x`, `y`: (…, C), one float dtype.
pub fn softmax_fwd(b: &dyn Backend, x: View, y: ViewMut) -> Result<()> {
    const OP: &str = "softmax_fwd";
    rows(OP, ("x", x.layout(), x.dtype()), &[("y", y.layout(), y.dtype())])?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    if y.numel() == 0 { Ok(()) } else { b.softmax_fwd(x, y) }
}

/// `dx (+)= y∘(dy − Σ dy∘y)`; added to what `dx` holds if `accumulate`.
///
/// `dy`, `y`, `dx`: (…, C), one float dtype; `y` as the forward pass left it.
pub fn softmax_bwd(b: &dyn Backend, dy: View, y: View, dx: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "softmax_bwd";
    let others = [("y", y.layout(), y.dtype()), ("dx", dx.layout(), dx.dtype())];
    rows(OP, ("dy", dy.layout(), dy.dtype()), &others)?;
    check::output(OP, "dx", &dx, &[("dy", &dy), ("y", &y)])?;
    if dx.numel() == 0 { Ok(()) } else { b.softmax_bwd(dy, y, dx, accumulate) }
}

/// `lse = ln Σ exp(x)` along the last axis; −∞ for rows of nothing. `x`: (…, C); `lse`: (…), f32, contiguous.
pub fn logsumexp_fwd(b: &dyn Backend, x: View, lse: ViewMut) -> Result<()> {
    const OP: &str = "logsumexp_fwd";
    rows(OP, ("x", x.layout(), x.dtype()), &[])?;
    statistics(OP, "lse", lse.layout(), lse.dtype(), &x)?;
    check::contiguous(OP, "lse", lse.layout())?;
    check::output(OP, "lse", &lse, &[("x", &x)])?;
    b.logsumexp_fwd(x, lse)
}

/// `dx (+)= exp(x − lse)·dl`; added to what `dx` holds if `accumulate`.
///
/// `x`, `dx`: (…, C), one float dtype; `lse`: (…), f32, contiguous, as the forward pass left it; `dl`: (…), f32, any strides.
pub fn logsumexp_bwd(
    b: &dyn Backend,
    x: View,
    lse: View,
    dl: View,
    dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "logsumexp_bwd";
    rows(OP, ("x", x.layout(), x.dtype()), &[("dx", dx.layout(), dx.dtype())])?;
    statistics(OP, "lse", lse.layout(), lse.dtype(), &x)?;
    statistics(OP, "dl", dl.layout(), dl.dtype(), &x)?;
    check::contiguous(OP, "lse", lse.layout())?;
    check::output(OP, "dx", &dx, &[("x", &x), ("lse", &lse), ("dl", &dl)])?;
    if dx.numel() == 0 { Ok(()) } else { b.logsumexp_bwd(x, lse, dl, dx, accumulate) }
}

/// An argument's name, layout and dtype.
type Named<'a> = (&'static str, &'a Layout, DType);

/// Rows of floats, all like the first.
fn rows(op: &'static str, (arg, layout, dtype): Named, others: &[Named]) -> Result<()> {
    check::dtype(op, arg, dtype, FLOATS)?;
    check::parameter(op, layout.rank() > 0, || "a scalar has no last axis; reshape it to [1]".into())?;
    check::unit_last_stride(op, arg, layout)?;
    for &(other, other_layout, other_dtype) in others {
        check::dims(op, other, other_layout.dims(), layout.dims())?;
        check::dtype(op, other, other_dtype, &[dtype])?;
        check::unit_last_stride(op, other, other_layout)?;
    }
    Ok(())
}

/// One number per row of `x`.
fn statistics(op: &'static str, arg: &'static str, layout: &Layout, dtype: DType, x: &View) -> Result<()> {
    check::dims(op, arg, layout.dims(), &x.dims()[..x.dims().len() - 1])?;
    check::dtype(op, arg, dtype, &[check::accumulator(x.dtype())])
}
