//! Entries of the layers that came after the first generation's, and of fused ones.

use super::nn::{EPS, tables};
use super::{FLOATS, Input, OpInfo, OpSample, bound, composites, hidden};
use autograd::ops::rope::Rope;
use autograd::{Result, Var};
use kernels::dropout::DropoutMask;
use kernels::gated::Activation;
use kernels::gelu::GeluForm;
use kernels::philox::{unit_f32, word};
use kernels::registry::Layouts;
use kernels::unary::UnaryOp;
use tensor::Tensor;

/// GPT-2's epsilon.
const LAYER_NORM_EPS: f64 = 1e-5;

/// The weights are drawn as matrices of one row: a vector that repeats has no unit stride.
fn weight(x: &Var) -> Result<Var> {
    x.reshape(&[x.dims()[1]])
}

/// Inputs: x, gain and, if there is one, bias.
fn layer_norm(x: &[Var]) -> Result<Vec<Var>> {
    let bias = x.get(2).map(weight).transpose()?;
    Ok(vec![x[0].layer_norm(&weight(&x[1])?, bias.as_ref(), LAYER_NORM_EPS)?])
}

fn layer_norm_composite(x: &[Var]) -> Result<Vec<Var>> {
    let (last, dtype) = (x[0].dims().len() - 1, x[0].dtype());
    let scale = 1.0 / x[0].dims()[last] as f64;
    let centred = x[0].sub(&x[0].sum(&[last])?.affine(scale, 0.0)?)?;
    let rstd = centred.square()?.sum(&[last])?.affine(scale, LAYER_NORM_EPS)?.rsqrt()?;
    let y = centred.mul(&rstd)?.mul(&weight(&x[1])?.cast(dtype)?)?;
    Ok(vec![x.get(2).map_or(Ok(y.clone()), |bias| y.add(&weight(bias)?.cast(dtype)?))?])
}

pub static LINEARS: OpInfo = OpInfo {
    name: "linears",
    module: "linears",
    doc: "yᵢ = x·Wᵢᵀ of three weights in one product; dx = Σ dyᵢ·Wᵢ, dWᵢ = dyᵢᵀ·x",
    samples: || {
        let sample = |label, x: &[usize], outs: [usize; 3]| {
            let weights = outs.map(|out| Input::weight("w", &[out, x[x.len() - 1]]));
            OpSample::new(label, [vec![Input::activation("x", x)], weights.to_vec()].concat())
        };
        vec![
            sample("odd", &[3, 5, 7], [9, 3, 2]),
            sample("no rows", &[0, 6], [4, 2, 2]),
            sample("d4.qkv, shared keys", &[2, 8, 256], [64, 32, 32]),
        ]
    },
    apply: |x, _| Ok(x[0].linears([&x[1], &x[2], &x[3]])?.to_vec()),
    composite: Some(|x, _| (1..4).map(|i| composites::linear(&x[0], &x[i])).collect()),
    scales: &[1.0, 1e-3],
    dtypes: FLOATS,
    layouts: Layouts::Any,
    forward: bound(32.0, 4.0), // the weights are rounded to the activations' dtype
    gradient: bound(32.0, 4.0),
    hidden: None,
    avoid: None,
};

pub static LAYER_NORM: OpInfo = OpInfo {
    name: "layer_norm",
    module: "layer_norm",
    doc: "y = x̂·gain + bias, x̂ = (x − mean)·r; dx = r·(g − mean(g) − x̂·mean(g∘x̂)), g = dy∘gain, dgain = Σ dy∘x̂, dbias = Σ dy",
    samples: || {
        let sample = |label, dims: &[usize], weights: &[&'static str]| {
            let c = dims[dims.len() - 1];
            let mut inputs = vec![Input::activation("x", dims)];
            inputs.extend(weights.iter().map(|name| Input::weight(name, &[1, c])));
            OpSample::new(label, inputs)
        };
        vec![
            sample("odd", &[3, 5, 7], &["gain", "bias"]),
            sample("without bias", &[4, 9], &["gain"]),
            sample("empty", &[0, 8], &["gain", "bias"]),
            sample("one row", &[1, 33], &["gain", "bias"]),
            sample("d4.hidden", &[40, 256], &["gain", "bias"]),
        ]
    },
    apply: |x, _| layer_norm(x),
    composite: Some(|x, _| layer_norm_composite(x)),
    scales: &[1.0, 3e-3], // 3e-3: the variance is of the size of eps
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(32.0, 0.0),
    gradient: bound(64.0, 0.0),
    hidden: None,
    avoid: None,
};

fn elementwise(names: &[&'static str]) -> Vec<OpSample> {
    let sample = |(label, dims): (&'static str, &[usize])| {
        OpSample::new(label, names.iter().map(|name| Input::activation(name, dims)).collect())
    };
    [("odd", &[3, 5, 7][..]), ("empty", &[4, 0]), ("a scalar", &[]), ("d4.mlp", &[4, 1024])]
        .map(sample)
        .to_vec()
}

const fn gelu(name: &'static str, doc: &'static str, apply: super::Apply) -> OpInfo {
    OpInfo {
        name,
        module: "gelu",
        doc,
        samples: || elementwise(&["x"]),
        apply,
        composite: None,
        scales: &[1.0, 5.0, 1e-3],
        dtypes: FLOATS,
        layouts: Layouts::Any,
        forward: bound(8.0, 0.0),
        gradient: bound(8.0, 0.0),
        hidden: None,
        avoid: None,
    }
}

pub static GELU: OpInfo = OpInfo {
    hidden: Some(hidden::gelu),
    ..gelu("gelu", "y = x·Φ(x), Φ by erf; dx = dy·(Φ + x·φ)", |x, _| {
        Ok(vec![x[0].gelu(GeluForm::Exact)?])
    })
};

pub static GELU_TANH: OpInfo = OpInfo {
    composite: Some(|x, _| Ok(vec![gelu_tanh_composite(&x[0])?])),
    hidden: Some(hidden::gelu_tanh),
    ..gelu(
        "gelu_tanh",
        "y = x·Φ(x), Φ = (1 + tanh u)/2; dx = dy·(Φ + x·(1 − tanh²u)/2·u')",
        |x, _| Ok(vec![x[0].gelu(GeluForm::Tanh)?]),
    )
};

/// `(1 + tanh u)/2 = σ(2u)`, and the right side keeps its digits.
fn gelu_tanh_composite(x: &Var) -> Result<Var> {
    let k = 2.0 * std::f64::consts::FRAC_2_PI.sqrt();
    let u = x.mul(&x.square()?.affine(0.044715 * k, k)?)?;
    x.mul(&u.unary(UnaryOp::Sigmoid)?)
}

const fn gated(
    name: &'static str,
    doc: &'static str,
    apply: super::Apply,
    composite: super::Apply,
) -> OpInfo {
    OpInfo {
        name,
        module: "gated",
        doc,
        samples: || elementwise(&["a", "b"]),
        apply,
        composite: Some(composite),
        scales: &[1.0, 4.0, 1e-2],
        dtypes: FLOATS,
        layouts: Layouts::Any,
        forward: bound(8.0, 0.0),
        gradient: bound(8.0, 0.0),
        hidden: None,
        avoid: None,
    }
}

pub static GATED_RELU_SQUARED: OpInfo = OpInfo {
    avoid: Some(|x| x.abs() < 1e-3), // the kink of the gate
    ..gated(
        "gated_relu_squared",
        "y = max(a, 0)²·b; da = 2·dy·b·max(a, 0), db = dy·max(a, 0)²",
        |x, _| Ok(vec![x[0].gated(Activation::ReluSquared, &x[1])?]),
        |x, _| Ok(vec![x[0].relu()?.square()?.mul(&x[1])?]),
    )
};
pub static GATED_SILU: OpInfo = gated(
    "gated_silu",
    "y = a·σ(a)·b; da = dy·b·(σ(a) + a·σ(a)·σ(−a)), db = dy·a·σ(a)",
    |x, _| Ok(vec![x[0].gated(Activation::Silu, &x[1])?]),
    |x, _| Ok(vec![x[0].mul(&x[0].unary(UnaryOp::Sigmoid)?)?.mul(&x[1])?]),
);
pub static GATED_GELU_TANH: OpInfo = OpInfo {
    hidden: Some(hidden::gated_gelu_tanh),
    ..gated(
        "gated_gelu_tanh",
        "y = gelu(a)·b; da = dy·b·gelu'(a), db = dy·gelu(a)",
        |x, _| Ok(vec![x[0].gated(Activation::GeluTanh, &x[1])?]),
        |x, _| Ok(vec![gelu_tanh_composite(&x[0])?.mul(&x[1])?]),
    )
};

/// Scalar 0 is the probability.
fn mask(s: &OpSample) -> DropoutMask {
    DropoutMask { p: s.scalars[0], seed: 11, stream: 5 }
}

pub static DROPOUT: OpInfo = OpInfo {
    name: "dropout",
    module: "dropout",
    doc: "y = x·keep/(1 − p); dx = dy·keep/(1 − p), keep made again",
    samples: || {
        let sample = |label, dims: &[usize], p: f64| OpSample::x(label, dims).with_scalars(&[p]);
        vec![
            sample("odd", &[3, 5, 7], 0.5),
            sample("nearly nothing kept", &[4, 9], 0.8),
            sample("empty", &[0, 8], 0.1),
            sample("d4.hidden", &[40, 256], 0.1),
        ]
    },
    apply: |x, s| Ok(vec![x[0].dropout(mask(s))?]),
    // A product with the mask as a constant tensor.
    composite: Some(|x, s| {
        let DropoutMask { p, seed, stream } = mask(s);
        let keep = |i: usize| f64::from(f64::from(unit_f32(word(seed, stream, i as u64))) >= p) / (1.0 - p);
        let (like, n) = (x[0].value(), x[0].value().numel());
        let keep: Vec<f64> = (0..n).map(keep).collect();
        let keep = Tensor::from_f64(&keep, like.dims(), like.dtype(), like.device())?;
        Ok(vec![x[0].mul(&Var::constant(keep))?])
    }),
    scales: &[1.0, 1e-3],
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(3.0, 0.0),
    gradient: bound(3.0, 0.0),
    hidden: None,
    avoid: None,
};

pub static ADD_RMS_NORM: OpInfo = OpInfo {
    name: "add_rms_norm",
    module: "add_rms_norm",
    doc: "h = x + r, y = h·s, s = 1/sqrt(mean(h²) + eps); dx = dr = dh + s·(dy − y·mean(dy∘y))",
    samples: || {
        let sample = |label, dims: &[usize]| {
            OpSample::new(label, ["x", "r"].map(|name| Input::activation(name, dims)).to_vec())
        };
        vec![
            sample("odd", &[3, 5, 7]),
            sample("empty", &[0, 8]),
            sample("one row", &[1, 33]),
            sample("d4.hidden", &[16, 256]),
        ]
    },
    apply: |x, _| {
        let (h, y) = x[0].add_rms_norm(&x[1], EPS)?;
        Ok(vec![h, y])
    },
    composite: Some(|x, _| {
        let h = x[0].add(&x[1])?;
        let y = composites::rms_norm(&h, EPS)?;
        Ok(vec![h, y])
    }),
    scales: &[1.0, 3e-4], // 3e-4: mean(h²) is of the size of eps
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(8.0, 2.0),   // y sees h as it was rounded
    gradient: bound(16.0, 5.0), // reads y as it was rounded, twice
    hidden: None,
    avoid: None,
};

/// Scalar 0 is the gain; the ids are the positions.
fn rope(x: &Var, s: &OpSample) -> Result<Rope> {
    let [b, t, _, d] = [0, 1, 2, 3].map(|axis| x.dims()[axis]);
    let table_rows = s.ids.iter().max().map_or(1, |&p| p as usize + 1);
    let [cos, sin] = tables(table_rows, d / 2, x.value())?;
    Ok(Rope { positions: Tensor::ids(&s.ids, &[b, t], x.value().device())?, cos, sin })
}

pub static ROPE_NORM: OpInfo = OpInfo {
    name: "rope_norm",
    module: "rope_norm",
    doc: "y = gain·z·s, z = R·x, s = 1/sqrt(mean(z²) + eps); dx = Rᵀ·s·(gain·dy − y·mean(dy∘y)/gain)",
    samples: || {
        let sample = |label, dims: [usize; 4], first: &[i32], gain: f64| {
            let positions: Vec<i32> = first.iter().flat_map(|&p| p..p + dims[1] as i32).collect();
            OpSample::x(label, &dims).with_ids(&positions).with_scalars(&[gain])
        };
        vec![
            sample("odd half, rows at different positions", [2, 5, 3, 6], &[3, 0], 1.2),
            sample("one odd row", [1, 1, 1, 2], &[7], 1.0),
            sample("empty", [0, 4, 2, 8], &[], 1.0),
            sample("d4.q", [2, 16, 2, 128], &[0, 9], 1.2),
        ]
    },
    apply: |x, s| Ok(vec![x[0].rope_norm(rope(&x[0], s)?, s.scalars[0], EPS)?]),
    composite: Some(|x, s| {
        let Rope { positions, cos, sin } = rope(&x[0], s)?;
        let z = x[0].rope(&positions, &cos, &sin)?;
        Ok(vec![composites::rms_norm(&z, EPS)?.affine(s.scalars[0], 0.0)?])
    }),
    scales: &[1.0, 3e-4], // 3e-4: mean(z²) is of the size of eps
    dtypes: FLOATS,
    layouts: Layouts::Rows,
    forward: bound(8.0, 0.0),
    gradient: bound(16.0, 3.0), // reads y as it was rounded
    hidden: None,
    avoid: None,
};
