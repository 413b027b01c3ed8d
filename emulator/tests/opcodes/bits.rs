//! Logic, shifts, fields and counts of bits.

use crate::bench::{check, integers};

const CLASSES: [(u32, char); 3] = [(16, 'h'), (32, 'r'), (64, 'd')];

#[test]
fn logic_is_bitwise() {
    for (bits, x) in CLASSES {
        let edges = integers(bits);
        check(&format!("and.b{bits} %{x}0, %{x}1, %{x}2;"), x, &edges, |a, b, _| a & b);
        check(&format!("or.b{bits} %{x}0, %{x}1, %{x}2;"), x, &edges, |a, b, _| a | b);
        check(&format!("xor.b{bits} %{x}0, %{x}1, %{x}2;"), x, &edges, |a, b, _| a ^ b);
    }
    for table in [0x00, 0xff, 0x80, 0xfe, 0x96, 0xca, 0xe8, 0x1b] {
        let by_bit = |a: u64, b: u64, c: u64| {
            (0..32).fold(0, |out, i| {
                let row = (a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1);
                out | (table >> row & 1) << i
            })
        };
        check(&format!("lop3.b32 %r0, %r1, %r2, %r3, {table};"), 'r', &integers(32), by_bit);
    }
    let edges = [0, 1];
    check("and.pred %p0, %p1, %p2;", 'p', &edges, |a, b, _| a & b);
    check("or.pred %p0, %p1, %p2;", 'p', &edges, |a, b, _| a | b);
    check("xor.pred %p0, %p1, %p2;", 'p', &edges, |a, b, _| a ^ b);
    check("not.pred %p0, %p1;", 'p', &edges, |a, _, _| 1 - a);
    check("mov.pred %p0, %p1;", 'p', &edges, |a, _, _| a);
    check("mov.pred %p0, -1;", 'p', &edges, |_, _, _| 1);
    check("mov.pred %p0, 0;", 'p', &edges, |_, _, _| 0);
}

#[test]
fn shifts_clamp_at_the_width() {
    let amounts = [0, 1, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 0x8000_0000, 0xffff_ffff];
    for (bits, x) in CLASSES {
        let mask = u64::MAX >> (64 - bits);
        for amount in amounts {
            let many = u128::from(amount.min(127_u64));
            let left =
                |a: u64, _: u64, _: u64| if many >= 64 { 0 } else { ((u128::from(a) << many) as u64) & mask };
            check(&format!("shl.b{bits} %{x}0, %{x}1, {amount};"), x, &integers(bits), left);
            let right = |a: u64, _: u64, _: u64| (u128::from(a) >> many) as u64;
            check(&format!("shr.u{bits} %{x}0, %{x}1, {amount};"), x, &integers(bits), right);
            check(&format!("shr.b{bits} %{x}0, %{x}1, {amount};"), x, &integers(bits), right);
            let down = |a: u64, _: u64, _: u64| {
                let wide = i128::from((a << (64 - bits)) as i64 >> (64 - bits));
                (wide >> many) as u64 & mask
            };
            check(&format!("shr.s{bits} %{x}0, %{x}1, {amount};"), x, &integers(bits), down);
        }
    }
}

#[test]
fn funnel_shifts_take_32_bits_of_64() {
    let edges: Vec<u64> = integers(32).into_iter().chain([31, 32, 33, 64]).collect();
    let both = |a: u64, b: u64| u128::from(b << 32 | a);
    let left = |a, b, by: u64| ((both(a, b) << by) >> 32) as u64 & 0xffff_ffff;
    let right = |a, b, by: u64| (both(a, b) >> by) as u64 & 0xffff_ffff;
    check("shf.l.wrap.b32 %r0, %r1, %r2, %r3;", 'r', &edges, |a, b, c| left(a, b, c & 31));
    check("shf.l.clamp.b32 %r0, %r1, %r2, %r3;", 'r', &edges, |a, b, c| left(a, b, c.min(32)));
    check("shf.r.wrap.b32 %r0, %r1, %r2, %r3;", 'r', &edges, |a, b, c| right(a, b, c & 31));
    check("shf.r.clamp.b32 %r0, %r1, %r2, %r3;", 'r', &edges, |a, b, c| right(a, b, c.min(32)));
}

#[test]
fn bytes_are_permuted_and_their_signs_spread() {
    let edges = [0x0123_4567, 0x89ab_cdef, 0x7654_3210, 0xfedc_ba98, 0x5410, 0x8f0a, 0x80ff_7f01];
    let prmt = |a: u64, b: u64, c: u64| {
        let bytes: Vec<u64> = (0..8).map(|i| (b << 32 | a) >> (8 * i) & 0xff).collect();
        let pick = |i: u64| {
            let selector = c >> (4 * i) & 15;
            let byte = bytes[(selector & 7) as usize];
            if selector & 8 == 0 { byte } else { byte / 128 * 255 }
        };
        (0..4).fold(0, |out, i| out | pick(i) << (8 * i))
    };
    check("prmt.b32 %r0, %r1, %r2, %r3;", 'r', &edges, prmt);
}

#[test]
fn fields_of_bits_stop_at_the_width() {
    for (bits, x) in [(32_u64, 'r'), (64, 'd')] {
        for (pos, len) in
            [(0, 0), (0, 1), (3, 5), (0, 32), (31, 1), (28, 8), (32, 4), (40, 40), (255, 3), (0, 255)]
        {
            let (p, n): (u64, u64) = (pos, len);
            let take = |a: u64, sign: bool| {
                let top = (p + n - n.min(1)).min(bits - 1);
                (0..bits).fold(0, |out, i| {
                    let inside = i < n && p + i < bits;
                    let bit = if inside {
                        a >> (p + i) & 1
                    } else if sign && n > 0 {
                        a >> top & 1
                    } else {
                        0
                    };
                    out | bit << i
                })
            };
            let edges = integers(bits as u32);
            check(&format!("bfe.u{bits} %{x}0, %{x}1, {pos}, {len};"), x, &edges, |a, _, _| take(a, false));
            check(&format!("bfe.s{bits} %{x}0, %{x}1, {pos}, {len};"), x, &edges, |a, _, _| take(a, true));
            let put = |a: u64, b: u64, _: u64| {
                (0..bits).fold(0, |out, i| {
                    let inside = i >= p && i < p + n;
                    out | (if inside { a >> (i - p) & 1 } else { b >> i & 1 }) << i
                })
            };
            check(&format!("bfi.b{bits} %{x}0, %{x}1, %{x}2, {pos}, {len};"), x, &edges, put);
        }
    }
}

#[test]
fn counts_of_bits() {
    for (bits, x) in [(32_u64, 'r'), (64, 'd')] {
        let edges = integers(bits as u32);
        let bit = |a: u64, i: u64| a >> i & 1;
        let highest = move |a: u64| (0..bits).rev().find(|i| bit(a, *i) == 1);
        let none = 0xffff_ffff;
        check(&format!("popc.b{bits} %r0, %{x}1;"), 'r', &edges, |a, _, _| {
            (0..bits).map(|i| bit(a, i)).sum()
        });
        check(&format!("clz.b{bits} %r0, %{x}1;"), 'r', &edges, |a, _, _| {
            highest(a).map_or(bits, |i| bits - 1 - i)
        });
        check(&format!("bfind.u{bits} %r0, %{x}1;"), 'r', &edges, |a, _, _| highest(a).unwrap_or(none));
        let differs = |a: u64, _: u64, _: u64| {
            let sign = bit(a, bits - 1);
            (0..bits).rev().find(|i| bit(a, *i) != sign).unwrap_or(none)
        };
        check(&format!("bfind.s{bits} %r0, %{x}1;"), 'r', &edges, differs);
        let reversed = |a: u64, _: u64, _: u64| (0..bits).fold(0, |out, i| out | bit(a, i) << (bits - 1 - i));
        check(&format!("brev.b{bits} %{x}0, %{x}1;"), x, &edges, reversed);
    }
}
