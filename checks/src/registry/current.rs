//! Entries of what today's nanochat adds to a transformer.

use super::{FLOATS, Input, OpInfo, OpSample, bound};
use autograd::ops::cat::cat;
use autograd::{Result, Var};
use kernels::registry::Layouts;
use kernels::unary::UnaryOp;
use tensor::Tensor;

pub static CHANNEL_GATE: OpInfo = OpInfo {
    name: "channel_gate",
    module: "channel_gate",
    doc: "g = scale·σ(x[:n]·Wᵀ); da = dg·scale·σ(1−σ), dx[:n] = da·W, dW = daᵀ·x[:n]",
    samples: || {
        let sample = |label, x: &[usize], [heads, n]: [usize; 2], scale: f64| {
            let inputs = vec![Input::activation("x", x), Input::weight("w", &[heads, n])];
            OpSample::new(label, inputs).with_scalars(&[scale])
        };
        vec![
            sample("odd", &[3, 5, 7], [3, 4], 3.0),
            sample("all channels of one row", &[1, 5], [2, 5], 1.0),
            sample("no rows", &[0, 6], [2, 3], 3.0),
            sample("d4.value gate", &[2, 16, 256], [2, 12], 3.0),
            sample("d4.smear gate", &[2, 16, 256], [1, 24], 1.0),
        ]
    },
    apply: |x, s| Ok(vec![x[0].channel_gate(&x[1], s.scalars[0])?]),
    composite: Some(|x, s| {
        let channels = x[0].narrow(x[0].dims().len() - 1, 0, x[1].dims()[1])?;
        Ok(vec![channels.linear(&x[1])?.unary(UnaryOp::Sigmoid)?.affine(s.scalars[0], 0.0)?])
    }),
    scales: &[0.3, 1e-2], // at 0.3, with means of four, gates are within 1e-7 of their ends
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(32.0, 0.0),
    gradient: bound(128.0, 0.0), // a of 30 with an error of 3 units is e^a with one of 90
    hidden: None,
    avoid: None,
};

pub static GATED_ADD: OpInfo = OpInfo {
    name: "gated_add",
    module: "gated_add",
    doc: "y = v + g·u, one g per head; dv = dy, du = g·dy, dg = Σ dy·u",
    samples: || {
        let sample = |label, dims: &[usize]| {
            let gates = &dims[..dims.len() - 1];
            let inputs = [("v", dims), ("g", gates), ("u", dims)];
            OpSample::new(label, inputs.map(|(name, dims)| Input::activation(name, dims)).to_vec())
        };
        vec![
            sample("odd", &[3, 5, 7]),
            sample("one head", &[1, 9]),
            sample("empty", &[0, 2, 8]),
            sample("d4.v", &[2, 16, 2, 128]),
        ]
    },
    apply: |x, _| Ok(vec![x[0].gated_add(&x[1], &x[2])?]),
    composite: Some(|x, _| {
        let gates = x[1].reshape(&[x[1].dims(), &[1]].concat())?;
        Ok(vec![x[0].add(&x[2].mul(&gates)?)?])
    }),
    scales: &[1.0, 1e-3],
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(2.0, 0.0),
    gradient: bound(2.0, 0.0),
    hidden: None,
    avoid: None,
};

/// The row before the first position, if the sample has its numbers.
fn prev(x: &[Var], s: &OpSample) -> Result<Option<Tensor>> {
    let (x, dims) = (x[0].value(), [x[0].dims()[0], x[0].dims()[2]]);
    let row = || Tensor::from_f64(&s.scalars, &dims, x.dtype(), x.device());
    Ok(if s.scalars.is_empty() { None } else { Some(row()?) })
}

pub static SMEAR: OpInfo = OpInfo {
    name: "smear",
    module: "smear",
    doc: "y_t = x_t + g_t·x_{t−1}; dx_t = dy_t + g_{t+1}·dy_{t+1}, dg_t = Σ dy_t·x_{t−1}",
    samples: || {
        let sample = |label, [b, t, c]: [usize; 3], prev: &[f64]| {
            let inputs = vec![Input::activation("x", &[b, t, c]), Input::activation("g", &[b, t])];
            OpSample::new(label, inputs).with_scalars(prev)
        };
        vec![
            sample("odd", [3, 5, 7], &[]),
            sample("after a row", [2, 3, 3], &[1.5, -0.25, 0.0, 2.0, -3.0, 0.75]),
            sample("one position after a row", [1, 1, 3], &[0.5, -2.0, 1.0]),
            sample("empty", [0, 4, 8], &[]),
            sample("d4.hidden", [2, 16, 256], &[]),
        ]
    },
    apply: |x, s| Ok(vec![x[0].smear(&x[1], prev(x, s)?.as_ref())?]),
    composite: Some(|x, s| {
        let [b, t, c] = [0, 1, 2].map(|axis| x[0].dims()[axis]);
        let before = match prev(x, s)? {
            Some(prev) => prev.reshape(&[b, 1, c])?,
            None => Tensor::zeros(&[b, 1, c], x[0].dtype(), x[0].value().device())?,
        };
        let shifted = cat(&[&Var::constant(before), &x[0]], 1)?.narrow(1, 0, t)?;
        Ok(vec![x[0].add(&shifted.mul(&x[1].reshape(&[b, t, 1])?)?)?])
    }),
    scales: &[1.0, 1e-3],
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(2.0, 0.0),
    gradient: bound(2.0, 0.0),
    hidden: None,
    avoid: None,
};

pub static MIX: OpInfo = OpInfo {
    name: "mix",
    module: "mix",
    doc: "y = a·x + b·z; dx = a·dy, dz = b·dy, da = Σ dy·x, db = Σ dy·z",
    samples: || {
        let sample = |label, dims: &[usize]| {
            let (scalar, rows) = (|name| Input::weight(name, &[1]), |name| Input::activation(name, dims));
            OpSample::new(label, vec![scalar("a"), rows("x"), scalar("b"), rows("z")])
        };
        vec![
            sample("odd", &[3, 5, 7]),
            sample("one row", &[1, 9]),
            sample("empty", &[0, 8]),
            sample("d4.hidden", &[2, 40, 256]),
        ]
    },
    apply: |x, _| Ok(vec![x[1].mix(&x[0], &x[3], &x[2])?]),
    composite: Some(|x, _| {
        let scaled = |x: &Var, by: &Var| x.mul(&by.reshape(&[])?.cast(x.dtype())?);
        Ok(vec![scaled(&x[1], &x[0])?.add(&scaled(&x[3], &x[2])?)?])
    }),
    scales: &[1.0, 1e-3],
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(3.0, 0.0),
    gradient: bound(2.0, 0.0), // products, and sums kept in f64
    hidden: None,
    avoid: None,
};
