//! Table lookup and its gradient: `y[n] = w[ids[n]]`, `dw[ids[n]] += dy[n]`.
//!
//! `w`, `dw`: (V, C); `ids`: (N); `y`, `dy`: (N, C). The derivative of a row copy is a row copy, hence no paper.
//! Forward copies rows (and converts dtype, so an f32 table may feed bf16 activations). Backward is a scatter-add: an id
//! that occurs several times receives its rows in the order they come, summed in f32 and rounded once, whatever the
//! number of threads. Where to read next: `cpu.rs`, which sorts the ids so that each table row has one owner.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Both directions.
pub trait Embedding {
    /// See [`embedding_fwd`].
    fn embedding_fwd(&self, w: View, ids: View, y: ViewMut) -> Result<()>;
    /// See [`embedding_bwd`].
    fn embedding_bwd(&self, dy: View, ids: View, dw: ViewMut) -> Result<()>;
}

/// `y[n] = w[ids[n]]`.
///
/// `w`: (V, C) and `y`: (N, C) in any float dtypes, unit last stride; `ids`: (N) in `0..V`, any stride.
pub fn embedding_fwd(b: &dyn Backend, w: View, ids: View, y: ViewMut) -> Result<()> {
    const OP: &str = "embedding_fwd";
    check::dtype(OP, "w", w.dtype(), FLOATS)?;
    check::dtype(OP, "y", y.dtype(), FLOATS)?;
    shapes(OP, ("w", w.layout()), ids.dims(), ("y", y.layout()))?;
    check::output(OP, "y", &y, &[("w", &w), ("ids", &ids)])?;
    check::indices(OP, "ids", &ids, w.dims()[0])?;
    let _timed = profile::call(OP, || Cost { flops: 0.0, bytes: 2.0 * y.traffic() });
    b.embedding_fwd(w, ids, y)
}

/// `dw[ids[n]] += dy[n]`, duplicates in the order of `n`, each table row summed in f32 and rounded once.
///
/// `dy`: (N, C), unit last stride; `ids`: (N) in `0..V`; `dw`: (V, C) in f32 or `dy`'s dtype, unit last stride.
pub fn embedding_bwd(b: &dyn Backend, dy: View, ids: View, dw: ViewMut) -> Result<()> {
    const OP: &str = "embedding_bwd";
    check::dtype(OP, "dy", dy.dtype(), FLOATS)?;
    check::dtype(OP, "dw", dw.dtype(), &[dy.dtype(), check::accumulator(dy.dtype())])?;
    shapes(OP, ("dw", dw.layout()), ids.dims(), ("dy", dy.layout()))?;
    check::output(OP, "dw", &dw, &[("dy", &dy), ("ids", &ids)])?;
    check::indices(OP, "ids", &ids, dw.dims()[0])?;
    let _timed = profile::call(OP, || Cost { flops: dy.numel() as f64, bytes: 3.0 * dy.traffic() });
    b.embedding_bwd(dy, ids, dw)
}

fn shapes(
    op: &'static str,
    (table_arg, table): (&'static str, &crate::Layout),
    ids: &[usize],
    (rows_arg, rows): (&'static str, &crate::Layout),
) -> Result<()> {
    check::rank(op, table_arg, table.dims(), 2, "(V, C)")?;
    check::rank(op, "ids", ids, 1, "(N)")?;
    check::dims(op, rows_arg, rows.dims(), &[ids[0], table.dims()[1]])?;
    check::unit_last_stride(op, table_arg, table)?;
    check::unit_last_stride(op, rows_arg, rows)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "embedding_fwd",
        doc: "y[n] = w[ids[n]]",
        samples: || {
            let mut samples = Vec::new();
            for &(label, n, v, c) in SHAPES {
                for (w, y) in [
                    (Draw::Normal, Arg::out("y", &[n, c])),
                    (Draw::NormalF32, Arg::out("y", &[n, c])),
                    (Draw::Normal, Arg::out_f32("y", &[n, c])),
                ] {
                    samples.push(Sample::new(label, vec![Arg::input("w", &[v, c], w), ids(n, v), y]));
                }
            }
            samples
        },
        bench: || {
            let sample = |&(label, n, v, c): &Shape| {
                let w = Arg::input("w", &[v, c], Draw::NormalF32);
                Sample::new(label, vec![w, ids(n, v), Arg::out("y", &[n, c])])
            };
            REAL.iter().map(sample).collect()
        },
        run: |b, ins, outs, _| embedding_fwd(b, ins[0], ins[1], outs[0].reborrow()),
        scales: &[1.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 0.0,
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| {
            let (rows, ids) = (touched(s, "w"), s.bytes_of("ids", bytes));
            Cost { flops: 0.0, bytes: rows * s.bytes_of("w", bytes) + ids + s.bytes_of("y", bytes) }
        },
    },
    KernelInfo {
        name: "embedding_bwd",
        doc: "dw[ids[n]] += dy[n]",
        samples: || {
            let mut samples = Vec::new();
            for &(label, n, v, c) in SHAPES {
                for dw in [Draw::Normal, Draw::NormalF32] {
                    let dy = Arg::input("dy", &[n, c], Draw::Normal);
                    samples.push(Sample::new(label, vec![dy, ids(n, v), Arg::inout("dw", &[v, c], dw)]));
                }
            }
            samples
        },
        bench: || {
            let sample = |&(label, n, v, c): &Shape| {
                let dy = Arg::input("dy", &[n, c], Draw::Normal);
                Sample::new(label, vec![dy, ids(n, v), Arg::inout("dw", &[v, c], Draw::NormalF32)])
            };
            REAL.iter().map(sample).collect()
        },
        run: |b, ins, outs, _| embedding_bwd(b, ins[0], ins[1], outs[0].reborrow()),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        // An id occurs up to n = 40 times; when all its rows are equal, so are the signs of the running sum's errors: n/2 of them.
        tolerance: 20.0,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let c = s.dims("dw")[1];
            let mut out: Vec<f64> = x[2].iter().map(|v| v.abs()).collect();
            for (n, &id) in x[1].iter().enumerate() {
                for j in 0..c {
                    out[id as usize * c + j] += x[0][n * c + j].abs();
                }
            }
            vec![out]
        }),
        cost: |s, bytes| {
            let (rows, ids) = (touched(s, "dw"), s.bytes_of("ids", bytes));
            let bytes = s.bytes_of("dy", bytes) + ids + 2.0 * rows * s.bytes_of("dw", bytes);
            Cost { flops: s.numel("dy"), bytes }
        },
    },
];

/// Label, N, V, C.
type Shape = (&'static str, usize, usize, usize);

const SHAPES: &[Shape] = &[
    ("one token", 1, 5, 3),
    ("odd, many duplicates", 77, 3, 7),
    ("no tokens", 0, 4, 8),
    ("no columns", 4, 4, 0),
    ("wide rows", 9, 11, 700),
    ("d4 batch", 256, 512, 256),
];

const REAL: &[Shape] = &[("d4.tokens", 4096, 4096, 256), ("d12.tokens", 4096, 32_768, 768)];

/// The fraction of a table's rows that N random ids are expected to name: `1 − (1 − 1/V)ᴺ`.
fn touched(s: &Sample, table: &str) -> f64 {
    let v = s.dims(table)[0].max(1) as f64;
    1.0 - (1.0 - 1.0 / v).powf(s.dims("ids")[0] as f64)
}

fn ids(n: usize, v: usize) -> Arg {
    Arg::input("ids", &[n], Draw::Ids { lo: 0, hi: v as i32 })
}
