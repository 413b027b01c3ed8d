//! GPT: what the network computes, its weights, its cache, and how tokens are drawn from it.
//!
//! Reading order: [`config`] (shapes), [`gpt`] (weights and forward pass), [`cache`] (decoding), [`generate`] (drawing
//! tokens), [`inference`] (weights prepared for that, and what it costs), [`weights`] (files). Nothing here knows about optimizers or training data.

pub mod block;
pub mod cache;
pub mod config;
pub mod error;
pub mod generate;
pub mod gpt;
pub mod inference;
pub mod init;
pub mod linear;
pub mod memory;
pub mod observe;
mod places;
pub mod rotary;
pub mod scaling;
pub mod weights;

pub use cache::KvCache;
pub use config::{ConfigError, Family, GptConfig, Part, Parts};
pub use error::{ModelError, Result};
pub use gpt::{Gpt, GptOptions};
pub use linear::Quantize;
pub use memory::MemoryPlan;
pub use observe::Observer;
pub use rotary::{RopeTable, RotaryTables};
