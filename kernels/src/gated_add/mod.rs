//! Adding a gated value per head: `y = v + g⊙u`, one gate for each head vector.
//!
//! How value embeddings enter attention: `v` comes from the hidden state, `u` is looked up by the token's id, and `g` says,
//! per token and key/value head, how much of it is wanted. `v`, `u`, `y`: (…, heads, D), `g`: (…, heads); f32 or bf16, any
//! leading strides; computed in f32, rounded once. Gradients: `dv = dy`, `du = g·dy`, `dg = Σ_D dy·u` (the sum in f64).
//! No paper: from nanochat's code. Where to read next: `cpu.rs`; [`crate::channel_gate`] for where the gate comes from.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Layout, Result, View, ViewMut, profile};

/// The sum and two of its three gradients; the third is `dy` itself.
pub trait GatedAdd {
    /// See [`gated_add_fwd`].
    fn gated_add_fwd(&self, v: View, g: View, u: View, y: ViewMut) -> Result<()>;
    /// See [`gated_add_bwd_u`].
    fn gated_add_bwd_u(&self, dy: View, g: View, du: ViewMut, accumulate: bool) -> Result<()>;
    /// See [`gated_add_bwd_g`].
    fn gated_add_bwd_g(&self, dy: View, u: View, dg: ViewMut, accumulate: bool) -> Result<()>;
}

/// `y = v + g·u`, with `g` repeated along the last dimension.
///
/// `v`, `u`, `y`: (…, heads, D); `g`: (…, heads); one dtype.
pub fn gated_add_fwd(b: &dyn Backend, v: View, g: View, u: View, y: ViewMut) -> Result<()> {
    const OP: &str = "gated_add_fwd";
    check::dtype(OP, "v", v.dtype(), FLOATS)?;
    let rows = [("v", v.layout(), v.dtype()), ("u", u.layout(), u.dtype()), ("y", y.layout(), y.dtype())];
    rows_and_gates(OP, &rows, ("g", g.layout(), g.dtype()))?;
    check::output(OP, "y", &y, &[("v", &v), ("g", &g), ("u", &u)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 2.0 * v.numel() as f64,
        bytes: v.traffic() + g.traffic() + u.traffic() + y.traffic(),
    });
    b.gated_add_fwd(v, g, u, y)
}

/// `du (+)= g·dy`; added to what `du` holds if `accumulate`. Shapes as in [`gated_add_fwd`].
pub fn gated_add_bwd_u(b: &dyn Backend, dy: View, g: View, du: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "gated_add_bwd_u";
    check::dtype(OP, "dy", dy.dtype(), FLOATS)?;
    let rows = [("dy", dy.layout(), dy.dtype()), ("du", du.layout(), du.dtype())];
    rows_and_gates(OP, &rows, ("g", g.layout(), g.dtype()))?;
    check::output(OP, "du", &du, &[("dy", &dy), ("g", &g)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 2.0 * dy.numel() as f64,
        bytes: dy.traffic() + g.traffic() + profile::written(&du, accumulate),
    });
    b.gated_add_bwd_u(dy, g, du, accumulate)
}

/// `dg (+)= Σ_D dy·u`; added to what `dg` holds if `accumulate`. Shapes as in [`gated_add_fwd`].
pub fn gated_add_bwd_g(b: &dyn Backend, dy: View, u: View, dg: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "gated_add_bwd_g";
    check::dtype(OP, "dy", dy.dtype(), FLOATS)?;
    let rows = [("dy", dy.layout(), dy.dtype()), ("u", u.layout(), u.dtype())];
    rows_and_gates(OP, &rows, ("dg", dg.layout(), dg.dtype()))?;
    check::output(OP, "dg", &dg, &[("dy", &dy), ("u", &u)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 2.0 * dy.numel() as f64,
        bytes: dy.traffic() + u.traffic() + profile::written(&dg, accumulate),
    });
    b.gated_add_bwd_g(dy, u, dg, accumulate)
}

type Described<'a> = (&'static str, &'a Layout, DType);

/// Rows of one shape and dtype, and one gate for each of them.
fn rows_and_gates(op: &'static str, rows: &[Described], gate: Described) -> Result<()> {
    let (dims, dtype) = (rows[0].1.dims(), rows[0].2);
    check::parameter(op, !dims.is_empty(), || "a scalar has no last dimension to share a gate".into())?;
    for (want, &(arg, layout, got)) in
        rows.iter().map(|row| (dims, row)).chain([(&dims[..dims.len() - 1], &gate)])
    {
        check::dims(op, arg, layout.dims(), want)?;
        check::dtype(op, arg, got, &[dtype])?;
        check::unit_last_stride(op, arg, layout)?;
    }
    Ok(())
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "gated_add_fwd",
        doc: "y = v + g·u, one g per head",
        samples: || SHAPES.iter().map(|s| sample(s, ["v", "g", "u"], Out::Fresh("y"))).collect(),
        bench: || REAL.iter().map(|s| sample(s, ["v", "g", "u"], Out::Fresh("y"))).collect(),
        run: |b, ins, outs, _| gated_add_fwd(b, ins[0], ins[1], ins[2], outs[0].reborrow()),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 2.0, // a product and a sum
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let d = width(s);
            vec![(0..x[0].len()).map(|i| x[0][i].abs() + (x[1][i / d] * x[2][i]).abs()).collect()]
        }),
        cost: |s, bytes| Cost { flops: 2.0 * numel(s), bytes: bytes * 3.0 * numel(s) },
    },
    KernelInfo {
        name: "gated_add_bwd_u",
        doc: "du = g·dy",
        samples: || SHAPES.iter().map(|s| sample(s, ["dy", "g", ""], Out::Added("du"))).collect(),
        bench: || REAL.iter().map(|s| sample(s, ["dy", "g", ""], Out::Added("du"))).collect(),
        run: |b, ins, outs, s| gated_add_bwd_u(b, ins[0], ins[1], outs[0].reborrow(), s[0] != 0.0),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 2.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let d = width(s);
            let size = |i: usize| (x[0][i] * x[1][i / d]).abs() + s.scalars[0] * x[2][i].abs();
            vec![(0..x[0].len()).map(size).collect()]
        }),
        cost: |s, bytes| Cost { flops: 2.0 * numel(s), bytes: bytes * 3.0 * numel(s) },
    },
    KernelInfo {
        name: "gated_add_bwd_g",
        doc: "dg = Σ_D dy·u",
        samples: || SHAPES.iter().map(|s| sample(s, ["dy", "", "u"], Out::Added("dg"))).collect(),
        bench: || REAL.iter().map(|s| sample(s, ["dy", "", "u"], Out::Added("dg"))).collect(),
        run: |b, ins, outs, s| gated_add_bwd_g(b, ins[0], ins[1], outs[0].reborrow(), s[0] != 0.0),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 0.01, // the products and the sum are f64
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let d = width(s);
            let product = |i: usize| (x[0][i] * x[1][i]).abs();
            let size =
                |r: usize| (r * d..(r + 1) * d).map(product).sum::<f64>() + s.scalars[0] * x[2][r].abs();
            vec![(0..x[2].len()).map(size).collect()]
        }),
        cost: |s, bytes| Cost { flops: 2.0 * numel(s), bytes: bytes * 2.0 * numel(s) },
    },
];

type Shape = (&'static str, &'static [usize]);

const SHAPES: &[Shape] = &[
    ("one element", &[1, 1]),
    ("odd", &[3, 5, 7]),
    ("no tokens", &[0, 2, 8]),
    ("nothing per head", &[3, 0]),
    ("one row, a vector and a tail", &[1, 33]),
    ("d4.v", &[2, 96, 2, 128]),
];

const REAL: &[Shape] = &[("d12.v", &[8, 512, 6, 128]), ("d4.v", &[16, 512, 2, 128])];

enum Out {
    Fresh(&'static str),
    Added(&'static str),
}

/// Rows, gates and rows under these names, as far as they have one, and what is written.
fn sample(&(label, dims): &Shape, [v, g, u]: [&'static str; 3], out: Out) -> Sample {
    let gates = &dims[..dims.len() - 1];
    let mut args = vec![Arg::input(v, dims, Draw::Normal)];
    let rest = [(g, gates), (u, dims)].into_iter().filter(|(name, _)| !name.is_empty());
    args.extend(rest.map(|(name, dims)| Arg::input(name, dims, Draw::Normal)));
    args.push(match out {
        Out::Fresh(name) => Arg::out(name, dims),
        Out::Added("dg") => Arg::inout("dg", gates, Draw::Normal),
        Out::Added(name) => Arg::inout(name, dims, Draw::Normal),
    });
    Sample::new(label, args).with(&[if dims.len().is_multiple_of(2) { 1.0 } else { 0.0 }])
}

/// D.
fn width(s: &Sample) -> usize {
    s.args[0].dims.last().copied().unwrap_or(1)
}

fn numel(s: &Sample) -> f64 {
    s.args[0].numel() as f64
}
