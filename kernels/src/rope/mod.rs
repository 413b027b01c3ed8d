//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864), pairing the two halves of a head.
//!
//! Element j of the first half and element j of the second half form a point in the plane; at position p it is turned by
//! the angle `p·base^(−2j/D)`, whose cosine and sine are read from tables:
//!
//! `y1 = x1·cos + x2·sin`, `y2 = −x1·sin + x2·cos`
//!
//! `x`, `y`: (B, T, H, D); positions: (B, T); `cos`, `sin`: (P, D/2). Products and their sum in f32, rounded once.
//! A rotation's transpose turns the other way, so the gradient is the same kernel with `inverse = true`. Positions are an
//! argument per token, not a running index: rows of a batch may be at different places of their sequences.
//! Where to read next: [`crate::attention`], which the rotated queries and keys enter.

mod cpu;
mod reference;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// The rotation and its transpose.
pub trait Rope {
    /// See [`rope`].
    fn rope(
        &self,
        x: View,
        positions: View,
        cos: View,
        sin: View,
        y: ViewMut,
        inverse: bool,
        accumulate: bool,
    ) -> Result<()>;
}

/// `y (+)= R(position)·x`, or `R(position)ᵀ·x` if `inverse`; added to what `y` holds if `accumulate`.
///
/// `x`, `y`: (B, T, H, D), D even, unit last stride; `positions`: (B, T) ids in `0..P`; `cos`, `sin`: (P, D/2) in f32
/// (f64 beside f64 data), unit last stride. Products and their sum in f32, rounded once.
pub fn rope(
    b: &dyn Backend,
    x: View,
    positions: View,
    cos: View,
    sin: View,
    y: ViewMut,
    inverse: bool,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "rope";
    check::dtype(OP, "x", x.dtype(), FLOATS)?;
    check::rank(OP, "x", x.dims(), 4, "(B, T, H, D)")?;
    check::dims(OP, "y", y.dims(), x.dims())?;
    check::dtype(OP, "y", y.dtype(), &[x.dtype()])?;
    tables(OP, &x, &positions, &cos, &sin)?;
    check::unit_last_stride(OP, "x", x.layout())?;
    check::unit_last_stride(OP, "y", y.layout())?;
    check::output(OP, "y", &y, &[("x", &x), ("positions", &positions), ("cos", &cos), ("sin", &sin)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 3.0 * x.numel() as f64,
        bytes: x.traffic() + profile::written(&y, accumulate),
    });
    b.rope(x, positions, cos, sin, y, inverse, accumulate)
}

/// Do positions and tables fit the head vectors `x` (B, T, H, D)?
pub(crate) fn tables(op: &'static str, x: &View, positions: &View, cos: &View, sin: &View) -> Result<()> {
    let half = x.dims()[3] / 2;
    check::parameter(op, x.dims()[3] == 2 * half, || {
        format!("head_dim {} is odd; halves need an even one", x.dims()[3])
    })?;
    check::parameter(op, half > 0 || x.dims()[..3].contains(&0), || {
        "head vectors without elements cannot be rotated; head_dim must not be 0".into()
    })?;
    check::dims(op, "positions", positions.dims(), &x.dims()[..2])?;
    check::rank(op, "cos", cos.dims(), 2, "(positions, head_dim / 2)")?;
    check::dims(op, "cos", cos.dims(), &[cos.dims()[0], half])?;
    check::dims(op, "sin", sin.dims(), cos.dims())?;
    for (arg, table) in [("cos", cos), ("sin", sin)] {
        check::dtype(op, arg, table.dtype(), &[check::accumulator(x.dtype())])?;
        check::unit_last_stride(op, arg, table.layout())?;
    }
    check::indices(op, "positions", positions, cos.dims()[0])
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "rope",
    doc: "y1 = x1·cos + x2·sin, y2 = −x1·sin + x2·cos at the token's position",
    samples: || SHAPES.iter().map(sample).collect(),
    bench: || REAL.iter().map(sample).collect(),
    run: |b, ins, outs, s| {
        rope(b, ins[0], ins[1], ins[2], ins[3], outs[0].reborrow(), s[0] != 0.0, s[1] != 0.0)
    },
    scales: &[1.0, 1e-3, 0.0],
    dtypes: &[DType::F32, DType::Bf16],
    layouts: Layouts::Rows,
    tolerance: 2.0, // two products, two sums
    roundings: 0.0,
    magnitude: Some(|x, s| {
        let (heads, d) = (s.dims("x")[2], s.dims("x")[3]);
        let half = d / 2;
        let mut out = vec![0.0; x[0].len()];
        for (row, y) in out.chunks_mut(d.max(1)).enumerate() {
            let (at, table) = (row * d, x[1][row / heads] as usize * half);
            for j in 0..half {
                let (x1, x2) = (x[0][at + j].abs(), x[0][at + half + j].abs());
                let (c, s) = (x[2][table + j].abs(), x[3][table + j].abs());
                y[j] = x1 * c + x2 * s + x[4][at + j].abs();
                y[half + j] = x1 * s + x2 * c + x[4][at + half + j].abs();
            }
        }
        vec![out]
    }),
    cost: |s, bytes| {
        let n = s.numel("x");
        let moved = if s.scalars[1] != 0.0 { s.moved(bytes) } else { s.footprint(bytes) };
        let tables = s.bytes_of("cos", bytes) + s.bytes_of("sin", bytes); // of which few rows are read
        Cost { flops: 3.0 * n, bytes: moved - tables }
    },
}];

/// Label, (B, T, H, D), table length, inverse, accumulate.
type Shape = (&'static str, [usize; 4], usize, bool, bool);
const SHAPES: &[Shape] = &[
    ("one pair", [1, 1, 1, 2], 1, false, false),
    ("odd half", [3, 5, 3, 6], 9, false, true),
    ("odd half, inverse", [3, 5, 3, 6], 9, true, false),
    ("empty", [0, 4, 2, 8], 4, false, false),
    ("decode", [5, 1, 2, 64], 40, false, false),
    ("d4.q", [2, 64, 2, 128], 64, false, false),
    ("d4.q gradient", [2, 64, 2, 128], 64, true, true),
];
const REAL: &[Shape] = &[
    ("d4.q", [8, 512, 2, 128], 512, false, false),
    ("d12.q", [8, 512, 6, 128], 512, false, false),
    ("d12.q.gradient", [8, 512, 6, 128], 512, true, true),
];

fn sample(&(label, dims, table, inverse, accumulate): &Shape) -> Sample {
    let args = vec![
        Arg::input("x", &dims, Draw::Normal),
        Arg::input("positions", &dims[..2], Draw::Ids { lo: 0, hi: table as i32 }),
        Arg::input("cos", &[table, dims[3] / 2], Draw::Uniform(-1.0, 1.0)),
        Arg::input("sin", &[table, dims[3] / 2], Draw::Uniform(-1.0, 1.0)),
        Arg::inout("y", &dims, Draw::Normal),
    ];
    Sample::new(label, args).with(&[inverse.into(), accumulate.into()])
}
