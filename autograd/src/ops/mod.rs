//! The differentiable operations, one idea per file: the formula, its gradient derived in the doc comment, both in code.
//!
//! Every file has its entry in `OPS`, the registry in `checks/src/registry/`, which drives tests and benchmarks.

pub mod attention;
pub mod binary;
pub mod cast;
pub mod cat;
pub mod checkpoint;
pub mod cumsum;
pub mod embedding;
pub mod extreme;
pub mod gather;
pub mod linear;
pub mod lm_head_loss;
pub mod matmul;
pub mod mean;
pub mod reduce;
pub mod relu_squared;
pub mod rms_norm;
pub mod rope;
pub mod select;
pub mod softmax;
pub mod sort;
pub mod unary;
pub mod views;
