//! Updates in place: refused while anyone else holds the storage.

use crate::{Result, Tensor};
use kernels::{accumulate, copy};

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
