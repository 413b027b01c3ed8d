//! Attention, forward and backward, with causal masks, windows and shared key heads.

use crate::harness::{Gpu, HALF_ULP, close, modules, numbers};
use emulator::Options;

/// Shapes are (B, T, H, D); `window` counts the keys a query may see, itself included; 0 means all.
struct Shape {
    t: usize,
    hq: usize,
    hk: usize,
    d: usize,
    window: usize,
}

impl Shape {
    fn sees(&self, row: usize, key: usize) -> bool {
        key <= row && (self.window == 0 || row - key < self.window)
    }

    fn at(&self, heads: usize, [b, t, h]: [usize; 3]) -> usize {
        ((b * self.t + t) * heads + h) * self.d
    }

    /// Probabilities of one head and the natural log-sum-exp, by the definition.
    fn probabilities(
        &self,
        q: &[f32],
        k: &[f32],
        b: usize,
        h: usize,
        scale: f64,
    ) -> (Vec<Vec<f64>>, Vec<f64>) {
        let hk = h / (self.hq / self.hk);
        let score = |i: usize, j: usize| {
            let (a, c) = (self.at(self.hq, [b, i, h]), self.at(self.hk, [b, j, hk]));
            (0..self.d).map(|x| f64::from(q[a + x]) * f64::from(k[c + x])).sum::<f64>() * scale
        };
        let rows = (0..self.t).map(|i| {
            let s: Vec<f64> =
                (0..self.t).map(|j| if self.sees(i, j) { score(i, j) } else { f64::NEG_INFINITY }).collect();
            let max = s.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
            let sum: f64 = s.iter().map(|x| (x - max).exp()).sum();
            (s.iter().map(|x| (x - max).exp() / sum).collect(), max + sum.ln())
        });
        rows.unzip()
    }
}

#[test]
fn attention_forward() {
    for module in modules("flash.cu") {
        for (b, t, hq, hk, window) in
            [(1, 64, 1, 1, 0), (1, 1, 2, 1, 0), (2, 100, 4, 2, 0), (1, 193, 2, 1, 70)]
        {
            let s = Shape { t, hq, hk, d: 128, window };
            let mut gpu = Gpu::new();
            let q = numbers(1, b * t * hq * 128, 0.0);
            let (k, v) = (numbers(2, b * t * hk * 128, 0.0), numbers(3, b * t * hk * 128, 0.25));
            let (qb, kb, vb) = (gpu.bf16(&q), gpu.bf16(&k), gpu.bf16(&v));
            let (ob, lb) = (gpu.empty(2 * q.len()), gpu.empty(4 * b * hq * t));
            let scale = 1.0 / 128_f64.sqrt();
            let args = [
                ob.into(),
                lb.into(),
                qb.into(),
                kb.into(),
                vb.into(),
                (t as i32).into(),
                (hq as i32).into(),
                (hk as i32).into(),
                (window as i32).into(),
                ((scale * std::f64::consts::LOG2_E) as f32).into(),
            ];
            let grid = [t.div_ceil(64) as u32, hq as u32, b as u32];
            let options = Options { large_shared: true, ..Options::default() };
            let shared = (64 + 4 * 64) * 128 * 2;
            let report = gpu.run(module, "flash_fwd", grid, [128, 1, 1], shared, &args, &options);
            let total = report.counters.total;
            assert_eq!(total.wavefronts, total.requests, "the swizzle leaves no bank conflict");
            let (o, lse) = (gpu.read_bf16(ob), gpu.f32(lb));
            for (b, h) in (0..b).flat_map(|b| (0..hq).map(move |h| (b, h))) {
                let (p, want_lse) = s.probabilities(&q, &k, b, h, scale);
                for i in 0..t {
                    close("lse", &[lse[(b * hq + h) * t + i]], &[want_lse[i] as f32], 1e-4, 1e-4);
                    let at = s.at(hq, [b, i, h]);
                    let value = |x: usize| {
                        let of = |j: usize| p[i][j] * f64::from(v[s.at(hk, [b, j, h / (hq / hk)]) + x]);
                        (0..t).map(of).sum::<f64>() as f32
                    };
                    let want: Vec<f32> = (0..128).map(value).collect();
                    close("o", &o[at..at + 128], &want, 2.0 * HALF_ULP, 4e-3);
                }
            }
        }
    }
}

#[test]
fn attention_backward() {
    for module in modules("flash_bwd.cu") {
        for (b, t, h, window) in [(1, 64, 1, 0), (1, 3, 1, 0), (1, 130, 2, 0), (1, 150, 1, 40)] {
            let s = Shape { t, hq: h, hk: h, d: 64, window };
            let n = b * t * h * 64;
            let [q, k, v, d_o] = [1, 2, 3, 4].map(|seed| numbers(seed, n, 0.1));
            let scale = 0.125;
            let (mut dq, mut dk, mut dv) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
            let (mut lse, mut delta) = (vec![0.0_f32; b * h * t], vec![0.0_f32; b * h * t]);
            for (b, head) in (0..b).flat_map(|b| (0..h).map(move |x| (b, x))) {
                let (p, l) = s.probabilities(&q, &k, b, head, scale);
                let row = |i: usize| s.at(h, [b, i, head]);
                let dot = |a: &[f32], x: usize, c: &[f32], y: usize| {
                    (0..64).map(|e| f64::from(a[x + e]) * f64::from(c[y + e])).sum::<f64>()
                };
                for i in 0..t {
                    let dp: Vec<f64> = (0..t).map(|j| dot(&d_o, row(i), &v, row(j))).collect();
                    let sum: f64 = dp.iter().zip(&p[i]).map(|(d, p)| d * p).sum();
                    (lse[(b * h + head) * t + i], delta[(b * h + head) * t + i]) = (l[i] as f32, sum as f32);
                    for j in 0..t {
                        let ds = p[i][j] * (dp[j] - sum) * scale;
                        for e in 0..64 {
                            dq[row(i) + e] += ds * f64::from(k[row(j) + e]);
                            dk[row(j) + e] += ds * f64::from(q[row(i) + e]);
                            dv[row(j) + e] += p[i][j] * f64::from(d_o[row(i) + e]);
                        }
                    }
                }
            }
            let mut gpu = Gpu::new();
            let dqb = gpu.up(&vec![0.0_f32; n]);
            let (dkb, dvb) = (gpu.empty(2 * n), gpu.empty(2 * n));
            let inputs = [&d_o, &q, &k, &v].map(|x| gpu.bf16(x));
            let (lb, db) = (gpu.up(&lse), gpu.up(&delta));
            let mut args: Vec<emulator::Arg> = vec![dqb.into(), dkb.into(), dvb.into()];
            args.extend(inputs.map(emulator::Arg::from));
            args.extend([lb.into(), db.into(), (t as i32).into(), (h as i32).into(), (window as i32).into()]);
            args.push((scale as f32).into());
            let grid = [t.div_ceil(64) as u32, h as u32, b as u32];
            let options = Options { large_shared: true, ..Options::default() };
            gpu.run(module, "flash_bwd", grid, [128, 1, 1], 5 * 8192, &args, &options);
            let as_f32 = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<_>>();
            // p and ds are rounded to bf16 before they are multiplied
            close("dq", &gpu.f32(dqb), &as_f32(&dq), 2.0 * HALF_ULP, 2e-2);
            close("dk", &gpu.read_bf16(dkb), &as_f32(&dk), 2.0 * HALF_ULP, 2e-2);
            close("dv", &gpu.read_bf16(dvb), &as_f32(&dv), 2.0 * HALF_ULP, 2e-2);
        }
    }
}
