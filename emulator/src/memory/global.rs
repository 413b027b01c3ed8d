//! Global memory as the threads of a kernel see it.
//!
//! Blocks run in parallel on several cores and may touch the same bytes at the same time, as on a GPU. So every access is
//! an atomic one without ordering, of the width of the emulated access: on the machines this runs on that is the same
//! instruction as an ordinary load or store, and a race of the emulated program stays a wrong value there instead of
//! becoming undefined behaviour here. (Accesses of different widths that overlap and race are the one thing Rust's memory
//! model leaves open; the checkers report those programs.)

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

/// One allocation.
pub(crate) struct Allocation {
    pub base: u64,
    pub bytes: u64,
    pub read_only: bool,
    data: Box<[AtomicU64]>,
    /// One byte per byte: not zero once it was written. Empty when the host wrote everything.
    written: Box<[AtomicU64]>,
}

/// Eight bytes that were written.
const ALL: u64 = 0x0101_0101_0101_0101;

fn zeroed(bytes: u64) -> Box<[AtomicU64]> {
    (0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect()
}

impl Allocation {
    /// Memory that nobody has written.
    pub fn new(base: u64, bytes: u64, read_only: bool) -> Allocation {
        Allocation { base, bytes, read_only, data: zeroed(bytes), written: zeroed(bytes) }
    }

    /// From now on all of it counts as written.
    pub fn all_written(&mut self) {
        self.written = Box::default();
    }

    pub fn end(&self) -> u64 {
        self.base + self.bytes
    }

    /// Does the host's or a kernel's write cover these bytes? An access of 1, 2, 4, 8 or 16, aligned to its size, or any range.
    pub fn is_written(&self, offset: u64, bytes: u64) -> bool {
        if self.written.is_empty() {
            return true;
        }
        let word = |at: u64| self.written[at as usize / 8].load(Relaxed);
        match bytes {
            8 | 16 if offset.is_multiple_of(8) => (0..bytes / 8).all(|i| word(offset + 8 * i) == ALL),
            1 | 2 | 4 if offset.is_multiple_of(bytes) => {
                let wanted = ALL >> (64 - 8 * bytes) << (offset % 8 * 8);
                word(offset) & wanted == wanted
            }
            _ => (offset..offset + bytes).all(|at| word(at) >> (at % 8 * 8) & 0xff != 0),
        }
    }

    /// Is it sure without looking that everything is written?
    pub fn is_full(&self) -> bool {
        self.written.is_empty()
    }

    /// Marks bytes as written.
    pub fn mark(&self, offset: u64, bytes: u64) {
        if self.written.is_empty() {
            return;
        }
        assert!(offset + bytes <= self.bytes, "a write was not checked");
        let at = |i: u64| self.written.as_ptr().cast_mut().cast::<u8>().wrapping_add((offset + i) as usize);
        // SAFETY: each pointer is inside `written`, which has a byte for each of `self.bytes`, rounded up to 8, and is
        // aligned for the width used: `written` begins at a multiple of 8, and the arms ask for the offset's alignment.
        unsafe {
            match bytes {
                4 if offset.is_multiple_of(4) => AtomicU32::from_ptr(at(0).cast()).store(ALL as u32, Relaxed),
                8 | 16 if offset.is_multiple_of(8) => {
                    for i in (0..bytes).step_by(8) {
                        AtomicU64::from_ptr(at(i).cast()).store(ALL, Relaxed);
                    }
                }
                _ => (0..bytes).for_each(|i| AtomicU8::from_ptr(at(i)).store(1, Relaxed)),
            }
        }
    }

    fn check(&self, offset: u64, bytes: u64) {
        assert!(offset + bytes <= self.bytes && offset.is_multiple_of(bytes), "an access was not checked");
    }

    fn at<T>(&self, offset: u64) -> *mut T {
        let data: *const AtomicU64 = self.data.as_ptr();
        data.cast_mut().cast::<u8>().wrapping_add(offset as usize).cast()
    }

    /// The atomic view of 4 bytes.
    #[inline(always)]
    pub fn word(&self, offset: u64) -> &AtomicU32 {
        self.check(offset, 4);
        // SAFETY: in bounds and aligned (`check`; the data begins at a multiple of 8); all accesses are atomic.
        unsafe { AtomicU32::from_ptr(self.at(offset)) }
    }

    /// The atomic view of 8 bytes.
    #[inline(always)]
    pub fn double(&self, offset: u64) -> &AtomicU64 {
        self.check(offset, 8);
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.at(offset)) }
    }

    /// The whole word of 8 bytes at a multiple of 8, of which the last may reach beyond the end.
    pub fn double_any(&self, offset: u64) -> &AtomicU64 {
        &self.data[offset as usize / 8]
    }

    #[inline(always)]
    pub fn half(&self, offset: u64) -> &AtomicU16 {
        self.check(offset, 2);
        // SAFETY: as in `word`.
        unsafe { AtomicU16::from_ptr(self.at(offset)) }
    }

    #[inline(always)]
    fn byte(&self, offset: u64) -> &AtomicU8 {
        self.check(offset, 1);
        // SAFETY: as in `word`.
        unsafe { AtomicU8::from_ptr(self.at(offset)) }
    }

    /// Loads 1, 2, 4 or 8 bytes.
    #[inline(always)]
    pub fn load(&self, offset: u64, bytes: u64) -> u64 {
        match bytes {
            1 => self.byte(offset).load(Relaxed).into(),
            2 => self.half(offset).load(Relaxed).into(),
            4 => self.word(offset).load(Relaxed).into(),
            _ => self.double(offset).load(Relaxed),
        }
    }

    /// Stores 1, 2, 4 or 8 bytes.
    #[inline(always)]
    pub fn store(&self, offset: u64, bytes: u64, value: u64) {
        match bytes {
            1 => self.byte(offset).store(value as u8, Relaxed),
            2 => self.half(offset).store(value as u16, Relaxed),
            4 => self.word(offset).store(value as u32, Relaxed),
            _ => self.double(offset).store(value, Relaxed),
        }
    }
}

/// All allocations, sorted by address.
#[derive(Clone, Copy)]
pub(crate) struct GlobalMemory<'m> {
    pub allocations: &'m [Allocation],
}

impl<'m> GlobalMemory<'m> {
    /// The allocation that holds an address; `hint` is the index of the last one found.
    #[inline(always)]
    pub fn find(&self, address: u64, hint: &mut usize) -> Option<&'m Allocation> {
        let holds = |a: &Allocation| a.base <= address && address < a.end();
        if let Some(found) = self.allocations.get(*hint).filter(|a| holds(a)) {
            return Some(found);
        }
        let after = self.allocations.partition_point(|a| a.base <= address);
        let index = after.checked_sub(1)?;
        *hint = index;
        self.allocations.get(index).filter(|a| holds(a))
    }

    /// Words for an address that hits nothing: what lies nearest.
    pub fn describe(&self, address: u64) -> String {
        let after = self.allocations.partition_point(|a| a.base <= address);
        let before = after.checked_sub(1).and_then(|i| self.allocations.get(i));
        match (before, self.allocations.get(after)) {
            _ if address < GLOBAL_LOW => format!("address {address:#x} is null or close to it"),
            (Some(a), _) if address - a.end() < super::GAP => format!(
                "address {address:#x} is {} bytes beyond the end of an allocation of {} bytes",
                address - a.end(),
                a.bytes
            ),
            (_, Some(a)) if a.base - address <= super::GAP => {
                format!(
                    "address {address:#x} is {} bytes before an allocation of {} bytes",
                    a.base - address,
                    a.bytes
                )
            }
            _ => format!("address {address:#x} is in no allocation"),
        }
    }
}

const GLOBAL_LOW: u64 = 1 << 20;
