//! The code for a group of instructions, compiled once per level of the machine's vector instructions and chosen at run
//! time. Without AVX2 and FMA everything works and gives the same bits, only slower (`fma` becomes a library call).
//!
//! The bodies are `#[inline(always)]` closures, so that the loops over 32 lanes are vectorised inside a function that has
//! the features.

/// A set of vector instructions.
pub(crate) trait Level: Copy + Send + Sync + 'static {
    /// Runs `body` with this level's instructions.
    fn call<R>(self, body: impl FnOnce() -> R) -> R;
}

/// What every machine has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Level for Portable {
    #[inline(never)]
    fn call<R>(self, body: impl FnOnce() -> R) -> R {
        body()
    }
}

/// AVX2 and FMA. Only `detect` makes one, so having one proves that the machine has them.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    pub fn detect() -> Option<Avx2> {
        let there = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        (there && is_x86_feature_detected!("bmi2")).then_some(Avx2(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Level for Avx2 {
    #[inline(always)]
    fn call<R>(self, body: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
        fn with_features<R>(body: impl FnOnce() -> R) -> R {
            body()
        }
        // SAFETY: a value of this type exists only where the features were detected.
        unsafe { with_features(body) }
    }
}
