//! AdamW, momentum, transposition, sampling.

use crate::harness::{Gpu, HALF_ULP, bf16_bits, close, modules, numbers};
use emulator::Options;

const LR: f32 = 0.01;
const B1: f32 = 0.9;
const B2: f32 = 0.95;
const EPS: f32 = 1e-8;
const WD: f32 = 0.1;
const C1: f32 = 10.0;
const C2: f32 = 20.0;

/// One element's new parameter, momentum, second moment.
fn adamw(p: f32, g: f32, m: f32, v: f32) -> [f64; 3] {
    let [p, g, m, v] = [p, g, m, v].map(f64::from);
    let of = |x: f32| f64::from(x);
    let m = of(B1) * m + (1.0 - of(B1)) * g;
    let v = of(B2) * v + (1.0 - of(B2)) * g * g;
    let step = of(LR) * m * of(C1) / ((v * of(C2)).sqrt() + of(EPS));
    [p * (1.0 - of(LR) * of(WD)) - step, m, v]
}

fn pcg(s: u32) -> u32 {
    let state = s.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

#[test]
fn adamw_in_f32_and_with_stochastic_rounding() {
    for module in modules("optim.cu") {
        for n in [4_usize, 132, 1028] {
            let mut gpu = Gpu::new();
            let [p, g, m] = [1, 2, 3].map(|seed| numbers(seed, n, 0.1));
            let v: Vec<f32> = numbers(4, n, 1.5).iter().map(|x| x.abs()).collect();
            let want: Vec<[f64; 3]> = (0..n).map(|i| adamw(p[i], g[i], m[i], v[i])).collect();
            let column = |k: usize| want.iter().map(|w| w[k] as f32).collect::<Vec<_>>();
            let buffers = [&p, &g, &m, &v].map(|x| gpu.up(x));
            let scalars = [LR, B1, B2, EPS, WD, C1, C2].map(emulator::Arg::from);
            let mut args: Vec<_> = buffers.map(emulator::Arg::from).into();
            args.push((n as i64).into());
            args.extend(scalars.clone());
            gpu.run(
                module,
                "adamw_f32",
                [n.div_ceil(256) as u32, 1, 1],
                [64, 1, 1],
                0,
                &args,
                &Options::default(),
            );
            for (k, buffer) in [buffers[0], buffers[2], buffers[3]].into_iter().enumerate() {
                close("adamw", &gpu.f32(buffer), &column(k), 2e-6, 2e-6);
            }

            let buffers = [&p, &g, &m, &v].map(|x| gpu.bf16(x));
            let mut args: Vec<_> = buffers.map(emulator::Arg::from).into();
            args.push((n as i64).into());
            args.extend(scalars);
            args.push(77_u32.into());
            let grid = [n.div_ceil(64) as u32, 1, 1];
            gpu.run(module, "adamw_bf16_sr", grid, [64, 1, 1], 0, &args, &Options::default());
            let rounded: Vec<f32> = (0..n)
                .map(|i| {
                    // v is rounded to bf16 before it is read
                    let exact =
                        adamw(p[i], g[i], m[i], f32::from_bits(u32::from(bf16_bits(v[i])) << 16))[0] as f32;
                    let noise = pcg(77 ^ i as u32) & 0xffff;
                    f32::from_bits((exact.to_bits() + noise) & 0xffff_0000)
                })
                .collect();
            close("stochastic", &gpu.read_bf16(buffers[0]), &rounded, 2.0 * HALF_ULP, 1e-5);
            let same = gpu.read_bf16(buffers[0]).iter().zip(&rounded).filter(|(a, b)| a == b).count();
            assert!(same * 100 >= n * 97, "{same} of {n} are rounded the same way");
        }
    }
}

#[test]
fn momentum_and_transposition() {
    for module in modules("optim.cu") {
        for (r, c) in [(1_usize, 1_usize), (33, 31), (64, 32), (45, 70)] {
            let n = r * c;
            let mut gpu = Gpu::new();
            let (b, g) = (numbers(1, n, 0.3), numbers(2, n, -0.2));
            let (bb, gb, ob) = (gpu.up(&b), gpu.up(&g), gpu.empty(2 * n));
            let args = [ob.into(), bb.into(), gb.into(), (n as i64).into(), 0.95_f32.into()];
            gpu.run(
                module,
                "muon_mom",
                [n.div_ceil(128) as u32, 1, 1],
                [128, 1, 1],
                0,
                &args,
                &Options::default(),
            );
            let buf: Vec<f32> = b.iter().zip(&g).map(|(b, g)| b + (g - b) * (1.0 - 0.95)).collect();
            let want: Vec<f32> = buf.iter().zip(&g).map(|(b, g)| g + (b - g) * 0.95).collect();
            close("buffer", &gpu.f32(bb), &buf, 1e-6, 1e-6);
            let out = gpu.read_bf16(ob);
            close("momentum", &out, &want, HALF_ULP + 1e-5, 1e-6);

            let tb = gpu.empty(2 * n);
            let grid = [c.div_ceil(32) as u32, r.div_ceil(32) as u32, 1];
            let args = [tb.into(), ob.into(), (r as i32).into(), (c as i32).into()];
            let report = gpu.run(module, "transpose_bf16", grid, [32, 8, 1], 0, &args, &Options::default());
            let t = gpu.read_bf16(tb);
            assert!((0..n).all(|i| t[(i % c) * r + i / c] == out[i]));
            let total = report.counters.total;
            assert!(total.wavefronts <= total.requests * 2, "{total:?}");
        }
    }
}

#[test]
fn sampling_takes_the_largest_disturbed_logit() {
    for module in modules("optim.cu") {
        for (rows, v) in [(1_usize, 7_usize), (5, 1000), (3, 257)] {
            let mut gpu = Gpu::new();
            let logits = numbers(8, rows * v, 0.0);
            let (lb, ob) = (gpu.up(&logits), gpu.empty(4 * rows));
            let args = [ob.into(), lb.into(), (v as i32).into(), 0.7_f32.into(), 5_u32.into()];
            gpu.run(module, "sample_topk", [rows as u32, 1, 1], [96, 1, 1], 0, &args, &Options::default());
            let got: Vec<i32> = gpu.0.download(ob).unwrap();
            for row in 0..rows {
                let z = |c: usize| {
                    let u = (pcg(5 ^ (row * v + c) as u32) >> 8) as f32 * (1.0 / 16_777_216.0) + 1e-9;
                    logits[row * v + c] / 0.7 - (-u.ln()).ln()
                };
                let best = (0..v).map(z).fold(f32::MIN, f32::max);
                assert!(z(got[row] as usize) >= best - 1e-4, "row {row}");
            }
        }
    }
}
