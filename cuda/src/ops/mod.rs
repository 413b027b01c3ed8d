//! The launches of each operation: arguments, grid, kernel.

mod activation;
mod attention;
mod axis;
mod clip;
mod elementwise;
mod embedding;
mod function;
mod gates;
mod layer_norm;
mod loss;
mod matmul;
mod normuon;
mod orthogonal;
mod packed_linear;
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
