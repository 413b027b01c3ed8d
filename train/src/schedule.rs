//! What changes from step to step: learning rates, Muon's momentum and weight decay, as pure functions.
//!
//! Every optimizer group has an initial learning rate; at each step all of them are multiplied by one number.
//! Its shape is a trapezoid: a short rise, a plateau, a straight *warmdown*. Lowering the rate at the end is
//! worth more than any other schedule choice: the loss falls steeply while it shrinks. Muon's momentum starts
//! low, because the first gradients are no guide to the later ones.
//!
//! Names: `classic` and `current` are the two generations of the recipe, `step` counts optimizer steps from
//! 0, `progress` is the part of the stage that is done, 0 to 1. All arithmetic is `f64`. How learning rates
//! follow from the width of the model is in `model::scaling`.

use kernels::planted;
use std::f64::consts::PI;

/// Rounds to the nearest integer, ties to the even one, as Python's `round` does: 6.5 becomes 6. Negative
/// numbers and NaN become 0.
pub fn round_half_even(x: f64) -> u64 {
    x.round_ties_even() as u64
}

/// `from` at `t` = 0, `to` at `t` = 1.
fn lerp(from: f64, to: f64, t: f64) -> f64 {
    (1.0 - t) * from + t * to
}

/// The learning rate multiplier of pretraining: rise, plateau, warmdown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trapezoid {
    /// Steps of the run, `N`.
    pub num_iterations: u64,
    /// Steps of the rise.
    pub warmup: u64,
    /// Steps of the warmdown.
    pub warmdown: u64,
    /// The multiplier at step `N`, one after the last.
    pub final_lr_frac: f64,
}

impl Trapezoid {
    /// Classic: both ramps are given as parts of the run (defaults 0 and 0.2, falling to 0).
    pub fn classic(num_iterations: u64, warmup_ratio: f64, warmdown_ratio: f64, final_lr_frac: f64) -> Self {
        let part = |ratio: f64| round_half_even(ratio * num_iterations as f64);
        Self { num_iterations, warmup: part(warmup_ratio), warmdown: part(warmdown_ratio), final_lr_frac }
    }

    /// Current: the rise is a number of steps (defaults 40 and 0.65, falling to 0.05).
    pub fn current(num_iterations: u64, warmup_steps: u64, warmdown_ratio: f64, final_lr_frac: f64) -> Self {
        let warmdown = round_half_even(warmdown_ratio * num_iterations as f64);
        Self { num_iterations, warmup: warmup_steps, warmdown, final_lr_frac }
    }

    /// The first step after the plateau.
    fn warmdown_start(&self) -> u64 {
        self.num_iterations.saturating_sub(self.warmdown)
    }

    /// `(step+1)/warmup` while rising, 1 on the plateau, then a line to `final_lr_frac` at step `N`, where it
    /// stays.
    ///
    /// Where the ramps overlap in a short run, the rise wins. The last step that trains is `N-1`, so the
    /// final value itself is never used.
    pub fn lr_multiplier(&self, step: u64) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        if step <= self.warmdown_start() {
            return 1.0;
        }
        let step = planted!("schedule.warmdown_off_by_one", step => step + 1);
        let left = self.num_iterations.saturating_sub(step) as f64 / self.warmdown.max(1) as f64;
        left + (1.0 - left) * self.final_lr_frac
    }
}

/// Muon's momentum in classic pretraining and midtraining and in current SFT: 0.85 to 0.95 over 300 steps.
pub fn classic_muon_momentum(step: u64) -> f64 {
    let part = step as f64 / 300.0;
    lerp(0.85, 0.95, planted!("schedule.momentum_runs_on", part.min(1.0) => part))
}

/// Muon's momentum in current pretraining: 0.85 to 0.97 over 400 steps, and down to 0.90 over the warmdown.
///
/// The rise wins where the two overlap.
pub fn current_muon_momentum(step: u64, schedule: &Trapezoid) -> f64 {
    let start = schedule.warmdown_start();
    if step < 400 {
        lerp(0.85, 0.97, step as f64 / 400.0)
    } else if step >= start {
        lerp(0.97, 0.90, ((step - start) as f64 / schedule.warmdown.max(1) as f64).min(1.0))
    } else {
        0.97
    }
}

/// Muon's weight decay in current pretraining: half a cosine, `initial · ½(1 + cos(π·step/N))`.
pub fn current_muon_weight_decay(step: u64, num_iterations: u64, initial: f64) -> f64 {
    initial * 0.5 * (1.0 + (PI * step as f64 / num_iterations.max(1) as f64).cos())
}

/// The learning rate multiplier of classic midtraining: 1 for the first four fifths, then a line to 0.
///
/// `progress` is clamped to 0..1: the original let it run past the end of the data, where the multiplier
/// turned negative.
pub fn classic_mid_lr_multiplier(progress: f64) -> f64 {
    if progress < 0.8 { 1.0 } else { 1.0 - (progress.min(1.0) - 0.8) / 0.2 }
}

/// The learning rate multiplier of reinforcement learning and of classic SFT: `1 - step/N`.
pub fn linear_lr_multiplier(step: u64, num_iterations: u64) -> f64 {
    1.0 - step.min(num_iterations) as f64 / num_iterations.max(1) as f64
}

/// The learning rate multiplier of current SFT, by progress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SftLr {
    /// Part of the stage spent rising (default 0).
    pub warmup_ratio: f64,
    /// Part of the stage spent falling (default 0.5).
    pub warmdown_ratio: f64,
    /// The multiplier at the end (default 0).
    pub final_lr_frac: f64,
}

impl Default for SftLr {
    /// No rise, the second half falls to 0.
    fn default() -> Self {
        Self { warmup_ratio: 0.0, warmdown_ratio: 0.5, final_lr_frac: 0.0 }
    }
}

impl SftLr {
    /// The multiplier, with `progress` clamped to 0..1. Never negative.
    pub fn multiplier(&self, progress: f64) -> f64 {
        self.multiplier_unclamped(progress.clamp(0.0, 1.0))
    }

    /// The original's formula, which past the end of the stage goes on falling below zero and then destroys
    /// the weights. For comparison with the original only.
    pub fn multiplier_unclamped(&self, progress: f64) -> f64 {
        if progress < self.warmup_ratio {
            (progress + 1e-8) / self.warmup_ratio
        } else if progress <= 1.0 - self.warmdown_ratio {
            1.0
        } else {
            lerp(1.0, self.final_lr_frac, (progress - (1.0 - self.warmdown_ratio)) / self.warmdown_ratio)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn close(ours: f64, theirs: &Value, what: &str) {
        let theirs = theirs.as_f64().unwrap();
        assert!((ours - theirs).abs() <= 1e-12, "{what}: {ours} instead of {theirs}");
    }

    /// The numbers in a key such as `N=7,warmup_ratio=0.05`, by name.
    fn settings(key: &str) -> impl Fn(&str) -> f64 {
        let pairs: Vec<(String, f64)> = key
            .split(',')
            .map(|part| part.split_once('=').unwrap())
            .map(|(name, value)| (name.to_string(), value.parse().unwrap()))
            .collect();
        move |name| pairs.iter().find(|(n, _)| n == name).unwrap().1
    }

    fn rows(table: &Value) -> &Vec<Value> {
        let rows = table.as_array().unwrap();
        assert!(!rows.is_empty());
        rows
    }

    fn number(row: &Value, key: &str) -> u64 {
        row[key].as_u64().unwrap()
    }

    #[test]
    #[allow(clippy::print_stderr)]
    fn every_reference_table_agrees() {
        let Ok(folder) = std::env::var("NANOCHAT_GOLDENS") else {
            eprintln!("notice: NANOCHAT_GOLDENS is not set, the schedules were not compared");
            return;
        };
        let text = std::fs::read_to_string(format!("{folder}/optimizer/schedules.json")).unwrap();
        let tables: Value = serde_json::from_str(&text).unwrap();
        let known = ["g1", "g2", "g2_chat_sft", "g2_chat_rl", "g1_mid_train", "g1_chat_sft"];
        assert!(
            tables.as_object().unwrap().keys().all(|k| known.contains(&k.as_str())),
            "a table nobody compares"
        );
        pretraining(&tables);
        later_stages(&tables);
    }

    fn pretraining(tables: &Value) {
        for (key, table) in tables["g1"].as_object().unwrap() {
            let get = settings(key);
            let n = get("N") as u64;
            let lr = Trapezoid::classic(n, get("warmup_ratio"), get("warmdown_ratio"), get("final_lr_frac"));
            for row in rows(table) {
                let it = number(row, "it");
                close(lr.lr_multiplier(it), &row["lr_multiplier"], key);
                close(classic_muon_momentum(it), &row["muon_momentum"], key);
            }
        }
        for (key, table) in tables["g2"].as_object().unwrap() {
            let get = settings(key);
            let (n, warmup) = (get("N") as u64, get("warmup_steps") as u64);
            let lr = Trapezoid::current(n, warmup, get("warmdown_ratio"), get("final_lr_frac"));
            for row in rows(table) {
                let it = number(row, "it");
                close(lr.lr_multiplier(it), &row["lr_multiplier"], key);
                close(current_muon_momentum(it, &lr), &row["muon_momentum"], key);
                let decay = current_muon_weight_decay(it, n, get("weight_decay_scaled"));
                close(decay, &row["weight_decay"], key);
            }
        }
    }

    fn later_stages(tables: &Value) {
        let shapes = [
            ("warmup0_warmdown0.5_final0", SftLr::default()),
            (
                "warmup0.1_warmdown0.3_final0.1",
                SftLr { warmup_ratio: 0.1, warmdown_ratio: 0.3, final_lr_frac: 0.1 },
            ),
        ];
        for (key, lr) in shapes {
            for row in rows(&tables["g2_chat_sft"][key]) {
                let progress = row["progress"].as_f64().unwrap();
                close(lr.multiplier_unclamped(progress), &row["lr_multiplier"], key);
                if progress <= 1.0 {
                    close(lr.multiplier(progress), &row["lr_multiplier"], key);
                }
            }
        }
        for row in rows(&tables["g2_chat_sft"]["muon_momentum"]) {
            close(classic_muon_momentum(number(row, "it")), &row["v"], "sft momentum");
        }
        for row in rows(&tables["g2_chat_rl"]) {
            let ours = linear_lr_multiplier(number(row, "it"), number(row, "num_steps"));
            close(ours, &row["lr_multiplier"], "rl");
        }
        for row in rows(&tables["g1_chat_sft"]) {
            let ours = linear_lr_multiplier(number(row, "it"), number(row, "num_iterations"));
            close(ours, &row["lr_multiplier"], "classic sft");
        }
        for row in rows(&tables["g1_mid_train"]) {
            close(classic_mid_lr_multiplier(row["progress"].as_f64().unwrap()), &row["lr_multiplier"], "mid");
        }
    }

    #[test]
    fn rounding_takes_ties_to_the_even_neighbour() {
        assert_eq!([0.5, 1.5, 2.5, 6.5, 7.5, 2.4, -1.0].map(round_half_even), [0, 2, 2, 6, 8, 2, 0]);
    }

    #[test]
    fn the_trapezoid_rises_stays_and_falls() {
        let lr = Trapezoid::classic(100, 0.1, 0.2, 0.5);
        assert_eq!([0, 9, 10, 80].map(|s| lr.lr_multiplier(s)), [0.1, 1.0, 1.0, 1.0]);
        assert_eq!([90, 100, 1000].map(|s| lr.lr_multiplier(s)), [0.75, 0.5, 0.5]);
    }

    #[test]
    fn momentum_rises_over_three_hundred_steps_and_stays() {
        assert_eq!([0, 300, 5000].map(classic_muon_momentum), [0.85, 0.95, 0.95]);
        assert!((classic_muon_momentum(150) - 0.9).abs() < 1e-15);
    }

    #[test]
    fn no_multiplier_turns_negative_past_the_end() {
        assert_eq!(SftLr::default().multiplier(1.05), 0.0);
        assert_eq!(classic_mid_lr_multiplier(3.0), 1.0 - (1.0 - 0.8) / 0.2);
        assert!(classic_mid_lr_multiplier(3.0) >= 0.0);
        assert_eq!(linear_lr_multiplier(11, 10), 0.0);
        assert_eq!(Trapezoid::current(10, 0, 0.5, 0.0).lr_multiplier(20), 0.0);
    }

    #[test]
    fn empty_runs_give_finite_numbers() {
        let lr = Trapezoid::current(0, 0, 0.65, 0.05);
        let numbers = [
            lr.lr_multiplier(0),
            lr.lr_multiplier(1),
            current_muon_momentum(500, &lr),
            current_muon_weight_decay(0, 0, 0.1),
            linear_lr_multiplier(0, 0),
        ];
        assert!(numbers.iter().all(|x| x.is_finite()), "{numbers:?}");
    }
}
