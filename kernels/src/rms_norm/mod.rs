//! RMSNorm without gain (Zhang & Sennrich 2019, arXiv:1910.07467): `y = x · r`, `r = 1 / sqrt(mean(x²) + eps)`.
//!
//! `x`, `y`: (…, C) in f32 or bf16, any leading strides; `r` (called `rstd`): (…) in f32. The mean is summed in f32 and
//! the result rounded once. Backward reads the *output*: with `y = x·r`,
//!
//! `dx = r · (dy − y · mean(dy ∘ y))`
//!
//! so `x` need not be kept, and `y` usually is kept anyway by the matmul that follows.
//! Where to read next: [`reference`](self) for the three loops, `cpu.rs` for the fast version.

pub(crate) mod cpu;
mod reference;

use crate::check;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Both directions.
pub trait RmsNorm {
    /// See [`rms_norm_fwd`].
    fn rms_norm_fwd(&self, x: View, eps: f64, y: ViewMut, rstd: ViewMut) -> Result<()>;
    /// See [`rms_norm_bwd`].
    fn rms_norm_bwd(&self, dy: View, y: View, rstd: View, dx: ViewMut, accumulate: bool) -> Result<()>;
}

/// `y = x · rstd`, `rstd = 1 / sqrt(mean(x²) + eps)`, rows along the last dimension.
///
/// `x`, `y`: (…, C); `rstd`: (…), f32.
pub fn rms_norm_fwd(b: &dyn Backend, x: View, eps: f64, y: ViewMut, rstd: ViewMut) -> Result<()> {
    const OP: &str = "rms_norm_fwd";
    let rows = [("x", x.layout(), x.dtype()), ("y", y.layout(), y.dtype())];
    check::normalised(OP, &rows, &[("rstd", rstd.layout(), rstd.dtype())], &[])?;
    check::output(OP, "y", &y, &[("x", &x)])?;
    check::output(OP, "rstd", &rstd, &[("x", &x)])?;
    check::disjoint(OP, "rstd", &y, &rstd)?;
    let _timed = profile::call(OP, || Cost {
        flops: 3.0 * x.numel() as f64,
        bytes: x.traffic() + y.traffic() + rstd.traffic(),
    });
    b.rms_norm_fwd(x, eps, y, rstd)
}

/// `dx (+)= rstd · (dy − y · mean(dy ∘ y))`; added to what `dx` holds if `accumulate`.
///
/// `dy`, `y`, `dx`: (…, C); `rstd`: (…), f32, as the forward pass left it.
pub fn rms_norm_bwd(
    b: &dyn Backend,
    dy: View,
    y: View,
    rstd: View,
    dx: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "rms_norm_bwd";
    let rows =
        [("dy", dy.layout(), dy.dtype()), ("y", y.layout(), y.dtype()), ("dx", dx.layout(), dx.dtype())];
    check::normalised(OP, &rows, &[("rstd", rstd.layout(), rstd.dtype())], &[])?;
    check::output(OP, "dx", &dx, &[("dy", &dy), ("y", &y), ("rstd", &rstd)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 5.0 * dy.numel() as f64,
        bytes: dy.traffic() + y.traffic() + rstd.traffic() + profile::written(&dx, accumulate),
    });
    b.rms_norm_bwd(dy, y, rstd, dx, accumulate)
}

const EPS: f64 = 1.0 / (1 << 23) as f64;

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "rms_norm_fwd",
        doc: "y = x·r, r = 1/sqrt(mean(x²) + eps)",
        samples: || SHAPES.iter().map(|&(label, dims)| forward_sample(label, dims)).collect(),
        bench: || REAL.iter().map(|&(label, dims)| forward_sample(label, dims)).collect(),
        run: |b, ins, outs, s| {
            let [y, rstd] = outs else { unreachable!("two outputs") };
            rms_norm_fwd(b, ins[0], s[0], y.reborrow(), rstd.reborrow())
        },
        scales: &[1.0, 3e-4, 0.0], // 3e-4: mean(x²) is of the size of eps
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 6.0,
        roundings: 0.0,
        magnitude: None, // one product per element, and a sum of squares, which cannot cancel
        cost: |s, bytes| Cost { flops: 3.0 * s.numel("x"), bytes: s.moved(bytes) },
    },
    KernelInfo {
        name: "rms_norm_bwd",
        doc: "dx = r·(dy − y·mean(dy∘y))",
        samples: || SHAPES.iter().map(|&(label, dims)| backward_sample(label, dims)).collect(),
        bench: || REAL.iter().map(|&(label, dims)| backward_sample(label, dims)).collect(),
        run: |b, ins, outs, s| rms_norm_bwd(b, ins[0], ins[1], ins[2], outs[0].reborrow(), s[0] != 0.0),
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 6.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            // r·(|dy| + |y|·mean|dy∘y|), plus what was there
            let c = s.dims("dy").last().copied().unwrap_or(1).max(1);
            let mut out = vec![0.0; x[0].len()];
            for (row, &r) in x[2].iter().enumerate() {
                let at = row * c..(row + 1) * c;
                let (dy, y) = (&x[0][at.clone()], &x[1][at.clone()]);
                let mean = dy.iter().zip(y).map(|(a, b)| (a * b).abs()).sum::<f64>() / c as f64;
                for (i, o) in out[at].iter_mut().enumerate() {
                    *o = r.abs() * (dy[i].abs() + y[i].abs() * mean) + x[3][row * c + i].abs();
                }
            }
            vec![out]
        }),
        cost: |s, bytes| {
            let not_read = if s.scalars[0] != 0.0 { 0.0 } else { s.bytes_of("dx", bytes) };
            Cost { flops: 5.0 * s.numel("dy"), bytes: s.moved(bytes) - not_read }
        },
    },
];

const SHAPES: &[(&str, &[usize])] = &[
    ("one element", &[1, 1]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("a vector and a tail", &[7, 33]),
    ("qk heads", &[2, 9, 4, 64]),
    ("d4.hidden", &[64, 256]),
];

const REAL: &[(&str, &[usize])] =
    &[("d4.hidden", &[8, 512, 256]), ("d12.hidden", &[8, 512, 768]), ("d12.qk", &[8, 512, 6, 128])];

fn forward_sample(label: &'static str, dims: &[usize]) -> Sample {
    let stats = &dims[..dims.len() - 1];
    Sample::new(
        label,
        vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims), Arg::out_f32("rstd", stats)],
    )
    .with(&[EPS])
}

fn backward_sample(label: &'static str, dims: &[usize]) -> Sample {
    let stats = &dims[..dims.len() - 1];
    Sample::new(
        label,
        vec![
            Arg::input("dy", dims, Draw::Normal),
            Arg::input("y", dims, Draw::Normal),
            Arg::input("rstd", stats, Draw::Uniform(0.1, 3.0)),
            Arg::inout("dx", dims, Draw::Normal),
        ],
    )
    .with(&[if dims.len().is_multiple_of(2) { 1.0 } else { 0.0 }])
}
