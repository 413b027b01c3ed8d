//! What can go wrong with tensors. Every message says what was found and what to do.

use crate::{DType, Device};
use kernels::KernelError;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, TensorError>;

/// A refused tensor operation. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// A kernel refused its arguments.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Shapes do not fit.
    #[error("{op}: shapes {lhs:?} and {rhs:?} do not fit")]
    Shape {
        /// Operation.
        op: &'static str,
        /// First shape.
        lhs: Vec<usize>,
        /// Second shape.
        rhs: Vec<usize>,
    },
    /// An axis or range outside the tensor.
    #[error("{op}: axis {axis}, range {start}..{end} is outside a tensor of shape {dims:?}")]
    OutOfRange {
        /// Operation.
        op: &'static str,
        /// Axis.
        axis: usize,
        /// First index.
        start: usize,
        /// One past the last.
        end: usize,
        /// The tensor's shape.
        dims: Vec<usize>,
    },
    /// A view cannot express this without copying.
    #[error(
        "{op}: a tensor of shape {dims:?} and strides {strides:?} cannot be viewed that way; call contiguous() first"
    )]
    NonContiguous {
        /// Operation.
        op: &'static str,
        /// Shape.
        dims: Vec<usize>,
        /// Strides.
        strides: Vec<usize>,
    },
    /// Operands on different devices.
    #[error("{op}: operands are on {lhs} and {rhs}; move one with to_device()")]
    DeviceMismatch {
        /// Operation.
        op: &'static str,
        /// First device.
        lhs: Device,
        /// Second device.
        rhs: Device,
    },
    /// A dtype that does not fit.
    #[error("{op}: dtype {got}, expected {want}; use cast()")]
    DTypeMismatch {
        /// Operation.
        op: &'static str,
        /// What it is.
        got: DType,
        /// What it should be.
        want: DType,
    },
    /// In-place change of memory that someone else can see.
    #[error(
        "in-place update refused: {others} other handles share this storage (a live tape, a view or a clone)"
    )]
    SharedStorage {
        /// Other owners.
        others: usize,
    },
    /// The system gave no memory.
    #[error(
        "out of memory: {bytes} bytes wanted on {device}, {live} in use; use a smaller batch, depth or vocabulary"
    )]
    OutOfMemory {
        /// Device.
        device: Device,
        /// Bytes asked for.
        bytes: usize,
        /// Bytes in use.
        live: usize,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A weights file is damaged or not one.
    #[error("{path}: not a valid safetensors file: {why}")]
    BadFile {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        why: String,
    },
}
