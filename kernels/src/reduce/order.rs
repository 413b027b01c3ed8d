//! The order of summation: fixed by the number of terms, good for vectors, and with an error that grows slowly.
//!
//! Terms are cut into blocks of [`BLOCK`]. In a block, term `i` goes to partial result `i mod 32`, and the 32 are joined
//! as a tree; the blocks' results are joined as a tree, too (pairwise summation, Higham 1993, "The accuracy of floating
//! point summation"), so that after n terms the error is of the order of `(BLOCK/32 + log₂ n)` roundings, not n. Every path
//! through `cpu.rs` (dense rows, columns, gathered elements, several threads) follows it and gives the same bits.

use crate::{Float, planted};

/// Terms per block.
pub(crate) const BLOCK: usize = 1024;
/// Partial results in a block: enough independent additions to fill the vector units.
pub(crate) const LANES: usize = 32;

/// Enough for 2³² blocks.
const LEVELS: usize = 32;

/// How partial results come together.
pub(crate) trait Join {
    /// A partial result.
    type Acc: Copy + Send + Sync;
    /// Of no terms.
    const EMPTY: Self::Acc;
    /// Join `b` to `a`.
    fn join(a: &mut Self::Acc, b: &Self::Acc);
}

/// What is accumulated.
pub(crate) trait Fold: Join + Sized {
    /// One more term.
    fn add(acc: Self::Acc, term: f32) -> Self::Acc;
    /// The result, for one last rounding.
    fn finish(acc: Self::Acc) -> f64;
    /// See [`block`].
    #[inline(always)]
    fn block<T: Float>(terms: &[T]) -> Self::Acc {
        in_lanes::<Self, T>(terms)
    }
}

/// `Σ x` in f32.
pub(crate) struct Sum;
/// `Σ x` in f64: a mean over a whole batch then costs one rounding, and reading the terms takes longer than adding them.
pub(crate) struct WideSum;
/// `Σ x²` in f64, where the squares are exact.
pub(crate) struct SumSquares;
/// `max x`, NaN if there is one.
pub(crate) struct Max;
/// `min x`, NaN if there is one.
pub(crate) struct Min;
/// The same of `N` neighbours at once.
pub(crate) struct Wide<F, const N: usize>(std::marker::PhantomData<F>);

impl Join for Sum {
    type Acc = f32;
    const EMPTY: f32 = 0.0;
    #[inline(always)]
    fn join(a: &mut f32, b: &f32) {
        *a += *b;
    }
}
impl Fold for Sum {
    #[inline(always)]
    fn add(acc: f32, term: f32) -> f32 {
        acc + term
    }
    fn finish(acc: f32) -> f64 {
        acc as f64
    }
}

impl Join for WideSum {
    type Acc = f64;
    const EMPTY: f64 = 0.0;
    #[inline(always)]
    fn join(a: &mut f64, b: &f64) {
        *a += *b;
    }
}
impl Fold for WideSum {
    #[inline(always)]
    fn add(acc: f64, term: f32) -> f64 {
        acc + f64::from(term)
    }
    fn finish(acc: f64) -> f64 {
        acc
    }
}

impl Join for SumSquares {
    type Acc = f64;
    const EMPTY: f64 = 0.0;
    #[inline(always)]
    fn join(a: &mut f64, b: &f64) {
        *a += *b;
    }
}
impl Fold for SumSquares {
    #[inline(always)]
    fn add(acc: f64, term: f32) -> f64 {
        acc + term as f64 * term as f64
    }
    fn finish(acc: f64) -> f64 {
        acc
    }
}

impl Join for Max {
    type Acc = f32;
    const EMPTY: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn join(a: &mut f32, b: &f32) {
        *a = Max::add(*a, *b);
    }
}
impl Fold for Max {
    #[inline(always)]
    fn add(acc: f32, term: f32) -> f32 {
        // Nothing is greater than NaN, and NaN is taken explicitly.
        if term > acc || term.is_nan() { term } else { acc }
    }
    fn finish(acc: f32) -> f64 {
        acc as f64
    }
    #[inline(always)]
    fn block<T: Float>(terms: &[T]) -> f32 {
        extreme::<Max, T>(terms, |term, acc| term > acc)
    }
}

impl Join for Min {
    type Acc = f32;
    const EMPTY: f32 = f32::INFINITY;
    #[inline(always)]
    fn join(a: &mut f32, b: &f32) {
        *a = Min::add(*a, *b);
    }
}
impl Fold for Min {
    #[inline(always)]
    fn add(acc: f32, term: f32) -> f32 {
        if term < acc || term.is_nan() { term } else { acc }
    }
    fn finish(acc: f32) -> f64 {
        acc as f64
    }
    #[inline(always)]
    fn block<T: Float>(terms: &[T]) -> f32 {
        extreme::<Min, T>(terms, |term, acc| term < acc)
    }
}

impl<F: Join, const N: usize> Join for Wide<F, N> {
    type Acc = [F::Acc; N];
    const EMPTY: [F::Acc; N] = [F::EMPTY; N];
    #[inline(always)]
    fn join(a: &mut [F::Acc; N], b: &[F::Acc; N]) {
        a.iter_mut().zip(b).for_each(|(a, b)| F::join(a, b));
    }
}

// ANCHOR: block
/// One block of at most [`BLOCK`] terms.
#[inline(always)]
pub(crate) fn block<F: Fold, T: Float>(terms: &[T]) -> F::Acc {
    F::block(planted!("reduce.tail_forgotten", terms => &terms[..terms.len() / LANES * LANES]))
}

/// (Terms are cut into arrays, so that no index is checked in the loop: that is what lets it become vector code.)
#[inline(always)]
fn in_lanes<F: Fold, T: Float>(terms: &[T]) -> F::Acc {
    let mut lanes = [F::EMPTY; LANES];
    let (whole, rest) = terms.as_chunks::<LANES>();
    for terms in whole {
        for lane in 0..LANES {
            lanes[lane] = F::add(lanes[lane], terms[lane].to_f32());
        }
    }
    lanes.iter_mut().zip(rest).for_each(|(acc, term)| *acc = F::add(*acc, term.to_f32()));
    tree::<F>(&mut lanes);
    lanes[0]
}
// ANCHOR_END: block

/// The same for an extreme value: the lanes ignore NaN, and remember apart that there was one. That is one operation less
/// per term than a comparison that lets NaN win.
#[inline(always)]
fn extreme<F: Fold<Acc = f32>, T: Float>(terms: &[T], beats: impl Fn(f32, f32) -> bool) -> f32 {
    let (mut lanes, mut nan) = ([F::EMPTY; LANES], [0u32; LANES]);
    let mut take = |lane: usize, term: f32| {
        lanes[lane] = if beats(term, lanes[lane]) { term } else { lanes[lane] };
        nan[lane] |= u32::from(term.is_nan());
    };
    let (whole, rest) = terms.as_chunks::<LANES>();
    for terms in whole {
        for lane in 0..LANES {
            take(lane, terms[lane].to_f32());
        }
    }
    rest.iter().enumerate().for_each(|(lane, term)| take(lane, term.to_f32()));
    tree::<F>(&mut lanes);
    if nan.iter().fold(0, |any, nan| any | nan) == 0 { lanes[0] } else { f32::NAN }
}

/// Join neighbours at distance 16, 8, 4, 2, 1; the result is left in the first lane.
#[inline(always)]
pub(crate) fn tree<F: Join>(lanes: &mut [F::Acc; LANES]) {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| F::join(low, high));
        half /= 2;
    }
}

/// All terms on this thread.
#[inline(always)]
pub(crate) fn fold<F: Fold, T: Float>(terms: &[T]) -> F::Acc {
    let mut tree = Pairwise::<F>::NEW;
    terms.chunks(BLOCK).for_each(|terms| tree.push(&block::<F, T>(terms)));
    *tree.finish()
}

/// Joins a sequence of partial results as a balanced tree, keeping one per level (a binary counter of joined pairs).
///
/// Sequences may be joined in parts of equal length, a power of two (the last may be shorter): the tree is the same.
pub(crate) struct Pairwise<F: Join> {
    levels: [F::Acc; LEVELS],
    /// Levels in use.
    depth: usize,
    count: u64,
}

impl<F: Join> Pairwise<F> {
    /// Of nothing.
    pub const NEW: Self = Pairwise { levels: [F::EMPTY; LEVELS], depth: 0, count: 0 };
    /// One more partial result.
    pub fn push(&mut self, acc: &F::Acc) {
        let mut pairs = self.count;
        self.levels[self.depth] = *acc;
        while pairs & 1 == 1 {
            self.depth -= 1;
            self.join_at(self.depth);
            pairs >>= 1;
        }
        self.depth += 1;
        self.count += 1;
    }
    /// All together.
    pub fn finish(&mut self) -> &F::Acc {
        let depth = planted!("reduce.last_partial_sum_lost", self.depth => self.depth.saturating_sub(1));
        for level in (1..depth).rev() {
            self.join_at(level - 1);
        }
        self.depth = self.depth.min(1);
        &self.levels[0]
    }
    /// Join the partial result of the level above to this one.
    fn join_at(&mut self, level: usize) {
        let (low, high) = self.levels.split_at_mut(level + 1);
        F::join(&mut low[level], &high[0]);
    }
}
