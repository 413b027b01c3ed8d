//! Entries of reductions over axes (but the plain sum), and of softmax and its relatives over the last axis.

use super::{Apply, Bound, EXACT, FLOATS, OpInfo, OpSample, bound, composites, hidden};
use kernels::registry::Layouts;

const fn over_axes(
    name: &'static str,
    module: &'static str,
    doc: &'static str,
    apply: Apply,
    [forward, gradient]: [Bound; 2],
) -> OpInfo {
    OpInfo {
        name,
        module,
        doc,
        samples: || {
            let sample = |label, dims: &[usize], axes: &[i32]| OpSample::x(label, dims).with_ids(axes);
            vec![
                sample("the last axis", &[3, 5, 7], &[2]),
                sample("both ends", &[3, 5, 7], &[0, 2]),
                sample("the first axis", &[9, 4], &[0]),
                sample("no axis", &[3, 5], &[]),
                sample("no results", &[0, 3], &[1]),
                sample("d4.hidden, by channel", &[2, 32, 256], &[0, 1]),
            ]
        },
        apply,
        composite: None,
        scales: &[1.0, 1e-3],
        dtypes: FLOATS,
        layouts: Layouts::Any,
        forward,
        gradient,
        hidden: None,
        avoid: None,
    }
}

pub static MEAN: OpInfo = over_axes(
    "mean",
    "mean",
    "y = Σ x / n over axes, kept with size 1; dx = dy/n repeated",
    |x, s| Ok(vec![x[0].mean(&s.sizes())?]),
    [bound(4.0, 0.0), bound(2.0, 0.0)],
);
pub static VARIANCE: OpInfo = OpInfo {
    hidden: Some(hidden::variance),
    ..over_axes(
        "variance",
        "mean",
        "y = mean((x − mean x)²) over axes, from small operations in f32",
        |x, s| Ok(vec![x[0].variance(&s.sizes())?]),
        [bound(16.0, 0.0), bound(32.0, 0.0)],
    )
};

/// Where two elements tie, each gets half of `dy`, which is what a central difference sees; of more, a difference knows no
/// share. So results of more than two elements are in samples too large for differences, and everything may tie.
const fn extreme(name: &'static str, doc: &'static str, apply: Apply) -> OpInfo {
    OpInfo {
        samples: || {
            let sample = |label, dims: &[usize], axes: &[i32]| OpSample::x(label, dims).with_ids(axes);
            vec![
                sample("the larger of two", &[9, 2, 5], &[1]),
                sample("the last axis, of two", &[7, 2], &[1]),
                sample("no axis", &[3, 5], &[]),
                sample("no results", &[0, 3], &[1]),
                sample("both ends", &[5, 13, 7], &[0, 2]),
                sample("rows", &[11, 37], &[1]),
                sample("d4.hidden, by channel", &[2, 32, 256], &[0, 1]),
            ]
        },
        scales: &[1.0, 0.0], // 0: all tie
        ..over_axes(name, "extreme", doc, apply, [EXACT, bound(2.0, 0.0)])
    }
}

pub static MAX: OpInfo = extreme(
    "max",
    "y = max x over axes, kept with size 1; dx = dy at the largest, shared equally among ties",
    |x, s| Ok(vec![x[0].max(&s.sizes())?]),
);
pub static MIN: OpInfo = extreme(
    "min",
    "y = min x over axes, kept with size 1; dx = dy at the smallest, shared equally among ties",
    |x, s| Ok(vec![x[0].min(&s.sizes())?]),
);

const fn over_rows(
    name: &'static str,
    doc: &'static str,
    apply: Apply,
    composite: Apply,
    [forward, gradient]: [Bound; 2],
) -> OpInfo {
    OpInfo {
        name,
        module: "softmax",
        doc,
        samples: || {
            vec![
                OpSample::x("odd", &[3, 5, 7]),
                OpSample::x("a vector and a tail", &[5, 33]),
                OpSample::x("empty", &[0, 4]),
                OpSample::x("d4.scores", &[4, 16, 64]),
                OpSample::x("more than a block", &[2, 1500]),
            ]
        },
        apply,
        composite: Some(composite),
        scales: &[1.0, 4.0], // larger ones, where a row is one element and zeros, are for the kernels' own entries
        dtypes: FLOATS,
        layouts: Layouts::Rows,
        forward,
        gradient,
        hidden: None,
        avoid: None,
    }
}

pub static SOFTMAX: OpInfo = OpInfo {
    hidden: Some(hidden::softmax),
    ..over_rows(
        "softmax",
        "y = exp(x − m)/Σ exp(x − m) over the last axis; dx = y∘(dy − Σ dy∘y)",
        |x, _| Ok(vec![x[0].softmax()?]),
        |x, _| Ok(vec![composites::softmax(&x[0])?]),
        [bound(24.0, 0.0), bound(32.0, 4.0)], // reads y as it was rounded
    )
};
pub static LOGSUMEXP: OpInfo = over_rows(
    "logsumexp",
    "y = ln Σ exp(x) over the last axis, kept with size 1; dx = exp(x − y)·dy",
    |x, _| Ok(vec![x[0].logsumexp()?]),
    |x, _| Ok(vec![composites::logsumexp(&x[0])?]),
    [bound(16.0, 0.0), bound(48.0, 0.0)], // x − y is rounded before the exponential
);
pub static LOG_SOFTMAX: OpInfo = OpInfo {
    hidden: Some(hidden::log_softmax),
    ..over_rows(
        "log_softmax",
        "y = x − ln Σ exp(x) over the last axis; dx = dy − exp(y)·Σ dy",
        |x, _| Ok(vec![x[0].log_softmax()?]),
        |x, _| Ok(vec![composites::softmax(&x[0])?.ln()?]),
        [bound(16.0, 0.0), bound(48.0, 3.0)], // the two parts of dx are rounded before they are added
    )
};
