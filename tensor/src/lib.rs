//! Tensors: shared storage, a layout over it, a run-time dtype and device. No gradients here.
//!
//! A [`Tensor`] is cheap to clone (one reference count) and its views (transpose, narrow, expand, reshape) copy nothing.
//! Operations allocate their result and call one kernel each. Reading order: [`Storage`] (memory and its reuse),
//! [`Tensor`] (layout), `ops/` (one thin method per kernel), [`safetensors`] (files).

mod construct;
mod device;
mod error;
pub mod memory;
mod ops;
pub mod safetensors;
mod storage;
mod tensor;
mod views;

pub use device::{Device, dry_launches, open_gpu};
pub use error::{Result, TensorError};
pub use kernels::adamw::AdamWParams;
pub use kernels::attention::AttentionParams;
pub use kernels::{Bf16, DType, Element, Float, Layout, View, ViewMut};
pub use ops::loss::RowLoss;
pub use storage::{Storage, set_cache_limit, trim};
pub use tensor::Tensor;
