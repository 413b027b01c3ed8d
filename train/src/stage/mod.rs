//! The stages of training. One loop ([`run_stage`]) serves them all; a stage is what differs: its data, its learning-rate
//! schedule, its evaluation.
//!
//! A run does steps 0..N. After the last one, and every `save_every` steps, a checkpoint is written *before* anything is
//! evaluated, so an evaluation that fails loses nothing.

pub mod base;
mod looping;
pub mod report;
pub mod rl;
pub mod sft;
pub mod talk;

pub use looping::{RunOptions, Stage, StageSummary, run_stage};
pub use report::Reporter;
