//! Reverse-mode differentiation on an explicit tape.
//!
//! An operation is a type that implements [`Op`]: its forward pass, what it saves and its vector-Jacobian product stand
//! side by side in one file under `ops/`. A [`Tape`] is a flat list of what was applied; [`Tape::backward`] walks it once
//! in reverse and consumes it. Reading order: [`op`], [`tape`], [`slot`], then any file in [`ops`].

pub mod error;
pub mod op;
pub mod ops;
pub mod parameter;
pub mod slot;
pub mod tape;
pub mod var;

pub use error::{AutogradError, Result};
pub use op::{Op, OpN, apply, apply_n};
pub use parameter::Parameter;
pub use slot::GradSlot;
pub use tape::{Gradients, Tape};
pub use var::Var;
