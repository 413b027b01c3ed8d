//! Gradients of whole networks: on the reference device in f64 against central differences, every element of every weight;
//! and the CPU's in f32 and bf16 against those. Each operation has its own checks; what only a network can show is how
//! they are put together, and that no weight is forgotten on the way.
//!
//! `classic.rs` tests the model that the program trains. `current.rs` and `gpt2.rs` write the other two families down from
//! operations, with sizes so small that every element can be tried; `golden.rs` holds the current one against numbers of
//! the original; `coverage.rs` says which weights get no gradient from fresh weights, and why.
#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

mod classic;
mod coverage;
mod current;
mod golden;
mod gpt2;
mod network;
