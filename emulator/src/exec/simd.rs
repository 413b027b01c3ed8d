//! The code for a group of instructions, compiled once per level of the machine's vector instructions and chosen at run
//! time. Without AVX2 and FMA everything works and gives the same bits, only slower (`fma` becomes a library call).
//!
//! The bodies are `#[inline(always)]` closures, so that the loops over 32 lanes are vectorised inside a function that has
//! the features.

/// A set of vector instructions.
pub(crate) trait Level: Copy + Send + Sync + 'static {
    /// Runs `body` with this level's instructions.
    fn call<R>(self, body: impl FnOnce() -> R) -> R;

    /// Columns of a row-major 8×8 matrix as rows.
    #[inline(always)]
    fn transpose(self, tile: &[f32; 64]) -> [[f32; 8]; 8] {
        let mut out = [[0.0; 8]; 8];
        for row in 0..8 {
            for column in 0..8 {
                out[column][row] = tile[row * 8 + column];
            }
        }
        out
    }
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

    #[inline(always)]
    fn transpose(self, tile: &[f32; 64]) -> [[f32; 8]; 8] {
        // SAFETY: as in `call`.
        unsafe { transpose_avx(tile) }
    }
}

/// In three rounds: pairs of rows are interleaved by numbers, by pairs of numbers, by halves.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn transpose_avx(tile: &[f32; 64]) -> [[f32; 8]; 8] {
    use std::arch::x86_64::*;
    let rows: [__m256; 8] = [0, 8, 16, 24, 32, 40, 48, 56].map(|at| {
        // SAFETY: eight numbers from each of these places are inside the 64.
        unsafe { _mm256_loadu_ps(tile.as_ptr().add(at)) }
    });
    let mut pairs = rows;
    for i in (0..8).step_by(2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    let mut fours = rows;
    for i in [0, 4] {
        fours[i] = _mm256_shuffle_ps::<0x44>(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm256_shuffle_ps::<0xee>(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm256_shuffle_ps::<0x44>(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm256_shuffle_ps::<0xee>(pairs[i + 1], pairs[i + 3]);
    }
    let mut out = [[0.0; 8]; 8];
    for i in 0..4 {
        let (low, high) = out.split_at_mut(4);
        // SAFETY: each row of the result has room for eight numbers.
        unsafe {
            _mm256_storeu_ps(low[i].as_mut_ptr(), _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]));
            _mm256_storeu_ps(high[i].as_mut_ptr(), _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_on_every_level_is_transposing() {
        let tile: [f32; 64] = std::array::from_fn(|i| i as f32);
        let want: [[f32; 8]; 8] = std::array::from_fn(|c| std::array::from_fn(|r| (r * 8 + c) as f32));
        assert_eq!(Portable.transpose(&tile), want);
        #[cfg(target_arch = "x86_64")]
        if let Some(level) = Avx2::detect() {
            assert_eq!(level.call(|| level.transpose(&tile)), want);
        }
    }
}
