//! Training: data, optimizers, schedules, stages, evaluation, checkpoints; and the engine that generates with tools.
//!
//! Reading order: [`optim`] (the update rules), [`data`] (text to batches), [`stage`] (the loops), [`checkpoint`] (what
//! survives a crash), [`engine`] (generation with the calculator), [`parity`] (comparison with reference dumps).

pub mod engine;
pub mod error;
pub mod optim;
pub mod parity;
pub mod schedule;
pub mod synth;

pub use error::{Result, TrainError};
