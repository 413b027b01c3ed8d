//! The launches of each operation: arguments, grid, kernel.

mod attention;
mod elementwise;
mod embedding;
mod function;
mod loss;
mod matmul;
mod orthogonal;
mod paged_attention;
mod random;
mod reduce;
mod rms_norm;
mod rotary;
mod rows;
mod sample;
mod simple;
mod softmax;
mod unsupported;

pub use matmul::Rung;
pub use unsupported::MISSING;
