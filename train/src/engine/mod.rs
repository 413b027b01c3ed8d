//! Inference: many requests at once, from prompts to streams of text, with tool calls on the way.
//!
//! Reading order: `request.rs` (what is asked and reported), `scheduler.rs` (who is read and decoded when), `pages.rs` (who
//! uses which page of the cache), `sequence.rs` (one row), `sampling.rs` (from logits to a token), `tools.rs` (between the
//! token that was drawn and the one that is fed), `text.rs` (from tokens to text). `forward.rs` is all that the scheduler
//! knows of a model; `gpt.rs` is the model, and tests have a scripted one. `calculator/` is the tool that rows can call.
//! `collect.rs` is for callers who want whole answers: evaluation and reinforcement learning.

pub mod calculator;
pub mod collect;
pub mod forward;
pub mod gpt;
pub mod pages;
pub mod request;
pub mod sampling;
pub mod scheduler;
mod sequence;
pub mod text;
pub mod tokens;
pub mod tools;

pub use request::{Event, Finish, Limits, Refusal, Request, RequestId, What};
pub use sampling::Sampling;
pub use scheduler::Engine;
