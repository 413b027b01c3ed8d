//! f32 and f64. Sums and products of f32 are exact in f64 or have an error-free companion there, so a correctly rounded
//! f64-to-f32 conversion is a definition; division and roots of f32 from f64 round correctly, too, since 53 ≥ 2·24 + 2.

use crate::bench::{FLOATS, bits, check, f, float_bits, results};

/// Rounds the exact `product + c` once: TwoSum gives what f64 loses, which decides ties.
fn rounded_sum(product: f64, c: f64) -> f32 {
    let sum = product + c;
    let near = sum as f32;
    if !sum.is_finite() || f64::from(near) == sum {
        return near;
    }
    let v = sum - product;
    let lost = (product - (sum - v)) + (c - v);
    // the two f32 around the sum, and the middle between them
    let (low, high) = if f64::from(near) < sum { (near, near.next_up()) } else { (near.next_down(), near) };
    let middle = (f64::from(low) + f64::from(high)) / 2.0;
    if sum != middle || lost == 0.0 || !middle.is_finite() {
        return near;
    }
    if lost > 0.0 { high } else { low }
}

fn flush(x: f32) -> f32 {
    if x != 0.0 && x.abs() < f32::MIN_POSITIVE { 0.0_f32.copysign(x) } else { x }
}

fn saturate(x: f32) -> f32 {
    if x.is_nan() || x <= 0.0 {
        0.0
    } else if x > 1.0 {
        1.0
    } else {
        x
    }
}

/// An instruction of two operands with all its modifiers.
fn two(name: &str, define: impl Fn(f64, f64) -> f32) {
    let edges = float_bits();
    let of = |a: f32, b: f32| define(a.into(), b.into());
    for rn in ["", ".rn"] {
        check(&format!("{name}{rn}.f32 %r0, %r1, %r2;"), 'r', &edges, |a, b, _| bits(of(f(a), f(b))));
        let flushed = |a, b| flush(of(flush(f(a)), flush(f(b))));
        check(&format!("{name}{rn}.ftz.f32 %r0, %r1, %r2;"), 'r', &edges, |a, b, _| bits(flushed(a, b)));
        check(&format!("{name}{rn}.sat.f32 %r0, %r1, %r2;"), 'r', &edges, |a, b, _| {
            bits(saturate(of(f(a), f(b))))
        });
        let both = |a, b, _| bits(saturate(flushed(a, b)));
        check(&format!("{name}{rn}.ftz.sat.f32 %r0, %r1, %r2;"), 'r', &edges, both);
    }
}

#[test]
fn sums_products_and_their_modifiers() {
    two("add", rounded_sum);
    two("sub", |a, b| rounded_sum(a, -b));
    two("mul", |a, b| (a * b) as f32);
}

#[test]
fn fma_rounds_once() {
    let edges = float_bits();
    let of = |a: f32, b: f32, c: f32| rounded_sum(f64::from(a) * f64::from(b), c.into());
    check("fma.rn.f32 %r0, %r1, %r2, %r3;", 'r', &edges, |a, b, c| bits(of(f(a), f(b), f(c))));
    let flushed = |a, b, c| flush(of(flush(f(a)), flush(f(b)), flush(f(c))));
    check("fma.rn.ftz.f32 %r0, %r1, %r2, %r3;", 'r', &edges, |a, b, c| bits(flushed(a, b, c)));
    check("fma.rn.sat.f32 %r0, %r1, %r2, %r3;", 'r', &edges, |a, b, c| bits(saturate(of(f(a), f(b), f(c)))));
    // (1 + 2^-12)² - (1 + 2^-11) is 2^-24 with one rounding and nothing with two
    let x = u64::from((1.0_f32 + 2_f32.powi(-12)).to_bits());
    let c = u64::from((-1.0_f32 - 2_f32.powi(-11)).to_bits());
    assert_eq!(f(results("fma.rn.f32 %r0, %r1, %r2, %r3;", 'r', &[[x, x, c]])[0]), 2_f32.powi(-24));
    assert_eq!(f(results("mul.f32 %r0, %r1, %r2;\nadd.f32 %r0, %r0, %r3;", 'r', &[[x, x, c]])[0]), 0.0);
}

#[test]
fn fma_towards_minus_infinity_is_the_nearest_or_the_number_below() {
    let of = |a: f32, b: f32, c: f32| {
        let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
        let (near, sum) = (rounded_sum(product, c), product + c);
        if sum == 0.0 && product.is_sign_negative() != c.is_sign_negative() {
            return -0.0;
        }
        let v = sum - product;
        let lost = (product - (sum - v)) + (c - v);
        let over = f64::from(near) > sum || f64::from(near) == sum && lost < 0.0;
        if over && sum.is_finite() { near.next_down() } else { near }
    };
    check("fma.rm.f32 %r0, %r1, %r2, %r3;", 'r', &float_bits(), |a, b, c| bits(of(f(a), f(b), f(c))));
}

#[test]
fn quotients_and_roots() {
    let edges = float_bits();
    check("div.rn.f32 %r0, %r1, %r2;", 'r', &edges, |a, b, _| {
        bits((f64::from(f(a)) / f64::from(f(b))) as f32)
    });
    let flushed = |a, b| flush((f64::from(flush(f(a))) / f64::from(flush(f(b)))) as f32);
    check("div.rn.ftz.f32 %r0, %r1, %r2;", 'r', &edges, |a, b, _| bits(flushed(a, b)));
    check("sqrt.rn.f32 %r0, %r1;", 'r', &edges, |a, _, _| bits(f64::from(f(a)).sqrt() as f32));
    check("rcp.rn.f32 %r0, %r1;", 'r', &edges, |a, _, _| bits((1.0 / f64::from(f(a))) as f32));
}

/// min by the manual: the operand that is not NaN, -0 below +0.
fn min(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a == b => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
        _ if a < b => a,
        _ => b,
    }
}

#[test]
fn minimum_and_maximum_know_nan_and_signed_zeros() {
    let edges = float_bits();
    let max = |a: f32, b: f32| -min(-a, -b);
    check("min.f32 %r0, %r1, %r2;", 'r', &edges, |a, b, _| bits(min(f(a), f(b))));
    check("max.f32 %r0, %r1, %r2;", 'r', &edges, |a, b, _| bits(max(f(a), f(b))));
    check("min.ftz.f32 %r0, %r1, %r2;", 'r', &edges, |a, b, _| bits(min(flush(f(a)), flush(f(b)))));
    let nan = |a: u64, b: u64, x: f32| if f(a).is_nan() || f(b).is_nan() { 0x7fff_ffff } else { bits(x) };
    check("min.NaN.f32 %r0, %r1, %r2;", 'r', &edges, |a, b, _| nan(a, b, min(f(a), f(b))));
    check("max.NaN.f32 %r0, %r1, %r2;", 'r', &edges, |a, b, _| nan(a, b, max(f(a), f(b))));
}

#[test]
fn signs() {
    let edges = float_bits();
    check("neg.f32 %r0, %r1;", 'r', &edges, |a, _, _| bits(-f(a)));
    check("abs.f32 %r0, %r1;", 'r', &edges, |a, _, _| bits(f(a).abs()));
    check("neg.ftz.f32 %r0, %r1;", 'r', &edges, |a, _, _| bits(-flush(f(a))));
    check("abs.ftz.f32 %r0, %r1;", 'r', &edges, |a, _, _| bits(flush(f(a)).abs()));
}

#[test]
fn f64_is_the_host_s() {
    let edges: Vec<u64> = FLOATS.iter().map(|x| (f64::from(*x) * 1.1).to_bits()).collect();
    let d = f64::from_bits;
    // a NaN's payload is not specified
    let same = |instruction: &str, want: &dyn Fn(f64, f64, f64) -> f64| {
        let rows: Vec<[u64; 3]> =
            edges.iter().flat_map(|a| edges.iter().map(|b| [*a, *b, a.rotate_left(3) ^ b])).collect();
        for (row, got) in rows.iter().zip(results(instruction, 'd', &rows)) {
            let want = want(d(row[0]), d(row[1]), d(row[2]));
            assert!(got == want.to_bits() || (want.is_nan() && d(got).is_nan()), "{instruction} {row:x?}");
        }
    };
    same("add.f64 %d0, %d1, %d2;", &|a, b, _| a + b);
    same("sub.rn.f64 %d0, %d1, %d2;", &|a, b, _| a - b);
    same("mul.f64 %d0, %d1, %d2;", &|a, b, _| a * b);
    same("div.rn.f64 %d0, %d1, %d2;", &|a, b, _| a / b);
    same("fma.rn.f64 %d0, %d1, %d2, %d3;", &|a, b, c| a.mul_add(b, c));
    same("sqrt.rn.f64 %d0, %d1;", &|a, _, _| a.sqrt());
    same("rcp.rn.f64 %d0, %d1;", &|a, _, _| 1.0 / a);
    same("neg.f64 %d0, %d1;", &|a, _, _| -a);
    same("abs.f64 %d0, %d1;", &|a, _, _| a.abs());
    same("min.f64 %d0, %d1, %d2;", &|a, b, _| {
        if a == b { if a.is_sign_negative() { a } else { b } } else { a.min(b) }
    });
    same("max.f64 %d0, %d1, %d2;", &|a, b, _| {
        if a == b { if a.is_sign_negative() { b } else { a } } else { a.max(b) }
    });
}
