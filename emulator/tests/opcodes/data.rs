//! Moves, packing, selection, comparison, addresses, special registers.

use crate::bench::{FLOATS, check, f, float_bits, integers, results};
use crate::kernel;

#[test]
fn moves_and_constants() {
    check("mov.b16 %h0, %h1;", 'h', &integers(16), |a, _, _| a);
    check("mov.u32 %r0, %r1;", 'r', &integers(32), |a, _, _| a);
    check("mov.f64 %d0, %d1;", 'd', &integers(64), |a, _, _| a);
    check("mov.u32 %r0, -5;", 'r', &[0], |_, _, _| 0xffff_fffb);
    check("mov.f32 %r0, 0f3FC00000;", 'r', &[0], |_, _, _| 0x3fc0_0000);
    check("mov.f64 %d0, 0d3FF8000000000000;", 'd', &[0], |_, _, _| 0x3ff8_0000_0000_0000);
    check("mov.u64 %d0, 0xFFFFFFFFFFFFFFFF;", 'd', &[0], |_, _, _| u64::MAX);
    check("add.s32 %r0, %r1, -1;", 'r', &integers(32), |a, _, _| a.wrapping_sub(1) & 0xffff_ffff);
}

#[test]
fn parts_make_wholes_low_first() {
    check("mov.b32 %r0, {%h1, %h2};", 'r', &integers(16), |a, b, _| a | b << 16);
    check("mov.b64 %d0, {%r1, %r2};", 'd', &integers(32), |a, b, _| a | b << 32);
    check("mov.b64 %d0, {%h1, %h2, %h3, %h1};", 'd', &integers(16), |a, b, c| {
        a | b << 16 | c << 32 | a << 48
    });
    check("mov.b32 %r0, {0, %h1};", 'r', &integers(16), |a, _, _| a << 16);
    check("mov.b32 {%h0, _}, %r1;", 'h', &integers(32), |a, _, _| a & 0xffff);
    check("mov.b32 {_, %h0}, %r1;", 'h', &integers(32), |a, _, _| a >> 16);
    check("mov.b64 {%r9, %r0}, %d1;", 'r', &integers(64), |a, _, _| a >> 32);
    check("mov.b64 {%h5, %h6, %h0, %h7}, %d1;", 'h', &integers(64), |a, _, _| a >> 32 & 0xffff);
}

#[test]
fn selection_by_predicate() {
    for (bits, x) in [(16, 'h'), (32, 'r'), (64, 'd')] {
        check(&format!("selp.b{bits} %{x}0, %{x}1, %{x}2, %p3;"), x, &integers(bits), |a, b, c| {
            if c != 0 { a } else { b }
        });
    }
    check("selp.f32 %r0, %r1, 0f00000000, !%p2;", 'r', &integers(32), |a, b, _| if b == 0 { a } else { 0 });
}

/// Comparison by its definition: an ordering, or none with NaN.
fn holds(name: &str, order: Option<std::cmp::Ordering>) -> bool {
    let plain = name.trim_end_matches('u');
    let unordered = order.is_none();
    if plain != name && unordered {
        return true;
    }
    let Some(order) = order else { return false };
    match plain {
        "eq" => order.is_eq(),
        "ne" => order.is_ne(),
        "lt" | "lo" => order.is_lt(),
        "le" | "ls" => order.is_le(),
        "gt" | "hi" => order.is_gt(),
        _ => order.is_ge(),
    }
}

#[test]
fn comparisons_of_integers() {
    for (bits, x) in [(16, 'h'), (32, 'r'), (64, 'd')] {
        for name in ["eq", "ne", "lt", "le", "gt", "ge"] {
            let wide = |a: u64| (a << (64 - bits)) as i64;
            let signed = |a: u64, b: u64, _: u64| u64::from(holds(name, Some(wide(a).cmp(&wide(b)))));
            check(&format!("setp.{name}.s{bits} %p0, %{x}1, %{x}2;"), 'p', &integers(bits), signed);
            let unsigned = |a: u64, b: u64, _: u64| u64::from(holds(name, Some(a.cmp(&b))));
            check(&format!("setp.{name}.u{bits} %p0, %{x}1, %{x}2;"), 'p', &integers(bits), unsigned);
        }
        for name in ["lo", "ls", "hi", "hs"] {
            let unsigned = |a: u64, b: u64, _: u64| u64::from(holds(name, Some(a.cmp(&b))));
            check(&format!("setp.{name}.u{bits} %p0, %{x}1, %{x}2;"), 'p', &integers(bits), unsigned);
        }
        check(&format!("setp.eq.b{bits} %p0, %{x}1, %{x}2;"), 'p', &integers(bits), |a, b, _| {
            u64::from(a == b)
        });
        check(&format!("setp.ne.b{bits} %p0, %{x}1, %{x}2;"), 'p', &integers(bits), |a, b, _| {
            u64::from(a != b)
        });
    }
}

#[test]
fn comparisons_of_floats_ordered_and_unordered() {
    let flush = |x: f32| if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x };
    let doubles: Vec<u64> = FLOATS.iter().map(|x| f64::from(*x).to_bits()).collect();
    for name in ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu"] {
        let of = |a: u64, b: u64, _: u64| u64::from(holds(name, f(a).partial_cmp(&f(b))));
        check(&format!("setp.{name}.f32 %p0, %r1, %r2;"), 'p', &float_bits(), of);
        let of = |a: u64, b: u64, _: u64| u64::from(holds(name, flush(f(a)).partial_cmp(&flush(f(b)))));
        check(&format!("setp.{name}.ftz.f32 %p0, %r1, %r2;"), 'p', &float_bits(), of);
        let of = |a: u64, b: u64, _: u64| {
            u64::from(holds(name, f64::from_bits(a).partial_cmp(&f64::from_bits(b))))
        };
        check(&format!("setp.{name}.f64 %p0, %d1, %d2;"), 'p', &doubles, of);
        let half = |a: u64| f(a << 16);
        let of = |a: u64, b: u64, _: u64| u64::from(holds(name, half(a).partial_cmp(&half(b))));
        check(
            &format!("setp.{name}.bf16 %p0, %h1, %h2;"),
            'p',
            &[0, 0x8000, 0x3f80, 0xbf80, 0x7f80, 0x7fff],
            of,
        );
        let halves = [(0, 0.0), (0x8000, -0.0), (0x3c00, 1.0), (0x3c01, 1.001), (0xfc00, f64::NEG_INFINITY)];
        let value = |a: u64| halves.iter().find(|h| h.0 == a).unwrap().1;
        let of = |a: u64, b: u64, _: u64| u64::from(holds(name, value(a).partial_cmp(&value(b))));
        check(&format!("setp.{name}.f16 %p0, %h1, %h2;"), 'p', &halves.map(|h| h.0), of);
    }
    let nan = |a: u64, b: u64| f(a).is_nan() || f(b).is_nan();
    check("setp.nan.f32 %p0, %r1, %r2;", 'p', &float_bits(), |a, b, _| nan(a, b).into());
    check("setp.num.f32 %p0, %r1, %r2;", 'p', &float_bits(), |a, b, _| (!nan(a, b)).into());
}

#[test]
fn comparisons_join_predicates_and_give_the_opposite() {
    let edges = [0, 1, 2];
    for (name, join) in
        [("and", (|x, y| x && y) as fn(bool, bool) -> bool), ("or", |x, y| x || y), ("xor", |x, y| x != y)]
    {
        let instruction = format!("setp.lt.{name}.u32 %p0, %r1, %r2, %p3;");
        check(&instruction, 'p', &edges, |a, b, c| join(a < b, c != 0).into());
        let instruction = format!("setp.lt.{name}.u32 %p9|%p0, %r1, %r2, !%p3;");
        check(&instruction, 'p', &edges, |a, b, c| join(a >= b, c == 0).into());
    }
    check("setp.eq.u32 %p9|%p0, %r1, %r2;", 'p', &edges, |a, b, _| (a != b).into());
    check("setp.eq.u32 %p0|_, %r1, %r2;", 'p', &edges, |a, b, _| (a == b).into());
}

#[test]
fn special_registers() {
    let names =
        ["%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ctaid.y", "%nctaid.x", "%laneid", "%warpid", "%nwarpid"];
    let masks = [
        "%lanemask_eq",
        "%lanemask_lt",
        "%lanemask_le",
        "%lanemask_gt",
        "%lanemask_ge",
        "%dynamic_smem_size",
    ];
    let mut body = String::from("mad.wide.u32 %d1, %r60, 60, %d60;\n");
    for (i, name) in names.iter().chain(&masks).enumerate() {
        body += &format!("mov.u32 %r1, {name};\nst.global.u32 [%d1+{}], %r1;\n", 4 * i);
    }
    let out: Vec<u32> = kernel::run::<u32, u32>(&body, 70, 15, &[0]);
    for (t, row) in out.chunks(15).enumerate() {
        let (t, lane) = (t as u32, t as u32 % 32);
        assert_eq!(row[..9], [t, 0, 0, 70, 0, 1, lane, t / 32, 3]);
        let below = (1_u64 << lane) as u32 - 1;
        assert_eq!(row[9..], [1 << lane, below, below | 1 << lane, !below & !(1 << lane), !below, 256]);
    }
}

#[test]
fn addresses_go_to_generic_ones_and_back() {
    let body = "mov.u64 %d1, s;\ncvta.shared.u64 %d2, %d1;\ncvta.to.shared.u64 %d3, %d2;\nst.global.u64 [%d60], %d3;\n\
                st.shared.u32 [s+8], 77;\nld.u32 %r1, [%d2+8];\nst.global.u32 [%d60+8], %r1;\n\
                mov.u64 %d4, l;\ncvta.local.u64 %d5, %d4;\nst.u32 [%d5+4], 88;\nld.local.u32 %r2, [l+4];\n\
                st.global.u32 [%d60+12], %r2;\nmov.u64 %d6, table;\ncvta.global.u64 %d7, %d6;\nld.u8 %r3, [%d7+2];\n\
                st.global.u32 [%d60+16], %r3;\nld.const.u32 %r4, [fixed+4];\nst.global.u32 [%d60+20], %r4;\n\
                mov.u64 %d8, dynamic;\ncvt.u32.u64 %r5, %d8;\nst.global.u32 [%d60+24], %r5;\n\
                mov.u64 %d9, table+3;\nld.global.u8 %r6, [%d9];\nst.global.u32 [%d60+28], %r6;";
    let out = kernel::run::<u32, u32>(body, 1, 8, &[0]);
    assert_eq!(out, [0, 0, 77, 88, 3, 9, 4096, 4]);
    assert_eq!(results("mov.u32 %r0, s;", 'r', &[[0; 3]]), [0]);
}
