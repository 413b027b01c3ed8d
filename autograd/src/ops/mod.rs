//! The differentiable operations, one idea per file: the formula, its gradient derived in the doc comment, both in code.
//!
//! Every file has its entry in `OPS`, the registry in `checks/src/registry/`, which drives tests and benchmarks.

pub mod add_rms_norm;
pub mod attention;
pub mod binary;
pub mod cast;
pub mod cat;
pub mod channel_gate;
pub mod checkpoint;
pub mod cumsum;
pub mod dropout;
pub mod embedding;
pub mod extreme;
pub mod gated;
pub mod gated_add;
pub mod gather;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod linears;
pub mod lm_head_loss;
pub mod matmul;
pub mod mean;
pub mod mix;
pub mod reduce;
pub mod relu_squared;
pub mod rms_norm;
pub mod rope;
pub mod rope_norm;
pub mod select;
pub mod smear;
pub mod softmax;
pub mod sort;
pub mod unary;
pub mod views;
