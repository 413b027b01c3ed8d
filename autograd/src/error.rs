//! What can go wrong while recording or sweeping a tape.

use tensor::TensorError;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, AutogradError>;

/// Misuse of the tape, or a refused tensor operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutogradError {
    /// From the tensor underneath.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Inputs recorded on different tapes.
    #[error("{op}: inputs live on two different tapes; one forward pass needs one tape")]
    ForeignTape {
        /// Operation.
        op: &'static str,
    },
    /// The tape was swept already.
    #[error("{op}: this tape was consumed by backward(); start a new Tape for the next step")]
    TapeConsumed {
        /// Operation.
        op: &'static str,
    },
    /// A gradient was asked of, or through, something that is not on the tape.
    #[error("{op}: this value is not tracked; make it with Tape::watch or from tracked inputs")]
    NotTracked {
        /// Operation.
        op: &'static str,
    },
    /// The operation has no derivative.
    #[error("{op} has no gradient; detach() its input if none is wanted")]
    NoGradient {
        /// Operation.
        op: &'static str,
    },
    /// A gradient of the wrong shape reached a slot.
    #[error("gradient of shape {got:?} offered to a value of shape {want:?}")]
    GradientShape {
        /// What came.
        got: Vec<usize>,
        /// What the value has.
        want: Vec<usize>,
    },
}

impl AutogradError {
    /// From a kernel called directly.
    pub(crate) fn kernel(e: kernels::KernelError) -> Self {
        AutogradError::Tensor(e.into())
    }
}
