//! The driver for real GPUs, on a CUDA driver and a cuBLAS in software: `emulator-libcuda`, found as NVIDIA's libraries are. Every test
//! runs in a process of its own, since a fault loses the context for the whole process, as it does on a GPU.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop, and says what it leaves out

mod child;
mod errors;
mod libraries;
mod results;
