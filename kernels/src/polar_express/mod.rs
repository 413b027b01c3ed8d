//! The orthogonalisation of today's Muon: rows made equally long, then Polar Express (Amsel et al. 2025,
//! arXiv:2505.16932).
//!
//! Like Newton–Schulz ([`crate::muon`]) it sends every singular value towards 1 with an odd polynomial of degree five per
//! step, `A = X·Xᵀ`, `X ← a·X + (b·A + c·A²)·X`. But each step has its own polynomial, the one that leaves the smallest
//! possible error over the interval in which the step before left the singular values. Those above 1e-3 all end between
//! 0.86 and 1.14, where Newton–Schulz has lifted the smallest ones to 0.5 and left others at 0.7 or 1.2.
//!
//! Before that the rows are made equally long (MuonEq), each scaled to `‖X‖_F/√R`, so that an output feature with a small
//! gradient counts as much as the others; and the whole is scaled to `X / (1.01·‖X‖_F + 1e-6)`, a little below 1, because
//! rounding must not push a singular value out of the first interval. Rows are output features, also of a tall matrix,
//! of which the iteration then transforms the transpose. Zero stays zero. `g`, `o`: (R, C) or (N, R, C), f32.
//! Where to read next: `cpu.rs`; [`crate::normuon`] for what is done with the result.

mod cpu;
mod reference;
#[cfg(test)]
mod tests;

use crate::muon::{Schulz, matrices, orthogonalisation, schulz_cost, schulz_sample};
use crate::registry::{Cost, KernelInfo, Layouts};
use crate::{Backend, DType, Result, View, ViewMut, check, profile};

/// Equilibration and orthogonalisation.
pub trait PolarExpress {
    /// See [`polar_express`].
    fn polar_express(&self, g: View, o: ViewMut, scratch: ViewMut, steps: usize, bf16: bool) -> Result<()>;
}

/// The polynomials of the steps, for singular values that begin above 1e-3 or so.
pub const COEFFICIENTS: [[f64; 3]; 5] = [
    [8.156554524902461, -22.48329292557795, 15.878769915207462],
    [4.042929935166739, -2.808917465908714, 0.5000178451051316],
    [3.8916678022926607, -2.772484153217685, 0.5060648178503393],
    [3.285753657755655, -2.3681294933425376, 0.46449024233003106],
    [2.3465413258596377, -1.7097828382687081, 0.42323551169305323],
];
/// A row counts as at least this long.
const SHORTEST_ROW: f64 = 1e-6;
/// The norm is overestimated by this factor, and by this much.
pub const MARGIN: [f64; 2] = [1.01, 1e-6];

/// `o` = `g` with rows of equal length and then its singular values sent to 1, by `steps` ≤ 5 steps. Zero gives zero.
///
/// `g`, `o`: (R, C) or (N, R, C), f32, contiguous; `scratch`: (at least [`crate::muon::newton_schulz_scratch`]), contents
/// irrelevant before and after. With `bf16`, the matrix, every factor, product and sum are rounded to bf16, which is what running all this on bf16
/// tensors gives; norms and sums inside a product stay wide.
pub fn polar_express(
    b: &dyn Backend,
    g: View,
    o: ViewMut,
    scratch: ViewMut,
    steps: usize,
    bf16: bool,
) -> Result<()> {
    const OP: &str = "polar_express";
    orthogonalisation(OP, &g, &o, &scratch)?;
    let most = COEFFICIENTS.len();
    check::parameter(OP, steps <= most, || format!("{steps} steps; there are polynomials for {most}"))?;
    let _timed =
        profile::call(OP, || Cost { bytes: g.traffic() + o.traffic(), ..schulz_cost(g.dims(), steps) });
    b.polar_express(g, o, scratch, steps, bf16)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "polar_express",
    doc: "rows of equal length, then steps of X ← a·X + (b·A + c·A²)·X, A = X·Xᵀ, each with its own a, b, c",
    samples: || SHAPES.iter().map(schulz_sample).collect(),
    bench: || REAL.iter().map(schulz_sample).collect(),
    run: |b, ins, outs, s| {
        let [o, scratch] = outs else { unreachable!("two outputs") };
        polar_express(b, ins[0], o.reborrow(), scratch.reborrow(), s[0] as usize, s[1] != 0.0)
    },
    scales: &[1.0, 1e-3, 0.0],
    dtypes: &[DType::F32],
    layouts: Layouts::Contiguous,
    // A few roundings per step; those in the direction of small singular values grow with them, up to a thousand times, but
    // few directions of a random matrix are small.
    tolerance: 64.0,
    roundings: 0.0,
    magnitude: Some(|_, s| {
        // The result has entries up to 1. In bf16, sums that fall close to the middle of two bf16 numbers are rounded
        // differently when they are formed in f32 and in f64; 64 · 1024 units of f32 are one of bf16.
        let one = if s.scalars[1] != 0.0 { 2048.0 } else { 1.0 };
        // One or two singular values may lie where the first polynomials are steep (a slope of 17, then of 4), and no other
        // directions share the error.
        let (_, rows, cols) = matrices(s.dims("g"));
        let steep = match rows.min(cols) {
            1 => 16.0,
            2 => 4.0,
            _ => 1.0,
        };
        let one = one * steep;
        let elements = |arg| s.dims(arg).iter().product();
        vec![vec![one; elements("g")], vec![f64::INFINITY; elements("scratch")]]
    }),
    cost: |s, _| schulz_cost(s.dims("g"), s.scalars[0] as usize),
}];

const SHAPES: &[Schulz] = &[
    ("one element", &[1, 1], false),
    ("empty", &[0, 5], false),
    ("one row", &[1, 40], false),
    ("square", &[32, 32], false),
    ("tall", &[48, 17], false),
    ("wide", &[17, 48], false),
    ("wide, in bf16", &[17, 48], true),
    ("tall, in bf16", &[48, 17], true),
    ("three tall", &[3, 48, 17], false),
    ("d4.ve_gate", &[2, 12], false),
    ("d4.attn_proj", &[256, 256], false),
];

const REAL: &[Schulz] = &[
    ("d4.attn.all", &[16, 256, 256], false),
    ("d4.attn.all.bf16", &[16, 256, 256], true),
    ("d12.mlp_up", &[3072, 768], false),
    ("d12.mlp_up.bf16", &[3072, 768], true),
    ("d12.attn_proj", &[768, 768], false),
    ("d12.attn_proj.bf16", &[768, 768], true),
];
