//! The operations: a launch for those that have a CUDA kernel, a refusal by name for the others.

mod elementwise;
mod rms_norm;
mod simple;
mod unsupported;
