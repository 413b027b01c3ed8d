//! Which vector instructions the CPU kernels use: found at run time, or lowered on request (`--simd`).
//!
//! The level is part of what "same device" means: different levels may round sums differently, so checkpoints record it.

use std::sync::atomic::{AtomicU8, Ordering};

/// A set of vector instructions, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Simd {
    /// Plain Rust, compiled for the baseline of the target.
    Scalar = 1,
    /// NEON, 4 f32 lanes: every 64-bit ARM processor.
    Neon = 2,
    /// AVX2 with FMA, 8 f32 lanes.
    Avx2 = 3,
    /// AVX-512 F/BW/DQ/VL, 16 f32 lanes.
    Avx512 = 4,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The best level this machine has.
pub fn detected() -> Simd {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if avx2 && avx512 {
            return Simd::Avx512;
        }
        if avx2 {
            return Simd::Avx2;
        }
    }
    if cfg!(target_arch = "aarch64") { Simd::Neon } else { Simd::Scalar }
}

/// The levels this machine has, weakest first.
pub fn levels() -> impl Iterator<Item = Simd> {
    let of_the_target = |level: &Simd| match level {
        Simd::Scalar => true,
        Simd::Neon => cfg!(target_arch = "aarch64"),
        Simd::Avx2 | Simd::Avx512 => cfg!(target_arch = "x86_64"),
    };
    Simd::ALL.into_iter().filter(of_the_target).filter(|&level| level <= detected())
}

/// The level in use.
#[inline]
pub fn level() -> Simd {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Simd::Scalar,
        2 => Simd::Neon,
        3 => Simd::Avx2,
        4 => Simd::Avx512,
        _ => {
            let level = detected();
            LEVEL.store(level as u8, Ordering::Relaxed);
            level
        }
    }
}

/// Are products of bf16 made of pairs by one instruction (`vdpbf16ps`)? That takes the machine, and the level in use.
#[inline]
pub fn multiplies_bf16() -> bool {
    level() == Simd::Avx512 && detected_bf16()
}

/// Has the machine that instruction, on top of what [`Simd::Avx512`] means?
#[inline]
pub(crate) fn detected_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Ask for a level. Returns what is in use afterwards: the best that the machine has and that is not above it.
pub fn set_level(want: Simd) -> Simd {
    let level = levels().take_while(|&level| level <= want).last().unwrap_or(Simd::Scalar);
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

impl Simd {
    /// All levels, weakest first.
    pub const ALL: [Simd; 4] = [Simd::Scalar, Simd::Neon, Simd::Avx2, Simd::Avx512];
    /// `scalar`, `neon`, `avx2`, `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Simd::Scalar => "scalar",
            Simd::Neon => "neon",
            Simd::Avx2 => "avx2",
            Simd::Avx512 => "avx512",
        }
    }
    /// The level called `name`.
    pub fn from_name(name: &str) -> Option<Simd> {
        Simd::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// Run `f` compiled for the level in use: LLVM inlines the closure into a function with the wider instructions enabled and
/// vectorises its loops with them. Only lane-wise arithmetic changes speed; Rust never fuses or reorders floating-point
/// operations on its own, so the bits are the same at every level (explicit FMA kernels are the exception).
///
/// Write the closure as `simd::vectorize(#[inline(always)] || …)`, and mark the functions it calls so, too: it is called
/// from three places, and LLVM inlines only small closures into all of them of its own accord. One that is not inlined
/// is compiled for the baseline, several times slower, with the same results.
#[inline(always)]
pub fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        match level() {
            // SAFETY: `level` never exceeds what the machine was found to have.
            Simd::Avx512 => return unsafe { avx512(f) },
            // SAFETY: as above.
            Simd::Avx2 => return unsafe { avx2(f) },
            Simd::Scalar | Simd::Neon => {}
        }
    }
    f()
}

/// Which cache [`prefetch_row`] asks for: the first one, for what is needed at once, or the second.
pub(crate) const FIRST: i32 = 3;
/// See [`FIRST`].
pub(crate) const SECOND: i32 = 2;

/// Ask for the cache lines of `len` elements from `row` on, which a loop will need that jumps further than the processor
/// guesses. Any address is allowed, also one that is nobody's: nothing is read.
#[inline(always)]
pub(crate) fn prefetch_row<const CACHE: i32, T>(row: *const T, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..len).step_by((64 / size_of::<T>()).max(1)) {
        // SAFETY: a hint, part of the baseline; it reads nothing and cannot fault.
        unsafe { std::arch::x86_64::_mm_prefetch::<CACHE>(row.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, len);
}
