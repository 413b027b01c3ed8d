//! Training: data, optimizers, schedules, stages, evaluation, checkpoints; and the engine that generates with tools.
//!
//! Reading order: [`optim`] (the update rules), [`trainer`] (one step), [`data`] (text to batches), [`stage`] (the loop),
//! [`checkpoint`] (what survives a crash), [`engine`] (generation with the calculator), [`exam`] and [`bpb`] (evaluation),
//! [`parity`] (comparison with reference dumps), [`synth`] (the generated corpus).

pub mod bpb;
pub mod chat_eval;
pub mod checkpoint;
pub mod core;
pub mod data;
pub mod engine;
pub mod error;
pub mod exam;
pub mod metrics;
pub mod optim;
pub mod parity;
pub mod random;
pub mod report;
pub mod rl;
pub mod run;
pub mod schedule;
pub mod stage;
pub mod synth;
pub mod tasks;
pub mod trainer;
pub mod trials;
pub mod trigram;

pub use error::{Result, TrainError};
