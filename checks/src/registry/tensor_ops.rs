//! Entries of products, sums and elementwise functions.

use super::{Apply, Bound, FLOATS, Input, OpInfo, OpSample, bound, hidden};
use kernels::registry::Layouts;
use kernels::unary::UnaryOp;

pub static MATMUL: OpInfo = OpInfo {
    name: "matmul",
    module: "matmul",
    doc: "c = a·b; da = dc·bᵀ, db = aᵀ·dc",
    samples: || {
        let sample = |label, a: &[usize], b: &[usize]| {
            OpSample::new(label, vec![Input::activation("a", a), Input::activation("b", b)])
        };
        vec![
            sample("odd", &[3, 5], &[5, 7]),
            sample("square", &[5, 5], &[5, 5]),
            sample("batch", &[2, 3, 4], &[2, 4, 5]),
            sample("b repeated over the batch", &[3, 3, 4], &[4, 5]),
            sample("each repeated along the other", &[2, 1, 3, 2], &[1, 3, 2, 3]),
            sample("nothing to sum", &[3, 0], &[0, 4]),
            sample("no rows", &[0, 3], &[3, 4]),
            sample("d4 slice", &[16, 256], &[256, 40]),
        ]
    },
    apply: |x, _| Ok(vec![x[0].matmul(&x[1])?]),
    composite: None,
    scales: &[1.0, 1e-3],
    dtypes: FLOATS,
    layouts: Layouts::Any,
    forward: bound(32.0, 0.0),
    gradient: bound(32.0, 1.0), // a repeated operand's gradients are rounded before they are summed
    hidden: None,
    avoid: None,
};

pub static SUM: OpInfo = OpInfo {
    name: "sum",
    module: "reduce",
    doc: "y = Σ x over axes, kept with size 1; dx = dy repeated",
    samples: || {
        let sample = |label, dims: &[usize], axes: &[i32]| OpSample::x(label, dims).with_ids(axes);
        vec![
            sample("the last axis", &[3, 5, 7], &[2]),
            sample("both ends", &[3, 5, 7], &[0, 2]),
            sample("no axis", &[3, 5], &[]),
            sample("an empty sum", &[3, 0], &[1]),
            sample("no results", &[0, 3], &[1]),
            sample("d4 bias gradient", &[2, 32, 256], &[0, 1]),
        ]
    },
    apply: |x, s| Ok(vec![x[0].sum(&s.sizes())?]),
    composite: None,
    scales: &[1.0],
    dtypes: FLOATS,
    layouts: Layouts::Any,
    forward: bound(16.0, 0.0),
    gradient: bound(0.0, 0.0),
    hidden: None,
    avoid: None,
};

const fn binary(name: &'static str, doc: &'static str, apply: Apply, gradient: Bound) -> OpInfo {
    OpInfo {
        name,
        module: "binary",
        doc,
        samples: || {
            let sample = |label, a: &[usize], b: &[usize]| {
                OpSample::new(label, vec![Input::activation("a", a), Input::activation("b", b)])
            };
            vec![
                sample("odd", &[3, 5, 7], &[3, 5, 7]),
                sample("b repeated per row", &[3, 5], &[3, 1]),
                sample("b repeated down the rows", &[3, 5], &[5]),
                sample("an outer product", &[3, 1], &[1, 5]),
                sample("a scalar first", &[], &[2, 3]),
                sample("empty", &[3, 0], &[3, 0]),
                sample("empty against a column", &[3, 0], &[3, 1]),
                sample("d4.hidden", &[16, 256], &[256]),
            ]
        },
        apply,
        composite: None,
        scales: &[1.0, 1e-3],
        dtypes: FLOATS,
        layouts: Layouts::Any,
        forward: bound(2.0, 0.0),
        gradient,
        hidden: None,
        avoid: None,
    }
}

const SUMMED: Bound = bound(16.0, 0.0);
const PRODUCTS_SUMMED: Bound = bound(16.0, 2.0); // a product is rounded before it is summed: up to half an ulp, which is a unit

pub static ADD: OpInfo = binary("add", "y = a + b; (dy, dy)", |x, _| Ok(vec![x[0].add(&x[1])?]), SUMMED);
pub static SUB: OpInfo = binary("sub", "y = a − b; (dy, −dy)", |x, _| Ok(vec![x[0].sub(&x[1])?]), SUMMED);
pub static MUL: OpInfo =
    binary("mul", "y = a·b; (dy·b, dy·a)", |x, _| Ok(vec![x[0].mul(&x[1])?]), PRODUCTS_SUMMED);
pub static DIV: OpInfo = OpInfo {
    avoid: Some(|x| x.abs() < 0.1),
    ..binary("div", "y = a/b; (dy/b, −dy·y/b)", |x, _| Ok(vec![x[0].div(&x[1])?]), bound(16.0, 4.0))
};

const fn unary(
    name: &'static str,
    doc: &'static str,
    apply: Apply,
    scales: &'static [f64],
    avoid: Option<fn(f64) -> bool>,
    [forward, gradient]: [Bound; 2],
) -> OpInfo {
    OpInfo {
        name,
        module: "unary",
        doc,
        samples: || {
            let sample = |(label, dims): (&'static str, &[usize])| OpSample::x(label, dims);
            [("odd", &[3, 5, 7][..]), ("a scalar", &[]), ("empty", &[0, 3]), ("d4.hidden", &[4, 256])]
                .map(sample)
                .to_vec()
        },
        apply,
        composite: None,
        scales,
        dtypes: FLOATS,
        layouts: Layouts::Any,
        forward,
        gradient,
        hidden: None,
        avoid,
    }
}

const ONE_PRODUCT: [Bound; 2] = [bound(2.0, 0.0), bound(2.0, 0.0)];
/// The derivative is computed from the rounded result.
const FROM_RESULT: [Bound; 2] = [bound(8.0, 0.0), bound(16.0, 5.0)];
/// As above, with a difference `1 − …` that cancels.
const FROM_RESULT_BY_DIFFERENCE: [Bound; 2] = [bound(8.0, 0.0), bound(32.0, 8.0)];

/// The derivative is a function of its own, rounded before the product.
const DERIVATIVE_ROUNDED: [Bound; 2] = [bound(8.0, 0.0), bound(8.0, 1.0)];

const KINK: Option<fn(f64) -> bool> = Some(|x| x.abs() < 1e-3);
const POLE: Option<fn(f64) -> bool> = Some(|x| x.abs() < 0.1);
const POSITIVE: Option<fn(f64) -> bool> = Some(|x| x < 0.1);

pub static NEG: OpInfo = unary("neg", "y = −x; −dy", |x, _| Ok(vec![x[0].neg()?]), &[1.0], None, ONE_PRODUCT);
pub static EXP: OpInfo =
    unary("exp", "y = eˣ; dy·y", |x, _| Ok(vec![x[0].exp()?]), &[1.0, 6.0, 1e-3], None, FROM_RESULT);
pub static LN: OpInfo =
    unary("ln", "y = ln x; dy/x", |x, _| Ok(vec![x[0].ln()?]), &[1.0, 30.0], POSITIVE, ONE_PRODUCT);
pub static SQRT: OpInfo = unary(
    "sqrt",
    "y = √x; dy/2y",
    |x, _| Ok(vec![x[0].unary(UnaryOp::Sqrt)?]),
    &[1.0, 30.0],
    POSITIVE,
    FROM_RESULT,
);
pub static RSQRT: OpInfo =
    unary("rsqrt", "y = 1/√x; −dy·y³/2", |x, _| Ok(vec![x[0].rsqrt()?]), &[1.0, 30.0], POSITIVE, FROM_RESULT);
pub static RECIPROCAL: OpInfo = unary(
    "reciprocal",
    "y = 1/x; −dy·y²",
    |x, _| Ok(vec![x[0].unary(UnaryOp::Reciprocal)?]),
    &[1.0, 30.0],
    POLE,
    FROM_RESULT,
);
pub static TANH: OpInfo = OpInfo {
    hidden: Some(hidden::tanh),
    ..unary(
        "tanh",
        "y = tanh x; dy·(1 − y²)",
        |x, _| Ok(vec![x[0].tanh()?]),
        &[1.0, 1e-3],
        None,
        FROM_RESULT_BY_DIFFERENCE,
    )
};
pub static SIGMOID: OpInfo = OpInfo {
    hidden: Some(hidden::sigmoid),
    ..unary(
        "sigmoid",
        "y = 1/(1 + e⁻ˣ); dy·y·(1 − y)",
        |x, _| Ok(vec![x[0].unary(UnaryOp::Sigmoid)?]),
        &[1.0, 1e-3],
        None,
        FROM_RESULT_BY_DIFFERENCE,
    )
};
pub static RELU: OpInfo = unary(
    "relu",
    "y = max(x, 0); dy where x > 0",
    |x, _| Ok(vec![x[0].relu()?]),
    &[1.0, 1e-6],
    KINK,
    ONE_PRODUCT,
);
pub static SQUARE: OpInfo =
    unary("square", "y = x²; 2·dy·x", |x, _| Ok(vec![x[0].square()?]), &[1.0, 1e-3, 0.0], None, ONE_PRODUCT);
pub static ABS: OpInfo =
    unary("abs", "y = |x|; ±dy", |x, _| Ok(vec![x[0].unary(UnaryOp::Abs)?]), &[1.0, 1e-6], KINK, ONE_PRODUCT);
pub static AFFINE: OpInfo = unary(
    "affine",
    "y = scale·x + shift; scale·dy",
    |x, _| Ok(vec![x[0].affine(-1.7, 0.3)?]),
    &[1.0, 1e-3],
    None,
    [bound(4.0, 0.0), bound(4.0, 0.0)],
);
pub static SIN: OpInfo = unary(
    "sin",
    "y = sin x; dy·cos x",
    |x, _| Ok(vec![x[0].unary(UnaryOp::Sin)?]),
    &[1.0, 1e-3],
    None,
    DERIVATIVE_ROUNDED,
);
pub static COS: OpInfo = unary(
    "cos",
    "y = cos x; −dy·sin x",
    |x, _| Ok(vec![x[0].unary(UnaryOp::Cos)?]),
    &[1.0, 1e-3],
    None,
    DERIVATIVE_ROUNDED,
);
pub static SILU: OpInfo = unary(
    "silu",
    "y = x·σ(x); dy·σ(x)·(1 + x·σ(−x))",
    |x, _| Ok(vec![x[0].silu()?]),
    &[1.0, 8.0, 1e-3],
    None,
    DERIVATIVE_ROUNDED,
);
