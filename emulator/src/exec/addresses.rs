//! Addresses of a warp's access: computed for all lanes, checked by their least and greatest at once, lane by lane only
//! where that does not settle it.

use super::context::Context;
use super::registers::{Registers, lanes};
use crate::check::Trap;
use crate::code::{Addr, Bank};
use crate::error::FaultKind;
use crate::memory::{Allocation, LOCAL_WINDOW, SHARED_WINDOW, WINDOW_BYTES};
use crate::parse::Space;

/// The addresses of an access of `size` bytes per lane. Inactive lanes have the address of the first active one, so that
/// loops need not ask.
pub(crate) struct Addresses {
    pub at: [u64; 32],
    pub mask: u32,
    pub size: u64,
    pub low: u64,
    pub high: u64,
    /// Is each lane's access followed by the next lane's, all 32 of them?
    pub contiguous: bool,
}

impl Addresses {
    #[inline(always)]
    pub fn new(r: &Registers, addr: &Addr, mask: u32, size: u64) -> Addresses {
        let mut at = [0_u64; 32];
        let offset = addr.offset as u64;
        if addr.bank == Bank::Double {
            let base = &r.doubles[addr.base as usize].0;
            for i in 0..32 {
                at[i] = base[i].wrapping_add(offset);
            }
        } else {
            // an address of 32 bits wraps as one
            let base = &r.words[addr.base as usize].0;
            for i in 0..32 {
                at[i] = u64::from(base[i].wrapping_add(offset as u32));
            }
        }
        Addresses::of(at, mask, size)
    }

    #[inline(always)]
    pub fn of(mut at: [u64; 32], mask: u32, size: u64) -> Addresses {
        let first = at[mask.trailing_zeros() as usize & 31];
        if mask != u32::MAX {
            for i in 0..32 {
                at[i] = if mask >> i & 1 == 1 { at[i] } else { first };
            }
        }
        let (mut low, mut high, mut straight) = (u64::MAX, 0, 0);
        for i in 0..32 {
            low = low.min(at[i]);
            high = high.max(at[i]);
            straight |= at[i].wrapping_sub(first.wrapping_add(size * i as u64));
        }
        Addresses { at, mask, size, low, high, contiguous: straight == 0 && mask == u32::MAX }
    }

    /// The lanes that address a window, with its start subtracted.
    pub fn in_window(&self, space: Space) -> Addresses {
        let window = |a: u64| match a {
            SHARED_WINDOW.. if a - SHARED_WINDOW < WINDOW_BYTES => Space::Shared,
            LOCAL_WINDOW.. if a - LOCAL_WINDOW < WINDOW_BYTES => Space::Local,
            _ => Space::Global,
        };
        let mask = lanes(self.mask).filter(|&l| window(self.at[l]) == space).fold(0, |m, l| m | 1 << l);
        let start = match space {
            Space::Shared => SHARED_WINDOW,
            Space::Local => LOCAL_WINDOW,
            _ => 0,
        };
        Addresses::of(self.at.map(|a| a.wrapping_sub(start)), mask, self.size)
    }

    /// Does any address lie in global memory alone, as nearly always?
    pub fn all_global(&self) -> bool {
        self.low >= crate::memory::GLOBAL_BASE
    }

    /// Every address a multiple of `align`.
    #[inline(always)]
    pub fn aligned(&self, align: u64) -> Result<(), Box<Trap>> {
        let low_bits = self.at.iter().fold(0, |all, a| all | a) & (align - 1);
        if low_bits == 0 { Ok(()) } else { Err(self.misaligned(align)) }
    }

    #[cold]
    fn misaligned(&self, align: u64) -> Box<Trap> {
        let lane = lanes(self.mask).find(|&l| !self.at[l].is_multiple_of(align)).unwrap_or(0);
        let message = format!("address {:#x} is not a multiple of {align}", self.at[lane]);
        Trap::new(FaultKind::Misaligned, Some(lane as u32), message)
    }

    /// Every access inside `[0, bytes)` of a window.
    #[inline(always)]
    pub fn within(&self, bytes: u64, what: &str) -> Result<(), Box<Trap>> {
        if self.high < bytes && bytes - self.high >= self.size {
            Ok(())
        } else {
            Err(self.outside(bytes, what))
        }
    }

    #[cold]
    fn outside(&self, bytes: u64, what: &str) -> Box<Trap> {
        let bad = |a: u64| a >= bytes || bytes - a < self.size;
        let lane = lanes(self.mask).find(|&l| bad(self.at[l])).unwrap_or(0);
        let (at, size) = (self.at[lane], self.size);
        let message = format!("{size} bytes at offset {at:#x} of {what}, which has {bytes} bytes");
        Trap::new(FaultKind::OutOfBounds, Some(lane as u32), message)
    }

    /// The one allocation that holds all accesses, where there is one.
    #[inline(always)]
    pub fn one_allocation<'m>(&self, cx: &mut Context<'m>) -> Option<&'m Allocation> {
        let found = cx.global.find(self.low, &mut cx.hint)?;
        (self.high < found.end() && found.end() - self.high >= self.size).then_some(found)
    }

    /// The allocation of one lane's access.
    pub fn allocation<'m>(&self, cx: &mut Context<'m>, lane: usize) -> Result<&'m Allocation, Box<Trap>> {
        let at = self.at[lane];
        let found = cx.global.find(at, &mut cx.hint);
        match found.filter(|a| a.end() - at >= self.size) {
            Some(found) => Ok(found),
            None => {
                let size = self.size;
                let message = match found {
                    Some(a) => {
                        format!("{size} bytes at byte {} of an allocation of {} bytes", at - a.base, a.bytes)
                    }
                    None => cx.global.describe(at),
                };
                Err(Trap::new(FaultKind::OutOfBounds, Some(lane as u32), message))
            }
        }
    }

    /// Ranges of bytes, neighbours and repetitions joined: start, end, first lane.
    #[inline(always)]
    pub fn runs(&self, mut each: impl FnMut(u64, u64, u32)) {
        if self.contiguous {
            return each(self.low, self.high + self.size, 0);
        }
        let mut open: Option<(u64, u64, u32)> = None;
        for lane in lanes(self.mask) {
            let (start, end) = (self.at[lane], self.at[lane] + self.size);
            open = match open {
                Some((s, e, first)) if start == e => Some((s, end, first)),
                Some((s, e, first)) if s <= start && end <= e => Some((s, e, first)),
                Some((s, e, first)) => {
                    each(s, e, first);
                    Some((start, end, lane as u32))
                }
                None => Some((start, end, lane as u32)),
            };
        }
        if let Some((s, e, first)) = open {
            each(s, e, first);
        }
    }
}
