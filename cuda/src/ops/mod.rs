//! The launches of each operation: arguments, grid, kernel.

mod elementwise;
mod embedding;
mod function;
mod loss;
mod matmul;
mod random;
mod reduce;
mod rms_norm;
mod rotary;
mod rows;
mod simple;
mod softmax;
mod unsupported;

pub use matmul::Rung;
