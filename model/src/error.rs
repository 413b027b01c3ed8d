//! What can go wrong with a model.

use crate::config::ConfigError;
use autograd::AutogradError;
use std::path::PathBuf;
use tensor::TensorError;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, ModelError>;

/// A refused configuration, weights file or call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The configuration makes no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// From the tensors underneath.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// From the tape.
    #[error(transparent)]
    Autograd(#[from] AutogradError),
    /// A weights file lacks a tensor, or has it in another shape.
    #[error("{path}: {name} {what}; the file belongs to a model of another shape")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Weights that are not those of the configuration.
    #[error(
        "the weights contradict the configuration at {name}: {what}; use the configuration they were made with"
    )]
    Contradiction {
        /// The weight.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Decoding past what the cache or the rotary table holds.
    #[error(
        "position {position} does not fit: the {what} holds {capacity}; shorten the prompt or generate fewer tokens"
    )]
    TooLong {
        /// First position that does not fit.
        position: usize,
        /// Cache or rotary table.
        what: &'static str,
        /// How many positions there are.
        capacity: usize,
    },
    /// Generation parameters that make no sense.
    #[error("{0}")]
    Sampling(String),
}
