//! bf16 and f16 arithmetic: exact in f64 (an operand has at most 11 bits), then rounded once by searching the nearest of
//! all 65,536 values.

use crate::bench::{check, results};

/// A format's values by their bits: 1 sign, `exponent` bits, the rest mantissa.
struct Format {
    exponent: i32,
}

const F16: Format = Format { exponent: 5 };
const BF16: Format = Format { exponent: 8 };

impl Format {
    fn value(&self, bits: u64) -> f64 {
        let mantissa_bits = 15 - self.exponent;
        let bias = (1 << (self.exponent - 1)) - 1;
        let e = (bits >> mantissa_bits) as i32 & ((1 << self.exponent) - 1);
        let m = (bits & ((1 << mantissa_bits) - 1)) as f64 / f64::from(1 << mantissa_bits);
        let magnitude = match e {
            0 => m * 2_f64.powi(1 - bias),
            _ if e == (1 << self.exponent) - 1 => {
                if m == 0.0 {
                    f64::INFINITY
                } else {
                    f64::NAN
                }
            }
            _ => (1.0 + m) * 2_f64.powi(e - bias),
        };
        if bits & 0x8000 == 0 { magnitude } else { -magnitude }
    }

    /// The nearest value, ties to the even bits; NaN is 0x7fff.
    fn round(&self, x: f64) -> u64 {
        if x.is_nan() {
            return 0x7fff;
        }
        let infinity = ((1 << self.exponent) - 1) << (15 - self.exponent);
        let (mut low, mut high) = (0_u64, infinity);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.value(middle) <= x.abs() { low = middle } else { high = middle }
        }
        // beyond the largest value one more step decides
        let above =
            if high == infinity { 2.0 * self.value(low) - self.value(low - 1) } else { self.value(high) };
        let (down, up) = (x.abs() - self.value(low), above - x.abs());
        let magnitude = if down < up || (down == up && low % 2 == 0) { low } else { high };
        magnitude | if x.is_sign_negative() { 0x8000 } else { 0 }
    }

    fn edges(&self) -> Vec<u64> {
        let one = self.round(1.0);
        let infinity = ((1 << self.exponent) - 1) << (15 - self.exponent);
        let list = [
            0,
            0x8000,
            1,
            0x8001,
            one,
            one | 0x8000,
            one + 1,
            self.round(3.0),
            self.round(-0.1),
            infinity - 1,
        ];
        list.into_iter()
            .chain([infinity, infinity | 0x8000, infinity + 1, self.round(1e-3), self.round(250.0)])
            .collect()
    }
}

#[test]
fn scalar_arithmetic_rounds_once() {
    for (name, format) in [("f16", F16), ("bf16", BF16)] {
        let (edges, v) = (format.edges(), |x| format.value(x));
        check(&format!("add.{name} %h0, %h1, %h2;"), 'h', &edges, |a, b, _| format.round(v(a) + v(b)));
        check(&format!("sub.rn.{name} %h0, %h1, %h2;"), 'h', &edges, |a, b, _| format.round(v(a) - v(b)));
        check(&format!("mul.{name} %h0, %h1, %h2;"), 'h', &edges, |a, b, _| format.round(v(a) * v(b)));
        let one_nan = |x: u64| if v(x).is_nan() { 0x7fff } else { x };
        check(&format!("neg.{name} %h0, %h1;"), 'h', &edges, |a, _, _| one_nan(a ^ 0x8000));
        check(&format!("abs.{name} %h0, %h1;"), 'h', &edges, |a, _, _| one_nan(a & 0x7fff));
        let min = |a: u64, b: u64, _: u64| match (v(a), v(b)) {
            (x, y) if x.is_nan() && y.is_nan() => 0x7fff,
            (x, _) if x.is_nan() => b,
            (_, y) if y.is_nan() => a,
            (x, y) if x == y => a | b & 0x8000,
            (x, y) => {
                if x < y {
                    a
                } else {
                    b
                }
            }
        };
        check(&format!("min.{name} %h0, %h1, %h2;"), 'h', &edges, min);
        let max = |a: u64, b: u64, c: u64| {
            let negated = min(a ^ 0x8000, b ^ 0x8000, c);
            if negated == 0x7fff { negated } else { negated ^ 0x8000 }
        };
        let nan = |x: u64| if v(x).is_nan() { 0x7fff } else { x };
        check(&format!("max.{name} %h0, %h1, %h2;"), 'h', &edges, |a, b, c| nan(max(a, b, c)));
        // products of 22 bits plus a number of 11: exact in f64 for operands of like size
        let near: Vec<u64> = [1.0, 1.125, -3.0, 0.1, 7.0, -0.75].iter().map(|x| format.round(*x)).collect();
        check(&format!("fma.rn.{name} %h0, %h1, %h2, %h3;"), 'h', &near, |a, b, c| {
            format.round(v(a) * v(b) + v(c))
        });
    }
}

#[test]
fn pairs_work_half_by_half() {
    for (name, format) in [("f16x2", F16), ("bf16x2", BF16)] {
        let v = |x| format.value(x);
        let halves: Vec<u64> = [1.0, -2.5, 0.3, 100.0, 7.0].iter().map(|x| format.round(*x)).collect();
        let edges: Vec<u64> = halves.iter().flat_map(|h| halves.iter().map(move |l| h << 16 | l)).collect();
        let each = |f: &dyn Fn(u64, u64, u64) -> f64, a: u64, b: u64, c: u64| {
            let half = |at: u32| format.round(f(a >> at & 0xffff, b >> at & 0xffff, c >> at & 0xffff)) << at;
            half(16) | half(0)
        };
        let want = |a, b, c| each(&|a, b, c| v(a) * v(b) + v(c), a, b, c);
        check(&format!("fma.rn.{name} %r0, %r1, %r2, %r3;"), 'r', &edges, want);
        check(&format!("add.{name} %r0, %r1, %r2;"), 'r', &edges, |a, b, c| {
            each(&|a, b, _| v(a) + v(b), a, b, c)
        });
        check(&format!("mul.{name} %r0, %r1, %r2;"), 'r', &edges, |a, b, c| {
            each(&|a, b, _| v(a) * v(b), a, b, c)
        });
        check(&format!("neg.{name} %r0, %r1;"), 'r', &edges, |a, _, _| a ^ 0x8000_8000);
    }
}

#[test]
fn narrowing_from_f32_ties_to_even_and_puts_the_first_operand_high() {
    let mut rows = Vec::new();
    let mut state = 12_345_u32;
    for i in 0..2000_u32 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // half of them exactly between two values of bf16, or of f16
        let x = match i % 4 {
            0 => state & 0xffff_0000 | 0x8000,
            1 => (state & 0x8fff_ffff | 0x3000_0000) & 0xffff_e000 | 0x1000,
            _ => state,
        };
        rows.push([x.into(), u64::from(state.rotate_left(7)), 0]);
    }
    let value = |x: u64| f64::from(f32::from_bits(x as u32));
    for (name, format) in [("f16", F16), ("bf16", BF16)] {
        let single = results(&format!("cvt.rn.{name}.f32 %h0, %r1;"), 'h', &rows);
        let pair = results(&format!("cvt.rn.{name}x2.f32 %r0, %r1, %r2;"), 'r', &rows);
        let relu = results(&format!("cvt.rn.relu.{name}x2.f32 %r0, %r1, %r2;"), 'r', &rows);
        for (i, row) in rows.iter().enumerate() {
            let [a, b] = [format.round(value(row[0])), format.round(value(row[1]))];
            assert_eq!(single[i], a, "{name} of {:#x}", row[0]);
            assert_eq!(pair[i], a << 16 | b, "{name}x2 of {row:x?}");
            let positive = |x: u64, r: u64| if value(x) < 0.0 { 0 } else { r };
            assert_eq!(relu[i], positive(row[0], a) << 16 | positive(row[1], b), "{row:x?}");
        }
        let all: Vec<[u64; 3]> = (0..65_536).step_by(7).map(|x| [x, 0, 0]).collect();
        for (row, got) in all.iter().zip(results(&format!("cvt.f32.{name} %r0, %h1;"), 'r', &all)) {
            let (want, got) = (format.value(row[0]), f64::from(f32::from_bits(got as u32)));
            assert!(want == got || (want.is_nan() && got.is_nan()), "{row:x?}");
        }
    }
}
