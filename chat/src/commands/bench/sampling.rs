//! What drawing one token costs, by the kind of drawing: a part of `nanochat bench engine`.
//!
//! One row of random logits, whose spread is that of a model that has learned something. The kernel draws where it can; filters
//! that look at the whole distribution have a path of their own (`train/src/engine/sampling.rs`), and log-probabilities another.

use anyhow::Context;
use kernels::philox::Philox;
use serde_json::{Value, json};
use std::time::Instant;
use tensor::{Device, Tensor};
use train::engine::Sampling;
use train::engine::sampling::{Draw, draw, logprobs, numbers, uniform};

/// Standard deviation of the logits.
const SPREAD: f32 = 3.0;
/// The random stream of the logits.
const STREAM: u64 = 0x10_617;
/// Draws of each kind.
const DRAWS: usize = 101;
/// Alternatives of a token, as the page asks for them.
const TOP: usize = 8;

/// Median microseconds of each kind.
pub fn times(vocab: usize, seed: u64) -> anyhow::Result<Value> {
    let mut rng = Philox::new(seed, STREAM);
    // Twelve uniform numbers add up to something normal.
    let normal = |rng: &mut Philox| (0..12).map(|_| rng.uniform()).sum::<f32>() - 6.0;
    let logits: Vec<f32> = (0..vocab).map(|_| SPREAD * normal(&mut rng)).collect();
    let logits = Tensor::from_slice(&logits, &[1, vocab], Device::Cpu)?;
    let plain = Sampling { seed, ..Sampling::default() };
    let kinds = [
        ("greedy", Sampling::greedy()),
        ("all tokens", plain),
        ("top-k 50", Sampling { top_k: 50, ..plain }),
        ("top-p 0.95", Sampling { top_p: 0.95, ..plain }),
        ("min-p 0.05", Sampling { min_p: 0.05, ..plain }),
        ("repetition penalty 1.1", Sampling { repetition_penalty: 1.1, ..plain }),
    ];
    let seen: Vec<u32> = (0..256).map(|_| rng.below(vocab as u32)).collect();
    let mut all = Vec::with_capacity(kinds.len() + 1);
    for (name, sampling) in kinds {
        let us = median(|i| {
            let row =
                Draw { sampling: &sampling, uniform: uniform(seed, 0, i), seen: &seen, prompt: seen.len() };
            draw(&logits, &[row])?.first().copied().flatten().context("no token was drawn").map(drop)
        })?;
        all.push(json!({ "kind": name, "us": us }));
    }
    let us = median(|i| {
        std::hint::black_box(logprobs(&numbers(&logits), seen[i % seen.len()], TOP));
        Ok(())
    })?;
    all.push(json!({ "kind": "log-probabilities of a token and 8 more", "us": us }));
    Ok(Value::Array(all))
}

/// The median of some runs, in microseconds.
fn median(mut run: impl FnMut(usize) -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut us = Vec::with_capacity(DRAWS);
    for i in 0..DRAWS {
        let start = Instant::now();
        run(i)?;
        us.push(1e6 * start.elapsed().as_secs_f64());
    }
    us.sort_by(f64::total_cmp);
    Ok(us[DRAWS / 2])
}

/// A line for people.
pub fn line(times: &Value) -> String {
    let one = |t: &Value| Some(format!("{} {:.0}", t["kind"].as_str()?, t["us"].as_f64()?));
    let all: Vec<String> = times.as_array().into_iter().flatten().filter_map(one).collect();
    format!("drawing one token, µs: {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_drawing_is_timed() {
        let times = times(300, 1).unwrap();
        assert_eq!(times.as_array().unwrap().len(), 7);
        assert!(times.as_array().unwrap().iter().all(|t| t["us"].as_f64().unwrap() > 0.0), "{times}");
        assert!(line(&times).contains("top-k 50 "), "{}", line(&times));
    }
}
