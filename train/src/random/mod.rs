//! The random numbers of the original's runtime: without them its data order cannot be had.
//!
//! The original shuffles with Python's `random` ([`Python`], MT19937) and with numpy's default generator ([`numpy`], PCG64).
//! Everything that is ours alone uses Philox from the kernels. Facts to check against: `Python::new(42).random()` is
//! 0.6394267984578837, and `numpy::permutation(42, 10)` is 5 6 0 7 3 2 4 9 1 8.

pub mod numpy;
pub mod python;
pub mod python_hash;

pub use python::Python;
