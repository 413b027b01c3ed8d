//! One instruction on a table of operands: `%x1 %x2 %x3` hold them, `%x0` takes the result; `x` is `h`, `r`, `d` or `p` by
//! width.

use crate::kernel;

/// Results of `instruction` for each row of operands, as bits. `result` names the class of `%x0`.
pub fn results(instruction: &str, result: char, rows: &[[u64; 3]]) -> Vec<u64> {
    let mut body = String::from("mad.wide.u32 %d50, %r60, 24, %d61;\nmad.wide.u32 %d51, %r60, 8, %d60;\n");
    for i in 1..=3 {
        body += &format!("ld.global.u64 %d{i}, [%d50+{}];\n", 8 * (i - 1));
        body +=
            &format!("cvt.u32.u64 %r{i}, %d{i};\ncvt.u16.u64 %h{i}, %d{i};\nsetp.ne.u64 %p{i}, %d{i}, 0;\n");
    }
    body += instruction;
    body += match result {
        'h' => "\ncvt.u64.u16 %d0, %h0;",
        'r' => "\ncvt.u64.u32 %d0, %r0;",
        'p' => "\nselp.b64 %d0, 1, 0, %p0;",
        _ => "",
    };
    body += "\nst.global.u64 [%d51], %d0;";
    let mut found = Vec::new();
    for chunk in rows.chunks(1024) {
        let input: Vec<u64> = chunk.concat();
        found.extend(kernel::run::<u64, u64>(&body, chunk.len() as u32, 1, &input));
    }
    found
}

/// Compares with a definition over all pairs of `edges`; a third operand takes the edges in another order.
pub fn check(instruction: &str, result: char, edges: &[u64], want: impl Fn(u64, u64, u64) -> u64) {
    let mut rows = Vec::new();
    for (i, &a) in edges.iter().enumerate() {
        for (j, &b) in edges.iter().enumerate() {
            rows.push([a, b, edges[(3 * i + 5 * j + 1) % edges.len()]]);
        }
    }
    for (row, got) in rows.iter().zip(results(instruction, result, &rows)) {
        let want = want(row[0], row[1], row[2]);
        assert!(got == want, "{instruction} of {row:x?}: {got:#x} instead of {want:#x}");
    }
}

/// Numbers at which integer arithmetic of a width goes wrong.
pub fn integers(bits: u32) -> Vec<u64> {
    let mask = u64::MAX >> (64 - bits);
    let half = 1 << (bits / 2);
    let top = 1_u64 << (bits - 1);
    let list = [
        0,
        1,
        2,
        3,
        7,
        half - 1,
        half,
        half + 1,
        top - 1,
        top,
        top + 1,
        mask - 1,
        mask,
        0x1234_5678_9abc_def1,
    ];
    list.iter().map(|x| x & mask).collect()
}

/// f32 at which rounding, overflow, denormals and signs show; infinities, NaN.
pub const FLOATS: [f32; 22] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1.5,
    2.5,
    -2.5,
    0.1,
    3.0,
    1.000_000_1,
    16_777_216.0,
    8_388_609.5,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-40,
    -1e-45,
    1e-20,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    0.333_333_34,
];

pub fn float_bits() -> Vec<u64> {
    FLOATS.iter().map(|x| x.to_bits().into()).collect()
}

pub fn f(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

/// The bits of a result of f32: one NaN.
pub fn bits(x: f32) -> u64 {
    if x.is_nan() { 0x7fff_ffff } else { x.to_bits().into() }
}
