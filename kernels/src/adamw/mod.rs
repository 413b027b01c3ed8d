//! AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), one step over one tensor.
//!
//! `p ← p·(1 − lr·wd)`, `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
//! `p ← p − lr/(1−β₁ᵗ) · m / (√(v/(1−β₂ᵗ)) + eps)`.
//!
//! `p`, `g`, `m`, `v`: the same dims, f32, contiguous. One fused pass: four arrays are read and three written, each
//! once. The factors that depend on the step alone are made here in f64, so that `1 − β₂` keeps its digits. Where to
//! read next: `cpu.rs`.

mod cpu;
mod reference;

use crate::check;
use crate::planted;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// What a step needs to know besides the tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWParams {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment per step.
    pub beta1: f64,
    /// Decay of the second moment per step.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decay of the parameter per step, in units of `lr`.
    pub weight_decay: f64,
    /// Number of this step; the first is 1.
    pub step: u32,
}

/// The factors of one step, made from [`AdamWParams`] in f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWFactors {
    /// `1 − lr·wd`: what is left of a parameter.
    pub keep: f64,
    /// `lr / (1 − β₁ᵗ)`.
    pub step_size: f64,
    /// `1 / (1 − β₂ᵗ)`.
    pub unbias: f64,
}

impl AdamWParams {
    /// The factors that all elements share.
    pub fn factors(&self) -> AdamWFactors {
        let bias = |beta: f64| 1.0 - beta.powi(self.step.min(i32::MAX as u32) as i32);
        AdamWFactors {
            keep: 1.0 - self.lr * self.weight_decay,
            step_size: self.lr / bias(self.beta1),
            unbias: 1.0 / bias(planted!("adamw.second_moment_corrected_by_beta1", self.beta2 => self.beta1)),
        }
    }
}

/// The optimiser step.
pub trait AdamW {
    /// See [`adamw`].
    fn adamw(&self, p: ViewMut, g: View, m: ViewMut, v: ViewMut, h: AdamWParams) -> Result<()>;
}

/// One AdamW step: updates the parameter `p` and its moments `m` and `v` from the gradient `g`.
///
/// All four f32, contiguous, same dims. Errors if a beta is outside `[0, 1)`, `step` is 0 or a parameter is not finite.
pub fn adamw(b: &dyn Backend, p: ViewMut, g: View, m: ViewMut, v: ViewMut, h: AdamWParams) -> Result<()> {
    const OP: &str = "adamw";
    check::dtype(OP, "p", p.dtype(), &[DType::F32, DType::F64])?;
    for (arg, dtype, layout) in [
        ("p", p.dtype(), p.layout()),
        ("g", g.dtype(), g.layout()),
        ("m", m.dtype(), m.layout()),
        ("v", v.dtype(), v.layout()),
    ] {
        check::dims(OP, arg, layout.dims(), p.dims())?;
        check::dtype(OP, arg, dtype, &[p.dtype()])?;
        check::contiguous(OP, arg, layout)?;
    }
    for (arg, out) in [("p", &p), ("m", &m), ("v", &v)] {
        check::output(OP, arg, out, &[("g", &g)])?;
    }
    check::disjoint(OP, "m", &p, &m)?;
    check::disjoint(OP, "v", &p, &v)?;
    check::disjoint(OP, "v", &m, &v)?;
    let betas = (0.0..1.0).contains(&h.beta1) && (0.0..1.0).contains(&h.beta2);
    check::parameter(OP, betas, || format!("betas {} and {} must lie in [0, 1)", h.beta1, h.beta2))?;
    check::parameter(OP, h.step > 0, || "steps are counted from 1".into())?;
    let finite = h.lr.is_finite() && h.weight_decay.is_finite() && h.eps.is_finite() && h.eps >= 0.0;
    check::parameter(OP, finite, || "lr, weight_decay and eps must be finite, eps not negative".into())?;
    let _timed = profile::call(OP, || Cost { flops: 14.0 * p.numel() as f64, bytes: 7.0 * p.traffic() });
    b.adamw(p, g, m, v, h)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "adamw",
    doc: "m = β₁m + (1−β₁)g, v = β₂v + (1−β₂)g², p = p·(1−lr·wd) − lr/(1−β₁ᵗ)·m/(√(v/(1−β₂ᵗ)) + eps)",
    samples: || SHAPES.iter().flat_map(|s| [sample(s, 1), sample(s, 500)]).collect(),
    bench: || REAL.iter().map(|s| sample(s, 500)).collect(),
    run: |b, ins, outs, s| {
        let [p, m, v] = outs else { unreachable!("three outputs") };
        adamw(b, p.reborrow(), ins[0], m.reborrow(), v.reborrow(), params(s))
    },
    scales: &[1.0, 1e-6],
    dtypes: &[DType::F32],
    layouts: Layouts::Contiguous,
    tolerance: 8.0,
    roundings: 0.0,
    magnitude: Some(sizes),
    cost: |s, bytes| {
        let n = s.numel("p");
        Cost { flops: 14.0 * n, bytes: s.moved(bytes) }
    },
}];

const SHAPES: &[(&str, &[usize])] = &[
    ("one element", &[1]),
    ("odd", &[3, 5, 7]),
    ("empty", &[0]),
    ("one row", &[1, 33]),
    ("d4.c_fc", &[1024, 256]),
];

const REAL: &[(&str, &[usize])] = &[("d4.embedding", &[4096, 256]), ("d12.mlp_up", &[3072, 768])];

fn sample(&(label, dims): &(&'static str, &[usize]), step: u32) -> Sample {
    let args = vec![
        Arg::inout("p", dims, Draw::NormalF32),
        Arg::input("g", dims, Draw::NormalF32),
        Arg::inout("m", dims, Draw::NormalF32),
        // A second moment as it would be after gradients of the size of g.
        Arg::inout(
            "v",
            dims,
            Draw::Derived(|ins, _| ins[1].iter().zip(&ins[2]).map(|(g, m)| g * g + m * m).collect()),
        ),
    ];
    Sample::new(label, args).with(&[0.01, 0.8, 0.95, 1e-10, 0.1, step as f64])
}

fn params(s: &[f64]) -> AdamWParams {
    AdamWParams { lr: s[0], beta1: s[1], beta2: s[2], eps: s[3], weight_decay: s[4], step: s[5] as u32 }
}

/// Terms of the new `p`, `m` and `v`.
fn sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let (h, f) = (params(&s.scalars), params(&s.scalars).factors());
    let [p, g, m, v] = x else { return Vec::new() };
    let m: Vec<f64> = m.iter().zip(g).map(|(m, g)| h.beta1 * m.abs() + (1.0 - h.beta1) * g.abs()).collect();
    let v: Vec<f64> = v.iter().zip(g).map(|(v, g)| h.beta2 * v + (1.0 - h.beta2) * g * g).collect();
    let step = |i: usize| f.step_size * m[i] / ((v[i] * f.unbias).sqrt() + h.eps);
    let p = (0..p.len()).map(|i| p[i].abs() * f.keep.abs() + step(i)).collect();
    vec![p, m, v]
}
