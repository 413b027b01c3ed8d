//! `ldmatrix`, `mma.sync`, `cp.async`: against fragment layouts in closed form, written down here from the manual's text
//! alone: for lane l with g = l / 4 and t = l % 4, which (row, column) each half of each register is.

use crate::kernel;
use emulator::{FaultKind, Options};

/// (row, column) of half `h` of register `i` of A, 16×16.
fn a_at(l: usize, i: usize, h: usize) -> (usize, usize) {
    (l / 4 + 8 * (i % 2), 2 * (l % 4) + h + 8 * (i / 2))
}

/// (row, column) of half `h` of register `i` of B, 16×8.
fn b_at(l: usize, i: usize, h: usize) -> (usize, usize) {
    (2 * (l % 4) + h + 8 * i, l / 4)
}

/// (row, column) of register `i` of C and D, 16×8.
fn c_at(l: usize, i: usize) -> (usize, usize) {
    (l / 4 + 8 * (i / 2), 2 * (l % 4) + i % 2)
}

const BODY: &str = "mad.wide.u32 %d1, %r60, 40, %d61;\nld.global.v2.u32 {%r1, %r2}, [%d1];\nld.global.v2.u32 {%r3, %r4}, [%d1+8];\n\
     ld.global.v2.u32 {%r5, %r6}, [%d1+16];\nld.global.v2.f32 {%r7, %r8}, [%d1+24];\nld.global.v2.f32 {%r9, %r10}, [%d1+32];\n\
     mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%r11, %r12, %r13, %r14}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, {%r7, %r8, %r9, %r10};\n\
     mad.wide.u32 %d2, %r60, 16, %d60;\nst.global.v4.f32 [%d2], {%r11, %r12, %r13, %r14};";

/// The registers of 32 lanes, 10 words each: A, B, C.
fn fragments(a: &[[u16; 16]; 16], b: &[[u16; 8]; 16], c: &[[f32; 8]; 16]) -> Vec<u32> {
    let mut words = Vec::new();
    for l in 0..32 {
        let pair = |lo: u16, hi: u16| u32::from(lo) | u32::from(hi) << 16;
        let of_a = |i, h| a[a_at(l, i, h).0][a_at(l, i, h).1];
        let of_b = |i, h| b[b_at(l, i, h).0][b_at(l, i, h).1];
        words.extend((0..4).map(|i| pair(of_a(i, 0), of_a(i, 1))));
        words.extend((0..2).map(|i| pair(of_b(i, 0), of_b(i, 1))));
        words.extend((0..4).map(|i| c[c_at(l, i).0][c_at(l, i).1].to_bits()));
    }
    words
}

fn product(ty: &str, words: &[u32], options: &Options) -> [[f32; 8]; 16] {
    let body = BODY.replace("TYPE", ty);
    let out: Vec<f32> = kernel::try_run::<u32, f32>(&body, 32, 4, words, options).unwrap();
    let mut d = [[0.0; 8]; 16];
    for (l, registers) in out.chunks(4).enumerate() {
        for (i, value) in registers.iter().enumerate() {
            let (row, column) = c_at(l, i);
            d[row][column] = *value;
        }
    }
    d
}

#[test]
fn every_product_lands_where_it_belongs() {
    // one element of A and one of B at a time, with a different value in every position
    for (ty, one) in [("bf16", 0x3f80_u16), ("f16", 0x3c00)] {
        for k in 0..16 {
            let mut a = [[0; 16]; 16];
            let mut b = [[0; 8]; 16];
            for m in 0..16 {
                a[m][k] = one + 4 * m as u16; // 1 + m/32 or 1 + m/256
            }
            for n in 0..8 {
                b[k][n] = one + 8 * n as u16;
            }
            let c: [[f32; 8]; 16] =
                std::array::from_fn(|m| std::array::from_fn(|n| (m * 8 + n) as f32 * 1000.0));
            let value = |bits: u16| {
                if ty == "bf16" {
                    f64::from(f32::from_bits(u32::from(bits) << 16))
                } else {
                    1.0 + f64::from(bits - one) / 1024.0
                }
            };
            let d = product(ty, &fragments(&a, &b, &c), &Options::default());
            for (m, n) in (0..16).flat_map(|m| (0..8).map(move |n| (m, n))) {
                let want = (f64::from(c[m][n]) + value(a[m][k]) * value(b[k][n])) as f32;
                assert_eq!(d[m][n], want, "{ty} k {k} row {m} column {n}");
            }
        }
    }
}

#[test]
fn sums_are_near_the_exact_product_and_cut_ones_nearly() {
    let bits = |x: f32| (x.to_bits() >> 16) as u16;
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 0.8
    };
    let a: [[u16; 16]; 16] = std::array::from_fn(|_| std::array::from_fn(|_| bits(next())));
    let b: [[u16; 8]; 16] = std::array::from_fn(|_| std::array::from_fn(|_| bits(next())));
    let c: [[f32; 8]; 16] = std::array::from_fn(|_| std::array::from_fn(|_| next()));
    let value = |x: u16| f64::from(f32::from_bits(u32::from(x) << 16));
    let plain = product("bf16", &fragments(&a, &b, &c), &Options::default());
    let portable = product("bf16", &fragments(&a, &b, &c), &Options { portable: true, ..Options::default() });
    assert!(plain == portable, "the same bits without vector instructions");
    let cut = product("bf16", &fragments(&a, &b, &c), &Options { truncate_mma: true, ..Options::default() });
    let mut different = 0;
    for (m, n) in (0..16).flat_map(|m| (0..8).map(move |n| (m, n))) {
        let terms: Vec<f64> = (0..16).map(|k| value(a[m][k]) * value(b[k][n])).collect();
        let exact = terms.iter().sum::<f64>() + f64::from(c[m][n]);
        let size: f64 = terms.iter().map(|t| t.abs()).sum::<f64>() + f64::from(c[m][n]).abs();
        assert!((f64::from(plain[m][n]) - exact).abs() <= 17.0 * size * 2_f64.powi(-24));
        assert!((f64::from(cut[m][n]) - exact).abs() <= 8.0 * size * 2_f64.powi(-22));
        different += usize::from(plain[m][n] != cut[m][n]);
    }
    assert!(different > 10, "the truncating mode changes {different} of 128 results");
}

#[test]
fn special_values_go_through_a_product() {
    let mut a = [[0x3f80; 16]; 16];
    let (b, c) = ([[0x3f80; 8]; 16], [[0.0; 8]; 16]);
    (a[3][2], a[5][0], a[6][9]) = (0x7f80, 0x7fc0, 0x0001);
    let d = product("bf16", &fragments(&a, &b, &c), &Options::default());
    assert!(d[3][0] == f32::INFINITY && d[5][7].is_nan());
    assert_eq!((d[6][1], d[0][0]), (15.0, 16.0), "a denormal is added to 15");
}

/// Half `h` of register `i` of lane `l` of `ldmatrix`: (matrix, row, column).
fn ld_at(l: usize, i: usize, h: usize, transposed: bool) -> (usize, usize, usize) {
    let (row, column) = (l / 4, 2 * (l % 4) + h);
    if transposed { (i, column, row) } else { (i, row, column) }
}

#[test]
fn ldmatrix_spreads_rows_and_columns() {
    // matrix m, row r, column c holds 64m + 8r + c; rows lie 48 bytes apart, in another order for each matrix
    let place = |m: usize, r: usize| (m * 8 + (r * 3 + m) % 8) * 48;
    for (count, transposed) in [(1, false), (2, false), (4, false), (1, true), (2, true), (4, true)] {
        let mut bytes = vec![0_u8; 32 * 48 + 16];
        for (m, r, c) in (0..4).flat_map(|m| (0..8).flat_map(move |r| (0..8).map(move |c| (m, r, c)))) {
            bytes[place(m, r) + 2 * c..][..2].copy_from_slice(&((64 * m + 8 * r + c) as u16).to_le_bytes());
        }
        // the offsets follow the data
        let offsets: Vec<u8> = (0..32).flat_map(|l| (place(l / 8, l % 8) as u32).to_le_bytes()).collect();
        bytes.extend(offsets);
        let copy = "mov.u32 %r1, 0;\nCOPY:\ncvt.u64.u32 %d2, %r1;\nadd.s64 %d3, %d2, %d61;\nld.global.u64 %d4, [%d3];\n\
                    st.shared.u64 [%r1], %d4;\nadd.u32 %r1, %r1, 8;\nsetp.lt.u32 %p1, %r1, 1552;\n@%p1 bra COPY;\n";
        let registers: Vec<String> = (0..count).map(|i| format!("%r{}", 10 + i)).collect();
        let trans = if transposed { ".trans" } else { "" };
        let stores: String = registers
            .iter()
            .enumerate()
            .map(|(i, r)| format!("st.global.u32 [%d6+{}], {r};\n", 4 * i))
            .collect();
        let body = format!(
            "{copy}bar.sync 0;\nmad.wide.u32 %d5, %r60, 4, %d61;\nld.global.u32 %r2, [%d5+1552];\n\
             ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {{{}}}, [%r2];\nmad.wide.u32 %d6, %r60, {}, %d60;\n{stores}",
            registers.join(", "),
            4 * count
        );
        let out: Vec<u32> = kernel::run::<u8, u32>(&body, 32, count, &bytes);
        for (l, i, h) in (0..32).flat_map(|l| (0..count).flat_map(move |i| (0..2).map(move |h| (l, i, h)))) {
            let (m, r, c) = ld_at(l, i, h, transposed);
            let got = out[l * count + i] >> (16 * h) & 0xffff;
            assert_eq!(got, (64 * m + 8 * r + c) as u32, "x{count}{trans} lane {l} register {i} half {h}");
        }
    }
}

#[test]
fn matrix_instructions_need_the_whole_warp() {
    let body = "mov.u32 %r1, 0;\nsetp.lt.u32 %p1, %r60, 16;\n@%p1 ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r1];";
    let fault = kernel::try_run::<u32, u32>(body, 32, 1, &[0], &Options::default()).unwrap_err();
    assert_eq!((fault.kind, fault.lane), (FaultKind::MemberMask, Some(16)));
}

#[test]
fn copies_arrive_at_their_wait_and_are_padded_with_zeros() {
    let body = "mov.u32 %r1, 16;\nst.shared.v4.u32 [s], {%r1, %r1, %r1, %r1};\nst.shared.v4.u32 [s+16], {%r1, %r1, %r1, %r1};\n\
                cp.async.cg.shared.global [s], [%d61], 16, 12;\ncp.async.commit_group;\n\
                cp.async.ca.shared.global [s+16], [%d61+16], 8;\ncp.async.commit_group;\ncp.async.wait_group 1;\n\
                ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [s];\nst.global.v4.u32 [%d60], {%r2, %r3, %r4, %r5};\n\
                ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [s+16];\nst.global.v4.u32 [%d60+16], {%r2, %r3, %r4, %r5};\n\
                cp.async.wait_all;\nld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [s+16];\nst.global.v4.u32 [%d60+32], {%r2, %r3, %r4, %r5};";
    let input: Vec<u32> = (1..=8).collect();
    let out = kernel::try_run::<u32, u32>(body, 1, 12, &input, &kernel::unchecked()).unwrap();
    assert_eq!(
        out,
        [1, 2, 3, 0, 16, 16, 16, 16, 5, 6, 16, 16],
        "the second group is not there before its wait"
    );
    let fault = kernel::try_run::<u32, u32>(body, 1, 12, &input, &Options::default()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::InFlight);
    let zero = "cp.async.ca.shared.global [s], [%d61], 4, 0;\ncp.async.wait_all;\nld.shared.u32 %r1, [s];\nst.global.u32 [%d60], %r1;";
    assert_eq!(kernel::run::<u32, u32>(zero, 1, 1, &[9]), [0]);
}
