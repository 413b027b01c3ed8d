//! What today's Muon does with an orthogonalised update X before and while it moves the weights P.
//!
//! - Muon+: X is scaled so that `‖X‖_F = √min(R, C)`, the norm it would have if it were exactly orthogonal.
//! - NorMuon (Li et al. 2025, arXiv:2510.05491): orthogonality makes directions equal, not neurons. A running mean `s` of
//!   each row's mean square (each column's, if the matrix is wide) is kept, `s += (1−β₂)(mean(X²) − s)`, and the row is
//!   divided by its root: X ← X/√s, then scaled back to the norm it had.
//! - Cautious decay (Liang et al. 2024, arXiv:2411.16085): a weight decays only where the update does not push it the same
//!   way already, that is where `X·P ≥ 0` (both are subtracted).
//!
//! `P ← P − lr'·X − lr'·wd·P·[X·P ≥ 0]`, with `lr' = lr·√max(1, R/C)`: a tall matrix has larger rows to fill.
//!
//! All three scalings multiply whole rows (or columns) by one number, so X is read twice and written never.
//! X, P: (R, C), s: (R) if R ≥ C, else (C); all f32, contiguous. Zero gives no update, only decay.
//! Where to read next: `reference.rs` for exactly this; [`crate::polar_express`] for where X comes from.

mod cpu;
mod reference;
#[cfg(test)]
mod tests;

use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample, with_numbers};
use crate::{Backend, DType, Reference, Result, View, ViewMut, check, profile};

/// What a step needs to know besides the tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NorMuonParams {
    /// Learning rate, before the factor for tall matrices.
    pub lr: f64,
    /// Decay of the second moment per step.
    pub beta2: f64,
    /// Decay of the weights per step, in units of the learning rate.
    pub weight_decay: f64,
}

impl NorMuonParams {
    /// What [`normuon`] reads from memory for (R, C) matrices: `lr' = lr·√max(1, rows/cols)`, `lr'·wd`, `1 − β₂`.
    ///
    /// # Errors
    /// `beta2` is outside `[0, 1)` or a parameter is not finite.
    pub fn factors(&self, rows: usize, cols: usize) -> Result<[f64; FACTORS]> {
        const OP: &str = "normuon";
        let NorMuonParams { lr, beta2, weight_decay } = *self;
        check::parameter(OP, (0.0..1.0).contains(&beta2), || format!("beta2 is {beta2}, not in [0, 1)"))?;
        let finite = lr.is_finite() && weight_decay.is_finite();
        check::parameter(OP, finite, || "lr and weight_decay must be finite".into())?;
        let step_size = lr * (rows as f64 / cols.max(1) as f64).max(1.0).sqrt();
        Ok([step_size, step_size * weight_decay, 1.0 - beta2])
    }
}

/// How many numbers a step reads.
pub const FACTORS: usize = 3;

/// The update of the weights.
pub trait NorMuon {
    /// See [`normuon`].
    fn normuon(&self, x: View, p: ViewMut, s: ViewMut, factors: View) -> Result<()>;
}

/// A norm counts as at least this.
const SMALLEST_NORM: f64 = 1e-6;
/// A mean square, and the norm after the division, count as at least this.
const SMALLEST_SQUARE: f64 = 1e-10;

/// How many second moments an (R, C) matrix has: one per row, or per column if it is wide.
pub fn second_moments(rows: usize, cols: usize) -> usize {
    rows.max(cols)
}

/// One step: updates the weights `p` and the second moments `s` from the orthogonalised update `x`.
///
/// `x`, `p`: (R, C); `s`: ([`second_moments`]), zero before the first step; `factors`: ([`FACTORS`]), from
/// [`NorMuonParams::factors`]. All f32, contiguous.
pub fn normuon(b: &dyn Backend, x: View, p: ViewMut, s: ViewMut, factors: View) -> Result<()> {
    const OP: &str = "normuon";
    check::dtype(OP, "x", x.dtype(), &[DType::F32, DType::F64])?;
    check::rank(OP, "x", x.dims(), 2, "(R, C)")?;
    check::dims(OP, "p", p.dims(), x.dims())?;
    check::dims(OP, "s", s.dims(), &[second_moments(x.dims()[0], x.dims()[1])])?;
    check::contiguous(OP, "x", x.layout())?;
    for (arg, out) in [("p", &p), ("s", &s)] {
        check::dtype(OP, arg, out.dtype(), &[x.dtype()])?;
        check::contiguous(OP, arg, out.layout())?;
        check::output(OP, arg, out, &[("x", &x), ("factors", &factors)])?;
    }
    check::disjoint(OP, "s", &p, &s)?;
    check::dims(OP, "factors", factors.dims(), &[FACTORS])?;
    check::dtype(OP, "factors", factors.dtype(), &[x.dtype()])?;
    check::contiguous(OP, "factors", factors.layout())?;
    let _timed = profile::call(OP, || Cost {
        flops: 8.0 * x.numel() as f64,
        bytes: x.traffic() + p.traffic() + p.traffic() + s.traffic() + s.traffic(),
    });
    b.normuon(x, p, s, factors)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "normuon",
    doc: "s += (1−β₂)(mean(X²) − s), X = X/√s at its old norm √min(R, C), P −= lr'·(X + wd·P·[X·P ≥ 0])",
    samples: || SHAPES.iter().map(sample).collect(),
    bench: || REAL.iter().map(sample).collect(),
    run: |b, ins, outs, s| {
        let [p, moments] = outs else { unreachable!("two outputs") };
        let (h, x) = (params(s), ins[0]);
        with_numbers(&h.factors(x.dims()[0], x.dims()[1])?, x.dtype(), |factors| {
            normuon(b, x, p.reborrow(), moments.reborrow(), factors)
        })
    },
    scales: &[1.0, 1e-3, 0.0],
    dtypes: &[DType::F32],
    layouts: Layouts::Contiguous,
    tolerance: 6.0,
    roundings: 0.0,
    magnitude: Some(sizes),
    cost: |s, bytes| {
        let n = s.numel("p");
        Cost { flops: 8.0 * n, bytes: s.moved(bytes) }
    },
}];

type Shape = (&'static str, usize, usize);

const SHAPES: &[Shape] = &[
    ("one element", 1, 1),
    ("empty", 0, 5),
    ("one row", 1, 40),
    ("square", 32, 32),
    ("odd, tall", 9, 7),
    ("odd, wide", 7, 1033),
    ("d4.ve_gate", 2, 12),
    ("d4.mlp_up", 1024, 256),
];

const REAL: &[Shape] = &[("d12.mlp_up", 3072, 768), ("d12.mlp_down", 768, 3072)];

fn sample(&(label, rows, cols): &Shape) -> Sample {
    let args = vec![
        Arg::input("x", &[rows, cols], Draw::NormalF32),
        Arg::inout("p", &[rows, cols], Draw::NormalF32),
        Arg::inout("s", &[second_moments(rows, cols)], Draw::Uniform(0.0, 2e-3)),
    ];
    Sample::new(label, args).with(&[0.02, 0.9, 0.1])
}

fn params(s: &[f64]) -> NorMuonParams {
    NorMuonParams { lr: s[0], beta2: s[1], weight_decay: s[2] }
}

/// Terms of the new weights, `|p|·(1 + lr'·wd) + lr'·|X|`, where a step from weights of zero shows lr'·X; and of the moments,
/// which nothing is subtracted from.
fn sizes(v: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let (&[rows, cols], h) = (s.dims("p"), params(&s.scalars)) else { return Vec::new() };
    let (mut p, mut moments) = (vec![0.0f64; v[0].len()], v[2].clone());
    let moved = (|| {
        let x = View::from_slice(&v[0], &[rows, cols])?;
        let (len, p) = (moments.len(), ViewMut::from_slice(&mut p, &[rows, cols])?);
        let factors = h.factors(rows, cols)?;
        let moments = ViewMut::from_slice(&mut moments, &[len])?;
        Reference.normuon(x, p, moments, View::from_slice(&factors, &[FACTORS])?)?;
        Ok::<_, crate::KernelError>(factors)
    })();
    let Ok([_, decay, _]) = moved else { return Vec::new() };
    let keep = 1.0 + decay;
    vec![p.iter().zip(&v[1]).map(|(x, p)| x.abs() + keep * p.abs()).collect(), moments]
}
