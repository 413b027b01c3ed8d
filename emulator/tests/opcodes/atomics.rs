//! Atomic updates: the value left, the value returned.

use crate::kernel;
use emulator::Options;

/// Runs `atom` with old value, operand, third operand; in global and shared memory, typed and generic; as `red`, too.
fn each(f: &str, ty: &str, x: char, rows: &[[u64; 3]], want: impl Fn(u64, u64, u64) -> u64) {
    let bits: u32 = if ty.ends_with("64") { 64 } else { 32 };
    let mask = u64::MAX >> (64 - bits);
    for &[old, b, c] in rows {
        for space in [".global", ".shared", ""] {
            let third = if f == "cas" { format!(", %{x}3") } else { String::new() };
            let (to, copy) = match space {
                ".shared" => ("s", format!("st.shared.b{bits} [s], %{x}1;\n")),
                _ => ("%d60", format!("st.global.b{bits} [%d60], %{x}1;\n")),
            };
            let back = if space == ".shared" {
                format!("ld.shared.b{bits} %{x}5, [s];\nst.global.b{bits} [%d60], %{x}5;\n")
            } else {
                String::new()
            };
            let load = format!(
                "ld.global.b{bits} %{x}1, [%d61];\nld.global.b{bits} %{x}2, [%d61+8];\nld.global.b{bits} %{x}3, [%d61+16];\n"
            );
            let body = format!(
                "{load}{copy}atom{space}.{f}.{ty} %{x}4, [{to}], %{x}2{third};\n{back}st.global.b{bits} [%d60+8], %{x}4;"
            );
            let out = kernel::run::<u64, u64>(&body, 1, 2, &[old, b, c]);
            assert_eq!(
                out,
                [want(old, b, c) & mask, old & mask],
                "atom{space}.{f}.{ty} {old:#x} {b:#x} {c:#x}"
            );
            if space == ".global" && f != "cas" && f != "exch" {
                let body = format!("{load}{copy}red.global.{f}.{ty} [%d60], %{x}2;");
                let out = kernel::run::<u64, u64>(&body, 1, 1, &[old, b, c]);
                assert_eq!(out, [want(old, b, c) & mask]);
            }
        }
    }
}

const WORDS: [[u64; 3]; 5] =
    [[5, 3, 9], [3, 3, 9], [0, 7, 1], [0xffff_ffff, 1, 2], [0x8000_0000, 0x7fff_ffff, 4]];
const DOUBLES: [[u64; 3]; 3] = [[5, 3, 9], [3, 3, 9], [u64::MAX, 1 << 63, 4]];

#[test]
fn integer_updates() {
    let s = |x: u64| x as u32 as i32;
    each("add", "u32", 'r', &WORDS, |a, b, _| a.wrapping_add(b));
    each("add", "s32", 'r', &WORDS, |a, b, _| a.wrapping_add(b));
    each("min", "u32", 'r', &WORDS, |a, b, _| a.min(b));
    each("min", "s32", 'r', &WORDS, |a, b, _| s(a).min(s(b)) as u32 as u64);
    each("max", "u32", 'r', &WORDS, |a, b, _| a.max(b));
    each("max", "s32", 'r', &WORDS, |a, b, _| s(a).max(s(b)) as u32 as u64);
    each("and", "b32", 'r', &WORDS, |a, b, _| a & b);
    each("or", "b32", 'r', &WORDS, |a, b, _| a | b);
    each("xor", "b32", 'r', &WORDS, |a, b, _| a ^ b);
    each("exch", "b32", 'r', &WORDS, |_, b, _| b);
    each("cas", "b32", 'r', &WORDS, |a, b, c| if a == b { c } else { a });
    each("inc", "u32", 'r', &WORDS, |a, b, _| if a >= b { 0 } else { a + 1 });
    each("dec", "u32", 'r', &WORDS, |a, b, _| if a == 0 || a > b { b } else { a - 1 });
    each("add", "u64", 'd', &DOUBLES, |a, b, _| a.wrapping_add(b));
    each("min", "s64", 'd', &DOUBLES, |a, b, _| (a as i64).min(b as i64) as u64);
    each("max", "u64", 'd', &DOUBLES, |a, b, _| a.max(b));
    each("and", "b64", 'd', &DOUBLES, |a, b, _| a & b);
    each("or", "b64", 'd', &DOUBLES, |a, b, _| a | b);
    each("xor", "b64", 'd', &DOUBLES, |a, b, _| a ^ b);
    each("exch", "b64", 'd', &DOUBLES, |_, b, _| b);
    each("cas", "b64", 'd', &DOUBLES, |a, b, c| if a == b { c } else { a });
}

#[test]
fn sums_of_floats() {
    let bits = |x: f32| u64::from(x.to_bits());
    let rows = [[bits(1.5), bits(2.25), 0], [bits(1e30), bits(-1.0), 0]];
    each("add", "f32", 'r', &rows, |a, b, _| bits(f32::from_bits(a as u32) + f32::from_bits(b as u32)));
    let rows = [[1.5_f64.to_bits(), 0.1_f64.to_bits(), 0]];
    each("add", "f64", 'd', &rows, |a, b, _| (f64::from_bits(a) + f64::from_bits(b)).to_bits());
    // 1 + 2 and 0.5 - 0.5; 2.0 + 256 ulp tie
    each("add.noftz", "bf16x2", 'r', &[[0x3f80_3f00, 0x4000_bf00, 0]], |_, _, _| 0x4040_0000);
    each("add.noftz", "f16x2", 'r', &[[0x3c00_3800, 0x4000_b800, 0]], |_, _, _| 0x4200_0000);
    let body = "st.global.f32 [%d60], 0f00000001;\natom.global.add.f32 %r1, [%d60], 0f00000001;\n\
                st.shared.f32 [s], 0f00000001;\natom.shared.add.f32 %r1, [s], 0f00000001;\nld.shared.f32 %r2, [s];\n\
                st.global.f32 [%d60+4], %r2;";
    assert_eq!(
        kernel::run::<u32, u32>(body, 1, 2, &[0]),
        [0, 2],
        "global memory flushes denormals, shared does not"
    );
}

#[test]
fn all_lanes_warps_and_blocks_count() {
    let body = "atom.global.add.u32 %r1, [%d60], 1;\nmov.u32 %r2, 0;\nsetp.eq.u32 %p1, %r60, 0;\n\
                @%p1 st.shared.u32 [s], %r2;\nbar.sync 0;\natom.shared.inc.u32 %r3, [s], 99;\nbar.sync 0;\n\
                ld.shared.u32 %r4, [s];\n@%p1 st.global.u32 [%d60+4], %r4;";
    let out =
        kernel::try_run::<u32, u32>(body, 100, 2, &[0], &Options { order: Some(3), ..Options::default() })
            .unwrap();
    assert_eq!(out[..2], [100, 0], "a hundred increments, and the shared counter wraps at 99");
}
