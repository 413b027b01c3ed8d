//! Approximate instructions: within the documented bound of the exact value, also when they are moved inside it.

use crate::bench::{f, results};
use crate::kernel;
use emulator::Options;

/// |got - want| within the bound; special values exactly.
fn within(name: &str, inputs: &[f32], define: impl Fn(f64) -> f64, relative: f64, absolute: f64) {
    let rows: Vec<[u64; 3]> = inputs.iter().map(|x| [x.to_bits().into(), 0, 0]).collect();
    let plain: Vec<f32> = results(&format!("{name}.f32 %r0, %r1;"), 'r', &rows).into_iter().map(f).collect();
    let body = format!(
        "mul.wide.u32 %d1, %r60, 4;\nadd.s64 %d2, %d1, %d61;\nld.global.f32 %r1, [%d2];\n{name}.f32 %r0, %r1;\n\
         add.s64 %d3, %d1, %d60;\nst.global.f32 [%d3], %r0;"
    );
    let mut moved_at_all = false;
    for seed in [None, Some(1), Some(2)] {
        let options = Options { perturb: seed, ..Options::default() };
        let got: Vec<f32> =
            kernel::try_run::<f32, f32>(&body, inputs.len() as u32, 1, inputs, &options).unwrap();
        for (i, (x, got)) in inputs.iter().zip(&got).enumerate() {
            let want = define(f64::from(*x));
            let room = (relative * want.abs()).max(absolute).max(f64::from(f32::from_bits(1)));
            let good = match want {
                w if w.is_nan() => got.is_nan(),
                w if w.abs() > f64::from(f32::MAX) => f64::from(*got) == f64::from(w as f32),
                w => (f64::from(*got) - w).abs() <= room,
            };
            assert!(good, "{name}({x}) with {seed:?}: {got} instead of {want}");
            moved_at_all |= seed.is_some() && got.to_bits() != plain[i].to_bits();
            assert!(seed.is_some() || got.to_bits() == plain[i].to_bits());
        }
    }
    assert!(moved_at_all, "{name}: the perturbation changes nothing");
}

#[test]
fn every_function_stays_within_its_bound() {
    let two = f64::exp2;
    let spread: Vec<f32> = (0..200).map(|i| (i as f32 - 100.0) * 0.37 + 0.01).collect();
    let positive: Vec<f32> = (0..200).map(|i| 1e-3 * 1.13_f32.powi(i)).collect();
    let mut wild = spread.clone();
    wild.extend([
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        127.9,
        128.1,
        -126.5,
        -140.0,
        -160.0,
        1e30,
    ]);
    within("ex2.approx", &wild, f64::exp2, two(-22.0), 0.0);
    let mut with_specials = positive.clone();
    with_specials.extend([0.0, f32::INFINITY, f32::NAN, -1.0, 1e-40]);
    within("lg2.approx", &with_specials, f64::log2, two(-22.0), two(-22.0));
    within("sqrt.approx", &with_specials, f64::sqrt, two(-23.0), 0.0);
    within("rsqrt.approx", &with_specials, |x| 1.0 / x.sqrt(), two(-22.9), 0.0);
    within("rcp.approx", &with_specials, |x| 1.0 / x, two(-23.0), 0.0);
    within("tanh.approx", &wild, f64::tanh, two(-11.0), 0.0);
    let angles: Vec<f32> = (0..100).map(|i| (i as f32 - 50.0) * 0.0628).collect();
    within("sin.approx", &angles, f64::sin, 0.0, two(-20.5));
    within("cos.approx", &angles, f64::cos, 0.0, two(-20.5));
}

#[test]
fn ftz_flushes_operands_and_results() {
    let of = |name: &str, x: f32| {
        f(results(&format!("{name}.ftz.f32 %r0, %r1;"), 'r', &[[x.to_bits().into(), 0, 0]])[0])
    };
    assert_eq!(of("ex2.approx", -130.0).to_bits(), 0);
    assert_eq!(of("rcp.approx", 1e-40), f32::INFINITY);
    assert_eq!(of("rcp.approx", 2e38).to_bits(), 0);
    assert_eq!(of("rsqrt.approx", 1e-40), f32::INFINITY);
    assert_eq!(of("sqrt.approx", 1e-40).to_bits(), 0);
    assert_eq!(of("lg2.approx", 1e-40), f32::NEG_INFINITY);
    assert_eq!(of("sin.approx", 1e-40).to_bits(), 0);
    assert_eq!(of("cos.approx", 1e-40), 1.0);
}

#[test]
fn approximate_division() {
    for name in ["div.approx.f32", "div.full.f32", "div.approx.ftz.f32", "div.full.ftz.f32"] {
        for (a, b) in [(1.0_f32, 3.0_f32), (-7.5, 0.1), (1e20, 1e-10), (0.0, 5.0), (1.0, 0.0)] {
            let row = [a.to_bits().into(), b.to_bits().into(), 0];
            let got = f(results(&format!("{name} %r0, %r1, %r2;"), 'r', &[row])[0]);
            let want = a / b;
            assert!(got == want || (got - want).abs() <= 2.4e-7 * want.abs(), "{a}/{b}: {got}");
        }
        assert!(f(results(&format!("{name} %r0, %r1, %r2;"), 'r', &[[0, 0, 0]])[0]).is_nan());
    }
}
