//! From logits to a token: penalties, temperature, filters, and one uniform number.
//!
//! In this order: the repetition penalty r divides positive logits of tokens that occurred and multiplies negative ones
//! by r (Keskar et al. 2019, arXiv:1909.05858); of a token that was generated n > 0 times, the presence penalty and n
//! times the frequency penalty are subtracted, as OpenAI's API defines them; the temperature divides all; top-k keeps the k largest; top-p keeps the
//! smallest set of the most likely whose probabilities add up to p (Holtzman et al. 2019, arXiv:1904.09751); min-p
//! keeps what has at least that share of the largest probability (Nguyen et al. 2024, arXiv:2407.01082). What is left
//! is drawn from by its probabilities, which add up to 1 again. Sums in f64.
//!
//! A uniform number is a pure function of seed, sample and place in the continuation ([`uniform`]), so a row draws the
//! same whatever else is in its batch. Rows without penalty, top-p and min-p are drawn by [`kernels::sample`], all at
//! once if they want the same.

use super::request::{Logprobs, Refusal};
use kernels::philox;
use kernels::planted;
use kernels::sample::sample;
use std::cmp::Ordering;
use tensor::{DType, Tensor, TensorError};

/// The random stream that samples draw from; those of further samples are 2³² apart.
const STREAM: u64 = 0x73616d70;

/// What a penalty may be that is subtracted.
const FINITE: &str = "a finite number (0 is off)";

/// How tokens are drawn from logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it; 0 takes the largest, whatever the seed.
    pub temperature: f32,
    /// Only the k largest take part; 0: all.
    pub top_k: usize,
    /// Only the most likely that add up to this take part; 1: all.
    pub top_p: f32,
    /// Only tokens with at least this share of the largest probability take part; 0: all.
    pub min_p: f32,
    /// How much tokens that occurred, in the prompt too, are held back; 1: not at all.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens that were generated; 0: nothing.
    pub presence_penalty: f32,
    /// Subtracted from the logit of a token as often as it was generated; 0: nothing.
    pub frequency_penalty: f32,
    /// Same seed, same tokens.
    pub seed: u64,
}

impl Default for Sampling {
    /// Temperature 1, all tokens, seed 42.
    fn default() -> Self {
        Sampling {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: 42,
        }
    }
}

impl Sampling {
    /// The most likely token, always.
    pub fn greedy() -> Self {
        Sampling { temperature: 0.0, ..Sampling::default() }
    }
    /// Are all numbers in their ranges?
    pub fn check(&self) -> Result<(), Refusal> {
        let (t, p, m, r) = (self.temperature, self.top_p, self.min_p, self.repetition_penalty);
        let table = [
            (
                "temperature",
                t,
                t >= 0.0 && t.is_finite(),
                "0 for the most likely token, or a positive number",
            ),
            ("top_p", p, p > 0.0 && p <= 1.0, "a number above 0 and up to 1 (1 is off)"),
            ("min_p", m, (0.0..=1.0).contains(&m), "a number from 0 (off) to 1"),
            ("repetition_penalty", r, r > 0.0 && r.is_finite(), "a positive number (1 is off)"),
            ("presence_penalty", self.presence_penalty, self.presence_penalty.is_finite(), FINITE),
            ("frequency_penalty", self.frequency_penalty, self.frequency_penalty.is_finite(), FINITE),
        ];
        match table.into_iter().find(|(_, _, fine, _)| !fine) {
            Some((field, value, _, range)) => Err(Refusal::Sampling { field, value: value.into(), range }),
            None => Ok(()),
        }
    }
    /// Can the kernel alone do it?
    fn is_plain(&self) -> bool {
        let unfiltered = (self.top_p, self.min_p) == (1.0, 0.0);
        let penalties = (self.repetition_penalty, self.presence_penalty, self.frequency_penalty);
        penalties == (1.0, 0.0, 0.0) && (self.temperature == 0.0 || unfiltered)
    }
}

/// The number in [0, 1) that draws token `index` of sample `sample`.
pub fn uniform(seed: u64, sample: usize, index: usize) -> f32 {
    let stream = STREAM.wrapping_add((sample as u64) << 32);
    philox::unit_f32(philox::word(seed, stream, index as u64))
}

/// One row that wants a token.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// How.
    pub sampling: &'a Sampling,
    /// The random number.
    pub uniform: f32,
    /// What the penalties apply to: the row's tokens so far.
    pub seen: &'a [u32],
    /// How many of them are the prompt.
    pub prompt: usize,
}

/// A token for each row of logits (rows, V); `None` where the logits have no distribution.
pub fn draw(logits: &Tensor, rows: &[Draw<'_>]) -> Result<Vec<Option<u32>>, TensorError> {
    let wish = |row: &Draw<'_>| (row.sampling.temperature, row.sampling.top_k);
    let alike = |row: &Draw<'_>| {
        row.sampling.is_plain()
            && planted!("sampling.all_as_the_first_row", wish(row) == wish(&rows[0]) => true)
    };
    if rows.iter().all(alike) {
        return plain(logits, rows);
    }
    let mut tokens = Vec::with_capacity(rows.len());
    for (i, row) in rows.iter().enumerate() {
        let logits = logits.narrow(0, i, 1)?;
        tokens.push(match row.sampling.is_plain() {
            true => plain(&logits, &rows[i..=i])?[0],
            false => pick(&distribution(&numbers(&logits), row), row.uniform),
        });
    }
    Ok(tokens)
}

/// The kernel draws for all rows, as the first one wants it.
fn plain(logits: &Tensor, rows: &[Draw<'_>]) -> Result<Vec<Option<u32>>, TensorError> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let device = logits.device();
    let uniforms: Vec<f64> = rows
        .iter()
        .map(|row| f64::from(planted!("sampling.number_of_the_first_row", row.uniform => first.uniform)))
        .collect();
    let uniforms = Tensor::from_f64(&uniforms, &[rows.len()], logits.dtype(), device)?;
    let mut ids = Tensor::uninit(&[rows.len()], DType::I32, device)?;
    let top_k = Some(first.sampling.top_k).filter(|&k| k > 0);
    let temperature = f64::from(first.sampling.temperature);
    sample(device.backend(), logits.view(), uniforms.view(), temperature, top_k, ids.view_mut()?)?;
    Ok(ids.to_vec::<i32>()?.into_iter().map(|id| u32::try_from(id).ok()).collect())
}

/// The logits of one row, whatever the device computes in.
pub fn numbers(logits: &Tensor) -> Vec<f32> {
    logits.to_vec::<f32>().unwrap_or_else(|_| logits.to_f64_vec().into_iter().map(|z| z as f32).collect())
}

/// Ids and probabilities of what may be drawn, most likely first (equals: lowest id first); empty if there is none. In order
/// as far as the row's random number reaches: what is behind is never drawn.
pub fn distribution(logits: &[f32], row: &Draw<'_>) -> Vec<(u32, f64)> {
    let Draw { sampling, seen, .. } = *row;
    let mut z: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    if sampling.repetition_penalty != 1.0 {
        let penalty = f64::from(sampling.repetition_penalty);
        for &id in seen {
            let Some(&before) = logits.get(id as usize) else { continue };
            let before = planted!("sampling.penalty_piles_up", f64::from(before) => z[id as usize]);
            // From the logit as it was: once, however often the token occurred.
            z[id as usize] = if before > 0.0 { before / penalty } else { before * penalty };
        }
    }
    let (presence, frequency) = (f64::from(sampling.presence_penalty), f64::from(sampling.frequency_penalty));
    if (presence, frequency) != (0.0, 0.0) {
        let mut counts = vec![0u32; z.len()];
        for &id in &seen[planted!("sampling.presence_counts_the_prompt", row.prompt => 0).min(seen.len())..] {
            let Some(count) = counts.get_mut(id as usize) else { continue };
            *count += 1;
        }
        for (z, n) in z.iter_mut().zip(counts).filter(|(_, n)| *n > 0) {
            *z -= presence + frequency * f64::from(n);
        }
    }
    let max = z.iter().fold(f64::NEG_INFINITY, |m, &z| m.max(z));
    if !max.is_finite() || z.iter().any(|z| z.is_nan()) {
        return Vec::new();
    }
    if sampling.temperature == 0.0 {
        return z.iter().position(|&z| z == max).map(|id| (id as u32, 1.0)).into_iter().collect();
    }
    let weight = |z: f64| ((z - max) / f64::from(sampling.temperature)).exp();
    let mut kept: Vec<(u32, f64)> = z.iter().enumerate().map(|(id, &z)| (id as u32, weight(z))).collect();
    if sampling.top_k > 0 && sampling.top_k < kept.len() {
        kept.select_nth_unstable_by(sampling.top_k - 1, likelier);
        kept.truncate(sampling.top_k);
    }
    let total: f64 = kept.iter().map(|(_, w)| w).sum();
    kept.retain(|&(_, w)| {
        w > 0.0 && planted!("sampling.min_p_of_the_whole", w => w / total) >= f64::from(sampling.min_p)
    }); // the largest weight is 1
    if sampling.top_p < 1.0 {
        let last = order(&mut kept, f64::from(sampling.top_p) * total);
        kept.truncate(last + planted!("sampling.top_p_stops_short", 1 => usize::from(last == 0)));
    } else {
        let all: f64 = kept.iter().map(|(_, w)| w).sum();
        order(&mut kept, f64::from(row.uniform) * all * (1.0 + 1e-9));
    }
    let total: f64 = kept.iter().map(|(_, w)| w).sum();
    kept.iter_mut().for_each(|(_, w)| *w /= total);
    kept
}

fn likelier(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// So many are put in order at first.
const FIRST: usize = 256;

/// Puts the likeliest in order, as many as add up to `goal`, and returns where that is. Of a large vocabulary a few hundred
/// are nearly always enough, and those are found in one pass; sorting all would take longer than a small model.
fn order(weights: &mut [(u32, f64)], goal: f64) -> usize {
    let (mut done, mut sum) = (0, 0.0);
    while done < weights.len() {
        let rest = &mut weights[done..];
        let more = (3 * done).max(FIRST).min(rest.len());
        if more < rest.len() {
            rest.select_nth_unstable_by(more, likelier);
        }
        rest[..more].sort_unstable_by(likelier);
        for (i, (_, weight)) in rest[..more].iter().enumerate() {
            sum += weight;
            if sum >= goal {
                return done + i;
            }
        }
        done += more;
    }
    weights.len().saturating_sub(1)
}

/// The first id at which the running sum passes `u`.
fn pick(distribution: &[(u32, f64)], u: f32) -> Option<u32> {
    let mut sum = 0.0;
    let passed = distribution.iter().find(|(_, p)| {
        sum += p;
        sum > f64::from(u)
    });
    passed.or(distribution.last()).map(|&(id, _)| id)
}

/// `ln softmax(z)` of a token and of the `top` likeliest.
pub fn logprobs(logits: &[f32], token: u32, top: usize) -> Logprobs {
    let max = logits.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
    let sum: f64 = logits.iter().map(|&z| f64::from(z - max).exp()).sum();
    let lse = f64::from(max) + sum.ln();
    let of =
        |id: u32| (f64::from(logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY)) - lse) as f32;
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let better = |&a: &u32, &b: &u32| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b));
    let top = top.min(ids.len());
    if top > 0 && top < ids.len() {
        ids.select_nth_unstable_by(top - 1, better);
    }
    ids.truncate(top);
    ids.sort_unstable_by(better);
    Logprobs { token: of(token), top: ids.into_iter().map(|id| (id, of(id))).collect() }
}

#[cfg(test)]
mod tests;
