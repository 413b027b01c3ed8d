//! Updates in place: refused while anyone else holds the storage.

use crate::{DType, Device, Element, Result, Tensor, TensorError};
use kernels::{accumulate, clip, copy};
use std::sync::Arc;

impl Tensor {
    /// `self += alpha · x`; `x` broadcasts to this shape.
    pub fn accumulate(&mut self, alpha: f64, x: &Tensor) -> Result<()> {
        self.same_device("accumulate", &[x])?;
        let (backend, x) = (self.device().backend(), x.expand(self.dims())?);
        Ok(accumulate::accumulate(backend, alpha, x.view(), self.view_mut()?)?)
    }
    /// `self += alpha · x` with `alpha` a one-element tensor.
    pub fn accumulate_scaled(&mut self, alpha: &Tensor, x: &Tensor) -> Result<()> {
        self.same_device("accumulate_scaled", &[alpha, x])?;
        let (backend, x) = (self.device().backend(), x.expand(self.dims())?);
        Ok(accumulate::accumulate_scaled(backend, alpha.view(), x.view(), self.view_mut()?)?)
    }
    /// `self *= factor`, a one-element tensor; nothing is moved if it is 1.
    pub fn scale_by(&mut self, factor: &Tensor) -> Result<()> {
        self.same_device("scale_by", &[factor])?;
        let backend = self.device().backend();
        Ok(clip::scale_by(backend, factor.view(), self.view_mut()?)?)
    }
    /// Overwrite all elements with the host's `data` (row-major, this tensor's dtype). The memory stays the same, and nothing waits:
    /// a device that runs behind the program gets the data in its turn.
    pub fn write_slice<T: Element>(&mut self, data: &[T]) -> Result<()> {
        const OP: &str = "write_slice";
        if self.dtype() != T::DTYPE {
            return Err(TensorError::DTypeMismatch { op: OP, got: self.dtype(), want: T::DTYPE });
        }
        if self.numel() != data.len() || !self.layout().is_contiguous() {
            return Err(TensorError::Shape { op: OP, lhs: vec![data.len()], rhs: self.dims().to_vec() });
        }
        let host = Tensor::from_slice(data, self.dims(), Device::Cpu)?;
        let (offset, others) = (self.layout().offset(), Arc::strong_count(&self.storage) - 1);
        let (0, Some(storage)) = (offset, Arc::get_mut(&mut self.storage)) else {
            return Err(TensorError::SharedStorage { others });
        };
        Ok(storage.overwrite(host.storage.host_bytes())?)
    }
    /// `parts` one after the other along `axis`, each rounded once into `dtype`; their other dimensions agree, or it is refused.
    pub fn joined(parts: &[&Tensor], axis: usize, dtype: DType) -> Result<Tensor> {
        let misfit = || TensorError::Shape {
            op: "joined",
            lhs: parts.first().map_or(Vec::new(), |t| t.dims().to_vec()),
            rhs: vec![axis],
        };
        let first = parts.first().ok_or_else(misfit)?;
        let mut dims = first.dims().to_vec();
        let total = parts.iter().try_fold(0usize, |sum, t| sum.checked_add(t.dim(axis)));
        *dims.get_mut(axis).ok_or_else(misfit)? = total.ok_or_else(misfit)?;
        let mut all = Tensor::uninit(&dims, dtype, first.device())?;
        let mut start = 0;
        for part in parts {
            all.write_narrow(axis, start, part)?;
            start += part.dim(axis);
        }
        Ok(all)
    }
    /// Overwrite elements `start ..` along `axis` with `src`.
    pub fn write_narrow(&mut self, axis: usize, start: usize, src: &Tensor) -> Result<()> {
        self.same_device("write_narrow", &[src])?;
        let layout = *self.narrow(axis, start, src.dim(axis))?.layout();
        let backend = self.device().backend();
        Ok(copy::copy(backend, src.view(), self.view_mut()?.with_layout(layout)?)?)
    }
    /// Elements `start ..` along `axis` `+= alpha · x`.
    pub fn accumulate_narrow(&mut self, axis: usize, start: usize, alpha: f64, x: &Tensor) -> Result<()> {
        self.same_device("accumulate_narrow", &[x])?;
        let layout = *self.narrow(axis, start, x.dim(axis))?.layout();
        let backend = self.device().backend();
        Ok(accumulate::accumulate(backend, alpha, x.view(), self.view_mut()?.with_layout(layout)?)?)
    }
}
