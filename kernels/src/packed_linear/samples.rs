//! Registry entries of the layers with packed weights.

use super::{WIDTH, packed_linear, packed_linear_int8};
use crate::DType;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "packed_linear",
        doc: "y = x·Wᵀ, W packed",
        samples: || CASES.iter().map(plain).collect(),
        bench: || REAL.iter().map(plain).collect(),
        run: |b, ins, outs, _| packed_linear(b, ins[0], ins[1], outs[0].reborrow()),
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Contiguous,
        tolerance: TOLERANCE,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let k = s.dims("x")[1];
            magnitude(s, |i, j, l| x[0][i * k + l] * x[1][(j / WIDTH * k + l) * WIDTH + j % WIDTH])
        }),
        cost,
    },
    KernelInfo {
        name: "packed_linear_int8",
        doc: "y = scale ∘ (x·Qᵀ), Q int8, packed",
        samples: || CASES.iter().map(int8).collect(),
        bench: || REAL.iter().map(int8).collect(),
        run: |b, ins, outs, _| packed_linear_int8(b, ins[0], ins[1], ins[2], outs[0].reborrow()),
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Contiguous,
        tolerance: TOLERANCE,
        roundings: 0.0,
        magnitude: Some(|x, s| {
            let (k, group) = (s.dims("x")[1], WIDTH / 4);
            magnitude(s, |i, j, l| {
                let four = x[1][(j / WIDTH * k + l) * group + j % WIDTH / 4] as i32;
                x[2][j] * x[0][i * k + l] * f64::from(four.to_le_bytes()[j % 4] as i8)
            })
        }),
        cost,
    },
];

/// That of [`crate::matmul`], whose sums these are; scaling adds half a unit.
const TOLERANCE: f64 = 16.5;

/// Label, M, K, N.
type Case = (&'static str, usize, usize, usize);

const CASES: &[Case] = &[
    ("one element", 1, 1, 1),
    ("odd", 5, 19, 45),
    ("one row", 1, 300, 70),
    ("eight rows, many sums", 8, 1101, 40),
    ("nine rows", 9, 300, 33),
    ("rows of several tiles, many sums", 33, 700, 65),
    ("no rows", 0, 8, 8),
    ("no columns", 3, 8, 0),
    ("nothing to sum", 3, 0, 40),
    ("d4.qkv", 1, 256, 768),
];

/// Rows, in, out, as real models have them.
const REAL: &[Case] = &[
    ("d4.mlp_down.decode", 1, 1024, 256),
    ("d12.mlp_up.decode", 1, 768, 3072),
    ("d12.mlp_up.decode8", 8, 768, 3072),
    ("d12.logits.decode", 1, 768, 32_768),
    ("d12.mlp_up.prefill", 256, 768, 3072),
];

fn plain(&(label, m, k, n): &Case) -> Sample {
    let w = Arg::input("w", &[n.div_ceil(WIDTH), k, WIDTH], Draw::Normal);
    Sample::new(label, vec![Arg::input("x", &[m, k], Draw::Normal), w, Arg::out("y", &[m, n])])
}

fn int8(&(label, m, k, n): &Case) -> Sample {
    let bytes = Draw::Ids { lo: i32::MIN, hi: i32::MAX };
    let w = Arg::input("w", &[n.div_ceil(WIDTH), k, WIDTH / 4], bytes);
    let scale = Arg::input("scale", &[n], Draw::NormalF32);
    Sample::new(label, vec![Arg::input("x", &[m, k], Draw::Normal), w, scale, Arg::out("y", &[m, n])])
}

/// `Σ|term(i, j, l)|` over l, for each element (i, j) of y.
fn magnitude(s: &Sample, term: impl Fn(usize, usize, usize) -> f64) -> Vec<Vec<f64>> {
    let (k, n) = (s.dims("x")[1], s.dims("y")[1]);
    let count = s.dims("y").iter().product();
    vec![(0..count).map(|at: usize| (0..k).map(|l| term(at / n, at % n, l).abs()).sum()).collect()]
}

fn cost(s: &Sample, bytes: f64) -> Cost {
    Cost { flops: 2.0 * s.numel("y") * s.dims("x")[1] as f64, bytes: s.moved(bytes) }
}
