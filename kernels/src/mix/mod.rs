//! Two activations mixed by learned numbers: `y = a·x + b·z`.
//!
//! How every block of today's nanochat begins, `x ← resid·x + skip·x₀` with two scalars per layer, and how the middle of
//! the stack is taken back before the head, `x − λ·x_mid`. `a` and `b` are one-element tensors that stay where they are.
//! `x`, `z`, `y`: (…, C), f32 or bf16, any leading strides; computed in f32, rounded once. The gradient of `a` is a sum over
//! all elements, `da = Σ dy·x`: in f64, in a fixed order, because it usually cancels to next to nothing.
//! No paper: from nanochat's code. Where to read next: `cpu.rs`, `mix.cu`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Layout, Result, View, ViewMut, profile};

/// The mixture, and the gradient of its scalars.
pub trait Mix {
    /// See [`mix_fwd`].
    fn mix_fwd(&self, a: View, x: View, b: View, z: View, y: ViewMut) -> Result<()>;
    /// See [`mix_bwd_scalar`].
    fn mix_bwd_scalar(&self, dy: View, x: View, da: ViewMut, accumulate: bool) -> Result<()>;
    /// See [`mix_bwd`].
    fn mix_bwd(
        &self,
        dy: View,
        inputs: [View; 4],
        outputs: [ViewMut; 4],
        accumulate: [bool; 4],
    ) -> Result<()>;
}

/// `y = a[0]·x + b[0]·z`.
///
/// `x`, `z`, `y`: (…, C), one dtype; `a`, `b`: one element, f32 (f64 where the others are).
pub fn mix_fwd(backend: &dyn Backend, a: View, x: View, b: View, z: View, y: ViewMut) -> Result<()> {
    const OP: &str = "mix_fwd";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    rows_like(OP, "x", x.layout(), x.dtype(), &x)?;
    rows_like(OP, "z", z.layout(), z.dtype(), &x)?;
    rows_like(OP, "y", y.layout(), y.dtype(), &x)?;
    one_number(OP, "a", a.layout(), a.dtype(), x.dtype())?;
    one_number(OP, "b", b.layout(), b.dtype(), x.dtype())?;
    check::output(OP, "y", &y, &[("a", &a), ("x", &x), ("b", &b), ("z", &z)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 3.0 * x.numel() as f64,
        bytes: x.traffic() + z.traffic() + y.traffic(),
    });
    backend.mix_fwd(a, x, b, z, y)
}

/// `da (+)= Σ dy·x` over all elements; added to what `da` holds if `accumulate`.
///
/// `dy`, `x`: (…, C), one dtype; `da`: one element, f32 (f64 where the others are).
pub fn mix_bwd_scalar(backend: &dyn Backend, dy: View, x: View, da: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "mix_bwd_scalar";
    check::dtype(OP, "dy", dy.dtype(), FLOATS)?;
    rows_like(OP, "dy", dy.layout(), dy.dtype(), &dy)?;
    rows_like(OP, "x", x.layout(), x.dtype(), &dy)?;
    one_number(OP, "da", da.layout(), da.dtype(), dy.dtype())?;
    check::output(OP, "da", &da, &[("dy", &dy), ("x", &x)])?;
    let _timed =
        profile::call(OP, || Cost { flops: 2.0 * x.numel() as f64, bytes: dy.traffic() + x.traffic() });
    backend.mix_bwd_scalar(dy, x, da, accumulate)
}

/// All gradients of a mixture, for which dy is read once: `dx (+)= a·dy`, `dz (+)= b·dy`, `da (+)= Σ dy·x`, `db (+)= Σ dy·z`.
///
/// `inputs` are a, x, b, z of [`mix_fwd`], `outputs` da, dx, db, dz; each is added to what its output holds where `accumulate` says so.
pub fn mix_bwd(
    backend: &dyn Backend,
    dy: View,
    inputs: [View; 4],
    outputs: [ViewMut; 4],
    accumulate: [bool; 4],
) -> Result<()> {
    const OP: &str = "mix_bwd";
    check::dtype(OP, "dy", dy.dtype(), FLOATS)?;
    rows_like(OP, "dy", dy.layout(), dy.dtype(), &dy)?;
    let names = [["a", "da"], ["x", "dx"], ["b", "db"], ["z", "dz"]];
    let [a, x, b, z] = &inputs;
    let read = [("dy", &dy), ("a", a), ("x", x), ("b", b), ("z", z)];
    for (i, [name, gradient]) in names.into_iter().enumerate() {
        let (input, output) = (&inputs[i], &outputs[i]);
        if i % 2 == 0 {
            one_number(OP, name, input.layout(), input.dtype(), dy.dtype())?;
            one_number(OP, gradient, output.layout(), output.dtype(), dy.dtype())?;
        } else {
            rows_like(OP, name, input.layout(), input.dtype(), &dy)?;
            rows_like(OP, gradient, output.layout(), output.dtype(), &dy)?;
        }
        check::output(OP, gradient, output, &read)?;
        outputs[..i].iter().try_for_each(|other| check::disjoint(OP, gradient, output, other))?;
    }
    let written = |i: usize| profile::written(&outputs[i], accumulate[i]);
    let _timed = profile::call(OP, || Cost {
        flops: 6.0 * dy.numel() as f64,
        bytes: dy.traffic() + inputs[1].traffic() + inputs[3].traffic() + written(1) + written(3),
    });
    backend.mix_bwd(dy, inputs, outputs, accumulate)
}

fn rows_like(op: &'static str, arg: &'static str, layout: &Layout, dtype: DType, like: &View) -> Result<()> {
    check::dims(op, arg, layout.dims(), like.dims())?;
    check::dtype(op, arg, dtype, &[like.dtype()])?;
    check::unit_last_stride(op, arg, layout)
}

fn one_number(op: &'static str, arg: &'static str, layout: &Layout, got: DType, dtype: DType) -> Result<()> {
    if layout.numel() != 1 {
        check::dims(op, arg, layout.dims(), &[1])?;
    }
    check::dtype(op, arg, got, &[check::accumulator(dtype)])
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "mix_fwd",
        doc: "y = a·x + b·z",
        samples: || SHAPES.iter().map(forward_sample).collect(),
        bench: || REAL.iter().map(forward_sample).collect(),
        run: |backend, ins, outs, _| mix_fwd(backend, ins[0], ins[1], ins[2], ins[3], outs[0].reborrow()),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 3.0, // two products and a sum
        roundings: 0.0,
        magnitude: Some(|v, _| {
            vec![v[1].iter().zip(&v[3]).map(|(x, z)| (v[0][0] * x).abs() + (v[2][0] * z).abs()).collect()]
        }),
        cost: |s, bytes| Cost { flops: 3.0 * s.numel("x"), bytes: bytes * 3.0 * s.numel("x") },
    },
    KernelInfo {
        name: "mix_bwd_scalar",
        doc: "da = Σ dy·x",
        samples: || SHAPES.iter().map(backward_sample).collect(),
        bench: || REAL.iter().map(backward_sample).collect(),
        run: |backend, ins, outs, s| mix_bwd_scalar(backend, ins[0], ins[1], outs[0].reborrow(), s[0] != 0.0),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 0.01, // f64 throughout
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let sum: f64 = v[0].iter().zip(&v[1]).map(|(dy, x)| (dy * x).abs()).sum();
            vec![vec![sum + s.scalars[0] * v[2][0].abs()]]
        }),
        cost: |s, bytes| Cost { flops: 2.0 * s.numel("x"), bytes: bytes * 2.0 * s.numel("x") },
    },
    KernelInfo {
        name: "mix_bwd",
        doc: "dx = a·dy, dz = b·dy, da = Σ dy·x, db = Σ dy·z",
        samples: || SHAPES.iter().map(whole_sample).collect(),
        bench: || REAL.iter().map(whole_sample).collect(),
        run: |backend, ins, outs, s| {
            let [da, dx, db, dz] = outs else { return Ok(()) };
            let outputs = [da, dx, db, dz].map(|out| out.reborrow());
            let adds = std::array::from_fn(|i| s[i] != 0.0);
            mix_bwd(backend, ins[0], [ins[1], ins[2], ins[3], ins[4]], outputs, adds)
        },
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 2.0, // a product and a sum; the numbers' sums are f64 throughout
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let sum = |x: &[f64]| v[0].iter().zip(x).map(|(dy, x)| (dy * x).abs()).sum::<f64>();
            let scaled = |a: f64, add: f64, old: &[f64]| {
                v[0].iter().zip(old).map(|(dy, old)| (a * dy).abs() + add * old.abs()).collect()
            };
            let adds = &s.scalars;
            vec![
                vec![sum(&v[2]) + adds[0] * v[5][0].abs()],
                scaled(v[1][0], adds[1], &v[6]),
                vec![sum(&v[4]) + adds[2] * v[7][0].abs()],
                scaled(v[3][0], adds[3], &v[8]),
            ]
        }),
        cost: |s, bytes| Cost {
            flops: 6.0 * s.numel("x"),
            bytes: bytes * (5.0 + s.scalars[1] + s.scalars[3]) * s.numel("x"),
        },
    },
];

type Shape = (&'static str, &'static [usize]);

const SHAPES: &[Shape] = &[
    ("one element", &[1, 1]),
    ("a scalar", &[]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0, 8]),
    ("one row, a vector and a tail", &[1, 33]),
    ("d4.hidden", &[2, 96, 256]),
];

const REAL: &[Shape] = &[("d12.hidden", &[8, 512, 768]), ("d4.hidden", &[16, 512, 256])];

fn forward_sample(&(label, dims): &Shape) -> Sample {
    let scalar = |name| Arg::input(name, &[1], Draw::Uniform(-2.0, 2.0));
    let rows = |name| Arg::input(name, dims, Draw::Normal);
    Sample::new(label, vec![scalar("a"), rows("x"), scalar("b"), rows("z"), Arg::out("y", dims)])
}

fn backward_sample(&(label, dims): &Shape) -> Sample {
    let rows = |name| Arg::input(name, dims, Draw::Normal);
    let args = vec![rows("dy"), rows("x"), Arg::inout("da", &[1], Draw::NormalF32)];
    Sample::new(label, args).with(&[if dims.len().is_multiple_of(2) { 1.0 } else { 0.0 }])
}

fn whole_sample(&(label, dims): &Shape) -> Sample {
    let rows = |name| Arg::input(name, dims, Draw::Normal);
    let number = |name| Arg::input(name, &[1], Draw::Uniform(-2.0, 2.0));
    let sum = |name| Arg::inout(name, &[1], Draw::NormalF32);
    let total = |name| Arg::inout(name, dims, Draw::Normal);
    let mut args = vec![rows("dy"), number("a"), rows("x"), number("b"), rows("z")];
    args.extend([sum("da"), total("dx"), sum("db"), total("dz")]);
    let adds = if dims.len().is_multiple_of(2) { [1.0, 0.0, 0.0, 1.0] } else { [0.0, 1.0, 1.0, 0.0] };
    Sample::new(label, args).with(&adds)
}
