//! Fused optimizer steps against the same formulas from tensor operations, in f64 on the reference and in f32 on the CPU.
//!
//! Differentiable fused operations have their `composite` in the registry; these have no gradient and are compared here.
#![allow(clippy::unwrap_used)]

use kernels::binary::BinaryOp;
use kernels::philox::Philox;
use kernels::unary::UnaryOp;
use tensor::{AdamWParams, DType, Device, Tensor};
use train::optim::{AdamWState, MuonState, MuonUpdate, NsDtype, beside, muon_numbers, muon_step};

/// Where, in what, and how far two ways of computing one thing may be apart.
const PLACES: [(Device, DType, f64); 2] =
    [(Device::Reference, DType::F64, 1e-12), (Device::Cpu, DType::F32, 2e-5)];

fn random(dims: &[usize], stream: u64, dtype: DType, device: Device) -> Tensor {
    let mut rng = Philox::new(11, stream);
    let values: Vec<f64> = (0..dims.iter().product()).map(|_| rng.normal()).collect();
    Tensor::from_f64(&values, dims, dtype, device).unwrap()
}

/// `a·x + b·y`.
fn blend(a: f64, x: &Tensor, b: f64, y: &Tensor) -> Tensor {
    x.affine(a, 0.0).unwrap().add(&y.affine(b, 0.0).unwrap()).unwrap()
}

fn assert_close(what: &str, got: &Tensor, want: &Tensor, tolerance: f64) {
    for (i, (got, want)) in got.to_f64_vec().into_iter().zip(want.to_f64_vec()).enumerate() {
        assert!((got - want).abs() <= tolerance * (1.0 + want.abs()), "{what}[{i}]: {got} against {want}");
    }
}

#[test]
fn three_steps_of_adamw_are_what_the_formula_says() {
    let (beta1, beta2, eps, lr, weight_decay) = (0.8, 0.95, 1e-8, 0.05, 0.3);
    for (device, dtype, tolerance) in PLACES {
        let mut p = random(&[7, 33], 0, dtype, device);
        let mut state = AdamWState::new(&p).unwrap();
        let zeros = || Tensor::zeros(&[7, 33], dtype, device).unwrap();
        let (mut q, mut m, mut v) = (p.copied().unwrap(), zeros(), zeros());
        for step in 1..=3 {
            let g = random(&[7, 33], u64::from(step), dtype, device);
            let h = AdamWParams { lr, beta1, beta2, eps, weight_decay, step };
            let factors = beside(&p, &h.factors().unwrap()).unwrap();
            state.step(&mut p, None, &g, &factors).unwrap();

            let bias = |beta: f64| 1.0 - beta.powi(step as i32);
            m = blend(beta1, &m, 1.0 - beta1, &g);
            v = blend(beta2, &v, 1.0 - beta2, &g.unary(UnaryOp::Square).unwrap());
            let root = v.affine(1.0 / bias(beta2), 0.0).unwrap().unary(UnaryOp::Sqrt).unwrap();
            let update = m.div(&root.affine(1.0, eps).unwrap()).unwrap();
            q = blend(1.0 - lr * weight_decay, &q, -lr / bias(beta1), &update);
        }
        assert_close("p", &p, &q, tolerance);
        assert_close("m", &state.m, &m, tolerance);
        assert_close("v", &state.v, &v, tolerance);
    }
}

#[test]
fn two_steps_of_muon_are_what_the_formula_says() {
    let (momentum, lr) = (0.95, 0.02);
    for (rows, cols) in [(5, 9), (9, 5)] {
        for (device, dtype, tolerance) in PLACES {
            let mut p = random(&[rows, cols], 0, dtype, device);
            let mut state = MuonState::new(&p).unwrap();
            let (mut q, mut buf) =
                (p.copied().unwrap(), Tensor::zeros(&[rows, cols], dtype, device).unwrap());
            for step in 1..=2 {
                let g = random(&[rows, cols], step, dtype, device);
                let update = MuonUpdate { state: &mut state, p: &mut p, g: g.clone() };
                let numbers = muon_numbers(&[rows, cols], lr, momentum).unwrap();
                muon_step(vec![update], &beside(&g, &numbers).unwrap(), NsDtype::F32).unwrap();

                buf = blend(momentum, &buf, 1.0 - momentum, &g);
                let u = blend(1.0 - momentum, &g, momentum, &buf);
                let tall = rows > cols;
                let wide = if tall { u.transpose(0, 1).unwrap() } else { u };
                let norm = wide.sum_squares().unwrap().sqrt();
                let mut x = wide.affine(1.0 / (norm + 1e-7), 0.0).unwrap();
                for _ in 0..5 {
                    let a = x.matmul(&x.transpose(0, 1).unwrap()).unwrap();
                    let b = blend(-4.7750, &a, 2.0315, &a.matmul(&a).unwrap());
                    x = blend(3.4445, &x, 1.0, &b.matmul(&x).unwrap());
                }
                let o = if tall { x.transpose(0, 1).unwrap() } else { x };
                let scale = lr * (rows as f64 / cols as f64).max(1.0).sqrt();
                q = q.binary(BinaryOp::Sub, &o.affine(scale, 0.0).unwrap()).unwrap();
            }
            assert_close("p", &p, &q, tolerance);
            assert_close("buf", &state.buf, &buf, tolerance);
        }
    }
}
