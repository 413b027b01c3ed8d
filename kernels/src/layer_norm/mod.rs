//! Layer normalisation with gain and bias (Ba et al. 2016, arXiv:1607.06450), rows along the last axis:
//!
//! `y = x̂ · gain + bias`, `x̂ = (x − mean) · rstd`, `rstd = 1 / sqrt(mean((x − mean)²) + eps)`
//!
//! `x`, `y`: (…, C) in f32 or bf16, any leading strides; `gain` and the optional `bias`: (C) in f32, as weights are kept;
//! `mean`, `rstd`: (…) in f32, saved for backward. The mean is subtracted before anything is squared: with the formula
//! `mean(x²) − mean²` a mean far from zero would take the variance's digits with it. Backward, with `g = dy ∘ gain`:
//!
//! `dx = rstd · (g − mean(g) − x̂ · mean(g ∘ x̂))`, `dgain = Σ dy ∘ x̂`, `dbias = Σ dy` over all rows.
//!
//! Where to read next: `reference.rs` for the loops, `cpu.rs` for the order in which rows are summed.

mod cpu;
mod reference;
mod registry;

use crate::check;
use crate::registry::Cost;
use crate::{Backend, Result, View, ViewMut, profile};

pub use registry::KERNELS;

/// Both directions.
pub trait LayerNorm {
    /// See [`layer_norm_fwd`].
    fn layer_norm_fwd(
        &self,
        x: View,
        gain: View,
        bias: Option<View>,
        eps: f64,
        y: ViewMut,
        stats: [ViewMut; 2],
    ) -> Result<()>;
    /// See [`layer_norm_bwd`].
    fn layer_norm_bwd(
        &self,
        dy: View,
        x: View,
        gain: View,
        stats: [View; 2],
        dx: ViewMut,
        accumulate: bool,
    ) -> Result<()>;
    /// See [`layer_norm_bwd_weights`].
    fn layer_norm_bwd_weights(
        &self,
        dy: View,
        x: View,
        stats: [View; 2],
        dgain: ViewMut,
        dbias: ViewMut,
    ) -> Result<()>;
}

/// `y = (x − mean)·rstd·gain + bias`; mean and rstd of every row are kept for backward.
///
/// `x`, `y`: (…, C); `gain`, `bias`: (C), f32; `stats`: mean and rstd, each (…), f32.
pub fn layer_norm_fwd(
    b: &dyn Backend,
    x: View,
    gain: View,
    bias: Option<View>,
    eps: f64,
    y: ViewMut,
    stats: [ViewMut; 2],
) -> Result<()> {
    const OP: &str = "layer_norm_fwd";
    let row_args = [("x", x.layout(), x.dtype()), ("y", y.layout(), y.dtype())];
    let [mean, rstd] = &stats;
    let per_row = [("mean", mean.layout(), mean.dtype()), ("rstd", rstd.layout(), rstd.dtype())];
    let mut weights = vec![("gain", gain.layout(), gain.dtype())];
    weights.extend(bias.as_ref().map(|bias| ("bias", bias.layout(), bias.dtype())));
    check::normalised(OP, &row_args, &per_row, &weights)?;
    let bias_or_gain = bias.as_ref().unwrap_or(&gain);
    for (arg, out) in [("y", &y), ("mean", mean), ("rstd", rstd)] {
        check::output(OP, arg, out, &[("x", &x), ("gain", &gain), ("bias", bias_or_gain)])?;
    }
    check::disjoint(OP, "mean", &y, mean)?;
    check::disjoint(OP, "rstd", &y, rstd)?;
    check::disjoint(OP, "rstd", mean, rstd)?;
    let _timed = profile::call(OP, || Cost {
        flops: 8.0 * x.numel() as f64,
        bytes: x.traffic() + y.traffic() + gain.traffic(),
    });
    b.layer_norm_fwd(x, gain, bias, eps, y, stats)
}

/// `dx (+)= rstd·(g − mean(g) − x̂·mean(g∘x̂))`, `g = dy∘gain`; added to what `dx` holds if `accumulate`.
///
/// `dy`, `x`, `dx`: (…, C); `gain`: (C), f32; `stats`: mean and rstd, each (…), f32, as the forward pass left them.
pub fn layer_norm_bwd(
    b: &dyn Backend,
    dy: View,
    x: View,
    gain: View,
    stats: [View; 2],
    dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "layer_norm_bwd";
    let row_args =
        [("dy", dy.layout(), dy.dtype()), ("x", x.layout(), x.dtype()), ("dx", dx.layout(), dx.dtype())];
    let [mean, rstd] = &stats;
    let per_row = [("mean", mean.layout(), mean.dtype()), ("rstd", rstd.layout(), rstd.dtype())];
    check::normalised(OP, &row_args, &per_row, &[("gain", gain.layout(), gain.dtype())])?;
    let inputs = [("dy", &dy), ("x", &x), ("gain", &gain), ("mean", mean), ("rstd", rstd)];
    check::output(OP, "dx", &dx, &inputs)?;
    let _timed = profile::call(OP, || Cost {
        flops: 12.0 * x.numel() as f64,
        bytes: dy.traffic() + x.traffic() + gain.traffic() + profile::written(&dx, accumulate),
    });
    b.layer_norm_bwd(dy, x, gain, stats, dx, accumulate)
}

/// `dgain = Σ dy∘x̂`, `dbias = Σ dy` over all rows, in one pass over `dy` and `x`; both are overwritten.
///
/// `dy`, `x`: (…, C); `stats`: mean and rstd, each (…), f32; `dgain`, `dbias`: (C), f32.
pub fn layer_norm_bwd_weights(
    b: &dyn Backend,
    dy: View,
    x: View,
    stats: [View; 2],
    dgain: ViewMut,
    dbias: ViewMut,
) -> Result<()> {
    const OP: &str = "layer_norm_bwd_weights";
    let row_args = [("dy", dy.layout(), dy.dtype()), ("x", x.layout(), x.dtype())];
    let [mean, rstd] = &stats;
    let per_row = [("mean", mean.layout(), mean.dtype()), ("rstd", rstd.layout(), rstd.dtype())];
    let weights = [("dgain", dgain.layout(), dgain.dtype()), ("dbias", dbias.layout(), dbias.dtype())];
    check::normalised(OP, &row_args, &per_row, &weights)?;
    for (arg, out) in [("dgain", &dgain), ("dbias", &dbias)] {
        check::output(OP, arg, out, &[("dy", &dy), ("x", &x), ("mean", mean), ("rstd", rstd)])?;
    }
    check::disjoint(OP, "dbias", &dgain, &dbias)?;
    let _timed = profile::call(OP, || Cost {
        flops: 5.0 * x.numel() as f64,
        bytes: dy.traffic() + x.traffic() + dgain.traffic() + dbias.traffic(),
    });
    b.layer_norm_bwd_weights(dy, x, stats, dgain, dbias)
}
