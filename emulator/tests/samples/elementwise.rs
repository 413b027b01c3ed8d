//! relu², rotary embedding, embedding rows, sums.

use crate::harness::{Gpu, HALF_ULP, close, modules, numbers, round};
use emulator::{Checks, Options};

fn relu2(x: f32) -> f32 {
    x.max(0.0) * x.max(0.0)
}

#[test]
fn relu_squared_over_odd_sizes() {
    for module in modules("elem.cu") {
        for n in [1_usize, 7, 8, 9, 2047, 2048, 2049, 5003] {
            let mut gpu = Gpu::new();
            let x = numbers(n as u32, n, 0.25);
            let (xb, yb) = (gpu.bf16(&x), gpu.empty(2 * n));
            let blocks = n.div_ceil(256 * 8) as u32;
            let args = [yb.into(), xb.into(), (n as i64).into()];
            gpu.run(module, "relu2_fwd_bf16", [blocks, 1, 1], [256, 1, 1], 0, &args, &Options::default());
            let want: Vec<f32> = x.iter().map(|x| round(relu2(*x))).collect();
            assert_eq!(gpu.read_bf16(yb), want);

            let (xf, yf) = (gpu.up(&x), gpu.empty(4 * n));
            let args = [yf.into(), xf.into(), (n as i32).into()];
            let blocks = n.div_ceil(96) as u32;
            gpu.run(module, "relu2_fwd_f32", [blocks, 1, 1], [96, 1, 1], 0, &args, &Options::default());
            assert_eq!(gpu.f32(yf), x.iter().map(|x| relu2(*x)).collect::<Vec<_>>());

            let whole = n / 8 * 8;
            if whole > 0 {
                let dy = numbers(3, whole, 0.5);
                let (dyb, dxb) = (gpu.bf16(&dy), gpu.empty(2 * whole));
                let args = [dxb.into(), xb.into(), dyb.into(), (whole as i64).into()];
                let blocks = whole.div_ceil(2048) as u32;
                gpu.run(module, "relu2_bwd_bf16", [blocks, 1, 1], [256, 1, 1], 0, &args, &Options::default());
                let want: Vec<f32> = x.iter().zip(&dy).map(|(x, d)| round(2.0 * x.max(0.0) * d)).collect();
                assert_eq!(gpu.read_bf16(dxb), want);
            }
        }
    }
}

#[test]
fn rotary_embedding_and_its_tables() {
    for module in modules("elem.cu") {
        let (t, hd) = (37_usize, 20_usize);
        let mut gpu = Gpu::new();
        let (cos, sin) = (gpu.empty(4 * t * hd), gpu.empty(4 * t * hd));
        let args = [cos.into(), sin.into(), (t as i32).into(), (hd as i32).into(), 10_000_f32.into()];
        gpu.run(module, "rope_tables", [t as u32, 1, 1], [32, 1, 1], 0, &args, &Options::default());
        let (c, s) = (gpu.f32(cos), gpu.f32(sin));
        for (i, (c, s)) in c.iter().zip(&s).enumerate() {
            let angle = 10_000_f64.powf(-((i % hd) as f64) / hd as f64) * (i / hd) as f64;
            assert!(
                (f64::from(*c) - angle.cos()).abs() <= 1e-5 && (f64::from(*s) - angle.sin()).abs() <= 1e-5,
                "{i}"
            );
        }
        let (b, h) = (2, 3);
        let x = numbers(5, b * t * h * 2 * hd, 0.0);
        let xb = gpu.bf16(&x);
        let sizes = [(t as i32).into(), (h as i32).into(), (2 * hd as i32).into(), 1_f32.into()];
        let args: Vec<_> = [xb.into(), cos.into(), sin.into()].into_iter().chain(sizes).collect();
        gpu.run(module, "rope_bf16", [(b * t * h) as u32, 1, 1], [64, 1, 1], 0, &args, &Options::default());
        let got = gpu.read_bf16(xb);
        for row in 0..b * t * h {
            let time = row / h % t;
            for j in 0..hd {
                let (a, z) = (x[row * 2 * hd + j], x[row * 2 * hd + hd + j]);
                let (c, s) = (c[time * hd + j], s[time * hd + j]);
                let want = [a * c + z * s, z * c - a * s];
                close("rope", &[got[row * 2 * hd + j], got[row * 2 * hd + hd + j]], &want, HALF_ULP, 1e-6);
            }
        }
    }
}

#[test]
fn embedding_rows_are_gathered_and_scattered() {
    for module in modules("elem.cu") {
        let (rows, vocab, c) = (9_usize, 12_usize, 24_usize);
        let w = numbers(1, vocab * c, 0.0);
        for idx in [vec![3, 0, 7, 1, 11, 4, 5, 9, 2], vec![3, 0, 3, 3, 11, 0, 5, 5, 2]] {
            let distinct = idx[0] != idx[2];
            let mut gpu = Gpu::new();
            let (wb, ib, yb) = (gpu.bf16(&w), gpu.up(&idx), gpu.empty(2 * rows * c));
            let args = [yb.into(), wb.into(), ib.into(), (c as i32).into()];
            gpu.run(module, "embed_gather", [rows as u32, 1, 1], [32, 1, 1], 0, &args, &Options::default());
            let y = gpu.read_bf16(yb);
            assert!((0..rows * c).all(|i| y[i] == w[idx[i / c] as usize * c + i % c]));

            let mut want = vec![0.0_f32; vocab * c];
            for i in 0..rows * c {
                want[idx[i / c] as usize * c + i % c] += y[i];
            }
            let dw = gpu.up(&vec![0.0_f32; vocab * c]);
            let args = [dw.into(), yb.into(), ib.into(), (c as i32).into()];
            gpu.run(
                module,
                "embed_scatter_f32",
                [rows as u32, 1, 1],
                [32, 1, 1],
                0,
                &args,
                &Options::default(),
            );
            close("scatter", &gpu.f32(dw), &want, 1e-6, 1e-6);

            // For compute_80 NVIDIA's header reads the old value without an atomic before its compare-and-swap loop.
            let checks = Checks { global_races: distinct, ..Checks::ALL };
            let dw = gpu.bf16(&vec![0.0; vocab * c]);
            let args = [dw.into(), yb.into(), ib.into(), (c as i32 / 2).into()];
            let options = Options { checks, ..Options::default() };
            gpu.run(module, "embed_scatter_bf16x2", [rows as u32, 1, 1], [32, 1, 1], 0, &args, &options);
            close("scatter bf16", &gpu.read_bf16(dw), &want, 3.0 * HALF_ULP, 3e-2);
        }
    }
}

#[test]
fn sums_and_maxima_over_blocks() {
    for module in modules("elem.cu") {
        for n in [1_usize, 31, 1000, 4097] {
            let mut gpu = Gpu::new();
            let x = numbers(n as u32, n, 0.1);
            let (xb, out, max) = (gpu.up(&x), gpu.up(&[0.0_f32]), gpu.up(&[0_u32]));
            let args = |out: emulator::Buffer| [out.into(), xb.into(), (n as i64).into()];
            gpu.run(module, "sum_f32", [3, 1, 1], [128, 1, 1], 0, &args(out), &Options::default());
            gpu.run(module, "amax_f32", [3, 1, 1], [128, 1, 1], 0, &args(max), &Options::default());
            let sum: f64 = x.iter().map(|x| f64::from(*x)).sum();
            close("sum", &gpu.f32(out), &[sum as f32], 1e-5, 1e-5);
            assert_eq!(gpu.f32(max), [x.iter().fold(0.0, |m, x| f32::max(m, x.abs()))]);

            let (a, b, lam) = (gpu.bf16(&x), gpu.bf16(&numbers(9, n, 0.0)), gpu.up(&[0.5_f32, -1.25]));
            let args = [a.into(), b.into(), lam.into(), (n as i64).into()];
            gpu.run(
                module,
                "add_bias_scaled",
                [n.div_ceil(64) as u32, 1, 1],
                [64, 1, 1],
                0,
                &args,
                &Options::default(),
            );
            let y = numbers(9, n, 0.0);
            let want: Vec<f32> = x.iter().zip(&y).map(|(x, y)| 0.5 * x - 1.25 * y).collect();
            close("scaled sum", &gpu.read_bf16(a), &want, HALF_ULP, 1e-6);
        }
    }
}
