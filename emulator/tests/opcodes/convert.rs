//! `cvt` between all number types, by the definition over exact numbers.

use crate::bench::{FLOATS, bits, check, f, float_bits, integers, results};

fn class(bits: u32) -> char {
    match bits {
        8 | 16 => 'h',
        32 => 'r',
        _ => 'd',
    }
}

fn exact(x: u64, sign: char, bits: u32) -> i128 {
    if sign == 's' {
        i128::from((x << (64 - bits)) as i64 >> (64 - bits))
    } else {
        i128::from(x << (64 - bits) >> (64 - bits))
    }
}

fn range(sign: char, bits: u32) -> (i128, i128) {
    if sign == 's' { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

#[test]
fn integers_are_cut_extended_or_saturated() {
    for (to_sign, to) in
        [('s', 8), ('u', 8), ('s', 16), ('u', 16), ('s', 32), ('u', 32), ('s', 64), ('u', 64)]
    {
        for (from_sign, from) in
            [('s', 8), ('u', 8), ('s', 16), ('u', 16), ('s', 32), ('u', 32), ('s', 64), ('u', 64)]
        {
            let (x, y) = (class(to), class(from));
            let register = if to == 8 { 16 } else { to };
            let mask = u64::MAX >> (64 - register);
            let (low, high) = range(to_sign, to);
            let edges = integers(from);
            let plain = format!("cvt.{to_sign}{to}.{from_sign}{from} %{x}0, %{y}1;");
            check(&plain, x, &edges, |a, _, _| {
                let cut = exact(exact(a, from_sign, from) as u64, to_sign, to);
                cut as u64 & mask
            });
            let (least, most) = range(from_sign, from);
            if low <= least && most <= high {
                continue; // refused: nothing could overflow (refused.rs)
            }
            let saturating = format!("cvt.sat.{to_sign}{to}.{from_sign}{from} %{x}0, %{y}1;");
            check(&saturating, x, &edges, |a, _, _| exact(a, from_sign, from).clamp(low, high) as u64 & mask);
        }
    }
    // from and to wider registers
    check("cvt.s32.s8 %r0, %r1;", 'r', &integers(32), |a, _, _| exact(a, 's', 8) as u64 & 0xffff_ffff);
    check("cvt.s16.s8 %r0, %r1;", 'r', &integers(32), |a, _, _| exact(a, 's', 8) as u64 & 0xffff_ffff);
    check("cvt.u32.u16 %d0, %h1;", 'd', &integers(16), |a, _, _| a);
    check("cvt.s32.s16 %d0, %d1;", 'd', &integers(64), |a, _, _| exact(a, 's', 16) as u64);
}

/// The float type's neighbours of an exact rational decide by comparison.
fn directed(x: i128, mode: &str) -> f32 {
    let near = x as f32; // Rust rounds to nearest even
    let back = near as i128;
    match mode {
        "rn" => near,
        "rz" if back.unsigned_abs() > x.unsigned_abs() => {
            if x > 0 {
                near.next_down()
            } else {
                near.next_up()
            }
        }
        "rm" if back > x => near.next_down(),
        "rp" if back < x => near.next_up(),
        _ => near,
    }
}

#[test]
fn integers_become_floats_in_every_direction() {
    for (sign, width) in [('s', 16), ('u', 16), ('s', 32), ('u', 32), ('s', 64), ('u', 64)] {
        let mut edges = integers(width);
        edges.extend(
            [16_777_217, 16_777_219, 33_554_433, 0x7fff_ffbf].map(|x| x & (u64::MAX >> (64 - width))),
        );
        for mode in ["rn", "rz", "rm", "rp"] {
            let x = class(width);
            let instruction = format!("cvt.{mode}.f32.{sign}{width} %r0, %{x}1;");
            check(&instruction, 'r', &edges, |a, _, _| bits(directed(exact(a, sign, width), mode)));
        }
        let x = class(width);
        let double = format!("cvt.rn.f64.{sign}{width} %d0, %{x}1;");
        check(&double, 'd', &edges, |a, _, _| (exact(a, sign, width) as f64).to_bits());
    }
}

fn whole(x: f64, mode: &str) -> f64 {
    match mode {
        "rni" => {
            let below = x.floor();
            match (x - below).partial_cmp(&0.5) {
                Some(std::cmp::Ordering::Less) => below,
                Some(std::cmp::Ordering::Greater) => below + 1.0,
                _ => {
                    if below % 2.0 == 0.0 {
                        below
                    } else {
                        below + 1.0
                    }
                }
            }
        }
        "rzi" => x.trunc(),
        "rmi" => x.floor(),
        _ => x.ceil(),
    }
}

#[test]
fn floats_become_integers_by_saturation_and_nan_by_the_table() {
    let mut edges = float_bits();
    for x in [2.5e9_f32, -2.5e9, 0.5, -0.5, 3.5, 1e19, 4e18, 127.5, 300.0, 65_535.6] {
        edges.push(x.to_bits().into());
    }
    for (sign, width) in [('s', 16), ('u', 16), ('s', 32), ('u', 32), ('s', 64), ('u', 64)] {
        let (low, high) = range(sign, width);
        let (mask, x) = (u64::MAX >> (64 - width), class(width));
        for mode in ["rni", "rzi", "rmi", "rpi"] {
            let instruction = format!("cvt.{mode}.{sign}{width}.f32 %{x}0, %r1;");
            check(&instruction, x, &edges, |a, _, _| {
                let v = f64::from(f(a));
                let of_nan = if width == 64 { 1 << 63 } else { 0 };
                if v.is_nan() { of_nan } else { (whole(v, mode) as i128).clamp(low, high) as u64 & mask }
            });
            let doubles: Vec<u64> = FLOATS.iter().map(|x| (f64::from(*x) * 1.5).to_bits()).collect();
            let instruction = format!("cvt.{mode}.{sign}{width}.f64 %{x}0, %d1;");
            check(&instruction, x, &doubles, |a, _, _| {
                let v = f64::from_bits(a);
                if v.is_nan() {
                    1 << (width - 1)
                } else {
                    (whole(v, mode) as i128).clamp(low, high) as u64 & mask
                }
            });
        }
    }
}

#[test]
fn floats_are_made_whole_widened_and_narrowed() {
    let edges = float_bits();
    for mode in ["rni", "rzi", "rmi", "rpi"] {
        check(&format!("cvt.{mode}.f32.f32 %r0, %r1;"), 'r', &edges, |a, _, _| {
            let v = whole(f(a).into(), mode) as f32;
            // the sign of a zero is kept
            bits(if v == 0.0 {
                v.copysign(f(a))
            } else if f(a).is_infinite() {
                f(a)
            } else {
                v
            })
        });
    }
    check("cvt.f64.f32 %d0, %r1;", 'd', &edges[..20], |a, _, _| f64::from(f(a)).to_bits());
    check("cvt.sat.f32.f32 %r0, %r1;", 'r', &edges, |a, _, _| {
        bits(if f(a) > 0.0 { f(a).min(1.0) } else { 0.0 })
    });
    check("cvt.ftz.f32.f32 %r0, %r1;", 'r', &edges, |a, _, _| {
        if f(a) != 0.0 && f(a).abs() < f32::MIN_POSITIVE { a & 0x8000_0000 } else { bits(f(a)) }
    });
    let rows: Vec<[u64; 3]> =
        [0.1_f64, -0.1, 1e-42, -1e-50, 3.5e38, -1e300, 1.0, 16_777_217.0, f64::INFINITY]
            .iter()
            .map(|x| [x.to_bits(), 0, 0])
            .collect();
    for mode in ["rn", "rz", "rm", "rp"] {
        for (row, got) in rows.iter().zip(results(&format!("cvt.{mode}.f32.f64 %r0, %d1;"), 'r', &rows)) {
            let (x, got) = (f64::from_bits(row[0]), f(got));
            let wide = f64::from(got);
            // between the two neighbours, on the right side
            assert!(f64::from(got.next_down()) <= x && x <= f64::from(got.next_up()), "{mode} of {x}: {got}");
            match mode {
                "rz" => assert!(wide.abs() <= x.abs()),
                "rm" => assert!(wide <= x),
                "rp" => assert!(wide >= x),
                _ => assert_eq!(got, x as f32),
            }
        }
    }
    let nan = results("cvt.rn.f32.f64 %r0, %d1;", 'r', &[[f64::NAN.to_bits(), 0, 0]]);
    assert_eq!(nan, [0x7fff_ffff]);
}
