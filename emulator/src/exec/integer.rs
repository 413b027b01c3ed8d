//! Integer and logical instructions. 16-bit values live in words, their upper half zero.

use super::registers::Registers;
use crate::code::{Count, Int1, Int2, Reg, Shift, Wide, Width, Word3};

/// Cuts to 16 bits where that is the width.
#[inline(always)]
fn cut(w: Width) -> u32 {
    if w == Width::W16 { 0xffff } else { u32::MAX }
}

#[inline(always)]
fn s16(x: u32) -> i32 {
    i32::from(x as u16 as i16)
}

#[inline(always)]
pub(crate) fn int1(r: &mut Registers, f: Int1, w: Width, d: Reg, a: Reg, mask: u32) {
    if w == Width::W64 {
        match f {
            Int1::Not => r.map1_double(d, a, mask, |a| !a),
            Int1::Neg => r.map1_double(d, a, mask, u64::wrapping_neg),
            Int1::Abs => r.map1_double(d, a, mask, |a| (a as i64).wrapping_abs() as u64),
            Int1::Brev => r.map1_double(d, a, mask, u64::reverse_bits),
        }
        return;
    }
    let cut = cut(w);
    match f {
        Int1::Not => r.map1(d, a, mask, |a| !a & cut),
        Int1::Neg => r.map1(d, a, mask, |a| a.wrapping_neg() & cut),
        Int1::Abs if w == Width::W16 => r.map1(d, a, mask, |a| s16(a).wrapping_abs() as u32 & 0xffff),
        Int1::Abs => r.map1(d, a, mask, |a| (a as i32).wrapping_abs() as u32),
        Int1::Brev => r.map1(d, a, mask, u32::reverse_bits),
    }
}

/// The highest bit that differs from the sign (signed) or is set (unsigned); all ones if there is none.
fn bfind(x: u64, bits: u32) -> u32 {
    if x == 0 { u32::MAX } else { 63 - x.leading_zeros().max(64 - bits) }
}

#[inline(always)]
pub(crate) fn count(r: &mut Registers, f: Count, w: Width, d: Reg, a: Reg, mask: u32) {
    let mut out = [0; 32];
    if w == Width::W64 {
        let a = r.double(a);
        for i in 0..32 {
            out[i] = match f {
                Count::Popc => a[i].count_ones(),
                Count::Clz => a[i].leading_zeros(),
                Count::BfindU => bfind(a[i], 64),
                Count::BfindS => bfind(a[i] ^ (a[i] as i64 >> 63) as u64, 64),
            };
        }
    } else {
        let a = r.word(a);
        for i in 0..32 {
            out[i] = match f {
                Count::Popc => a[i].count_ones(),
                Count::Clz => a[i].leading_zeros(),
                Count::BfindU => bfind(a[i].into(), 32),
                Count::BfindS => bfind((a[i] ^ (a[i] as i32 >> 31) as u32).into(), 32),
            };
        }
    }
    r.put_word(d, &out, mask);
}

/// Division by zero has been refused before; inactive lanes may still hold zeros.
#[inline(always)]
pub(crate) fn int2(r: &mut Registers, f: Int2, w: Width, d: Reg, a: Reg, b: Reg, mask: u32) {
    match w {
        Width::W32 => int2_32(r, f, d, a, b, mask),
        Width::W64 => int2_64(r, f, d, a, b, mask),
        Width::W16 => int2_16(r, f, d, a, b, mask),
    }
}

#[inline(always)]
fn int2_32(r: &mut Registers, f: Int2, d: Reg, a: Reg, b: Reg, mask: u32) {
    match f {
        Int2::Add => r.map2(d, a, b, mask, u32::wrapping_add),
        Int2::Sub => r.map2(d, a, b, mask, u32::wrapping_sub),
        Int2::MulLo => r.map2(d, a, b, mask, u32::wrapping_mul),
        Int2::MulHiS => {
            r.map2(d, a, b, mask, |a, b| ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32)
        }
        Int2::MulHiU => r.map2(d, a, b, mask, |a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32),
        Int2::DivS => {
            r.map2(d, a, b, mask, |a, b| (a as i32).wrapping_div(b as i32 | i32::from(b == 0)) as u32)
        }
        Int2::DivU => r.map2(d, a, b, mask, |a, b| a / (b | u32::from(b == 0))),
        Int2::RemS => {
            r.map2(d, a, b, mask, |a, b| (a as i32).wrapping_rem(b as i32 | i32::from(b == 0)) as u32)
        }
        Int2::RemU => r.map2(d, a, b, mask, |a, b| a % (b | u32::from(b == 0))),
        Int2::MinS => r.map2(d, a, b, mask, |a, b| (a as i32).min(b as i32) as u32),
        Int2::MinU => r.map2(d, a, b, mask, u32::min),
        Int2::MaxS => r.map2(d, a, b, mask, |a, b| (a as i32).max(b as i32) as u32),
        Int2::MaxU => r.map2(d, a, b, mask, u32::max),
        Int2::And => r.map2(d, a, b, mask, |a, b| a & b),
        Int2::Or => r.map2(d, a, b, mask, |a, b| a | b),
        Int2::Xor => r.map2(d, a, b, mask, |a, b| a ^ b),
    }
}

#[inline(always)]
fn int2_64(r: &mut Registers, f: Int2, d: Reg, a: Reg, b: Reg, mask: u32) {
    match f {
        Int2::Add => r.map2_double(d, a, b, mask, u64::wrapping_add),
        Int2::Sub => r.map2_double(d, a, b, mask, u64::wrapping_sub),
        Int2::MulLo => r.map2_double(d, a, b, mask, u64::wrapping_mul),
        Int2::MulHiS => {
            r.map2_double(d, a, b, mask, |a, b| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64);
        }
        Int2::MulHiU => r.map2_double(d, a, b, mask, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64),
        Int2::DivS => {
            r.map2_double(d, a, b, mask, |a, b| (a as i64).wrapping_div(b as i64 | i64::from(b == 0)) as u64);
        }
        Int2::DivU => r.map2_double(d, a, b, mask, |a, b| a / (b | u64::from(b == 0))),
        Int2::RemS => {
            r.map2_double(d, a, b, mask, |a, b| (a as i64).wrapping_rem(b as i64 | i64::from(b == 0)) as u64);
        }
        Int2::RemU => r.map2_double(d, a, b, mask, |a, b| a % (b | u64::from(b == 0))),
        Int2::MinS => r.map2_double(d, a, b, mask, |a, b| (a as i64).min(b as i64) as u64),
        Int2::MinU => r.map2_double(d, a, b, mask, u64::min),
        Int2::MaxS => r.map2_double(d, a, b, mask, |a, b| (a as i64).max(b as i64) as u64),
        Int2::MaxU => r.map2_double(d, a, b, mask, u64::max),
        Int2::And => r.map2_double(d, a, b, mask, |a, b| a & b),
        Int2::Or => r.map2_double(d, a, b, mask, |a, b| a | b),
        Int2::Xor => r.map2_double(d, a, b, mask, |a, b| a ^ b),
    }
}

#[inline(always)]
fn int2_16(r: &mut Registers, f: Int2, d: Reg, a: Reg, b: Reg, mask: u32) {
    let signed = |a, b, f: fn(i32, i32) -> i32| f(s16(a), s16(b)) as u32 & 0xffff;
    let one_if_zero = |b: u32| b | u32::from(b == 0);
    r.map2(d, a, b, mask, |a, b| match f {
        Int2::Add => a.wrapping_add(b) & 0xffff,
        Int2::Sub => a.wrapping_sub(b) & 0xffff,
        Int2::MulLo => a.wrapping_mul(b) & 0xffff,
        Int2::MulHiS => (s16(a) * s16(b)) as u32 >> 16,
        Int2::MulHiU => (a * b) >> 16,
        Int2::DivS => (s16(a) / s16(one_if_zero(b))) as u32 & 0xffff,
        Int2::DivU => a / one_if_zero(b),
        Int2::RemS => (s16(a) % s16(one_if_zero(b))) as u32 & 0xffff,
        Int2::RemU => a % one_if_zero(b),
        Int2::MinS => signed(a, b, i32::min),
        Int2::MinU => a.min(b),
        Int2::MaxS => signed(a, b, i32::max),
        Int2::MaxU => a.max(b),
        Int2::And => a & b,
        Int2::Or => a | b,
        Int2::Xor => a ^ b,
    });
}

/// `a·b + c`, the low or high half of the product.
#[inline(always)]
pub(crate) fn mad(r: &mut Registers, hi: bool, signed: bool, w: Width, d: Reg, abc: [Reg; 3], mask: u32) {
    match (w, hi, signed) {
        (Width::W16, false, _) => r.map3(d, abc, mask, |a, b, c| a.wrapping_mul(b).wrapping_add(c) & 0xffff),
        (Width::W16, true, true) => {
            r.map3(d, abc, mask, |a, b, c| ((s16(a) * s16(b)) as u32 >> 16).wrapping_add(c) & 0xffff);
        }
        (Width::W16, true, false) => r.map3(d, abc, mask, |a, b, c| ((a * b) >> 16).wrapping_add(c) & 0xffff),
        (Width::W32, false, _) => r.map3(d, abc, mask, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        (Width::W32, true, true) => r.map3(d, abc, mask, |a, b, c| {
            (((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32).wrapping_add(c)
        }),
        (Width::W32, true, false) => {
            r.map3(d, abc, mask, |a, b, c| (((u64::from(a) * u64::from(b)) >> 32) as u32).wrapping_add(c));
        }
        (Width::W64, false, _) => r.map3_double(d, abc, mask, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        (Width::W64, true, true) => r.map3_double(d, abc, mask, |a, b, c| {
            (((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64).wrapping_add(c)
        }),
        (Width::W64, true, false) => r.map3_double(d, abc, mask, |a, b, c| {
            (((u128::from(a) * u128::from(b)) >> 64) as u64).wrapping_add(c)
        }),
    }
}

#[inline(always)]
pub(crate) fn word3(r: &mut Registers, f: Word3, d: Reg, abc: [Reg; 3], mask: u32) {
    match f {
        Word3::Lop3(table) => r.map3(d, abc, mask, |a, b, c| lop3(table, a, b, c)),
        Word3::Prmt => r.map3(d, abc, mask, prmt),
        Word3::ShfLeftWrap => r.map3(d, abc, mask, |a, b, c| funnel(a, b, 32 - (c & 31))),
        Word3::ShfLeftClamp => r.map3(d, abc, mask, |a, b, c| funnel(a, b, 32 - c.min(32))),
        Word3::ShfRightWrap => r.map3(d, abc, mask, |a, b, c| funnel(a, b, c & 31)),
        Word3::ShfRightClamp => r.map3(d, abc, mask, |a, b, c| funnel(a, b, c.min(32))),
    }
}

/// Bits `right` to `right + 31` of the 64-bit number whose low half is `a` and high half `b`.
#[inline(always)]
fn funnel(a: u32, b: u32, right: u32) -> u32 {
    ((u64::from(b) << 32 | u64::from(a)) >> right) as u32
}

/// Each bit of the result is the bit of the table that the three bits number.
#[inline(always)]
fn lop3(table: u8, a: u32, b: u32, c: u32) -> u32 {
    let mut out = 0;
    for row in 0..8 {
        if table >> row & 1 == 1 {
            let pick = |x: u32, bit: u32| if row >> bit & 1 == 1 { x } else { !x };
            out |= pick(a, 2) & pick(b, 1) & pick(c, 0);
        }
    }
    out
}

/// Four bytes chosen from the eight of `a` (low) and `b`; bit 3 of a selector spreads the byte's sign.
#[inline(always)]
fn prmt(a: u32, b: u32, select: u32) -> u32 {
    let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    let mut out = [0; 4];
    for (i, out) in out.iter_mut().enumerate() {
        let selector = select >> (4 * i);
        let byte = bytes[(selector & 7) as usize];
        *out = if selector & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 };
    }
    u32::from_le_bytes(out)
}

/// Amounts beyond the width give zero, or the sign.
#[inline(always)]
pub(crate) fn shift(r: &mut Registers, f: Shift, w: Width, d: Reg, a: Reg, b: Reg, mask: u32) {
    match (w, f) {
        (Width::W32, Shift::Left) => r.map2(d, a, b, mask, |a, b| if b < 32 { a << (b & 31) } else { 0 }),
        (Width::W32, Shift::RightU) => r.map2(d, a, b, mask, |a, b| if b < 32 { a >> (b & 31) } else { 0 }),
        (Width::W32, Shift::RightS) => r.map2(d, a, b, mask, |a, b| (a as i32 >> b.min(31)) as u32),
        (Width::W16, Shift::Left) => {
            r.map2(d, a, b, mask, |a, b| if b < 16 { a << (b & 15) & 0xffff } else { 0 })
        }
        (Width::W16, Shift::RightU) => r.map2(d, a, b, mask, |a, b| if b < 16 { a >> (b & 15) } else { 0 }),
        (Width::W16, Shift::RightS) => r.map2(d, a, b, mask, |a, b| (s16(a) >> b.min(15)) as u32 & 0xffff),
        (Width::W64, _) => {
            let (a, b) = (r.double(a), r.word(b));
            let mut out = [0; 32];
            for i in 0..32 {
                let amount = u64::from(b[i]);
                out[i] = match f {
                    Shift::Left => {
                        if amount < 64 {
                            a[i] << (amount & 63)
                        } else {
                            0
                        }
                    }
                    Shift::RightU => {
                        if amount < 64 {
                            a[i] >> (amount & 63)
                        } else {
                            0
                        }
                    }
                    Shift::RightS => (a[i] as i64 >> amount.min(63)) as u64,
                };
            }
            r.put_double(d, &out, mask);
        }
    }
}

/// A field of bits: position and length count modulo 256, and stop at the width.
#[inline(always)]
pub(crate) fn bfe(r: &mut Registers, signed: bool, w: Width, d: Reg, a: Reg, field: [Reg; 2], mask: u32) {
    let (pos, len) = (r.word(field[0]), r.word(field[1]));
    if w == Width::W64 {
        let mut out = r.double(a);
        for i in 0..32 {
            out[i] = extract(out[i], pos[i], len[i], 64, signed);
        }
        r.put_double(d, &out, mask);
    } else {
        let mut out = r.word(a);
        for i in 0..32 {
            out[i] = extract(out[i].into(), pos[i], len[i], 32, signed) as u32;
        }
        r.put_word(d, &out, mask);
    }
}

fn ones(count: u32) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

fn extract(x: u64, pos: u32, len: u32, bits: u32, signed: bool) -> u64 {
    let (pos, len) = (pos & 255, len & 255);
    let sign_at = (pos + len).min(bits).wrapping_sub(1).min(bits - 1);
    let negative = signed && len > 0 && x >> sign_at & 1 == 1;
    let field = if pos < bits { x >> pos & ones(len) } else { 0 };
    let known = if pos < bits { len.min(bits - pos) } else { 0 };
    if negative { field | !ones(known) } else { field }
}

#[inline(always)]
pub(crate) fn bfi(r: &mut Registers, w: Width, d: Reg, ab: [Reg; 2], field: [Reg; 2], mask: u32) {
    let (pos, len) = (r.word(field[0]), r.word(field[1]));
    let insert = |a: u64, b: u64, pos: u32, len: u32| {
        let (pos, len) = (pos & 255, len & 255);
        let field = if pos < 64 { ones(len) << pos } else { 0 };
        let moved = if pos < 64 { a << pos } else { 0 };
        (b & !field) | (moved & field)
    };
    if w == Width::W64 {
        let (a, mut out) = (r.double(ab[0]), r.double(ab[1]));
        for i in 0..32 {
            out[i] = insert(a[i], out[i], pos[i], len[i]);
        }
        r.put_double(d, &out, mask);
    } else {
        let (a, mut out) = (r.word(ab[0]), r.word(ab[1]));
        for i in 0..32 {
            out[i] = insert(a[i].into(), out[i].into(), pos[i], len[i]) as u32;
        }
        r.put_word(d, &out, mask);
    }
}

#[inline(always)]
fn wide(f: Wide, a: u32, b: u32) -> u64 {
    match f {
        Wide::S16 => (s16(a) * s16(b)) as u32 as u64,
        Wide::U16 => u64::from(a * b),
        Wide::S32 => (i64::from(a as i32) * i64::from(b as i32)) as u64,
        Wide::U32 => u64::from(a) * u64::from(b),
    }
}

#[inline(always)]
pub(crate) fn mul_wide(r: &mut Registers, f: Wide, d: Reg, a: Reg, b: Reg, mask: u32) {
    let (a, b) = (r.word(a), r.word(b));
    let mut out = [0; 32];
    match f {
        Wide::S16 | Wide::U16 => {
            let mut out = [0; 32];
            for i in 0..32 {
                out[i] = wide(f, a[i], b[i]) as u32;
            }
            r.put_word(d, &out, mask);
            return;
        }
        Wide::S32 => (0..32).for_each(|i| out[i] = wide(Wide::S32, a[i], b[i])),
        Wide::U32 => (0..32).for_each(|i| out[i] = wide(Wide::U32, a[i], b[i])),
    }
    r.put_double(d, &out, mask);
}

#[inline(always)]
pub(crate) fn mad_wide(r: &mut Registers, f: Wide, d: Reg, [a, b, c]: [Reg; 3], mask: u32) {
    if matches!(f, Wide::S16 | Wide::U16) {
        r.map3(d, [a, b, c], mask, |a, b, c| (wide(f, a, b) as u32).wrapping_add(c));
        return;
    }
    let (a, b, c) = (r.word(a), r.word(b), r.double(c));
    let mut out = [0; 32];
    for i in 0..32 {
        out[i] = wide(f, a[i], b[i]).wrapping_add(c[i]);
    }
    r.put_double(d, &out, mask);
}
