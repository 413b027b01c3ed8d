//! Inference: from a prompt to columns of tokens, with tool calls on the way.
//!
//! `generate.rs` runs the loop over columns against the small trait `Forward`,
//! which a model with a KV cache implements (and a scripted mock in tests); `tools.rs` is what happens to one
//! row of tokens between the sampler and the model; `calculator/` is the tool the rows can call.

pub mod batch;
pub mod calculator;
pub mod generate;
pub mod gpt;
pub mod tokens;
pub mod tools;
