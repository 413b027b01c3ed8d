//! Drawing a token from logits: `logits` (N, V) and `uniforms` (N) give `ids` (N). Inverting a distribution function is
//! older than computers; no paper.
//!
//! With temperature `T > 0`, token `i` has probability `p_i ∝ exp(z_i/T)`, over all tokens or over the `k` largest logits
//! (exactly `k`: ties go to the lowest index). A uniform number `u` picks the first token at which the running sum of `p`
//! exceeds `u`; the sum runs in index order over the whole vocabulary, in descending order of logits over a top `k`.
//! `T = 0` is the largest logit, lowest index. Weights are f64, so that two backends disagree only where `u` falls
//! within 1e-12 of a boundary.
//!
//! The uniform numbers are an argument: a draw is a pure function of its inputs. Logits of −∞ have probability 0. A row
//! with a NaN, or (`T > 0`) whose largest logit is infinite or whose `u` is NaN, has no distribution: its id is −1, which
//! no table accepts.
//! Where to read next: `cpu.rs`, [`crate::top_k`].

mod cpu;
mod reference;

use crate::check;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Role, Sample as Case};
use crate::{Backend, DType, Result, View, ViewMut, profile};

/// Drawing tokens.
pub trait Sample {
    /// See [`sample`].
    fn sample(
        &self,
        logits: View,
        uniforms: View,
        temperature: f64,
        top_k: Option<usize>,
        ids: ViewMut,
    ) -> Result<()>;
}

/// `ids[n]` drawn from `softmax(logits[n] / temperature)`, restricted to the `top_k` largest, by inverting the
/// distribution function at `uniforms[n]`.
///
/// `logits`: (N, V) f32, unit last stride; `uniforms`: (N) f32 in `[0, 1)`, any stride; `ids`: (N) i32, contiguous.
/// `temperature ≥ 0`, 0 takes the largest. `top_k ≥ 1`; more than V means V.
pub fn sample(
    b: &dyn Backend,
    logits: View,
    uniforms: View,
    temperature: f64,
    top_k: Option<usize>,
    ids: ViewMut,
) -> Result<()> {
    const OP: &str = "sample";
    check::rank(OP, "logits", logits.dims(), 2, "(N, V)")?;
    check::dtype(OP, "logits", logits.dtype(), &[DType::F32, DType::F64])?;
    check::unit_last_stride(OP, "logits", logits.layout())?;
    let (rows, v) = (logits.dims()[0], logits.dims()[1]);
    check::dims(OP, "uniforms", uniforms.dims(), &[rows])?;
    check::dtype(OP, "uniforms", uniforms.dtype(), &[logits.dtype()])?;
    check::dims(OP, "ids", ids.dims(), &[rows])?;
    check::dtype(OP, "ids", ids.dtype(), &[DType::I32])?;
    check::contiguous(OP, "ids", ids.layout())?;
    check::output(OP, "ids", &ids, &[("logits", &logits), ("uniforms", &uniforms)])?;
    check::parameter(OP, v > 0 || rows == 0, || "there are no tokens to draw from".into())?;
    check::parameter(OP, v <= i32::MAX as usize, || format!("{v} tokens do not fit 32-bit ids"))?;
    check::parameter(OP, temperature >= 0.0 && temperature.is_finite(), || {
        format!("temperature {temperature} must be 0 (the largest logit) or positive")
    })?;
    check::parameter(OP, top_k != Some(0), || "top_k = 0 leaves no token; use at least 1".into())?;
    let _timed = profile::call(OP, || Cost { flops: 2.0 * logits.numel() as f64, bytes: logits.traffic() });
    b.sample(logits, uniforms, temperature, top_k, ids)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "sample",
    doc: "a token from softmax(z/T), of all or of the top k, at a given uniform number",
    samples: || SHAPES.iter().map(case).collect(),
    bench: || REAL.iter().map(case).collect(),
    run: |b, ins, outs, s| {
        let top_k = (s[1] > 0.0).then_some(s[1] as usize);
        sample(b, ins[0], ins[1], s[0], top_k, outs[0].reborrow())
    },
    scales: &[1.0, 5.0, 0.0], // 0: everything is equally likely
    dtypes: &[DType::F32],
    layouts: Layouts::Rows,
    tolerance: 0.0,
    roundings: 0.0,
    magnitude: None,
    cost: |s, bytes| {
        let n = s.numel("logits");
        Cost { flops: 2.0 * n, bytes: s.moved(bytes) }
    },
}];

/// Label, N, V, temperature, top k (0: all).
const SHAPES: &[(&str, usize, usize, f64, usize)] = &[
    ("one token", 1, 1, 1.0, 0),
    ("largest", 9, 37, 0.0, 0),
    ("odd", 41, 37, 0.8, 0),
    ("odd, top k", 41, 37, 1.2, 5),
    ("cold", 9, 1500, 0.05, 0),
    ("no rows", 0, 8, 1.0, 0),
    ("more than all", 3, 8, 1.0, 50),
    ("d4 logits", 2, 32_768, 1.0, 0),
    ("d4 logits, top k", 2, 32_768, 1.0, 50),
    ("long row", 1, 65_536, 0.7, 0),
];

const REAL: &[(&str, usize, usize, f64, usize)] =
    &[("d12.logits", 32, 32_768, 1.0, 0), ("d12.logits.top_50", 32, 32_768, 1.0, 50)];

fn case(&(label, n, v, temperature, k): &(&'static str, usize, usize, f64, usize)) -> Case {
    let ids = Arg {
        name: "ids",
        role: Role::Out,
        dims: vec![n],
        draw: Draw::Ids { lo: 0, hi: v as i32 },
        any_shape: false,
    };
    let args = vec![
        Arg::input("logits", &[n, v], Draw::NormalF32),
        Arg::input("uniforms", &[n], Draw::Uniform(0.0, 1.0)),
        ids,
    ];
    Case::new(label, args).with(&[temperature, k as f64])
}
