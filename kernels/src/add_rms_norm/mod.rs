//! The residual sum and the RMSNorm that reads it, in one pass over memory:
//!
//! `h = x + r`, `y = h · rstd`, `rstd = 1 / sqrt(mean(h²) + eps)`
//!
//! A transformer's block adds a branch to the residual stream and normalises the sum at once. Done apart, the sum is written
//! and read again; here a row of it is still in the first-level cache when it is normalised. `h` is rounded to the dtype and
//! `y` computed from the rounded `h`, so the bits are those of the two kernels apart. `x`, `r`, `h`, `y`: (…, C) in f32 or bf16,
//! any leading strides; `rstd`: (…) in f32. Backward, with both outputs used:
//!
//! `dx = dr = dh + rstd · (dy − y · mean(dy ∘ y))`
//!
//! No paper: a fusion of two kernels. Where to read next: [`crate::rms_norm`], whose rows these are.

mod cpu;
mod reference;

use crate::check;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Both directions.
pub trait AddRmsNorm {
    /// See [`add_rms_norm_fwd`].
    fn add_rms_norm_fwd(
        &self,
        x: View,
        r: View,
        eps: f64,
        h: ViewMut,
        y: ViewMut,
        rstd: ViewMut,
    ) -> Result<()>;
    /// See [`add_rms_norm_bwd`].
    fn add_rms_norm_bwd(&self, dh: View, dy: View, y: View, rstd: View, dx: ViewMut) -> Result<()>;
}

/// `h = x + r`, `y = h·rstd`, `rstd = 1/sqrt(mean(h²) + eps)`, rows along the last dimension.
///
/// `x`, `r`, `h`, `y`: (…, C); `rstd`: (…), f32.
pub fn add_rms_norm_fwd(
    b: &dyn Backend,
    x: View,
    r: View,
    eps: f64,
    h: ViewMut,
    y: ViewMut,
    rstd: ViewMut,
) -> Result<()> {
    const OP: &str = "add_rms_norm_fwd";
    let rows = [
        ("x", x.layout(), x.dtype()),
        ("r", r.layout(), r.dtype()),
        ("h", h.layout(), h.dtype()),
        ("y", y.layout(), y.dtype()),
    ];
    check::normalised(OP, &rows, &[("rstd", rstd.layout(), rstd.dtype())], &[])?;
    for (arg, out) in [("h", &h), ("y", &y), ("rstd", &rstd)] {
        check::output(OP, arg, out, &[("x", &x), ("r", &r)])?;
    }
    check::disjoint(OP, "y", &h, &y)?;
    check::disjoint(OP, "rstd", &h, &rstd)?;
    check::disjoint(OP, "rstd", &y, &rstd)?;
    let _timed = profile::call(OP, || Cost {
        flops: 5.0 * x.numel() as f64,
        bytes: x.traffic() + r.traffic() + h.traffic() + y.traffic() + rstd.traffic(),
    });
    b.add_rms_norm_fwd(x, r, eps, h, y, rstd)
}

/// `dx = dh + rstd·(dy − y·mean(dy∘y))`, the gradient of both inputs.
///
/// `dh`, `dy`, `y`, `dx`: (…, C); `rstd`: (…), f32, as the forward pass left it.
pub fn add_rms_norm_bwd(b: &dyn Backend, dh: View, dy: View, y: View, rstd: View, dx: ViewMut) -> Result<()> {
    const OP: &str = "add_rms_norm_bwd";
    let rows = [
        ("dh", dh.layout(), dh.dtype()),
        ("dy", dy.layout(), dy.dtype()),
        ("y", y.layout(), y.dtype()),
        ("dx", dx.layout(), dx.dtype()),
    ];
    check::normalised(OP, &rows, &[("rstd", rstd.layout(), rstd.dtype())], &[])?;
    check::output(OP, "dx", &dx, &[("dh", &dh), ("dy", &dy), ("y", &y), ("rstd", &rstd)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 6.0 * dy.numel() as f64,
        bytes: dh.traffic() + dy.traffic() + y.traffic() + rstd.traffic() + dx.traffic(),
    });
    b.add_rms_norm_bwd(dh, dy, y, rstd, dx)
}

const EPS: f64 = 1.0 / (1 << 23) as f64;

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "add_rms_norm_fwd",
        doc: "h = x + r, y = h·r, r = 1/sqrt(mean(h²) + eps)",
        samples: || SHAPES.iter().map(forward).collect(),
        bench: || BENCH.iter().map(forward).collect(),
        run: |b, ins, outs, s| {
            let [h, y, rstd] = outs else { unreachable!("three outputs") };
            add_rms_norm_fwd(b, ins[0], ins[1], s[0], h.reborrow(), y.reborrow(), rstd.reborrow())
        },
        scales: &[1.0, 3e-4, 0.0], // 3e-4: mean(h²) is of the size of eps
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 2.0, // y and rstd see h as it was rounded: once in the element, once in the mean
        magnitude: None, // h is one sum, y one product with a root of squares, which cannot cancel
        cost: |s, bytes| Cost { flops: 5.0 * s.numel("x"), bytes: bytes * 4.0 * s.numel("x") },
    },
    KernelInfo {
        name: "add_rms_norm_bwd",
        doc: "dx = dh + r·(dy − y·mean(dy∘y))",
        samples: || SHAPES.iter().map(backward).collect(),
        bench: || BENCH.iter().map(backward).collect(),
        run: |b, ins, outs, _| add_rms_norm_bwd(b, ins[0], ins[1], ins[2], ins[3], outs[0].reborrow()),
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 6.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let c = s.dims("dy")[s.dims("dy").len() - 1];
            let mut sizes: Vec<f64> = x[0].iter().map(|dh| dh.abs()).collect();
            for (row, sizes) in sizes.chunks_mut(c).enumerate() {
                let (dy, y) = (&x[1][row * c..][..c], &x[2][row * c..][..c]);
                let mean = dy.iter().zip(y).map(|(dy, y)| (dy * y).abs()).sum::<f64>() / c as f64;
                (0..c).for_each(|i| sizes[i] += x[3][row] * (dy[i].abs() + y[i].abs() * mean));
            }
            vec![sizes]
        }),
        cost: |s, bytes| Cost { flops: 6.0 * s.numel("dy"), bytes: bytes * 4.0 * s.numel("dy") },
    },
];

type Shape = (&'static str, &'static [usize]);
const SHAPES: &[Shape] = &[
    ("one element", &[1, 1]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("a vector and a tail", &[7, 33]),
    ("d4.hidden", &[70, 256]),
];
const BENCH: &[Shape] = &[("d4.hidden", &[8, 512, 256]), ("d12.hidden", &[8, 512, 768])];

fn forward(&(label, dims): &Shape) -> Sample {
    let mut args = ["x", "r"].map(|name| Arg::input(name, dims, Draw::Normal)).to_vec();
    args.extend(["h", "y"].map(|name| Arg::out(name, dims)));
    args.push(Arg::out_f32("rstd", &dims[..dims.len() - 1]));
    Sample::new(label, args).with(&[EPS])
}

fn backward(&(label, dims): &Shape) -> Sample {
    let mut args = ["dh", "dy", "y"].map(|name| Arg::input(name, dims, Draw::Normal)).to_vec();
    args.push(Arg::input("rstd", &dims[..dims.len() - 1], Draw::Uniform(0.1, 3.0)));
    args.push(Arg::out("dx", dims));
    Sample::new(label, args)
}
