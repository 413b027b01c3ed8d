//! Soft-capped cross entropy over a vocabulary, in place.
//!
//! Logits are the largest tensor of a training step, so there is one copy of them: forward turns raw logits into capped
//! ones, backward turns capped logits into their own gradient. With `c = softcap` and `z = c·tanh(raw/c)` (as in Gemma 2,
//! arXiv:2408.00118; `c = 0` means no cap),
//!
//! `lse = ln Σ_v exp(z_v)`, `loss = lse − z_target`, `d raw = weight·(softmax(z) − onehot)·(1 − (z/c)²)`.
//!
//! Raw and `z`: (N, V) in f32, one buffer; targets, `loss`, `lse`, `weight`: (N). The sums of `lse` are kept in f32 or
//! wider. A target of −1 is ignored: its loss and its gradient are 0. There is no mean here: the caller sums the losses
//! and passes `weight = upstream / valid rows`, so a batch without a single valid target gives zeros and never 0/0.
//! Rows may be a part of wider ones (a vocabulary padded for the matmul). Where to read next: `cpu.rs` for the passes
//! over a row.

mod cpu;
mod reference;
mod registry;

pub use registry::KERNELS;

use crate::check::{self, accumulator};
use crate::registry::Cost;
use crate::{Backend, DType, KernelError, Layout, Result, View, ViewMut, profile};

/// Both directions.
pub trait CrossEntropy {
    /// See [`softcap_cross_entropy_fwd`].
    fn softcap_cross_entropy_fwd(
        &self,
        z: ViewMut,
        targets: View,
        softcap: f32,
        loss: ViewMut,
        lse: ViewMut,
    ) -> Result<()>;
    /// See [`softcap_cross_entropy_bwd`].
    fn softcap_cross_entropy_bwd(
        &self,
        z: ViewMut,
        targets: View,
        softcap: f32,
        lse: View,
        weight: View,
    ) -> Result<()>;
}

/// `z ← softcap·tanh(z/softcap)` (unchanged if `softcap` is 0), `lse = ln Σ exp(z)`, `loss = lse − z[target]`, 0 where the
/// target is −1.
///
/// `z`: (N, V) f32, unit last stride, updated; `targets`: (N) in `-1..V`, any stride; `loss`, `lse`: (N) f32, contiguous.
pub fn softcap_cross_entropy_fwd(
    b: &dyn Backend,
    z: ViewMut,
    targets: View,
    softcap: f32,
    loss: ViewMut,
    lse: ViewMut,
) -> Result<()> {
    const OP: &str = "softcap_cross_entropy_fwd";
    logits(OP, z.layout(), z.dtype(), softcap)?;
    let n = [z.dims()[0]];
    for (arg, out) in [("loss", &loss), ("lse", &lse)] {
        check::dims(OP, arg, out.dims(), &n)?;
        check::dtype(OP, arg, out.dtype(), &[accumulator(z.dtype())])?;
        check::contiguous(OP, arg, out.layout())?;
        check::output(OP, arg, out, &[("targets", &targets)])?;
        check::disjoint(OP, arg, out, &z)?;
    }
    check::disjoint(OP, "lse", &loss, &lse)?;
    check::output(OP, "z", &z, &[("targets", &targets)])?;
    in_range(OP, &targets, n[0], z.dims()[1])?;
    let _timed = profile::call(OP, || Cost { flops: 5.0 * z.numel() as f64, bytes: 2.0 * z.traffic() });
    b.softcap_cross_entropy_fwd(z, targets, softcap, loss, lse)
}

/// `z ← weight·(softmax(z) − onehot(target))·(1 − (z/softcap)²)`, the gradient with respect to the raw logits; 0 where the
/// target is −1.
///
/// `z`: (N, V) f32, the capped logits, unit last stride, updated; `lse`: (N) as forward left it, contiguous;
/// `weight`: (N) f32, any stride (0 for one number for all rows).
pub fn softcap_cross_entropy_bwd(
    b: &dyn Backend,
    z: ViewMut,
    targets: View,
    softcap: f32,
    lse: View,
    weight: View,
) -> Result<()> {
    const OP: &str = "softcap_cross_entropy_bwd";
    logits(OP, z.layout(), z.dtype(), softcap)?;
    let n = [z.dims()[0]];
    for (arg, view) in [("lse", &lse), ("weight", &weight)] {
        check::dims(OP, arg, view.dims(), &n)?;
        check::dtype(OP, arg, view.dtype(), &[accumulator(z.dtype())])?;
    }
    check::contiguous(OP, "lse", lse.layout())?;
    check::output(OP, "z", &z, &[("targets", &targets), ("lse", &lse), ("weight", &weight)])?;
    in_range(OP, &targets, n[0], z.dims()[1])?;
    let _timed = profile::call(OP, || Cost { flops: 7.0 * z.numel() as f64, bytes: 2.0 * z.traffic() });
    b.softcap_cross_entropy_bwd(z, targets, softcap, lse, weight)
}

fn logits(op: &'static str, z: &Layout, dtype: DType, softcap: f32) -> Result<()> {
    check::rank(op, "z", z.dims(), 2, "(N, V)")?;
    check::dtype(op, "z", dtype, &[DType::F32, DType::F64])?;
    check::unit_last_stride(op, "z", z)?;
    check::parameter(op, softcap >= 0.0 && softcap.is_finite(), || {
        format!("softcap {softcap} must be positive, or 0 for none")
    })
}

/// Targets are ids, or −1 for a row that does not count.
fn in_range(op: &'static str, targets: &View, rows: usize, vocab: usize) -> Result<()> {
    check::dims(op, "targets", targets.dims(), &[rows])?;
    check::dtype(op, "targets", targets.dtype(), &[DType::I32])?;
    let Some(base) = targets.base::<i32>() else { return Ok(()) };
    for index in 0..rows {
        let value = base[targets.layout().position(index)];
        if value < -1 || value >= vocab as i32 {
            let value = value.into();
            return Err(KernelError::IndexOutOfRange { op, arg: "targets", index, value, limit: vocab });
        }
    }
    Ok(())
}
