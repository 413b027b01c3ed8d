//! Reinforcement learning on problems with a known answer: what of GRPO (Shao et al. 2024) is left without its division by the
//! standard deviation; trust region and reference model are options. Without them it is REINFORCE with a mean for a baseline.
//!
//! Of each problem many answers are drawn from the model as it is, each gets reward 1 if right and 0 if not, and its advantage
//! is its reward less the mean of them all. The loss of a pass over some rows is
//!
//! `−Σ logp·A / (valid tokens of the pass · passes · examples)`
//!
//! over the tokens that the model drew: the prompt, what the calculator wrote, and the padding are none. Reading order:
//! `objective.rs` (the formula as weights of rows), `surrogate.rs` (clipped ratios and the penalty), `rollout.rs` (drawing and
//! judging), `../stage/rl.rs` (the loop).

pub mod objective;
pub mod rollout;
pub mod surrogate;

pub use objective::{advantages, passes};
pub use rollout::{Rollout, pass_at_k};
