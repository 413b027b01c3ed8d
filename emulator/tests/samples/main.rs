//! Larger kernels than the committed ones, from a folder that `NANOCHAT_PTX_SAMPLES` names (`elem.cu`, `flash.cu` …), compiled
//! here by NVRTC for two architectures and compared with straightforward loops, over odd sizes, with all checks on.
//! Where the folder or NVRTC is missing, a notice says so.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop, and says what it leaves out

mod attention;
mod elementwise;
mod harness;
mod loss;
mod rows;
mod updates;
