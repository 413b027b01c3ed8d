//! What can go wrong while training.

use std::path::{Path, PathBuf};

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, TrainError>;

/// A refused input, a failed file, a run that went wrong. Messages name the fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// From the model.
    #[error(transparent)]
    Model(#[from] model::ModelError),
    /// From the tensors.
    #[error(transparent)]
    Tensor(#[from] tensor::TensorError),
    /// From the tape.
    #[error(transparent)]
    Autograd(#[from] autograd::AutogradError),
    /// From the tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] tokenizer::TokenizerError),
    /// A file could not be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason; in the message already, so not a source that would be printed once more.
        reason: std::io::Error,
    },
    /// A file's contents are not what they should be.
    #[error("{path}: {why}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the fix.
        why: String,
    },
    /// Options that do not fit together.
    #[error("{0}")]
    Config(String),
    /// The loss stopped being a number.
    #[error(
        "step {step}: the loss is {loss}; the weights of the last checkpoint are intact. Lower the learning rate and resume"
    )]
    Diverged {
        /// Step.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// A batch without a single target.
    #[error(
        "step {step}: no target in the whole batch (every token is masked); check the conversations' assistant turns"
    )]
    NoTargets {
        /// Step.
        step: usize,
    },
    /// The user asked to stop.
    #[error("interrupted at step {step}; continue with --resume")]
    Interrupted {
        /// Steps finished.
        step: usize,
    },
}

impl From<model::ConfigError> for TrainError {
    fn from(e: model::ConfigError) -> Self {
        TrainError::Model(e.into())
    }
}

impl TrainError {
    /// For `map_err` on file operations.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError + '_ {
        move |reason| TrainError::Io { path: path.to_owned(), reason }
    }
    /// A file with the wrong contents.
    pub fn bad(path: &Path, why: impl Into<String>) -> TrainError {
        TrainError::BadFile { path: path.to_owned(), why: why.into() }
    }
    /// Was it that a device has too little memory?
    pub fn is_out_of_memory(&self) -> bool {
        use autograd::AutogradError::Tensor as OnTape;
        use kernels::KernelError::Device;
        use model::ModelError;
        use tensor::TensorError;
        let found = match self {
            TrainError::Tensor(e) | TrainError::Autograd(OnTape(e)) => e,
            TrainError::Model(ModelError::Tensor(e) | ModelError::Autograd(OnTape(e))) => e,
            _ => return false,
        };
        match found {
            TensorError::OutOfMemory { .. } => true,
            // an operation's own memory between two launches
            TensorError::Kernel(Device { what, .. }) => {
                what.contains("bytes of device memory were asked for")
            }
            _ => false,
        }
    }
}
