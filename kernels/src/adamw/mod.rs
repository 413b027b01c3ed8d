//! AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), one step over one tensor.
//!
//! `p ← p·(1 − lr·wd)`, `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
//! `p ← p − lr/(1−β₁ᵗ) · m / (√(v/(1−β₂ᵗ)) + eps)`.
//!
//! `p`, `g`, `m`, `v`: the same dims, f32, contiguous. One fused pass: four arrays are read and three written, each
//! once; and, where products want it, the new `p` rounded to bf16. What depends on the step alone is eight numbers, made
//! on the host in f64, so that `1 − β₂` keeps its digits, and read from memory: a step that was recorded as a graph can then be
//! repeated with other numbers. Where to read next: `factors.rs`, `cpu.rs`.

mod cpu;
mod factors;
mod reference;

pub use factors::{AdamWParams, FACTORS};

use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample, with_numbers};
use crate::{Backend, DType, Result, View, ViewMut, check, profile};

/// The optimiser step.
pub trait AdamW {
    /// See [`adamw`].
    fn adamw(
        &self,
        p: ViewMut,
        rounded: Option<ViewMut>,
        g: View,
        m: ViewMut,
        v: ViewMut,
        factors: View,
    ) -> Result<()>;
}

/// One AdamW step: updates the parameter `p` and its moments `m` and `v` from the gradient `g`; `rounded`, if it is there, becomes
/// the new `p` in bf16 (f64 where `p` is).
///
/// All others f32, contiguous, of the same dims. `factors`: ([`FACTORS`]), f32, from [`AdamWParams::factors`].
pub fn adamw(
    b: &dyn Backend,
    p: ViewMut,
    rounded: Option<ViewMut>,
    g: View,
    m: ViewMut,
    v: ViewMut,
    factors: View,
) -> Result<()> {
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
    check::dims(OP, "factors", factors.dims(), &[FACTORS])?;
    check::dtype(OP, "factors", factors.dtype(), &[p.dtype()])?;
    check::contiguous(OP, "factors", factors.layout())?;
    for (arg, out) in [("p", &p), ("m", &m), ("v", &v)] {
        check::output(OP, arg, out, &[("g", &g), ("factors", &factors)])?;
    }
    check::disjoint(OP, "m", &p, &m)?;
    check::disjoint(OP, "v", &p, &v)?;
    check::disjoint(OP, "v", &m, &v)?;
    if let Some(out) = &rounded {
        check::dims(OP, "rounded", out.dims(), p.dims())?;
        let half = if p.dtype() == DType::F64 { DType::F64 } else { DType::Bf16 };
        check::dtype(OP, "rounded", out.dtype(), &[half])?;
        check::contiguous(OP, "rounded", out.layout())?;
        check::output(OP, "rounded", out, &[("g", &g), ("factors", &factors)])?;
        for other in [&p, &m, &v] {
            check::disjoint(OP, "rounded", other, out)?;
        }
    }
    let written = rounded.as_ref().map_or(0.0, |out| out.traffic());
    let _timed =
        profile::call(OP, || Cost { flops: 14.0 * p.numel() as f64, bytes: 7.0 * p.traffic() + written });
    b.adamw(p, rounded, g, m, v, factors)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[PLAIN, ROUNDED];

const PLAIN: KernelInfo = KernelInfo {
    name: "adamw",
    doc: "m = β₁m + (1−β₁)g, v = β₂v + (1−β₂)g², p = p·(1−lr·wd) − lr/(1−β₁ᵗ)·m/(√(v/(1−β₂ᵗ)) + eps)",
    samples: || SHAPES.iter().flat_map(|s| [sample(s, 1), sample(s, 500)]).collect(),
    bench: || REAL.iter().map(|s| sample(s, 500)).collect(),
    run: |b, ins, outs, s| {
        let [p, m, v] = outs else { unreachable!("three outputs") };
        with_numbers(&params(s).factors()?, p.dtype(), |factors| {
            adamw(b, p.reborrow(), None, ins[0], m.reborrow(), v.reborrow(), factors)
        })
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
};

/// With a copy in bf16, written in the same pass.
const ROUNDED: KernelInfo = KernelInfo {
    name: "adamw_rounded",
    doc: "the same, and the new p rounded to bf16",
    samples: || SHAPES.iter().map(|s| with_copy(sample(s, 3))).collect(),
    bench: || REAL.iter().map(|s| with_copy(sample(s, 500))).collect(),
    run: |b, ins, outs, s| {
        let [p, m, v, rounded] = outs else { unreachable!("four outputs") };
        with_numbers(&params(s).factors()?, p.dtype(), |factors| {
            adamw(b, p.reborrow(), Some(rounded.reborrow()), ins[0], m.reborrow(), v.reborrow(), factors)
        })
    },
    dtypes: &[DType::Bf16],
    magnitude: Some(|x, s| {
        let mut all = sizes(x, s);
        all.extend(all.first().cloned());
        all
    }),
    ..PLAIN
};

fn with_copy(mut sample: Sample) -> Sample {
    let dims = sample.dims("p").to_vec();
    sample.args.push(Arg::out("rounded", &dims));
    sample
}

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
    let (h, Ok(f), [p, g, m, v]) = (params(&s.scalars), params(&s.scalars).factors(), x) else {
        return Vec::new();
    };
    let [keep, step_size, unbias, ..] = f;
    let m: Vec<f64> = m.iter().zip(g).map(|(m, g)| h.beta1 * m.abs() + (1.0 - h.beta1) * g.abs()).collect();
    let v: Vec<f64> = v.iter().zip(g).map(|(v, g)| h.beta2 * v + (1.0 - h.beta2) * g * g).collect();
    let step = |i: usize| step_size * m[i] / ((v[i] * unbias).sqrt() + h.eps);
    let p = (0..p.len()).map(|i| p[i].abs() * keep.abs() + step(i)).collect();
    vec![p, m, v]
}
