//! Matrix products of the last two axes; leading axes are batch axes and broadcast.

use crate::{DType, Result, Tensor, TensorError};
use kernels::matmul;

impl Tensor {
    /// `c = a·b`; (…, M, K) × (…, K, N) → (…, M, N), summed in f32, rounded once to the operands' dtype.
    pub fn matmul(&self, rhs: &Tensor) -> Result<Tensor> {
        self.matmul_into_dtype(rhs, self.dtype())
    }
    /// As [`Tensor::matmul`], with the result kept in `out` (e.g. bf16 × bf16 into f32).
    pub fn matmul_into_dtype(&self, rhs: &Tensor, out: DType) -> Result<Tensor> {
        let (a, b, dims) = self.batch_with(rhs)?;
        let mut c = Tensor::uninit(&dims, out, self.device())?;
        matmul::matmul(self.device().backend(), a.view(), b.view(), c.view_mut()?, 1.0, 0.0)?;
        Ok(c)
    }
    /// `self = alpha · a·b + beta · self`; with `beta` 0 what was there is ignored.
    pub fn matmul_assign(&mut self, a: &Tensor, b: &Tensor, alpha: f32, beta: f32) -> Result<()> {
        self.same_device("matmul", &[a, b])?;
        let (a, b, _) = a.batch_with(b)?;
        let backend = self.device().backend();
        Ok(matmul::matmul(backend, a.view(), b.view(), self.view_mut()?, alpha, beta)?)
    }
    /// Both operands with equal, broadcast batch axes, and the shape of the product.
    fn batch_with(&self, rhs: &Tensor) -> Result<(Tensor, Tensor, Vec<usize>)> {
        self.same_device("matmul", &[rhs])?;
        let misfit =
            || TensorError::Shape { op: "matmul", lhs: self.dims().to_vec(), rhs: rhs.dims().to_vec() };
        let ([.., m, k], [.., k2, n]) = (self.dims(), rhs.dims()) else { return Err(misfit()) };
        if k != k2 {
            return Err(misfit());
        }
        let (lead_a, lead_b) = (&self.dims()[..self.rank() - 2], &rhs.dims()[..rhs.rank() - 2]);
        let rank = lead_a.len().max(lead_b.len());
        let at = |d: &[usize], i: usize| if i + d.len() < rank { 1 } else { d[i + d.len() - rank] };
        let mut lead = Vec::with_capacity(rank);
        for i in 0..rank {
            let (x, y) = (at(lead_a, i), at(lead_b, i));
            if x != y && x != 1 && y != 1 {
                return Err(misfit());
            }
            lead.push(if x == 1 { y } else { x });
        }
        let with = |tail: [usize; 2]| [&lead[..], &tail[..]].concat();
        Ok((self.expand(&with([*m, *k]))?, rhs.expand(&with([*k, *n]))?, with([*m, *n])))
    }
}
