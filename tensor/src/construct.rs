//! Making tensors from host data, and reading them back.

use crate::{DType, Device, Element, Layout, Result, Tensor, TensorError};
use kernels::copy;
use std::sync::Arc;

/// Are there as many values as `dims` have elements? Asked before memory is.
fn holds(op: &'static str, values: usize, dims: &[usize]) -> Result<()> {
    match Layout::contiguous(dims)?.numel() == values {
        true => Ok(()),
        false => Err(TensorError::Shape { op, lhs: vec![values], rhs: dims.to_vec() }),
    }
}

impl Tensor {
    /// All elements `value`.
    pub fn full(value: f64, dims: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
        let mut t = Tensor::uninit(dims, dtype, device)?;
        copy::fill(device.backend(), value, t.view_mut()?)?;
        Ok(t)
    }
    /// All elements zero.
    pub fn zeros(dims: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
        Tensor::full(0.0, dims, dtype, device)
    }
    /// A tensor of rank 0.
    pub fn scalar(value: f64, dtype: DType, device: Device) -> Result<Tensor> {
        Tensor::full(value, &[], dtype, device)
    }
    /// A copy of `data` (row-major), in `data`'s own dtype.
    pub fn from_slice<T: Element>(data: &[T], dims: &[usize], device: Device) -> Result<Tensor> {
        holds("from_slice", data.len(), dims)?;
        if device.memory().is_some() {
            return Tensor::from_slice(data, dims, Device::Cpu)?.to_device(device);
        }
        let mut t = Tensor::uninit(dims, T::DTYPE, device)?;
        if let Some(slice) = t.view_mut()?.as_mut_slice::<T>() {
            slice.copy_from_slice(data);
        }
        Ok(t)
    }
    /// `data` rounded once into `dtype`.
    pub fn from_f64(data: &[f64], dims: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
        holds("from_f64", data.len(), dims)?;
        if device.memory().is_some() {
            return Tensor::from_f64(data, dims, dtype, Device::Cpu)?.to_device(device);
        }
        let mut t = Tensor::uninit(dims, dtype, device)?;
        t.view_mut()?.store_f64(data);
        Ok(t)
    }
    /// Token ids, positions: i32 from any unsigned host type that fits.
    pub fn ids(ids: &[i32], dims: &[usize], device: Device) -> Result<Tensor> {
        Tensor::from_slice(ids, dims, device)
    }
    /// Every element in logical order; the dtype must be `T`.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if self.dtype() != T::DTYPE {
            return Err(TensorError::DTypeMismatch { op: "to_vec", got: self.dtype(), want: T::DTYPE });
        }
        let dense = self.contiguous()?.on_host()?;
        Ok(dense.view().as_slice::<T>().unwrap_or_default().to_vec())
    }
    /// Every element in logical order, widened.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        self.on_host().ok().and_then(|t| t.view().to_f64()).unwrap_or_default()
    }
    /// The value of a one-element tensor.
    pub fn item(&self) -> Result<f64> {
        let value = if self.numel() == 1 { self.to_f64_vec().first().copied() } else { None };
        value.ok_or_else(|| TensorError::Shape { op: "item", lhs: self.dims().to_vec(), rhs: vec![] })
    }
    /// The same values without gaps, in row-major order. No copy if they are that already.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.layout.is_contiguous() { Ok(self.clone()) } else { self.copied() }
    }
    /// A contiguous copy with storage of its own.
    pub fn copied(&self) -> Result<Tensor> {
        let mut t = self.uninit_like()?;
        copy::copy(self.device().backend(), self.view(), t.view_mut()?)?;
        Ok(t)
    }
    /// Rounded once into `dtype`. No copy if it has that dtype.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        let mut t = Tensor::uninit(self.dims(), dtype, self.device())?;
        copy::copy(self.device().backend(), self.view(), t.view_mut()?)?;
        Ok(t)
    }
    /// On another device; no copy if it is there already.
    pub fn to_device(&self, device: Device) -> Result<Tensor> {
        if device == self.device() {
            return Ok(self.clone());
        }
        let whole = if self.storage.bytes() > 2 * self.bytes() { self.copied()? } else { self.clone() };
        Ok(Tensor { storage: Arc::new(whole.storage.copied_to(device)?), ..whole })
    }
    /// Itself where the host can read it, else a copy: this waits for the device.
    fn on_host(&self) -> Result<Tensor> {
        if self.device().memory().is_none() { Ok(self.clone()) } else { self.to_device(Device::Cpu) }
    }
    /// Overwrite with the values of `src` (same shape, any float dtype); the only handle is needed.
    pub fn copy_from(&mut self, src: &Tensor) -> Result<()> {
        self.same_device("copy_from", &[src])?;
        let backend = self.device().backend();
        Ok(copy::copy(backend, src.view(), self.view_mut()?)?)
    }
    /// Overwrite every element; the only handle is needed.
    pub fn fill(&mut self, value: f64) -> Result<()> {
        let backend = self.device().backend();
        Ok(copy::fill(backend, value, self.view_mut()?)?)
    }
}
