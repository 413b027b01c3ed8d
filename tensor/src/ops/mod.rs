//! Operations: one thin method per kernel. Each allocates its result, lends views to the kernel, returns.

mod elementwise;
mod indexing;
mod inplace;
pub(crate) mod loss;
mod matmul;
mod nn;
mod reduce;
