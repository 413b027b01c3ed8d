//! Operations: one thin method per kernel. Each allocates its result, lends views to the kernel, returns.

mod current;
mod elementwise;
mod indexing;
mod inplace;
mod layers;
pub(crate) mod loss;
mod matmul;
mod nn;
mod reduce;
