//! Atomic updates: what they compute, and how one is done in global memory, which other blocks update at the same time.

use crate::code::{AtomType, Atomic};
use crate::half::{Round, bf16_to_f32, f16_to_f32, f64_to_bf16, f64_to_f16};
use crate::memory::Allocation;
use std::sync::atomic::Ordering::Relaxed;

/// The new value of a word; for `Cas`, `b` is what is expected and `c` the new value.
pub(crate) fn update32(f: Atomic, old: u32, b: u32, c: u32) -> u32 {
    match f {
        Atomic::Add => old.wrapping_add(b),
        Atomic::MinS => (old as i32).min(b as i32) as u32,
        Atomic::MinU => old.min(b),
        Atomic::MaxS => (old as i32).max(b as i32) as u32,
        Atomic::MaxU => old.max(b),
        Atomic::And => old & b,
        Atomic::Or => old | b,
        Atomic::Xor => old ^ b,
        Atomic::Exch => b,
        Atomic::Cas => {
            if old == b {
                c
            } else {
                old
            }
        }
        Atomic::Inc => {
            if old >= b {
                0
            } else {
                old + 1
            }
        }
        Atomic::Dec => {
            if old == 0 || old > b {
                b
            } else {
                old - 1
            }
        }
    }
}

fn update64(f: Atomic, old: u64, b: u64, c: u64) -> u64 {
    match f {
        Atomic::Add => old.wrapping_add(b),
        Atomic::MinS => (old as i64).min(b as i64) as u64,
        Atomic::MinU => old.min(b),
        Atomic::MaxS => (old as i64).max(b as i64) as u64,
        Atomic::MaxU => old.max(b),
        Atomic::And => old & b,
        Atomic::Or => old | b,
        Atomic::Xor => old ^ b,
        Atomic::Cas => {
            if old == b {
                c
            } else {
                old
            }
        }
        _ => b, // Exch; the decoder lets nothing else through
    }
}

/// In global memory the hardware flushes denormal operands and results of this one, whatever the rest of the kernel does.
fn add_f32(old: u32, b: u32, flushes: bool) -> u32 {
    let of = |x: u32| if flushes { super::float::flush(f32::from_bits(x)) } else { f32::from_bits(x) };
    let sum = of(old) + of(b);
    if sum.is_nan() {
        super::float::NAN
    } else if flushes {
        super::float::flush(sum).to_bits()
    } else {
        sum.to_bits()
    }
}

fn add_half(brain: bool, old: u16, b: u16) -> u16 {
    if brain {
        let sum = crate::half::fma_to_odd(bf16_to_f32(old).into(), 1.0, bf16_to_f32(b).into());
        f64_to_bf16(sum, Round::Nearest)
    } else {
        f64_to_f16(f64::from(f16_to_f32(old)) + f64::from(f16_to_f32(b)), Round::Nearest)
    }
}

/// Bytes of the memory operand.
pub(crate) fn bytes_of(ty: AtomType) -> u64 {
    match ty {
        AtomType::B64 | AtomType::F64 => 8,
        AtomType::F16 | AtomType::Bf16 => 2,
        _ => 4,
    }
}

/// The new value of a memory operand.
pub(crate) fn update(f: Atomic, ty: AtomType, old: u64, b: u64, c: u64, flushes: bool) -> u64 {
    match ty {
        AtomType::B32 => update32(f, old as u32, b as u32, c as u32).into(),
        AtomType::B64 => update64(f, old, b, c),
        AtomType::F32 => add_f32(old as u32, b as u32, flushes).into(),
        AtomType::F64 => (f64::from_bits(old) + f64::from_bits(b)).to_bits(),
        AtomType::F16 | AtomType::Bf16 => add_half(ty == AtomType::Bf16, old as u16, b as u16).into(),
        AtomType::F16x2 | AtomType::Bf16x2 => {
            let half =
                |at: u32| u64::from(add_half(ty == AtomType::Bf16x2, (old >> at) as u16, (b >> at) as u16));
            half(16) << 16 | half(0)
        }
    }
}

/// Updates global memory and returns the old value.
pub(crate) fn update_global(at: &Allocation, offset: u64, f: Atomic, ty: AtomType, b: u64, c: u64) -> u64 {
    match bytes_of(ty) {
        8 => {
            let cell = at.double(offset);
            let step = |old| Some(update(f, ty, old, b, c, false));
            cell.fetch_update(Relaxed, Relaxed, step).unwrap_or_else(|old| old)
        }
        4 => {
            let step = |old: u32| Some(update(f, ty, old.into(), b, c, true) as u32);
            at.word(offset).fetch_update(Relaxed, Relaxed, step).unwrap_or_else(|old| old).into()
        }
        _ => {
            let step = |old: u16| Some(update(f, ty, old.into(), b, c, false) as u16);
            at.half(offset).fetch_update(Relaxed, Relaxed, step).unwrap_or_else(|old| old).into()
        }
    }
}
