//! What a token counts once the weights have moved since it was drawn: the clipped ratio of PPO (Schulman et al. 2017) and a
//! penalty for leaving a reference policy, estimated token by token (Schulman 2020, "k3").
//!
//! With `p` the log-probability of a drawn token now, `p_old` when it was drawn and `p_ref` under the frozen reference, what is
//! to be large is
//!
//! ```text
//! f(p) = min( r·A, clip(r, 1 − ε, 1 + ε)·A ) − β·k₃      r = e^(p − p_old)
//! k₃   = e^d − 1 − d                                     d = p_ref − p
//! f'(p) = r·A, or 0 beyond the clip  −  β·(1 − e^d)
//! ```
//!
//! `k₃ ≥ 0`, it is 0 at the reference, and its mean over tokens of the policy is the divergence KL(policy ‖ reference). Since
//! `∇f = f'(p)·∇p`, the exact gradient is again that of a weighted cross-entropy, with `f'(p)` in place of A. The weights must
//! be known before the backward pass, so a forward pass finds `p` first; with the weights of the draw r is 1 and no pass is
//! needed. Read next: `../stage/rl.rs`.

use super::objective::Pass;
use crate::error::{Result, TrainError};
use kernels::planted;
use model::Gpt;
use serde::{Deserialize, Serialize};
use tensor::Device;

/// How far the policy may go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trust {
    /// ε: ratios beyond 1 ± ε teach nothing more. 0 = no clipping.
    pub clip: f64,
    /// β: weight of the penalty. 0 = none.
    pub kl: f64,
}

/// A token's part of the objective.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Term {
    /// f(p).
    pub value: f64,
    /// f'(p).
    pub slope: f64,
    /// k₃.
    pub kl: f64,
    /// Did the clip stop the advantage?
    pub clipped: bool,
}

impl Trust {
    /// Of a token with log-probability `p` now, `old` when it was drawn, and `reference` where there is a penalty.
    pub fn term(&self, p: f64, old: f64, reference: Option<f64>, advantage: f64) -> Term {
        let ratio = (p - old).exp();
        let bound = if advantage > 0.0 { 1.0 + self.clip } else { 1.0 - self.clip };
        let beyond = if advantage > 0.0 { ratio > bound } else { ratio < bound };
        let clipped = self.clip > 0.0 && advantage != 0.0 && beyond;
        let gain = if clipped { bound } else { ratio } * advantage;
        let gain_slope =
            planted!("surrogate.clip_keeps_the_gradient", if clipped { 0.0 } else { gain } => gain);
        let d = reference.map_or(0.0, |r| r - p);
        let kl = d.exp_m1() - d;
        let kl_slope = planted!("surrogate.penalty_of_the_other_sign", -d.exp_m1() => d.exp_m1());
        Term { value: gain - self.kl * kl, slope: gain_slope - self.kl * kl_slope, kl, clipped }
    }
}

/// Rows that are learnt from, with what was known of their tokens when they were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The rows; their weights are those of the first update.
    pub pass: Pass,
    /// Log-probability of each target (b·t) at the draw.
    pub old: Vec<f64>,
    /// The same under the reference; empty without a penalty.
    pub reference: Vec<f64>,
}

/// Sums over the tokens of some passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moved {
    /// Tokens that count.
    pub tokens: usize,
    /// Σ k₃.
    pub kl: f64,
    /// Tokens that the clip stopped.
    pub clipped: usize,
}

impl Held {
    /// The rows with the weights of this update, where the policy gives the targets the log-probabilities `now` (b·t).
    pub fn reweighed(&self, now: &[f64], trust: Trust, sums: &mut Moved) -> Pass {
        let Pass { rows, share, .. } = &self.pass;
        // f(p) times the share is f(p) of an advantage and a β times the share; a ratio of 1 so leaves the weight's very bits.
        let trust = Trust { kl: trust.kl * share, ..trust };
        let weigh = |(i, &weight): (usize, &f64)| {
            if rows.targets[i] < 0 {
                return 0.0;
            }
            let term = trust.term(now[i], self.old[i], self.reference.get(i).copied(), weight);
            sums.tokens += 1;
            sums.kl += term.kl;
            sums.clipped += usize::from(term.clipped);
            term.slope
        };
        let weights = self.pass.weights.iter().enumerate().map(weigh).collect();
        Pass { weights, ..self.pass.clone() }
    }
}

/// The log-probability of each target (b·t) of a pass; 0 where there is none.
pub fn log_probabilities(gpt: &Gpt, pass: &Pass, device: Device) -> Result<Vec<f64>> {
    let batch = pass.on(device, 1.0)?;
    let [_, losses] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, None)?;
    let values: Vec<f64> = losses.value().to_f64_vec().into_iter().map(|loss| -loss).collect();
    match values.iter().all(|p| p.is_finite()) {
        true => Ok(values),
        false => Err(TrainError::Config(
            "the policy gives an answer no finite probability; lower the learning rate or raise --kl".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::objective::passes;
    use autograd::Tape;
    use kernels::philox::Philox;
    use model::{GptConfig, GptOptions};
    use tensor::{DType, Tensor};
    use tokenizer::conversation::Rendered;

    const TRUST: Trust = Trust { clip: 0.2, kl: 0.3 };

    #[test]
    fn at_the_draw_and_the_reference_nothing_but_the_advantage_is_left() {
        for advantage in [0.94, -0.06, 0.0] {
            let term = TRUST.term(-1.5, -1.5, Some(-1.5), advantage);
            assert_eq!(term, Term { value: advantage, slope: advantage, kl: 0.0, clipped: false });
        }
    }

    #[test]
    fn the_penalty_is_never_negative_and_zero_at_the_reference_alone() {
        for i in -40..=40 {
            let d = f64::from(i) / 10.0;
            let kl = TRUST.term(-2.0, -2.0, Some(-2.0 + d), 0.0).kl;
            assert!(if i == 0 { kl == 0.0 } else { kl > 0.0 }, "{d}: {kl}");
        }
    }

    #[test]
    fn the_mean_of_the_penalty_is_the_divergence() {
        let (p, q) = ([0.5, 0.3, 0.15, 0.05], [0.25, 0.25, 0.4, 0.1]);
        let divergence: f64 = p.iter().zip(q).map(|(p, q): (&f64, f64)| p * (p / q).ln()).sum();
        let k3 = |p: f64, q: f64| TRUST.term(p.ln(), p.ln(), Some(q.ln()), 0.0).kl;
        let mean: f64 = p.iter().zip(q).map(|(&p, q)| p * k3(p, q)).sum();
        assert!((mean - divergence).abs() < 1e-12, "{mean} {divergence}");
    }

    #[test]
    fn the_clip_stops_the_gradient_on_the_far_side_alone() {
        let slope = |ratio: f64, advantage: f64| {
            Trust { clip: 0.2, kl: 0.0 }.term(ratio.ln(), 0.0, None, advantage).slope
        };
        assert_eq!((slope(1.3, 1.0), slope(0.7, -1.0)), (0.0, 0.0));
        for (ratio, advantage) in [(1.1, 1.0), (0.5, 1.0), (1.6, -1.0), (0.9, -1.0)] {
            assert!((slope(ratio, advantage) - ratio * advantage).abs() < 1e-12, "{ratio} {advantage}");
        }
        let free = Trust::default().term(1.6f64.ln(), 0.0, None, 1.0);
        assert!((free.slope - 1.6).abs() < 1e-12 && !free.clipped, "0 means no clip: {free:?}");
    }

    #[test]
    fn the_slope_is_the_derivative_of_the_value() {
        let mut rng = Philox::new(5, 0);
        let mut draw = |from: f64, to: f64| from + (to - from) * f64::from(rng.below(10_007)) / 10_006.0;
        for _ in 0..2000 {
            let (p, old, reference, advantage) =
                (draw(-6.0, -0.01), draw(-6.0, -0.01), draw(-6.0, -0.01), draw(-1.0, 1.0));
            let at = |p: f64| TRUST.term(p, old, Some(reference), advantage);
            let h = 1e-5;
            if at(p - h).clipped != at(p + h).clipped {
                continue; // the corner of the minimum
            }
            let difference = (at(p + h).value - at(p - h).value) / (2.0 * h);
            let scale = 1.0 + (p - old).exp() + (reference - p).exp();
            assert!((difference - at(p).slope).abs() <= 1e-8 * scale, "{p} {old} {reference} {advantage}");
        }
    }

    /// A model in f64, and rows of answers to it, two passes.
    fn case() -> (Gpt, Vec<Pass>) {
        let config = GptConfig {
            sequence_len: 8,
            vocab_size: 11,
            n_layer: 1,
            n_head: 2,
            n_kv_head: 2,
            n_embd: 8,
            ..GptConfig::default()
        };
        let options = GptOptions { device: Device::Reference, compute: DType::F64, ..GptOptions::default() };
        let mut gpt = Gpt::new(config, 3, options).unwrap();
        // Fresh models predict all alike: their projections and head are 0.
        shift(&mut gpt, 0.3, 17);
        let row = |ids: &[u32], mask: &[u8]| Rendered { ids: ids.to_vec(), mask: mask.to_vec() };
        let rows = [
            row(&[1, 2, 3, 4, 5], &[0, 0, 1, 1, 1]),
            row(&[1, 2, 6, 7], &[0, 0, 1, 0]),
            row(&[1, 2, 8, 9, 10], &[0, 0, 1, 1, 1]),
        ];
        (gpt, passes(&rows, &[0.6, -0.9, 0.3], 2, 1, 0))
    }

    /// Every weight moved by up to ± `by`.
    fn shift(gpt: &mut Gpt, by: f64, seed: u64) {
        let mut rng = Philox::new(seed, 1);
        for param in gpt.params_mut() {
            let dims = param.value().dims().to_vec();
            let mut values = param.value().to_f64_vec();
            values.iter_mut().for_each(|v| *v += by * (f64::from(rng.below(2001)) / 1000.0 - 1.0));
            param.set(Tensor::from_f64(&values, &dims, param.value().dtype(), Device::Reference).unwrap());
        }
    }

    /// Σ share·f over all tokens: the definition, from log-probabilities.
    fn objective(gpt: &Gpt, held: &[Held], trust: Trust) -> f64 {
        let of = |held: &Held| {
            let now = log_probabilities(gpt, &held.pass, Device::Reference).unwrap();
            let term = |i: usize| {
                let advantage = held.pass.weights[i] / held.pass.share;
                trust.term(now[i], held.old[i], held.reference.get(i).copied(), advantage).value
            };
            let counted = (0..now.len()).filter(|&i| held.pass.rows.targets[i] >= 0);
            held.pass.share * counted.map(term).sum::<f64>()
        };
        held.iter().map(of).sum()
    }

    #[test]
    fn the_gradient_of_the_weighted_rows_is_that_of_the_objective() {
        let (mut gpt, passes) = case();
        let (mut old, mut frozen) = (gpt_copy(&gpt), gpt_copy(&gpt));
        shift(&mut old, 0.05, 4);
        shift(&mut frozen, 0.1, 5);
        let known = |gpt: &Gpt, pass: &Pass| log_probabilities(gpt, pass, Device::Reference).unwrap();
        let hold = |pass: Pass| Held { old: known(&old, &pass), reference: known(&frozen, &pass), pass };
        let held: Vec<Held> = passes.into_iter().map(hold).collect();
        let trust = Trust { clip: 0.1, kl: 0.5 };
        let mut moved = Moved::default();
        for held in &held {
            let now = log_probabilities(&gpt, &held.pass, Device::Reference).unwrap();
            let batch = held.reweighed(&now, trust, &mut moved).on(Device::Reference, 1.0).unwrap();
            let tape = Tape::new();
            let [loss, _] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape)).unwrap();
            loss.backward(1.0).unwrap();
        }
        assert!(moved.clipped > 0 && moved.clipped < moved.tokens && moved.kl > 0.0, "{moved:?}");
        let h = 1e-5;
        for name in gpt.params().iter().map(|p| p.name.clone()).collect::<Vec<_>>() {
            let at = gpt.params().iter().position(|p| p.name == name).unwrap();
            let value = gpt.params()[at].value().clone();
            let grad = gpt.params()[at].grad().get().unwrap().to_f64_vec();
            let largest = grad.iter().fold(0.0f64, |m, g| m.max(g.abs()));
            assert!(largest > 1e-6, "{name} is not moved at all");
            for i in (0..value.numel()).step_by(value.numel() / 5 + 1) {
                let mut shifted = |by: f64| {
                    let mut values = value.to_f64_vec();
                    values[i] += by;
                    let moved = Tensor::from_f64(&values, value.dims(), value.dtype(), Device::Reference);
                    gpt.params_mut()[at].set(moved.unwrap());
                    objective(&gpt, &held, trust)
                };
                let difference = (shifted(h) - shifted(-h)) / (2.0 * h);
                // The loss is what is to be small.
                assert!((difference + grad[i]).abs() <= 1e-6 * (1.0 + largest), "{name} {i}: {difference}");
            }
            gpt.params_mut()[at].set(value);
        }
    }

    fn gpt_copy(gpt: &Gpt) -> Gpt {
        let weights = gpt.params().iter().map(|p| (p.name.clone(), p.value().clone())).collect();
        Gpt::from_weights(gpt.config().clone(), weights, gpt.options()).unwrap()
    }

    #[test]
    fn the_first_update_has_the_weights_of_the_plain_objective() {
        let (gpt, passes) = case();
        for pass in passes {
            let now = log_probabilities(&gpt, &pass, Device::Reference).unwrap();
            let held = Held { pass: pass.clone(), old: now.clone(), reference: now.clone() };
            let first = held.reweighed(&now, TRUST, &mut Moved::default());
            assert_eq!(first, pass);
        }
    }
}
