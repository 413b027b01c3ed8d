//! `cudarc`, as it is published, on this library: from a device to a result, matrix products, and what comes of mistakes. Each
//! test runs again as a child process that finds the library under the driver's names (`child.rs`).
#![cfg(target_os = "linux")] // elsewhere libraries are looked for in other ways
#![allow(clippy::unwrap_used, clippy::print_stdout)] // tests may stop, and say what they leave out

mod child;
mod driver;
mod faults;
mod products;
