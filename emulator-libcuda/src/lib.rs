//! A CUDA driver and a cuBLAS that are the emulator: a shared library with the names of `libcuda.so` and `libcublas.so` that
//! the crate `cudarc` calls on the way from a device to a result. Programs that use CUDA run with it unchanged, without a
//! GPU; only tests may load it.
//!
//! ```text
//! program ── cudarc ── dlopen("libcuda.so") ──▶ this library ──▶ emulator
//!                  └── dlopen("libnvrtc.so") ─▶ NVIDIA's own compiler, which needs no GPU
//! ```
//!
//! A test names this file as the driver and as cuBLAS, where the program can be told (`NANOCHAT_LIBCUDA`). For `cudarc` it makes a
//! folder in which `libcuda.so` and `libcublas.so` are links to this file, and runs a child process with
//! `LD_LIBRARY_PATH` naming it; `tests/cudarc/child.rs` does. Both names lead to the same file, so both see the same memory.
//!
//! What it is stricter about than NVIDIA's: every launch has all of the emulator's checks, a call without a current context is
//! refused, and a copy may not cross the end of an allocation. What is the same: after a fault of a kernel the context is
//! lost, and every later call returns the same error. A launch runs at once, so its error comes from the launch itself. The
//! text of the last error (kernel, line, block, lane) is what `cuGetErrorString` gives, and is written to standard error.
//! What it does not have returns CUDA_ERROR_NOT_SUPPORTED and says so (`unsupported.rs`).
//!
//! `EMULATOR_LIBCUDA_DEVICE` makes it another device, such as one that is too old (`pretend.rs`).
//! With `EMULATOR_LIBCUDA_CHECKS=none` only bounds, alignment and limits are checked, which is faster.
//!
//! Read next: `failure.rs` (errors), `state.rs` (what there is of everything), then a file for each group of functions.
#![allow(non_snake_case)] // the names are NVIDIA's

mod blas;
mod context;
mod device;
mod failure;
mod handles;
mod host;
mod launch;
mod memory;
mod module;
mod pretend;
mod product;
mod state;
mod stream;
mod unsupported;

/// The shared library that belongs to this one, for tests of other crates: cargo builds it before them, into their folder.
pub fn library() -> Option<std::path::PathBuf> {
    let own = std::env::current_exe().ok()?;
    let found = own.ancestors().skip(1).take(2).flat_map(|folder| {
        [folder.join("libemulator_libcuda.so"), folder.join("deps/libemulator_libcuda.so")]
    });
    found.into_iter().find(|path| path.is_file())
}
