//! The differentiable operations, one idea per file: the formula, its gradient derived in the doc comment, both in code.
//!
//! Every file has its entry in `OPS`, the registry in `checks/src/registry/`, which drives tests and benchmarks.

pub mod attention;
pub mod binary;
pub mod cast;
pub mod cat;
pub mod channel_gate;
pub mod checkpoint;
pub mod embedding;
pub mod gated_add;
pub mod linear;
pub mod lm_head_loss;
pub mod matmul;
pub mod mix;
pub mod reduce;
pub mod relu_squared;
pub mod rms_norm;
pub mod rope;
pub mod smear;
pub mod unary;
pub mod views;
