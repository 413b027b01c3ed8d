//! The operations of a transformer: normalisation, rotary positions, attention, activation, embedding.

use crate::{AttentionParams, DType, Result, Tensor, TensorError};
use kernels::{attention, embedding, paged_attention, relu_squared, rms_norm, rope, softmax};

impl Tensor {
    /// `y = x·rstd`, and `rstd = 1/sqrt(mean(x²) + eps)` of every row.
    pub fn rms_norm(&self, eps: f64) -> Result<(Tensor, Tensor)> {
        let lead = &self.dims()[..self.rank().saturating_sub(1)];
        let mut y = self.uninit_like()?;
        let mut rstd = Tensor::uninit(lead, self.accumulator(), self.device())?;
        rms_norm::rms_norm_fwd(self.device().backend(), self.view(), eps, y.view_mut()?, rstd.view_mut()?)?;
        Ok((y, rstd))
    }
    /// `exp(x − max)/Σ exp(x − max)` over the last axis.
    pub fn softmax(&self) -> Result<Tensor> {
        let mut y = self.uninit_like()?;
        softmax::softmax_fwd(self.device().backend(), self.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// `ln Σ exp(x)` over the last axis, which stays with size 1; in f32.
    pub fn logsumexp(&self) -> Result<Tensor> {
        let lead = &self.dims()[..self.rank().saturating_sub(1)];
        let mut lse = Tensor::uninit(lead, self.accumulator(), self.device())?;
        softmax::logsumexp_fwd(self.device().backend(), self.view(), lse.view_mut()?)?;
        lse.reshape(&[lead, &[1]].concat())
    }
    /// `y = relu(x)²`.
    pub fn relu_squared(&self) -> Result<Tensor> {
        let mut y = self.uninit_like()?;
        relu_squared::relu_squared_fwd(self.device().backend(), self.view(), y.view_mut()?)?;
        Ok(y)
    }
    /// Rotate the halves of each head vector of (B, T, H, D) by the tables' angle at `positions` (B, T); `inverse`
    /// rotates back.
    pub fn rope(&self, positions: &Tensor, cos: &Tensor, sin: &Tensor, inverse: bool) -> Result<Tensor> {
        self.same_device("rope", &[positions, cos, sin])?;
        let mut y = self.uninit_like()?;
        let (p, c, s) = (positions.view(), cos.view(), sin.view());
        rope::rope(self.device().backend(), self.view(), p, c, s, y.view_mut()?, inverse, false)?;
        Ok(y)
    }
    /// Causal attention of queries `self` (B, T, H, D) on `k`, `v` (B, T, Hk, D). Returns the output (B, T, H, D) and the
    /// log-sum-exp of the scores (B, H, T).
    pub fn attention(&self, k: &Tensor, v: &Tensor, p: AttentionParams) -> Result<(Tensor, Tensor)> {
        self.same_device("attention", &[k, v])?;
        let &[b, t, h, _] = self.dims() else {
            return Err(TensorError::Shape {
                op: "attention",
                lhs: self.dims().to_vec(),
                rhs: k.dims().to_vec(),
            });
        };
        let mut o = self.uninit_like()?;
        let mut lse = Tensor::uninit(&[b, h, t], self.accumulator(), self.device())?;
        let (backend, out) = (self.device().backend(), o.view_mut()?);
        attention::attention_fwd(backend, self.view(), k.view(), v.view(), p, out, lse.view_mut()?)?;
        Ok((o, lse))
    }
    /// Attention of (B, T, H, D) at absolute `positions` (B, T) over a paged cache.
    pub fn paged_attention(
        &self,
        k_pages: &Tensor,
        v_pages: &Tensor,
        page_table: &Tensor,
        positions: &Tensor,
        p: AttentionParams,
    ) -> Result<Tensor> {
        self.same_device("paged_attention", &[k_pages, v_pages, page_table, positions])?;
        let mut o = self.uninit_like()?;
        let (k, v) = (k_pages.view(), v_pages.view());
        let (table, at) = (page_table.view(), positions.view());
        paged_attention::paged_attention(
            self.device().backend(),
            self.view(),
            k,
            v,
            table,
            at,
            p,
            o.view_mut()?,
        )?;
        Ok(o)
    }
    /// Write rows of (B, T, Hk, D) into these pages at absolute `positions` (B, T): the one in-place write on shared
    /// memory, for the KV cache.
    pub fn kv_append(&mut self, x: &Tensor, positions: &Tensor, page_table: &Tensor) -> Result<()> {
        self.same_device("kv_append", &[x, positions, page_table])?;
        let backend = self.device().backend();
        let (at, table) = (positions.view(), page_table.view());
        Ok(paged_attention::kv_append(backend, x.view(), at, table, self.view_mut()?)?)
    }
    /// Rows `ids` (any shape) of a table (V, C), as `out`: (ids…, C).
    pub fn embedding(&self, ids: &Tensor, out: DType) -> Result<Tensor> {
        self.same_device("embedding", &[ids])?;
        let &[_, c] = self.dims() else {
            return Err(TensorError::Shape {
                op: "embedding",
                lhs: self.dims().to_vec(),
                rhs: ids.dims().to_vec(),
            });
        };
        let flat = ids.contiguous()?.reshape(&[ids.numel()])?;
        let mut y = Tensor::uninit(&[ids.numel(), c], out, self.device())?;
        embedding::embedding_fwd(self.device().backend(), self.view(), flat.view(), y.view_mut()?)?;
        y.reshape(&[ids.dims(), &[c]].concat())
    }
}
