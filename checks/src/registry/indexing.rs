//! Entries of the operations that pick, order or count along an axis. The indices and conditions are constants.

use super::{Apply, Bound, EXACT, FLOATS, Input, OpInfo, OpSample, per_tensor};
use autograd::ops::select::select;
use autograd::{Result, Var};
use kernels::registry::Layouts;
use tensor::{DType, Tensor};

const fn along_axis(
    name: &'static str,
    module: &'static str,
    doc: &'static str,
    samples: fn() -> Vec<OpSample>,
    apply: Apply,
    [forward, gradient]: [Bound; 2],
) -> OpInfo {
    OpInfo {
        name,
        module,
        doc,
        samples,
        apply,
        composite: None,
        scales: &[1.0],
        dtypes: FLOATS,
        layouts: Layouts::Any,
        forward,
        gradient,
        terms: None,
        avoid: None,
    }
}

/// A gradient that is a sum in f32, rounded once.
const SUMMED: Bound = per_tensor(16.0, 0.0);

fn sample(label: &'static str, dims: &[usize], ids: &[i32]) -> OpSample {
    OpSample::x(label, dims).with_ids(ids)
}

/// Integers in `0..n` without a pattern that any stride would meet.
fn scattered(dims: &[usize], n: usize, like: &Var) -> Result<Tensor> {
    let all: Vec<i32> = (0..dims.iter().product()).map(|i| ((i * i * 7 + i / 3) % n.max(1)) as i32).collect();
    Ok(Tensor::ids(&all, dims, like.value().device())?)
}

/// The constants are the condition's dims.
pub static WHERE: OpInfo = along_axis(
    "where",
    "select",
    "y = a where cond, else b; da = dy where cond, db = dy elsewhere",
    || {
        let sample = |label, cond: &[i32], a: &[usize], b: &[usize]| {
            let inputs = vec![Input::activation("a", a), Input::activation("b", b)];
            OpSample::new(label, inputs).with_ids(cond)
        };
        vec![
            sample("odd", &[3, 5, 7], &[3, 5, 7], &[3, 5, 7]),
            sample("one condition per row", &[3, 1], &[3, 5], &[3, 5]),
            sample("a row and a scalar", &[4, 5], &[5], &[]),
            sample("an outer product", &[5], &[3, 1], &[1, 5]),
            sample("empty", &[3, 0], &[3, 0], &[3, 1]),
            sample("d4.hidden", &[16, 256], &[16, 256], &[256]),
        ]
    },
    |x, s| Ok(vec![select(&scattered(&s.sizes(), 3, &x[0])?, &x[0], &x[1])?]),
    [EXACT, SUMMED],
);

/// The constants are the axis and the result's length along it.
pub static GATHER: OpInfo = along_axis(
    "gather",
    "gather",
    "y[…, j, …] = x[…, index[…, j, …], …]; dx[…, index[…, j, …], …] += dy[…, j, …]",
    || {
        vec![
            sample("the last axis, with duplicates", &[3, 5, 7], &[2, 11]),
            sample("the middle", &[3, 5, 7], &[1, 3]),
            sample("the first", &[3, 5], &[0, 9]),
            sample("a vector", &[7], &[0, 5]),
            sample("nothing picked", &[3, 5], &[1, 0]),
            sample("empty", &[0, 5], &[1, 3]),
            sample("d4.hidden", &[16, 256], &[1, 256]),
        ]
    },
    |x, s| {
        let (axis, mut dims) = (s.ids[0] as usize, x[0].dims().to_vec());
        let n = std::mem::replace(&mut dims[axis], s.ids[1] as usize);
        Ok(vec![x[0].gather(axis, &scattered(&dims, n, &x[0])?)?])
    },
    [EXACT, SUMMED],
);

/// The constants are the axis and the ids.
pub static INDEX_SELECT: OpInfo = along_axis(
    "index_select",
    "gather",
    "y[…, j, …] = x[…, ids[j], …]; dx[…, ids[j], …] += dy[…, j, …]",
    || {
        vec![
            sample("rows, one of them thrice", &[5, 7], &[0, 3, 1, 3, 0, 3]),
            sample("columns", &[5, 7], &[1, 6, 0, 2]),
            sample("the middle", &[3, 5, 7], &[1, 4, 4]),
            sample("none", &[3, 5], &[0]),
            sample("empty", &[3, 0], &[0, 2, 2]),
            sample("d4.hidden", &[16, 256], &[0, 15, 3, 15, 0]),
        ]
    },
    |x, s| {
        let ids = Tensor::ids(&s.ids[1..], &[s.ids.len() - 1], x[0].value().device())?;
        Ok(vec![x[0].index_select(s.ids[0] as usize, &ids)?])
    },
    [EXACT, SUMMED],
);

/// The constants are the axis, and 1 for the reverse sum.
pub static CUMSUM: OpInfo = along_axis(
    "cumsum",
    "cumsum",
    "y[i] = Σ x[j] over j ≤ i along an axis (j ≥ i in reverse); dx = the cumulative sum of dy the other way round",
    || {
        vec![
            sample("the last axis", &[3, 5, 7], &[2, 0]),
            sample("the middle, reverse", &[3, 5, 7], &[1, 1]),
            sample("the first", &[9, 4], &[0, 0]),
            sample("a vector, reverse", &[7], &[0, 1]),
            sample("empty", &[3, 0], &[1, 0]),
            sample("d4.hidden", &[2, 32, 64], &[1, 0]),
        ]
    },
    |x, s| Ok(vec![x[0].cumsum(s.ids[0] as usize, s.ids[1] != 0)?]),
    [per_tensor(1.0, 0.0), per_tensor(1.0, 0.0)],
);

/// In bf16 elements of a row tie, and where they do there is no derivative to compare with. (The kernels of both are tested
/// in bf16, and with nothing but ties.)
const WITHOUT_TIES: &[DType] = &[DType::F32];

/// The constant is 1 for descending order.
pub static SORT: OpInfo = OpInfo {
    dtypes: WITHOUT_TIES,
    layouts: Layouts::Rows,
    ..along_axis(
        "sort",
        "sort",
        "y[…, r] = x[…, indices[…, r]] in order; dx[…, indices[…, r]] = dy[…, r]",
        || {
            vec![
                sample("odd, ascending", &[3, 5, 7], &[0]),
                sample("odd, descending", &[3, 5, 7], &[1]),
                sample("one row", &[1, 33], &[0]),
                sample("empty", &[0, 4], &[0]),
                sample("by digits", &[2, 700], &[1]),
            ]
        },
        |x, s| Ok(vec![x[0].sort(s.ids[0] != 0)?.0]),
        [EXACT, EXACT],
    )
};

/// The constant is k.
pub static TOP_K: OpInfo = OpInfo {
    dtypes: WITHOUT_TIES,
    layouts: Layouts::Rows,
    ..along_axis(
        "top_k",
        "sort",
        "y[…, r] = x[…, indices[…, r]], the k largest; dx[…, indices[…, r]] = dy[…, r]",
        || {
            vec![
                sample("odd", &[5, 7], &[3]),
                sample("all", &[3, 5], &[5]),
                sample("empty", &[0, 4], &[2]),
                sample("none wanted", &[3, 4], &[0]),
                sample("d4.logits", &[2, 4096], &[50]),
            ]
        },
        |x, s| Ok(vec![x[0].top_k(s.ids[0] as usize)?.0]),
        [EXACT, EXACT],
    )
};
