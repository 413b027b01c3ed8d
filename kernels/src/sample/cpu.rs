//! Drawing tokens on the CPU. Over the whole vocabulary, weights are summed in 64 fixed pieces; the piece in which the
//! running sum passes `u` is known from these sums, and only it is walked. Weights are never stored. Over a top `k`,
//! [`crate::top_k`] selects and the walk goes over `k` weights.

use super::Sample;
use crate::check::host;
use crate::reduce::order::{Max, fold};
use crate::top_k::select;
use crate::{Cpu, Result, View, ViewMut, par, planted, simd};
use std::cell::RefCell;

impl Sample for Cpu {
    fn sample(
        &self,
        logits: View,
        uniforms: View,
        temperature: f64,
        top_k: Option<usize>,
        mut ids: ViewMut,
    ) -> Result<()> {
        const OP: &str = "sample";
        let (layout, u_layout, v) = (*logits.layout(), *uniforms.layout(), logits.dims()[1]);
        let logits = host(OP, "logits", logits.base::<f32>())?;
        let uniforms = host(OP, "uniforms", uniforms.base::<f32>())?;
        let ids = host(OP, "ids", ids.as_mut_slice::<i32>())?;
        par::for_each_rows(ids, 1, par::rows_per_task(v), |first, ids| {
            for (i, id) in ids.iter_mut().enumerate() {
                let z = &logits[layout.row_position(first + i)..][..v];
                let u = uniforms[u_layout.position(first + i)] as f64;
                *id = draw(z, u, temperature, top_k).map_or(-1, |id| id as i32);
            }
        });
        Ok(())
    }
}

/// The token of one row; `None` if it has no distribution.
fn draw(z: &[f32], u: f64, temperature: f64, top_k: Option<usize>) -> Option<usize> {
    let max = simd::vectorize(
        #[inline(always)]
        || fold::<Max, f32>(z),
    );
    if temperature == 0.0 {
        return z.iter().position(|&z| z == max); // nothing equals NaN
    }
    if planted!("sample.draws_from_a_row_with_nan", !max.is_finite() || u.is_nan() => false) {
        return None;
    }
    let weights = Weights {
        z,
        max: max as f64,
        inverse: planted!("sample.multiplies_by_the_temperature", 1.0 / temperature => temperature),
    };
    match top_k {
        Some(k) if k < z.len() => Some(draw_from_best(&weights, u, k)),
        _ => Some(draw_from_all(&weights, u)),
    }
}

/// `exp((z − max)/T)`.
#[derive(Clone, Copy)]
struct Weights<'a> {
    z: &'a [f32],
    max: f64,
    inverse: f64,
}

impl Weights<'_> {
    #[inline(always)]
    fn of(&self, z: f32) -> f64 {
        exp_nonpositive((z as f64 - self.max) * self.inverse)
    }
}

/// A running sum that looks for the first token at which it exceeds `goal`.
struct Walk {
    sum: f64,
    goal: f64,
    /// The last token that had any weight: the answer, should rounding leave the sum just below the goal.
    last: usize,
}

impl Walk {
    /// Is this the token?
    fn step(&mut self, token: usize, weight: f64) -> bool {
        self.sum += weight;
        if weight > 0.0 {
            self.last = token;
        }
        self.sum > self.goal
    }
}

thread_local! {
    /// The best tokens and their weights.
    static BEST: RefCell<Vec<(usize, f64)>> = const { RefCell::new(Vec::new()) };
}

fn draw_from_best(weights: &Weights, u: f64, k: usize) -> usize {
    BEST.with_borrow_mut(|best| {
        best.clear();
        select(weights.z, k, |_, token| best.push((token, weights.of(weights.z[token]))));
        let total: f64 = best.iter().map(|(_, weight)| weight).sum();
        let mut walk = Walk { sum: 0.0, goal: u * total, last: 0 };
        best.iter().any(|&(token, weight)| walk.step(token, weight));
        walk.last
    })
}

/// Pieces whose weights are summed separately.
const PIECES: usize = 64;
/// Partial sums in a piece.
const LANES: usize = 16;

fn draw_from_all(weights: &Weights, u: f64) -> usize {
    let size = weights.z.len().div_ceil(PIECES);
    let mut sums = [0.0; PIECES];
    for (sum, z) in sums.iter_mut().zip(weights.z.chunks(size)) {
        *sum = simd::vectorize(
            #[inline(always)]
            || total(weights, z),
        );
    }
    let mut walk = Walk { sum: 0.0, goal: u * sums.iter().sum::<f64>(), last: 0 };
    for (piece, sum) in sums.into_iter().enumerate() {
        // The last piece with any weight is walked in any case: the sums of two orders may differ in the last digit.
        let last = sums[piece + 1..].iter().all(|&sum| sum == 0.0);
        if !last && walk.sum + sum <= walk.goal {
            walk.sum += sum;
            continue;
        }
        let first = planted!("sample.token_off_by_one", piece * size => piece * size + 1);
        for (i, &z) in weights.z[first..].iter().take(size).enumerate() {
            if walk.step(first + i, weights.of(z)) {
                break;
            }
        }
        break;
    }
    walk.last
}

/// Sum of the weights of some logits, in 16 interleaved partial sums.
#[inline(always)]
fn total(weights: &Weights, z: &[f32]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (whole, rest) = z.as_chunks::<LANES>();
    for z in whole {
        (0..LANES).for_each(|lane| lanes[lane] += weights.of(z[lane]));
    }
    rest.iter().enumerate().for_each(|(lane, &z)| lanes[lane] += weights.of(z));
    lanes.iter().sum()
}

/// `e^x` for x ≤ 0 in f64, within 2e-15 of it, as straight-line code that becomes vector code; 0 below −708, where the
/// result would be subnormal. `x = k·ln 2 + r` with |r| ≤ ln2/2, and the power series of `e^r`.
#[inline(always)]
fn exp_nonpositive(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5·2^52: adding it rounds to an integer, kept in the lowest bits
    const LN2_HI: f64 = 0.693_147_180_369_123_8; // 33 bits: k times it is exact
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    let clamped = if x < -708.0 { -708.0 } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (clamped - k * LN2_HI) - k * LN2_LO;
    let mut series = 1.0 / 6_227_020_800.0; // 1/13!
    for inverse_factorial in [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = series * r + inverse_factorial;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(1023);
    let y = series * f64::from_bits(exponent << 52);
    if x < -708.0 { 0.0 } else { y }
}

#[cfg(test)]
mod tests {
    use super::exp_nonpositive;
    use crate::philox::Philox;
    use crate::sample::sample;
    use crate::{Cpu, View, ViewMut};

    fn draw(logits: &[f32], u: f32, temperature: f64, top_k: Option<usize>) -> i32 {
        let mut id = [-7];
        let (z, u) = (View::from_slice(logits, &[1, logits.len()]).unwrap(), [u]);
        let u = View::from_slice(&u, &[1]).unwrap();
        sample(&Cpu, z, u, temperature, top_k, ViewMut::from_slice(&mut id, &[1]).unwrap()).unwrap();
        id[0]
    }

    #[test]
    fn the_exponential_agrees_with_the_platforms() {
        for i in 0..100_000 {
            let x = -0.00708 * i as f64;
            assert!((exp_nonpositive(x) / x.exp() - 1.0).abs() < 2e-15, "{x}");
        }
        assert_eq!((exp_nonpositive(0.0), exp_nonpositive(f64::NEG_INFINITY)), (1.0, 0.0));
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits: Vec<f32> = (0..200).map(|i| (i as f32 * 0.7).sin() * 2.0).collect();
        for (temperature, top_k) in [(1.0, None), (0.6, None), (1.3, Some(12))] {
            let mut best = logits.clone();
            best.sort_by(|a, b| b.total_cmp(a));
            let floor = best[top_k.unwrap_or(200) - 1];
            let weight = |z: f32| if z < floor { 0.0 } else { (z as f64 / temperature).exp() };
            let total: f64 = logits.iter().map(|&z| weight(z)).sum();
            let (mut rng, mut counts, n) = (Philox::new(9, 4), vec![0.0; 200], 40_000);
            (0..n).for_each(|_| counts[draw(&logits, rng.uniform(), temperature, top_k) as usize] += 1.0);
            let chi2: f64 = (0..200)
                .map(|i| (counts[i], n as f64 * weight(logits[i]) / total))
                .map(|(got, want)| if want == 0.0 { got * 1e9 } else { (got - want).powi(2) / want })
                .sum();
            let freedom = (top_k.unwrap_or(200) - 1) as f64;
            assert!(chi2 < freedom + 4.0 * (2.0 * freedom).sqrt(), "{temperature} {top_k:?}: {chi2}");
        }
    }

    #[test]
    fn the_largest_uniform_number_draws_a_possible_token() {
        let (mut logits, below_one) = (vec![0.5f32; 500], 1.0 - f32::EPSILON / 2.0);
        logits[400..].fill(f32::NEG_INFINITY);
        assert_eq!(draw(&logits, below_one, 1.0, None), 399);
        assert_eq!(draw(&logits, below_one, 1.0, Some(450)), 399);
        assert_eq!(draw(&logits, 0.0, 1.0, None), 0);
    }

    #[test]
    fn without_temperature_the_lowest_of_the_largest_is_taken() {
        assert_eq!(draw(&[1.0, 3.0, f32::NEG_INFINITY, 3.0], 0.9, 0.0, None), 1);
        assert_eq!(draw(&[1.0, 3.0, 3.0], 0.9, 1.0, Some(1)), 1);
    }

    #[test]
    fn a_row_without_a_distribution_draws_minus_one() {
        assert_eq!(draw(&[0.0, f32::NAN], 0.5, 1.0, None), -1);
        assert_eq!(draw(&[0.0, f32::NAN], 0.5, 0.0, None), -1);
        assert_eq!(draw(&[0.0, 1.0], f32::NAN, 1.0, None), -1);
        assert_eq!(draw(&[f32::NEG_INFINITY; 3], 0.5, 1.0, None), -1);
        assert_eq!(draw(&[0.0, f32::INFINITY], 0.5, 1.0, Some(1)), -1);
        assert_eq!(draw(&[0.0, f32::INFINITY], 0.5, 0.0, None), 1);
    }
}
