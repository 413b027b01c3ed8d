//! The two kernels of Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers"): momentum, and the
//! orthogonalisation of the update by a Newton–Schulz iteration.
//!
//! `buf`, `g`, `u`: one shape, f32; the matrices `G`, `X`: (R, C), or N of them, (N, R, C). Sums inside a product in f32.
//! Momentum is an average with Nesterov's look-ahead: `buf += (1−μ)(g − buf)`, `u = (1−μ)·g + μ·buf`.
//!
//! Newton–Schulz sends every singular value of its argument towards 1 and keeps the singular vectors, with nothing but
//! matrix products. After scaling `X = G / (‖G‖_F + 1e-7)`, so that singular values lie in [0, 1], each step is
//!
//! `A = X·Xᵀ`, `B = b·A + c·A·A`, `X ← a·X + B·X`, with (a, b, c) = (3.4445, −4.7750, 2.0315):
//!
//! the odd polynomial `a·s + b·s³ + c·s⁵` on every singular value s. The coefficients trade exact convergence for a steep
//! start: after five steps small values have grown up to 3.4445⁵ ≈ 485 times and the others lie between about 0.7 and 1.2.
//! A tall matrix is transposed first, so that A is the smaller of the two possible squares.
//! Where to read next: `reference.rs` for exactly this, `cpu.rs` and `quintic.rs` for the version on top of
//! [`crate::matmul`]; [`crate::polar_express`] and [`crate::normuon`] for what Muon has become since.

mod cpu;
pub(crate) mod quintic;
mod reference;
#[cfg(test)]
mod tests;

use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample, with_numbers};
use crate::{Backend, DType, Result, View, ViewMut, check, profile};

/// Momentum and orthogonalisation.
pub trait Muon {
    /// See [`muon_momentum`].
    fn muon_momentum(&self, buf: ViewMut, g: View, u: ViewMut, factors: View) -> Result<()>;
    /// See [`newton_schulz`].
    fn newton_schulz(&self, g: View, o: ViewMut, scratch: ViewMut, steps: usize, bf16: bool) -> Result<()>;
}

/// Coefficients of the quintic polynomial.
pub const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// Added to the norm, so that a zero matrix stays zero.
pub const NORM_EPS: f64 = 1e-7;
/// Kept in f32, or f64 on the reference.
const WIDE: &[DType] = &[DType::F32, DType::F64];

/// μ and 1 − μ, which [`muon_momentum`] reads from memory.
///
/// # Errors
/// `momentum` is not in `0..=1`.
pub fn momentum_factors(momentum: f64) -> Result<[f64; 2]> {
    check::parameter("muon_momentum", (0.0..=1.0).contains(&momentum), || {
        format!("momentum is {momentum}, not in 0..=1")
    })?;
    Ok([momentum, 1.0 - momentum])
}

/// `buf ← buf + (1−μ)(g − buf)`, then `u = (1−μ)·g + μ·buf`; all contiguous, f32, of one shape. `factors`: (2), from
/// [`momentum_factors`].
pub fn muon_momentum(b: &dyn Backend, buf: ViewMut, g: View, u: ViewMut, factors: View) -> Result<()> {
    const OP: &str = "muon_momentum";
    check::dims(OP, "factors", factors.dims(), &[2])?;
    check::dtype(OP, "factors", factors.dtype(), &[g.dtype()])?;
    check::contiguous(OP, "factors", factors.layout())?;
    check::dtype(OP, "g", g.dtype(), WIDE)?;
    check::contiguous(OP, "g", g.layout())?;
    for (arg, out) in [("buf", &buf), ("u", &u)] {
        check::dims(OP, arg, out.dims(), g.dims())?;
        check::dtype(OP, arg, out.dtype(), &[g.dtype()])?;
        check::contiguous(OP, arg, out.layout())?;
        check::output(OP, arg, out, &[("g", &g), ("factors", &factors)])?;
    }
    check::disjoint(OP, "u", &buf, &u)?;
    let _timed = profile::call(OP, || Cost { flops: 6.0 * g.numel() as f64, bytes: 5.0 * g.traffic() });
    b.muon_momentum(buf, g, u, factors)
}

/// N, R and C of (R, C) or (N, R, C).
pub(crate) fn matrices(dims: &[usize]) -> (usize, usize, usize) {
    match *dims {
        [rows, cols] => (1, rows, cols),
        [n, rows, cols] => (n, rows, cols),
        _ => (0, 0, 0),
    }
}

/// Elements of scratch memory [`newton_schulz`] needs for matrices (…, R, C): for each, two of that size and three squares
/// of the shorter side.
pub fn newton_schulz_scratch(dims: &[usize]) -> usize {
    let (n, rows, cols) = matrices(dims);
    let s = rows.min(cols);
    n * (2 * rows * cols + 3 * s * s)
}

/// How many matrices (R, C) are worth giving to one call: many small ones, of which each thread takes some and shares
/// nothing; large ones, of which all threads do one after the other, go one by one and need no memory for more.
pub fn newton_schulz_batch(rows: usize, cols: usize) -> usize {
    if quintic::alone(rows, cols) { 16 } else { 1 }
}

/// `o` = `g` with its singular values sent towards 1 by `steps` Newton–Schulz steps (Muon uses 5). Zero gives zero.
///
/// `g`, `o`: (R, C) or (N, R, C), f32, contiguous; `scratch`: (at least [`newton_schulz_scratch`]), contents irrelevant before and
/// after. With `bf16`, the scaled matrix, every product and every sum of the iteration are rounded to bf16, which is
/// what running the iteration on bf16 tensors gives; sums inside a product stay f32.
pub fn newton_schulz(
    b: &dyn Backend,
    g: View,
    o: ViewMut,
    scratch: ViewMut,
    steps: usize,
    bf16: bool,
) -> Result<()> {
    const OP: &str = "newton_schulz";
    orthogonalisation(OP, &g, &o, &scratch)?;
    let _timed =
        profile::call(OP, || Cost { bytes: g.traffic() + o.traffic(), ..schulz_cost(g.dims(), steps) });
    b.newton_schulz(g, o, scratch, steps, bf16)
}

/// What Newton–Schulz and Polar Express ask of their arguments: a matrix, room for the result, and scratch memory.
pub(crate) fn orthogonalisation(op: &'static str, g: &View, o: &ViewMut, scratch: &ViewMut) -> Result<()> {
    check::dtype(op, "g", g.dtype(), WIDE)?;
    if g.dims().len() != 3 {
        check::rank(op, "g", g.dims(), 2, "(R, C) or (N, R, C)")?;
    }
    check::dims(op, "o", o.dims(), g.dims())?;
    check::contiguous(op, "g", g.layout())?;
    for (arg, out) in [("o", o), ("scratch", scratch)] {
        check::dtype(op, arg, out.dtype(), &[g.dtype()])?;
        check::contiguous(op, arg, out.layout())?;
        check::output(op, arg, out, &[("g", g)])?;
    }
    check::disjoint(op, "scratch", o, scratch)?;
    check::rank(op, "scratch", scratch.dims(), 1, "one dimension")?;
    let (has, needs) = (scratch.numel(), newton_schulz_scratch(g.dims()));
    check::parameter(op, has >= needs, || format!("scratch has {has} elements, {needs} are needed"))
}

/// Of `steps` steps on matrices (…, R, C) in f32: three products each, two with the shorter side twice and one with it
/// three times. A matrix is read once, the result written once.
pub(crate) fn schulz_cost(dims: &[usize], steps: usize) -> Cost {
    let (n, rows, cols) = matrices(dims);
    let (n, rows, cols) = (n as f64, rows as f64, cols as f64);
    let short = rows.min(cols);
    // X·Xᵀ and A·A are symmetric: half of each is enough.
    let flops = n * steps as f64 * (3.0 * short * rows * cols + short.powi(3));
    Cost { flops, bytes: 8.0 * n * rows * cols }
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "muon_momentum",
        doc: "buf += (1−μ)(g − buf); u = (1−μ)·g + μ·buf",
        samples: || {
            [("one element", &[1, 1]), ("empty", &[0, 4]), ("odd", &[7, 33]), ("d4.mlp_up", &[1024, 256])]
                .map(momentum_sample)
                .to_vec()
        },
        bench: || [("d4.mlp_up", &[1024, 256]), ("d12.mlp_up", &[3072, 768])].map(momentum_sample).to_vec(),
        run: |b, ins, outs, s| {
            let [buf, u] = outs else { unreachable!("two outputs") };
            with_numbers(&momentum_factors(s[0])?, ins[0].dtype(), |factors| {
                muon_momentum(b, buf.reborrow(), ins[0], u.reborrow(), factors)
            })
        },
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32],
        layouts: Layouts::Contiguous,
        tolerance: 4.0,
        roundings: 0.0,
        magnitude: Some(|x, _| {
            let terms: Vec<f64> = x[0].iter().zip(&x[1]).map(|(a, b)| a.abs() + b.abs()).collect();
            vec![terms.clone(), terms]
        }),
        cost: |s, bytes| Cost { flops: 2.0 * s.elements(), bytes: s.moved(bytes) },
    },
    KernelInfo {
        name: "newton_schulz",
        doc: "steps of X ← a·X + (b·A + c·A²)·X, A = X·Xᵀ",
        samples: || SCHULZ.iter().map(schulz_sample).collect(),
        bench: || REAL.iter().map(schulz_sample).collect(),
        run: |b, ins, outs, s| {
            let [o, scratch] = outs else { unreachable!("two outputs") };
            newton_schulz(b, ins[0], o.reborrow(), scratch.reborrow(), s[0] as usize, s[1] != 0.0)
        },
        scales: &[1.0, 1e-3, 0.0],
        dtypes: &[DType::F32],
        layouts: Layouts::Contiguous,
        // A few roundings per step; those in the direction of small singular values grow with them, up to 485 times, but
        // few directions of a random matrix are small.
        tolerance: 64.0,
        roundings: 0.0,
        magnitude: Some(|_, s| {
            // The result has entries below 1.3. In bf16, sums that fall close to the middle of two bf16 numbers are
            // rounded differently when they are formed in f32 and in f64; 64 · 1024 units of f32 are one of bf16.
            let one = if s.scalars[1] != 0.0 { 1024.0 } else { 1.0 };
            let elements = |arg| s.dims(arg).iter().product();
            vec![vec![one; elements("g")], vec![f64::INFINITY; elements("scratch")]]
        }),
        cost: |s, _| schulz_cost(s.dims("g"), s.scalars[0] as usize),
    },
];

fn momentum_sample((label, dims): (&'static str, &[usize; 2])) -> Sample {
    let args = vec![
        Arg::inout("buf", dims, Draw::NormalF32),
        Arg::input("g", dims, Draw::NormalF32),
        Arg::out_f32("u", dims),
    ];
    Sample::new(label, args).with(&[0.95])
}

/// Label, dims, rounded to bf16.
pub(crate) type Schulz = (&'static str, &'static [usize], bool);

const SCHULZ: &[Schulz] = &[
    ("one element", &[1, 1], false),
    ("empty", &[0, 5], false),
    ("one row", &[1, 40], false),
    ("square", &[32, 32], false),
    ("tall", &[48, 17], false),
    ("wide", &[17, 48], false),
    ("wide, in bf16", &[17, 48], true),
    ("no matrix", &[0, 5, 5], false),
    ("three tall", &[3, 48, 17], false),
    ("three wide, in bf16", &[3, 17, 48], true),
    ("d4.attn_proj", &[256, 256], false),
];

const REAL: &[Schulz] = &[
    ("d4.mlp_up", &[1024, 256], false),
    ("d4.mlp_up.all", &[4, 1024, 256], false),
    ("d4.attn.all", &[16, 256, 256], false),
    ("d4.attn.all.bf16", &[16, 256, 256], true),
    ("d12.attn_proj", &[768, 768], false),
    ("d12.mlp_up", &[3072, 768], false),
    ("d12.mlp_up.bf16", &[3072, 768], true),
];

/// A sample of this or another orthogonalisation: matrix, result, scratch; five steps, and whether in bf16.
pub(crate) fn schulz_sample(&(label, dims, bf16): &Schulz) -> Sample {
    let args = vec![
        Arg::input("g", dims, Draw::NormalF32),
        Arg::out_f32("o", dims),
        // The kernel may leave anything here; the magnitude above accepts it.
        Arg::inout("scratch", &[newton_schulz_scratch(dims)], Draw::NormalF32),
    ];
    Sample::new(label, args).with(&[5.0, if bf16 { 1.0 } else { 0.0 }])
}
