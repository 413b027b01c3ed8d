//! What can go wrong when a kernel is called: one enum, every variant names the op and the facts.

use crate::element::DType;

/// The result type of every kernel.
pub type Result<T> = std::result::Result<T, KernelError>;

/// A refused kernel call. Nothing has been written when one of these is returned from an argument check.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// Two arguments do not fit together.
    #[error("{op}: {arg} has shape {got:?}, expected {want}")]
    Shape {
        /// Kernel name.
        op: &'static str,
        /// Argument name.
        arg: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// What was expected, in words or as a shape.
        want: String,
    },
    /// An argument has a dtype the kernel does not take.
    #[error("{op}: {arg} has dtype {got}, expected {want}; cast it first")]
    DType {
        /// Kernel name.
        op: &'static str,
        /// Argument name.
        arg: &'static str,
        /// Its dtype.
        got: DType,
        /// What was expected.
        want: String,
    },
    /// A row kernel needs the last dimension to be dense.
    #[error("{op}: {arg} with strides {strides:?} has no unit last stride; call contiguous() first")]
    NonContiguous {
        /// Kernel name.
        op: &'static str,
        /// Argument name.
        arg: &'static str,
        /// Its strides, in elements.
        strides: Vec<usize>,
    },
    /// An output shares memory with another argument, or with itself (a zero stride).
    #[error("{op}: output {arg} overlaps another argument or itself; give it its own memory")]
    Overlap {
        /// Kernel name.
        op: &'static str,
        /// The output's name.
        arg: &'static str,
    },
    /// An argument lives in memory this backend cannot reach.
    #[error("{op}: {arg} is not in this backend's memory; move the tensor to the right device")]
    WrongSpace {
        /// Kernel name.
        op: &'static str,
        /// Argument name.
        arg: &'static str,
    },
    /// An id, position or page number points outside its table.
    #[error("{op}: {arg}[{index}] = {value} is outside 0..{limit}")]
    IndexOutOfRange {
        /// Kernel name.
        op: &'static str,
        /// Argument name.
        arg: &'static str,
        /// Where in the argument.
        index: usize,
        /// The offending value.
        value: i64,
        /// One past the largest valid value.
        limit: usize,
    },
    /// A scalar parameter makes no sense.
    #[error("{op}: {what}")]
    Parameter {
        /// Kernel name.
        op: &'static str,
        /// What is wrong and what would be right.
        what: String,
    },
    /// This device has no kernel for the operation.
    #[error("{op} is not supported on device {device}; use the cpu device for it")]
    Unsupported {
        /// Kernel name.
        op: &'static str,
        /// The device's name.
        device: &'static str,
    },
    /// The device failed while it ran the operation.
    #[error("{op}: {what}")]
    Device {
        /// Kernel name.
        op: &'static str,
        /// The device's words.
        what: String,
    },
    /// A view would reach past the end of its buffer.
    #[error(
        "a view of shape {dims:?} and strides {strides:?} at offset {offset} needs {needs} elements, the buffer has {has}"
    )]
    ViewOutOfBounds {
        /// Shape.
        dims: Vec<usize>,
        /// Strides in elements.
        strides: Vec<usize>,
        /// Offset in elements.
        offset: usize,
        /// Elements needed.
        needs: usize,
        /// Elements there.
        has: usize,
    },
    /// A shape whose elements no memory could hold.
    #[error(
        "a tensor of shape {dims:?} and strides {strides:?} is larger than memory can be; use smaller dimensions"
    )]
    TooLarge {
        /// Shape.
        dims: Vec<usize>,
        /// Strides in elements.
        strides: Vec<usize>,
    },
    /// More dimensions than a view can hold.
    #[error("{rank} dimensions; a view holds at most {max}")]
    Rank {
        /// Dimensions asked for.
        rank: usize,
        /// The limit.
        max: usize,
    },
}
