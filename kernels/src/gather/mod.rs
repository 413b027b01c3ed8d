//! Picking along one axis, and its gradient: `y[…, j, …] = x[…, index[…, j, …], …]`.
//!
//! `index`: i32 of `x`'s rank and, except along the axis, `x`'s dims; `y`: `index`'s dims. Any strides: picking whole slices
//! is an index with stride 0 along the other axes. Forward moves numbers as they are stored. Backward is a scatter-add,
//! `dx[…, index[…, j, …], …] += dy[…, j, …]`: terms that meet are added in the order of `j`, in f32, and rounded once,
//! whatever the number of threads. An index outside the axis is an error before anything is written.
//! No paper. Where to read next: `cpu.rs`; [`crate::embedding`] for the special case of a large table.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, KernelError, Layout, Result, View, ViewMut, profile};

/// Both directions.
pub trait Gather {
    /// See [`gather_fwd`].
    fn gather_fwd(&self, axis: usize, x: View, index: View, y: ViewMut) -> Result<()>;
    /// See [`gather_bwd`].
    fn gather_bwd(&self, axis: usize, dy: View, index: View, dx: ViewMut) -> Result<()>;
}

/// `y[…, j, …] = x[…, index[…, j, …], …]` along `axis`.
///
/// `x`, `y`: one float dtype; `index`: i32 in `0..x.dims[axis]`, `y`'s dims; any strides.
pub fn gather_fwd(b: &dyn Backend, axis: usize, x: View, index: View, y: ViewMut) -> Result<()> {
    const OP: &str = "gather_fwd";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype()])?;
    shapes(OP, axis, x.dims(), &index, ("y", y.dims()))?;
    check::output(OP, "y", &y, &[("x", &x), ("index", &index)])?;
    range(OP, &index, x.dims()[axis])?;
    let _timed = profile::call(OP, || Cost {
        flops: 0.0,
        bytes: x.traffic().min(y.traffic()) + index.traffic() + y.traffic(),
    });
    if y.numel() == 0 { Ok(()) } else { b.gather_fwd(axis, x, index, y) }
}

/// `dx[…, index[…, j, …], …] += dy[…, j, …]` along `axis`, in the order of `j`, summed in f32 and rounded once.
///
/// `dy`: `index`'s dims; `index`: i32 in `0..dx.dims[axis]`; `dx`: `dy`'s dtype or f32; any strides.
pub fn gather_bwd(b: &dyn Backend, axis: usize, dy: View, index: View, dx: ViewMut) -> Result<()> {
    const OP: &str = "gather_bwd";
    check::dtype(OP, "dy", dy.dtype(), FLOATS)?;
    check::dtype(OP, "dx", dx.dtype(), &[dy.dtype(), check::accumulator(dy.dtype())])?;
    shapes(OP, axis, dx.dims(), &index, ("dy", dy.dims()))?;
    check::output(OP, "dx", &dx, &[("dy", &dy), ("index", &index)])?;
    range(OP, &index, dx.dims()[axis])?;
    let _timed = profile::call(OP, || Cost {
        flops: dy.numel() as f64,
        bytes: dy.traffic() + index.traffic() + dx.traffic() + dx.traffic(),
    });
    if dy.numel() == 0 { Ok(()) } else { b.gather_bwd(axis, dy, index, dx) }
}

fn shapes(
    op: &'static str,
    axis: usize,
    from: &[usize],
    index: &View,
    (arg, picked): (&'static str, &[usize]),
) -> Result<()> {
    let rank = from.len();
    check::parameter(op, axis < rank, || format!("axis {axis} of {rank} dimensions; use one below {rank}"))?;
    let got = index.dims();
    if got.len() != rank || (0..rank).any(|a| a != axis && got[a] != from[a]) {
        let want = format!("{from:?} with any length along axis {axis}");
        return Err(KernelError::Shape { op, arg: "index", got: got.to_vec(), want });
    }
    check::dims(op, arg, picked, got)
}

/// The range of the indices; those that are repeated by a stride of 0 are looked at (and counted, in the error) once.
fn range(op: &'static str, index: &View, limit: usize) -> Result<()> {
    let once = |(&dim, &stride): (&usize, &usize)| if stride == 0 { dim.min(1) } else { dim };
    let dims: Vec<usize> = index.dims().iter().zip(index.strides()).map(once).collect();
    let once = index.with_layout(Layout::strided(&dims, index.strides(), index.layout().offset())?)?;
    check::indices(op, "index", &once, limit)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "gather_fwd",
        doc: "y[…, j, …] = x[…, index[…, j, …], …]",
        samples: || SHAPES.iter().map(forward_sample).collect(),
        bench: || BENCH.iter().map(forward_sample).collect(),
        run: |b, ins, outs, s| {
            let index = spread(&ins[1], outs[0].dims(), s)?;
            gather_fwd(b, s[0] as usize, ins[0], index, outs[0].reborrow())
        },
        scales: &[1.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 0.0,
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| {
            let [x, y] = ["x", "y"].map(|arg| s.bytes_of(arg, bytes));
            Cost { flops: 0.0, bytes: x.min(y) + s.bytes_of("index", bytes) + y } // what is picked twice is read once
        },
    },
    KernelInfo {
        name: "gather_bwd",
        doc: "dx[…, index[…, j, …], …] += dy[…, j, …]",
        samples: || {
            let both = |s| [Draw::Normal, Draw::NormalF32].map(|dx| backward_sample(s, dx));
            SHAPES.iter().flat_map(both).collect()
        },
        bench: || BENCH.iter().map(|s| backward_sample(s, Draw::Normal)).collect(),
        run: |b, ins, outs, s| {
            let index = spread(&ins[1], ins[0].dims(), s)?;
            gather_bwd(b, s[0] as usize, ins[0], index, outs[0].reborrow())
        },
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        // Up to 40 terms meet; when all are equal, so are the signs of the running sum's errors: half that many of them.
        tolerance: 20.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let (dims, axis) = (s.dims("dy"), s.scalars[0] as usize);
            let (m, n) = (dims[axis], s.dims("dx")[axis]);
            let inner: usize = dims[axis + 1..].iter().product();
            let mut out: Vec<f64> = x[2].iter().map(|v| v.abs()).collect();
            for (i, dy) in x[0].iter().enumerate() {
                let id = x[1][if s.scalars[1] != 0.0 { i / inner % m } else { i }] as usize;
                out[(i / inner / m * n + id) * inner + i % inner] += dy.abs();
            }
            vec![out]
        }),
        cost: |s, bytes| Cost { flops: numel(s.dims("dy")), bytes: s.moved(bytes) },
    },
];

/// Label, dims of `x`, axis, length of the result along it, and: is there one index for whole slices?
type Shape = (&'static str, &'static [usize], usize, usize, bool);
const SHAPES: &[Shape] = &[
    ("one element", &[1], 0, 1, false),
    ("one row", &[1, 7], 1, 12, false),
    ("odd, the last axis", &[3, 5, 7], 2, 11, false),
    ("odd, the middle", &[3, 5, 7], 1, 4, false),
    ("odd, the first", &[3, 5, 7], 0, 9, false),
    ("whole rows, many duplicates", &[3, 37], 0, 40, true),
    ("whole columns", &[9, 5], 1, 6, true),
    ("slices of the middle", &[3, 5, 7], 1, 8, true),
    ("nothing picked", &[3, 5], 1, 0, false),
    ("no rows", &[0, 5], 1, 3, false),
    ("d4.hidden, sorted", &[64, 256], 1, 256, false),
    ("d4.hidden, every fourth token", &[2, 64, 256], 1, 16, true),
];
const BENCH: &[Shape] = &[
    ("d12.hidden.along_channels", &[8, 512, 768], 2, 768, false),
    ("d12.hidden.fourth_of_tokens", &[8, 512, 768], 1, 128, true),
];

/// Dims of the picked tensor, the index, and the scalars: the axis, and whether the index is for whole slices.
fn picked(&(_, dims, axis, m, slices): &Shape) -> (Vec<usize>, Arg, [f64; 2]) {
    let mut picked = dims.to_vec();
    let n = std::mem::replace(&mut picked[axis], m);
    let whole = if slices { vec![m] } else { picked.clone() };
    let index = Arg::input("index", &whole, Draw::Ids { lo: 0, hi: n as i32 });
    (picked, index, [axis as f64, if slices { 1.0 } else { 0.0 }])
}

fn forward_sample(shape: &Shape) -> Sample {
    let (dims, index, scalars) = picked(shape);
    let x = Arg::input("x", shape.1, Draw::Normal);
    Sample::new(shape.0, vec![x, index, Arg::out("y", &dims)]).with(&scalars)
}

fn backward_sample(shape: &Shape, dx: Draw) -> Sample {
    let (dims, index, scalars) = picked(shape);
    let dy = Arg::input("dy", &dims, Draw::Normal);
    Sample::new(shape.0, vec![dy, index, Arg::inout("dx", shape.1, dx)]).with(&scalars)
}

/// One index for whole slices, repeated over the other axes of `dims`.
fn spread<'a>(index: &View<'a>, dims: &[usize], scalars: &[f64]) -> Result<View<'a>> {
    if scalars[1] == 0.0 {
        return Ok(*index);
    }
    let mut strides = vec![0; dims.len()];
    strides[scalars[0] as usize] = index.strides()[0];
    index.with_layout(Layout::strided(dims, &strides, index.layout().offset())?)
}

fn numel(dims: &[usize]) -> f64 {
    dims.iter().product::<usize>() as f64
}
