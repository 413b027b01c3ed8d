//! The registers of a warp, and the loops over its 32 lanes that everything else is made of.
//!
//! An operation copies its sources, computes all lanes into a local array, and writes those of the mask. Inactive lanes are
//! computed, too: that costs less than asking.

use crate::code::Reg;

/// 32 words, one cache line pair.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Words(pub [u32; 32]);

/// 32 double words.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Doubles(pub [u64; 32]);

/// The three banks.
#[derive(Clone)]
pub(crate) struct Registers {
    pub preds: Vec<u32>,
    pub words: Vec<Words>,
    pub doubles: Vec<Doubles>,
}

impl Registers {
    pub fn new(slots: [usize; 3]) -> Registers {
        Registers {
            preds: vec![0; slots[0]],
            words: vec![Words([0; 32]); slots[1]],
            doubles: vec![Doubles([0; 32]); slots[2]],
        }
    }

    #[inline(always)]
    pub fn word(&self, reg: Reg) -> [u32; 32] {
        self.words[reg as usize].0
    }

    #[inline(always)]
    pub fn double(&self, reg: Reg) -> [u64; 32] {
        self.doubles[reg as usize].0
    }

    #[inline(always)]
    pub fn pred(&self, reg: Reg) -> u32 {
        self.preds[reg as usize]
    }

    #[inline(always)]
    pub fn put_word(&mut self, reg: Reg, value: &[u32; 32], mask: u32) {
        let slot = &mut self.words[reg as usize].0;
        if mask == u32::MAX {
            *slot = *value;
            return;
        }
        for i in 0..32 {
            slot[i] = if mask >> i & 1 == 1 { value[i] } else { slot[i] };
        }
    }

    #[inline(always)]
    pub fn put_double(&mut self, reg: Reg, value: &[u64; 32], mask: u32) {
        let slot = &mut self.doubles[reg as usize].0;
        if mask == u32::MAX {
            *slot = *value;
            return;
        }
        for i in 0..32 {
            slot[i] = if mask >> i & 1 == 1 { value[i] } else { slot[i] };
        }
    }

    #[inline(always)]
    pub fn put_pred(&mut self, reg: Reg, value: u32, mask: u32) {
        let slot = &mut self.preds[reg as usize];
        *slot = (*slot & !mask) | (value & mask);
    }

    #[inline(always)]
    pub fn map1(&mut self, d: Reg, a: Reg, mask: u32, f: impl Fn(u32) -> u32) {
        let a = self.word(a);
        let mut out = [0; 32];
        for i in 0..32 {
            out[i] = f(a[i]);
        }
        self.put_word(d, &out, mask);
    }

    #[inline(always)]
    pub fn map2(&mut self, d: Reg, a: Reg, b: Reg, mask: u32, f: impl Fn(u32, u32) -> u32) {
        let (a, b) = (self.word(a), self.word(b));
        let mut out = [0; 32];
        for i in 0..32 {
            out[i] = f(a[i], b[i]);
        }
        self.put_word(d, &out, mask);
    }

    #[inline(always)]
    pub fn map3(&mut self, d: Reg, [a, b, c]: [Reg; 3], mask: u32, f: impl Fn(u32, u32, u32) -> u32) {
        let (a, b, c) = (self.word(a), self.word(b), self.word(c));
        let mut out = [0; 32];
        for i in 0..32 {
            out[i] = f(a[i], b[i], c[i]);
        }
        self.put_word(d, &out, mask);
    }

    #[inline(always)]
    pub fn map1_double(&mut self, d: Reg, a: Reg, mask: u32, f: impl Fn(u64) -> u64) {
        let a = self.double(a);
        let mut out = [0; 32];
        for i in 0..32 {
            out[i] = f(a[i]);
        }
        self.put_double(d, &out, mask);
    }

    #[inline(always)]
    pub fn map2_double(&mut self, d: Reg, a: Reg, b: Reg, mask: u32, f: impl Fn(u64, u64) -> u64) {
        let (a, b) = (self.double(a), self.double(b));
        let mut out = [0; 32];
        for i in 0..32 {
            out[i] = f(a[i], b[i]);
        }
        self.put_double(d, &out, mask);
    }

    #[inline(always)]
    pub fn map3_double(&mut self, d: Reg, [a, b, c]: [Reg; 3], mask: u32, f: impl Fn(u64, u64, u64) -> u64) {
        let (a, b, c) = (self.double(a), self.double(b), self.double(c));
        let mut out = [0; 32];
        for i in 0..32 {
            out[i] = f(a[i], b[i], c[i]);
        }
        self.put_double(d, &out, mask);
    }
}

/// Applies a function to every lane. (The array's own `map` is not always inlined, and is then compiled without the vector
/// instructions of the function that calls it.)
#[inline(always)]
pub(crate) fn each<T: Copy, U: Copy + Default>(x: &[T; 32], f: impl Fn(T) -> U) -> [U; 32] {
    let mut out = [U::default(); 32];
    for i in 0..32 {
        out[i] = f(x[i]);
    }
    out
}

/// The lanes of a mask, lowest first.
#[inline(always)]
pub(crate) fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        let some = mask != 0;
        mask &= mask.wrapping_sub(1);
        some.then_some(lane)
    })
}
