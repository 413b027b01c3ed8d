//! RMSNorm, forward and backward, on rows that are multiples of 8.

use crate::harness::{Gpu, HALF_ULP, close, modules, numbers};
use emulator::Options;

#[test]
fn rms_norm_and_its_gradient() {
    for module in modules("norm.cu") {
        for (rows, c, threads) in [(1_usize, 8_usize, 32), (5, 136, 32), (3, 768, 96), (2, 2056, 256)] {
            let mut gpu = Gpu::new();
            let (x, dy) = (numbers(1, rows * c, 0.5), numbers(2, rows * c, -0.25));
            let (xb, dyb) = (gpu.bf16(&x), gpu.bf16(&dy));
            let (yb, dxb, rb) = (gpu.empty(2 * rows * c), gpu.empty(2 * rows * c), gpu.empty(4 * rows));
            let (grid, block) = ([rows as u32, 1, 1], [threads, 1, 1]);
            let args = [yb.into(), rb.into(), xb.into(), (c as i32).into(), 1e-5_f32.into()];
            gpu.run(module, "rmsnorm_fwd_bf16", grid, block, 0, &args, &Options::default());
            let args = [dxb.into(), dyb.into(), xb.into(), rb.into(), (c as i32).into()];
            gpu.run(module, "rmsnorm_bwd_bf16", grid, block, 0, &args, &Options::default());
            let (y, dx, rstd) = (gpu.read_bf16(yb), gpu.read_bf16(dxb), gpu.f32(rb));
            for row in 0..rows {
                let at = row * c..(row + 1) * c;
                let (x, dy) = (&x[at.clone()], &dy[at.clone()]);
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
                let rs = 1.0 / (dot(x, x) / c as f64 + 1e-5).sqrt();
                let s = dot(x, dy) * rs * rs / c as f64;
                close("rstd", &rstd[row..=row], &[rs as f32], 1e-6, 0.0);
                let want: Vec<f32> = x.iter().map(|x| (f64::from(*x) * rs) as f32).collect();
                close("y", &y[at.clone()], &want, HALF_ULP + 1e-5, 0.0);
                let want: Vec<f32> = x
                    .iter()
                    .zip(dy)
                    .map(|(x, d)| (rs * (f64::from(*d) - f64::from(*x) * s)) as f32)
                    .collect();
                close("dx", &dx[at], &want, HALF_ULP + 1e-5, 1e-5);
            }
        }
    }
}
