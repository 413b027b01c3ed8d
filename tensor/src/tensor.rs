//! The tensor itself: storage, layout, dtype, and how kernels get at it.

use crate::{DType, Device, Layout, Result, Storage, TensorError, View, ViewMut};
use std::fmt;
use std::sync::Arc;

/// An n-dimensional array. Cloning shares the storage.
#[derive(Clone)]
pub struct Tensor {
    pub(crate) storage: Arc<Storage>,
    pub(crate) layout: Layout,
    pub(crate) dtype: DType,
}

impl Tensor {
    /// A tensor whose contents are unspecified: for operations that write every element.
    pub fn uninit(dims: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
        if !device.stores(dtype) {
            return Err(TensorError::DTypeMismatch { op: "new tensor", got: dtype, want: DType::F32 });
        }
        let layout = Layout::contiguous(dims)?;
        let storage = Arc::new(Storage::new(layout.numel() * dtype.size(), device)?);
        Ok(Tensor { storage, layout, dtype })
    }
    /// Same shape, dtype and device, contiguous, contents unspecified.
    pub fn uninit_like(&self) -> Result<Tensor> {
        Tensor::uninit(self.dims(), self.dtype, self.device())
    }
    /// Size of each dimension.
    pub fn dims(&self) -> &[usize] {
        self.layout.dims()
    }
    /// Size of dimension `axis`, 1 beyond the last (so that rank-deficient shapes read naturally).
    pub fn dim(&self, axis: usize) -> usize {
        self.dims().get(axis).copied().unwrap_or(1)
    }
    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.layout.rank()
    }
    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.layout.numel()
    }
    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
    /// Where it lives.
    pub fn device(&self) -> Device {
        self.storage.device()
    }
    /// Shape, strides, offset.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
    /// The type sums over this tensor are kept in: f32, or f64 for f64.
    pub fn accumulator(&self) -> DType {
        kernels::check::accumulator(self.dtype)
    }
    /// For kernels that read.
    pub fn view(&self) -> View<'_> {
        let view = self.storage.view(self.dtype, self.layout);
        view.unwrap_or_else(|e| unreachable!("a tensor's layout lies inside its storage: {e}"))
    }
    /// For kernels that write: refused while anyone else holds the storage.
    pub fn view_mut(&mut self) -> Result<ViewMut<'_>> {
        let others = Arc::strong_count(&self.storage) - 1;
        match Arc::get_mut(&mut self.storage) {
            Some(storage) => Ok(storage.view_mut(self.dtype, self.layout)?),
            None => Err(TensorError::SharedStorage { others }),
        }
    }
    /// Do two tensors share memory?
    pub fn same_storage(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage)
    }
    /// Operands of one operation must share a device.
    pub(crate) fn same_device(&self, op: &'static str, others: &[&Tensor]) -> Result<()> {
        let lhs = self.device();
        match others.iter().find(|t| t.device() != lhs) {
            Some(t) => Err(TensorError::DeviceMismatch { op, lhs, rhs: t.device() }),
            None => Ok(()),
        }
    }
    /// Bytes of the logical elements.
    pub fn bytes(&self) -> usize {
        self.numel() * self.dtype.size()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor {:?} {} on {}", self.dims(), self.dtype, self.device())?;
        if self.numel() <= 16 && self.numel() > 0 {
            write!(f, " {:?}", self.view().to_f64().unwrap_or_default())?;
        }
        Ok(())
    }
}
