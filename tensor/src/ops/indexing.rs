//! Picking elements by index, ordering them, and sums along the way: what treats an axis as a sequence of places.

use crate::{DType, Result, Tensor, TensorError};
use kernels::{cumsum, gather, sort, top_k};

impl Tensor {
    /// `y[…, j, …] = x[…, index[…, j, …], …]` along `axis`; `index` (i32) has this tensor's other dimensions.
    pub fn gather(&self, axis: usize, index: &Tensor) -> Result<Tensor> {
        self.same_device("gather", &[index])?;
        let mut y = Tensor::uninit(index.dims(), self.dtype(), self.device())?;
        gather::gather_fwd(self.device().backend(), axis, self.view(), index.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// Slices `ids` (M) along `axis`, which gets length M.
    pub fn index_select(&self, axis: usize, ids: &Tensor) -> Result<Tensor> {
        self.gather(axis, &self.slice_index(axis, ids)?)
    }
    /// The index with which [`Tensor::gather`] picks whole slices `ids` (M): repeated by strides, not in memory.
    pub fn slice_index(&self, axis: usize, ids: &Tensor) -> Result<Tensor> {
        let (mut one, mut dims) = (vec![1; self.rank()], self.dims().to_vec());
        let (Some(place), Some(length), &[m]) = (one.get_mut(axis), dims.get_mut(axis), ids.dims()) else {
            let (lhs, rhs) = (self.dims().to_vec(), ids.dims().to_vec());
            return Err(TensorError::Shape { op: "index_select", lhs, rhs });
        };
        (*place, *length) = (m, m);
        ids.reshape(&one)?.expand(&dims)
    }
    /// Every row along the last axis in ascending or descending order, and where its elements were (i32). Stable; NaN last.
    pub fn sort(&self, descending: bool) -> Result<(Tensor, Tensor)> {
        let (mut values, mut indices) = self.places(self.dims())?;
        let (v, i) = (values.view_mut()?, indices.view_mut()?);
        sort::sort(self.device().backend(), descending, self.view(), v, i)?;
        Ok((values, indices))
    }
    /// The `k` largest elements of every row along the last axis, largest first, and where they were (i32). NaN first.
    pub fn top_k(&self, k: usize) -> Result<(Tensor, Tensor)> {
        if self.rank() == 0 {
            return Err(TensorError::Shape { op: "top_k", lhs: vec![], rhs: vec![k] });
        }
        let (rows, c) = self.layout().rows();
        let x = self.reshape(&[rows, c])?;
        let (mut values, mut indices) = self.places(&[rows, k])?;
        top_k::top_k(self.device().backend(), x.view(), values.view_mut()?, indices.view_mut()?)?;
        let dims = [&self.dims()[..self.rank().saturating_sub(1)], &[k]].concat();
        Ok((values.reshape(&dims)?, indices.reshape(&dims)?))
    }
    /// Room for values like this tensor's and for their places.
    fn places(&self, dims: &[usize]) -> Result<(Tensor, Tensor)> {
        let new = |dtype| Tensor::uninit(dims, dtype, self.device());
        Ok((new(self.dtype())?, new(DType::I32)?))
    }
    /// `y[i] = Σ_{j ≤ i} x[j]` along `axis`, or `Σ_{j ≥ i}` if `reverse`; summed in f64, rounded once.
    pub fn cumsum(&self, axis: usize, reverse: bool) -> Result<Tensor> {
        let mut y = self.uninit_like()?;
        cumsum::cumsum(self.device().backend(), axis, reverse, self.view(), y.view_mut()?)?;
        Ok(y)
    }
}
