//! Registry entries of the cross entropy: samples, sizes of terms, cost.

use super::{softcap_cross_entropy_bwd, softcap_cross_entropy_fwd};
use crate::DType;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "softcap_cross_entropy_fwd",
        doc: "z = c·tanh(z/c), lse = ln Σ exp(z), loss = lse − z[target]",
        samples: || SHAPES.iter().map(forward_sample).collect(),
        bench: || REAL.iter().map(forward_sample).collect(),
        run: |b, ins, outs, s| {
            let [z, loss, lse] = outs else { unreachable!("three outputs") };
            let softcap = s[0] as f32;
            softcap_cross_entropy_fwd(b, z.reborrow(), ins[0], softcap, loss.reborrow(), lse.reborrow())
        },
        scales: &[1.0, 100.0, 0.0], // 100: exponentials of the logits as they are would overflow
        dtypes: &[DType::F32],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 0.0,
        magnitude: Some(forward_sizes),
        cost: |s, bytes| Cost { flops: 5.0 * s.numel("z"), bytes: s.moved(bytes) },
    },
    KernelInfo {
        name: "softcap_cross_entropy_bwd",
        doc: "dz = weight·(softmax(z) − onehot)·(1 − (z/c)²)",
        samples: || SHAPES.iter().map(backward_sample).collect(),
        bench: || REAL.iter().map(backward_sample).collect(),
        run: |b, ins, outs, s| {
            softcap_cross_entropy_bwd(b, outs[0].reborrow(), ins[0], s[0] as f32, ins[1], ins[2])
        },
        scales: &[1.0, 3.0],
        dtypes: &[DType::F32],
        layouts: Layouts::Rows,
        tolerance: 8.0,
        roundings: 0.0,
        magnitude: Some(backward_sizes),
        cost: |s, bytes| Cost { flops: 7.0 * s.numel("z"), bytes: s.moved(bytes) },
    },
];

/// Label, N, V, softcap, smallest target.
const SHAPES: &[(&str, usize, usize, f64, i32)] = &[
    ("one row", 1, 5, 15.0, 0),
    ("one word", 3, 1, 15.0, -1),
    ("odd, no cap", 7, 33, 0.0, -1),
    ("odd", 9, 131, 15.0, -1),
    ("empty", 0, 8, 15.0, 0),
    ("d4 rows", 6, 32_768, 15.0, -1),
    ("long rows, no cap", 2, 65_536, 0.0, 0),
];

/// One chunk of the loss, and more than the caches hold.
const REAL: &[(&str, usize, usize, f64, i32)] = &[
    ("d4.logits", 1024, 4096, 15.0, 0),
    ("d12.logits.chunk", 128, 32_768, 15.0, 0),
    ("d12.logits", 512, 32_768, 15.0, 0),
];

fn targets(n: usize, v: usize, lo: i32) -> Arg {
    Arg::input("targets", &[n], Draw::Ids { lo, hi: v as i32 })
}

fn forward_sample(&(label, n, v, softcap, lo): &(&'static str, usize, usize, f64, i32)) -> Sample {
    let args = vec![
        Arg::inout("z", &[n, v], Draw::NormalF32),
        targets(n, v, lo),
        Arg::out_f32("loss", &[n]),
        Arg::out_f32("lse", &[n]),
    ];
    Sample::new(label, args).with(&[softcap])
}

fn backward_sample(&(label, n, v, softcap, lo): &(&'static str, usize, usize, f64, i32)) -> Sample {
    let args = vec![
        Arg::inout("z", &[n, v], Draw::NormalF32),
        targets(n, v, lo),
        Arg::input("lse", &[n], Draw::Derived(|ins, _| row_lse(&ins[0], ins[1].len()))),
        Arg::input("weight", &[n], Draw::Uniform(-1.0, 1.0)),
    ];
    Sample::new(label, args).with(&[softcap])
}

/// `ln Σ exp(z)` of each of `n` rows.
fn row_lse(z: &[f64], n: usize) -> Vec<f64> {
    let v = z.len() / n.max(1);
    let lse = |row: &[f64]| {
        let max = row.iter().fold(f64::NEG_INFINITY, |m, z| m.max(*z));
        max + row.iter().map(|z| (z - max).exp()).sum::<f64>().ln()
    };
    (0..n).map(|r| lse(&z[r * v..][..v])).collect()
}

/// The capped logits; and what `lse` and `loss` are sums of: the largest logit, the logarithm, the target's logit.
fn forward_sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let (n, v, c) = (s.dims("z")[0], s.dims("z")[1], s.scalars[0]);
    let z: Vec<f64> = x[0].iter().map(|z| if c > 0.0 { c * (z / c).tanh() } else { *z }).collect();
    let size = |r: usize| z[r * v..][..v].iter().fold(0.0f64, |m, z| m.max(z.abs()));
    let lse: Vec<f64> = row_lse(&z, n).iter().enumerate().map(|(r, lse)| lse.abs() + size(r)).collect();
    let loss = (0..n).map(|r| if x[1][r] < 0.0 { 0.0 } else { lse[r] + z[r * v + x[1][r] as usize].abs() });
    let loss = loss.collect();
    vec![z.iter().map(|z| z.abs()).collect(), loss, lse]
}

/// `|weight|·(p·(1 + |z| + |lse|) + onehot)·(1 + (z/c)²)`: the exponent of `p = exp(z − lse)` is itself a rounded difference.
fn backward_sizes(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let (v, c) = (s.dims("z")[1], s.scalars[0]);
    let size = |i: usize| {
        let (z, row) = (x[0][i], i / v);
        let (target, lse, weight) = (x[1][row], x[2][row], x[3][row]);
        let hit = if target == (i % v) as f64 { 1.0 } else { 0.0 };
        let cap = if c > 0.0 { 1.0 + (z / c) * (z / c) } else { 1.0 };
        weight.abs() * ((z - lse).exp() * (1.0 + z.abs() + lse.abs()) + hit) * cap
    };
    vec![(0..x[0].len()).map(size).collect()]
}
