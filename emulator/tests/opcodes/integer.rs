//! Integer arithmetic, by its definition over 128 bits.

use crate::bench::{check, integers, results};
use crate::kernel;
use emulator::{FaultKind, Options};

fn signed(x: u64, bits: u32) -> i128 {
    i128::from((x << (64 - bits)) as i64 >> (64 - bits))
}

const CLASSES: [(u32, char); 3] = [(16, 'h'), (32, 'r'), (64, 'd')];

/// `name.s16`, `.u32` … against a function of exact integers; the result is cut to the width.
fn binary(name: &str, types: &str, define: impl Fn(i128, i128, i128, u32) -> i128) {
    for (bits, x) in CLASSES {
        for ty in types.chars() {
            let mask = u64::MAX >> (64 - bits);
            let of = |v: u64| if ty == 's' { signed(v, bits) } else { i128::from(v) };
            let three = if name.starts_with("mad") { format!(", %{x}3") } else { String::new() };
            let instruction = format!("{name}.{ty}{bits} %{x}0, %{x}1, %{x}2{three};");
            check(&instruction, x, &integers(bits), |a, b, c| {
                define(of(a), of(b), of(c), bits) as u64 & mask
            });
        }
    }
}

#[test]
fn sums_differences_products_wrap() {
    binary("add", "su", |a, b, _, _| a + b);
    binary("sub", "su", |a, b, _, _| a - b);
    binary("mul.lo", "su", |a, b, _, _| a.wrapping_mul(b));
    binary("mad.lo", "su", |a, b, c, _| a.wrapping_mul(b).wrapping_add(c));
    binary("min", "su", |a, b, _, _| a.min(b));
    binary("max", "su", |a, b, _, _| a.max(b));
}

#[test]
fn high_halves_and_wide_products() {
    // u64 products need 128 unsigned bits
    let high = |a: i128, b: i128, bits: u32| {
        if a < 0 || b < 0 { (a * b) >> bits } else { ((a as u128 * b as u128) >> bits) as i128 }
    };
    binary("mul.hi", "su", |a, b, _, bits| high(a, b, bits));
    binary("mad.hi", "su", |a, b, c, bits| high(a, b, bits).wrapping_add(c));
    for (bits, from, to) in [(16, 'h', 'r'), (32, 'r', 'd')] {
        for ty in ['s', 'u'] {
            let of = |v: u64| if ty == 's' { signed(v, bits) } else { i128::from(v) };
            let mask = u64::MAX >> (64 - 2 * bits);
            let edges = integers(bits);
            let product = format!("mul.wide.{ty}{bits} %{to}0, %{from}1, %{from}2;");
            check(&product, to, &edges, |a, b, _| (of(a) * of(b)) as u64 & mask);
            let sum = format!("mad.wide.{ty}{bits} %{to}0, %{from}1, %{from}2, %{to}3;");
            check(&sum, to, &edges, |a, b, c| (of(a) * of(b) + i128::from(c)) as u64 & mask);
        }
    }
}

#[test]
fn quotients_round_toward_zero_and_division_by_zero_is_refused() {
    for (bits, x) in CLASSES {
        for ty in ['s', 'u'] {
            let of = |v: u64| if ty == 's' { signed(v, bits) } else { i128::from(v) };
            let mask = u64::MAX >> (64 - bits);
            let edges: Vec<u64> = integers(bits).into_iter().filter(|v| *v != 0).collect();
            check(&format!("div.{ty}{bits} %{x}0, %{x}1, %{x}2;"), x, &edges, |a, b, _| {
                (of(a) / of(b)) as u64 & mask
            });
            check(&format!("rem.{ty}{bits} %{x}0, %{x}1, %{x}2;"), x, &edges, |a, b, _| {
                (of(a) % of(b)) as u64 & mask
            });
        }
    }
    let body = "sub.u32 %r1, %r60, 3;\nrem.s32 %r0, 7, %r1;";
    let fault = kernel::try_run::<u64, u64>(body, 8, 1, &[0], &Options::default()).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::DivisionByZero, Some(3)));
    let guarded = "setp.ne.u32 %p1, %r60, 3;\nsub.u32 %r1, %r60, 3;\n@%p1 rem.s32 %r0, 7, %r1;";
    kernel::run::<u64, u64>(guarded, 8, 1, &[0]);
}

#[test]
fn one_operand() {
    for (bits, x) in CLASSES {
        let (mask, edges) = (u64::MAX >> (64 - bits), integers(bits));
        check(&format!("neg.s{bits} %{x}0, %{x}1;"), x, &edges, |a, _, _| a.wrapping_neg() & mask);
        check(&format!("abs.s{bits} %{x}0, %{x}1;"), x, &edges, |a, _, _| {
            signed(a, bits).unsigned_abs() as u64 & mask
        });
        check(&format!("not.b{bits} %{x}0, %{x}1;"), x, &edges, |a, _, _| !a & mask);
    }
}

#[test]
fn a_guard_leaves_the_other_lanes_alone() {
    let body =
        "mov.u64 %d0, 5;\nsetp.lt.u64 %p1, %d1, 2;\n@%p1 mov.u64 %d0, %d2;\n@!%p1 add.u64 %d0, %d0, 1;";
    let rows = [[0, 7, 0], [1, 8, 0], [2, 9, 0], [3, 10, 0]];
    assert_eq!(results(body, 'd', &rows), [7, 8, 6, 6]);
}
