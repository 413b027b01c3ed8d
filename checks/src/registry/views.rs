//! Entries of the operations that move numbers without changing them.

use super::{Apply, EXACT, FLOATS, Input, OpInfo, OpSample, bound};
use autograd::ops::cat::cat;
use kernels::registry::Layouts;
use tensor::DType;

const fn moves(
    name: &'static str,
    module: &'static str,
    doc: &'static str,
    samples: fn() -> Vec<OpSample>,
    apply: Apply,
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
        forward: EXACT,
        gradient: EXACT,
        hidden: None,
        avoid: None,
    }
}

fn sample(label: &'static str, dims: &[usize], ids: &[i32]) -> OpSample {
    OpSample::x(label, dims).with_ids(ids)
}

pub static CAST: OpInfo = moves(
    "cast",
    "cast",
    "y = x in another dtype; dy converted back",
    || vec![sample("odd", &[3, 5, 7], &[]), sample("empty", &[0, 3], &[]), sample("a scalar", &[], &[])],
    |x, s| {
        let to = match s.dtype {
            DType::F32 => DType::Bf16,
            DType::Bf16 => DType::F32,
            other => other, // the reference computes in f64 alone: there a cast is nothing
        };
        Ok(vec![x[0].cast(to)?])
    },
);

pub static RESHAPE: OpInfo = moves(
    "reshape",
    "views",
    "y = x under other dims; dx = dy under x's",
    || {
        vec![
            sample("split", &[3, 10], &[3, 5, 2]),
            sample("merge, odd", &[3, 5, 7], &[15, 7]),
            sample("to a scalar", &[1, 1], &[]),
            sample("empty", &[0, 6], &[3, 0]),
        ]
    },
    // Strides cannot express every reshape; a dense copy comes first, as in the model.
    |x, s| Ok(vec![x[0].contiguous()?.reshape(&s.sizes())?]),
);

pub static PERMUTE: OpInfo = moves(
    "permute",
    "views",
    "y = x with its axes in another order; dx = dy with the order undone",
    || {
        vec![
            sample("three axes round", &[3, 5, 7], &[1, 2, 0]),
            sample("two axes swapped", &[3, 4], &[1, 0]),
            sample("empty", &[0, 3], &[1, 0]),
            sample("heads before time", &[2, 16, 4, 32], &[0, 2, 1, 3]),
        ]
    },
    |x, s| Ok(vec![x[0].permute(&s.sizes())?]),
);

pub static EXPAND: OpInfo = OpInfo {
    gradient: super::bound(8.0, 0.0), // sums
    ..moves(
        "expand",
        "views",
        "y = x with size-1 axes repeated; dx = Σ dy over the repeats",
        || {
            vec![
                sample("an inner axis", &[3, 1, 5], &[3, 4, 5]),
                sample("a new leading axis", &[3, 5], &[2, 3, 5]),
                sample("a scalar", &[], &[3, 3]),
                sample("nothing to repeat", &[3, 5], &[3, 5]),
                sample("repeated no times", &[3, 1], &[3, 0]),
                sample("empty", &[0, 1], &[0, 4]),
            ]
        },
        |x, s| Ok(vec![x[0].expand(&s.sizes())?]),
    )
};

pub static NARROW: OpInfo = moves(
    "narrow",
    "views",
    "y = a range of x along an axis; dx += dy in that range",
    || {
        vec![
            sample("middle columns", &[3, 5, 7], &[2, 2, 3]),
            sample("first rows", &[5, 3], &[0, 0, 2]),
            sample("nothing", &[3, 5], &[1, 2, 0]),
            sample("empty", &[0, 5], &[1, 1, 3]),
        ]
    },
    |x, s| {
        let [axis, start, len] = [s.ids[0], s.ids[1], s.ids[2]].map(|i| i as usize);
        Ok(vec![x[0].narrow(axis, start, len)?])
    },
);

pub static CONTIGUOUS: OpInfo = moves(
    "contiguous",
    "views",
    "y = x without gaps; dy",
    || vec![sample("odd", &[3, 5, 7], &[]), sample("empty", &[3, 0], &[]), sample("a scalar", &[], &[])],
    |x, _| Ok(vec![x[0].contiguous()?]),
);

pub static CAT: OpInfo = OpInfo {
    gradient: bound(0.0, 0.0),
    ..moves(
        "cat",
        "cat",
        "y = the inputs one after the other along an axis; each gets its range of dy",
        || {
            let sample = |label, axis: i32, x: [&[usize]; 3]| {
                let inputs =
                    ["a", "b", "c"].iter().zip(x).map(|(name, dims)| Input::activation(name, dims)).collect();
                OpSample::new(label, inputs).with_ids(&[axis])
            };
            vec![
                sample("rows", 0, [&[3, 5], &[1, 5], &[2, 5]]),
                sample("the middle axis", 1, [&[3, 1, 5], &[3, 3, 5], &[3, 2, 5]]),
                sample("columns, one of them empty", 1, [&[3, 5], &[3, 0], &[3, 2]]),
                sample("equal parts", 1, [&[2, 3], &[2, 3], &[2, 3]]),
            ]
        },
        |x, s| Ok(vec![cat(&x.iter().collect::<Vec<_>>(), s.ids[0] as usize)?]),
    )
};
