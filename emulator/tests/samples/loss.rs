//! Softcapped cross-entropy with its gradient in place.

use crate::harness::{Gpu, HALF_ULP, close, modules, numbers};
use emulator::Options;

#[test]
fn fused_cross_entropy_with_exact_and_approximate_tanh() {
    for module in modules("xent.cu") {
        for (rows, v, threads) in [(3_usize, 8_usize, 32), (4, 1000, 96), (2, 4104, 1024)] {
            for (kernel, slack) in [("xent_fused", 2e-5), ("xent_fused_approx", 4e-3)] {
                let mut gpu = Gpu::new();
                let (cap, scale, ignore) = (15_f32, 0.5_f32, -1);
                let x: Vec<f32> = numbers(7, rows * v, 0.25).iter().map(|x| 8.0 * x).collect();
                let mut targets: Vec<i32> = (0..rows).map(|r| ((r * 977 + 3) % v) as i32).collect();
                targets[rows - 1] = ignore;
                let (lb, loss, tb) = (gpu.bf16(&x), gpu.empty(4 * rows), gpu.up(&targets));
                let args = [
                    lb.into(),
                    loss.into(),
                    tb.into(),
                    (v as i32).into(),
                    cap.into(),
                    scale.into(),
                    ignore.into(),
                ];
                let (grid, block) = ([rows as u32, 1, 1], [threads, 1, 1]);
                let options = Options { perturb: Some(3), ..Options::default() };
                gpu.run(module, kernel, grid, block, 0, &args, &options);
                let (got, d) = (gpu.f32(loss), gpu.read_bf16(lb));
                for row in 0..rows {
                    let at = row * v..(row + 1) * v;
                    if targets[row] == ignore {
                        assert_eq!(got[row], 0.0);
                        assert!(d[at].iter().all(|d| *d == 0.0));
                        continue;
                    }
                    let cap = f64::from(cap);
                    let t: Vec<f64> = x[at.clone()].iter().map(|x| (f64::from(*x) / cap).tanh()).collect();
                    let sum: f64 = t.iter().map(|t| (cap * t).exp()).sum();
                    let y = targets[row] as usize;
                    let want = sum.ln() - cap * t[y];
                    close("loss", &got[row..=row], &[want as f32], slack, slack);
                    let gradient = |(i, t): (usize, &f64)| {
                        let p = (cap * t).exp() / sum - if i == y { 1.0 } else { 0.0 };
                        (p * (1.0 - t * t) * f64::from(scale)) as f32
                    };
                    let want: Vec<f32> = t.iter().enumerate().map(gradient).collect();
                    close("gradient", &d[at], &want, HALF_ULP + 4.0 * slack, slack * 0.1);
                }
            }
        }
    }
}
