//! `mma.sync.m16n8k16` and the data movement of `ldmatrix`.
//!
//! The fragments are easier to see in memory than in the manual's tables. A register of 32 lanes holds 64 halves, and lane
//! l has numbers 2l and 2l+1: that is an 8×8 matrix in row-major order. A is four such tiles, in the order (top left,
//! bottom left, top right, bottom right); B is two, transposed (a row of the tile is a column of B), upper half of k first;
//! C and D are a 16×8 matrix of f32, whose top half is split into registers of even and odd columns, and so the bottom.
//!
//! Products are exact. The hardware's order and width of accumulation are not documented; here the sums run over k in
//! order, in f32 with one rounding a step (`fma`), or, on request, cut to fewer bits after each step of 4, which is worse
//! than any GPU measured.

use super::registers::Registers;
use super::simd::Level;
use crate::code::Reg;
use crate::half::f16_to_f32;

/// 64 halves of a register as f32.
#[inline(always)]
fn tile(words: &[u32; 32], bf16: bool) -> [f32; 64] {
    let mut out = [0.0; 64];
    for l in 0..32 {
        let w = words[l];
        if bf16 {
            (out[2 * l], out[2 * l + 1]) = (f32::from_bits(w << 16), f32::from_bits(w & 0xffff_0000));
        } else {
            (out[2 * l], out[2 * l + 1]) = (f16_to_f32(w as u16), f16_to_f32((w >> 16) as u16));
        }
    }
    out
}

/// Keeps the bits that a sum has above 2^-24 of its largest term, rounding toward zero.
fn truncate(sum: f64, largest: f64) -> f64 {
    if !sum.is_finite() || largest == 0.0 {
        return sum;
    }
    let unit = 2_f64.powi(((largest.to_bits() >> 52) as i32 - 1023) - 23);
    (sum / unit).trunc() * unit
}

/// The truncating mode: blocks of four products are added to the sum exactly, then cut.
fn row_truncating(a: &[f32; 16], b: &[[f32; 8]; 16], c: &mut [f32; 8]) {
    for n in 0..8 {
        for k in (0..16).step_by(4) {
            let terms: [f64; 4] = std::array::from_fn(|i| f64::from(a[k + i]) * f64::from(b[k + i][n]));
            let largest = terms.iter().fold(f64::from(c[n]).abs(), |m, t| m.max(t.abs()));
            let sum = terms.iter().sum::<f64>() + f64::from(c[n]);
            c[n] = crate::half::f64_to_f32(truncate(sum, largest), crate::half::Round::Zero);
        }
    }
}

#[inline(always)]
pub(crate) fn mma<L: Level>(level: L, r: &mut Registers, bf16: bool, regs: &[Reg; 14], truncating: bool) {
    let mut a = [[0.0; 64]; 4];
    for t in 0..4 {
        a[t] = tile(&r.word(regs[4 + t]), bf16);
    }
    let mut b = [[0.0; 8]; 16];
    for half in 0..2 {
        let columns = tile(&r.word(regs[8 + half]), bf16);
        b[half * 8..][..8].copy_from_slice(&level.transpose(&columns));
    }
    for half in 0..2 {
        let (even, odd) = (r.word(regs[10 + 2 * half]), r.word(regs[11 + 2 * half]));
        let mut c = [[0.0; 8]; 8];
        for row in 0..8 {
            for i in 0..4 {
                c[row][2 * i] = f32::from_bits(even[row * 4 + i]);
                c[row][2 * i + 1] = f32::from_bits(odd[row * 4 + i]);
            }
        }
        if truncating {
            for (row, c) in c.iter_mut().enumerate() {
                let of_row = std::array::from_fn(|k| a[k / 8 * 2 + half][row * 8 + k % 8]);
                row_truncating(&of_row, &b, c);
            }
        } else {
            // Eight rows of eight sums stay in registers while k goes on.
            for k in 0..16 {
                let tile = &a[k / 8 * 2 + half];
                for row in 0..8 {
                    let factor = tile[row * 8 + k % 8];
                    for n in 0..8 {
                        c[row][n] = factor.mul_add(b[k][n], c[row][n]);
                    }
                }
            }
        }
        let (mut even, mut odd) = ([0; 32], [0; 32]);
        for row in 0..8 {
            for i in 0..4 {
                (even[row * 4 + i], odd[row * 4 + i]) =
                    (c[row][2 * i].to_bits(), c[row][2 * i + 1].to_bits());
            }
        }
        r.put_word(regs[2 * half], &even, u32::MAX);
        r.put_word(regs[2 * half + 1], &odd, u32::MAX);
    }
}

/// Eight rows of 16 bytes as a register of `ldmatrix`: row r of the tile goes to lanes 4r to 4r+3; transposed, column r.
#[inline(always)]
pub(crate) fn matrix_tile(rows: &[[u8; 16]; 8], transposed: bool) -> [u32; 32] {
    let mut out = [0; 32];
    for row in 0..8 {
        for i in 0..4 {
            let word = |r: usize, at: usize| u32::from(u16::from_le_bytes([rows[r][at], rows[r][at + 1]]));
            out[row * 4 + i] = match transposed {
                false => word(row, 4 * i) | word(row, 4 * i + 2) << 16,
                true => word(2 * i, 2 * row) | word(2 * i + 1, 2 * row) << 16,
            };
        }
    }
    out
}
