//! Smearing each position with the one before it: `y_t = x_t + g_t·x_{t−1}`.
//!
//! The first thing today's nanochat does with its embeddings: a cheap look at the previous token before any attention.
//! `x_{t−1}` is the input, not the smeared row before. The first position has nothing before it and stays as it is,
//! unless a row `prev` is given: the last input of the part of the sequence that came before (decoding, a prompt in
//! chunks). `x`, `y`: (B, T, C), `g`: (B, T), `prev`: (B, C); f32 or bf16, any leading strides; computed in f32, rounded once.
//!
//! Position t goes into y_t and y_{t+1}, so `dx_t = dy_t + g_{t+1}·dy_{t+1}`, and `dg_t = ⟨dy_t, x_{t−1}⟩` (the sum in f64).
//! No paper: from nanochat's code. Where to read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Layout, Result, View, ViewMut, profile};

/// Forward, and the gradients of `x` and `g`.
pub trait Smear {
    /// See [`smear_fwd`].
    fn smear_fwd(&self, x: View, g: View, prev: Option<View>, y: ViewMut) -> Result<()>;
    /// See [`smear_bwd_x`].
    fn smear_bwd_x(&self, dy: View, g: View, dx: ViewMut, accumulate: bool) -> Result<()>;
    /// See [`smear_bwd_g`].
    fn smear_bwd_g(&self, dy: View, x: View, prev: Option<View>, dg: ViewMut, accumulate: bool)
    -> Result<()>;
}

/// `y_t = x_t + g_t·x_{t−1}`, with `prev` for `x_{−1}`; without it `y_0 = x_0` and `g_0` is not read.
///
/// `x`, `y`: (B, T, C); `g`: (B, T); `prev`: (B, C); one dtype.
pub fn smear_fwd(b: &dyn Backend, x: View, g: View, prev: Option<View>, y: ViewMut) -> Result<()> {
    const OP: &str = "smear_fwd";
    shapes(
        OP,
        &[("x", x.layout(), x.dtype()), ("y", y.layout(), y.dtype())],
        ("g", g.layout(), g.dtype()),
        prev,
    )?;
    check::output(OP, "y", &y, &[("x", &x), ("g", &g), ("prev", &prev.unwrap_or(x))])?;
    let _timed = profile::call(OP, || Cost {
        flops: 2.0 * x.numel() as f64,
        bytes: x.traffic() + g.traffic() + y.traffic(),
    });
    b.smear_fwd(x, g, prev, y)
}

/// `dx_t (+)= dy_t + g_{t+1}·dy_{t+1}`; added to what `dx` holds if `accumulate`. Shapes as in [`smear_fwd`].
pub fn smear_bwd_x(b: &dyn Backend, dy: View, g: View, dx: ViewMut, accumulate: bool) -> Result<()> {
    const OP: &str = "smear_bwd_x";
    let rows = [("dy", dy.layout(), dy.dtype()), ("dx", dx.layout(), dx.dtype())];
    shapes(OP, &rows, ("g", g.layout(), g.dtype()), None)?;
    check::output(OP, "dx", &dx, &[("dy", &dy), ("g", &g)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 3.0 * dy.numel() as f64,
        bytes: dy.traffic() + g.traffic() + profile::written(&dx, accumulate),
    });
    b.smear_bwd_x(dy, g, dx, accumulate)
}

/// `dg_t (+)= ⟨dy_t, x_{t−1}⟩`, with `prev` for `x_{−1}`; without it `dg_0` is (or gets) 0. Shapes as in [`smear_fwd`].
pub fn smear_bwd_g(
    b: &dyn Backend,
    dy: View,
    x: View,
    prev: Option<View>,
    dg: ViewMut,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "smear_bwd_g";
    let rows = [("dy", dy.layout(), dy.dtype()), ("x", x.layout(), x.dtype())];
    shapes(OP, &rows, ("dg", dg.layout(), dg.dtype()), prev)?;
    check::output(OP, "dg", &dg, &[("dy", &dy), ("x", &x), ("prev", &prev.unwrap_or(x))])?;
    let _timed = profile::call(OP, || Cost {
        flops: 2.0 * x.numel() as f64,
        bytes: dy.traffic() + x.traffic() + dg.traffic(),
    });
    b.smear_bwd_g(dy, x, prev, dg, accumulate)
}

type Described<'a> = (&'static str, &'a Layout, DType);

/// Rows (B, T, C) of one dtype, gates (B, T), and what came before (B, C).
fn shapes(op: &'static str, rows: &[Described], gates: Described, prev: Option<View>) -> Result<()> {
    let &(first, layout, dtype) = &rows[0];
    check::dtype(op, first, dtype, FLOATS)?;
    check::rank(op, first, layout.dims(), 3, "(B, T, C)")?;
    let (dims, [b, _, c]) = (layout.dims(), [0, 1, 2].map(|axis| layout.dims()[axis]));
    let fits = |&(arg, layout, got): &Described, want: &[usize]| {
        check::dims(op, arg, layout.dims(), want)?;
        check::dtype(op, arg, got, &[dtype])?;
        check::unit_last_stride(op, arg, layout)
    };
    rows.iter().try_for_each(|row| fits(row, dims))?;
    fits(&gates, &dims[..2])?;
    prev.map_or(Ok(()), |prev| fits(&("prev", prev.layout(), prev.dtype()), &[b, c]))
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "smear_fwd",
        doc: "y_t = x_t + g_t·x_{t−1}",
        samples: || samples(SHAPES, forward_sample),
        bench: || samples(REAL, forward_sample),
        run: |b, ins, outs, _| smear_fwd(b, ins[0], ins[1], ins.get(2).copied(), outs[0].reborrow()),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 2.0, // a product and a sum
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let c = s.args[0].dims[2];
            let before = |i: usize| before(s, i / c).map_or(0.0, |from| from.of(&v[0], v.get(2), i % c, c));
            vec![(0..v[0].len()).map(|i| v[0][i].abs() + (v[1][i / c] * before(i)).abs()).collect()]
        }),
        cost: |s, bytes| Cost { flops: 2.0 * numel(s), bytes: bytes * 2.0 * numel(s) },
    },
    KernelInfo {
        name: "smear_bwd_x",
        doc: "dx_t = dy_t + g_{t+1}·dy_{t+1}",
        samples: || samples(&SHAPES[..SHAPES.len() - 2], backward_x_sample),
        bench: || samples(REAL, backward_x_sample),
        run: |b, ins, outs, s| smear_bwd_x(b, ins[0], ins[1], outs[0].reborrow(), s[0] != 0.0),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 3.0,
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let [_, t, c] = [0, 1, 2].map(|axis| s.args[0].dims[axis]);
            let after =
                |i: usize| if (i / c + 1).is_multiple_of(t) { 0.0 } else { v[1][i / c + 1] * v[0][i + c] };
            let size = |i: usize| v[0][i].abs() + after(i).abs() + s.scalars[0] * v[2][i].abs();
            vec![(0..v[0].len()).map(size).collect()]
        }),
        cost: |s, bytes| Cost { flops: 3.0 * numel(s), bytes: bytes * 3.0 * numel(s) },
    },
    KernelInfo {
        name: "smear_bwd_g",
        doc: "dg_t = Σ dy_t·x_{t−1}",
        samples: || samples(SHAPES, backward_g_sample),
        bench: || samples(REAL, backward_g_sample),
        run: |b, ins, outs, s| {
            smear_bwd_g(b, ins[0], ins[1], ins.get(2).copied(), outs[0].reborrow(), s[0] != 0.0)
        },
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 0.01, // the products and the sum are f64
        roundings: 0.0,
        magnitude: Some(|v, s| {
            let (c, prev) = (s.args[0].dims[2], if v.len() == 4 { Some(&v[2]) } else { None });
            let size = |r: usize| {
                let product = |from: Before, i: usize| (v[0][r * c + i] * from.of(&v[1], prev, i, c)).abs();
                let sum = before(s, r).map_or(0.0, |from| (0..c).map(|i| product(from, i)).sum());
                sum + s.scalars[0] * v[v.len() - 1][r].abs()
            };
            vec![(0..v[v.len() - 1].len()).map(size).collect()]
        }),
        cost: |s, bytes| Cost { flops: 2.0 * numel(s), bytes: bytes * 2.0 * numel(s) },
    },
];

type Shape = (&'static str, [usize; 3], bool);

/// Label, (B, T, C), and whether there is a row before the first.
const SHAPES: &[Shape] = &[
    ("one element", [1, 1, 1], false),
    ("odd", [3, 5, 7], false),
    ("no rows", [0, 3, 8], false),
    ("no positions", [2, 0, 8], false),
    ("one row, a vector and a tail", [1, 2, 33], false),
    ("d4.hidden", [2, 48, 256], false),
    ("odd, after a row", [2, 3, 9], true),
    ("one position, after a row", [3, 1, 40], true),
];

const REAL: &[Shape] = &[("d12.hidden", [8, 512, 768], false), ("d4.hidden", [16, 512, 256], false)];

fn samples(shapes: &[Shape], sample: fn(&Shape) -> Sample) -> Vec<Sample> {
    shapes.iter().map(sample).collect()
}

fn with_prev(mut args: Vec<Arg>, [b, _, c]: [usize; 3], after_a_row: bool) -> Vec<Arg> {
    args.extend(after_a_row.then(|| Arg::input("prev", &[b, c], Draw::Normal)));
    args
}

fn forward_sample(&(label, dims, after_a_row): &Shape) -> Sample {
    let args = vec![Arg::input("x", &dims, Draw::Normal), Arg::input("g", &dims[..2], Draw::Normal)];
    let mut args = with_prev(args, dims, after_a_row);
    args.push(Arg::out("y", &dims));
    Sample::new(label, args)
}

fn backward_x_sample(&(label, dims, _): &Shape) -> Sample {
    let args = vec![
        Arg::input("dy", &dims, Draw::Normal),
        Arg::input("g", &dims[..2], Draw::Normal),
        Arg::inout("dx", &dims, Draw::Normal),
    ];
    Sample::new(label, args).with(&[(dims[1] % 2) as f64])
}

fn backward_g_sample(&(label, dims, after_a_row): &Shape) -> Sample {
    let args = ["dy", "x"].map(|name| Arg::input(name, &dims, Draw::Normal)).to_vec();
    let mut args = with_prev(args, dims, after_a_row);
    args.push(Arg::inout("dg", &dims[..2], Draw::Normal));
    Sample::new(label, args).with(&[(dims[1] % 2) as f64])
}

/// The row that position `r` of all B·T is smeared with.
#[derive(Clone, Copy)]
enum Before {
    Row(usize),
    Prev(usize),
}

fn before(s: &Sample, r: usize) -> Option<Before> {
    let t = s.args[0].dims[1];
    match r % t {
        0 => (!s.dims("prev").is_empty()).then_some(Before::Prev(r / t)),
        _ => Some(Before::Row(r - 1)),
    }
}

impl Before {
    fn of(self, x: &[f64], prev: Option<&Vec<f64>>, i: usize, c: usize) -> f64 {
        match self {
            Before::Row(row) => x[row * c + i],
            Before::Prev(row) => prev.map_or(0.0, |prev| prev[row * c + i]),
        }
    }
}

fn numel(s: &Sample) -> f64 {
    s.args[0].numel() as f64
}
