//! Three linear layers of one input as one product: `yᵢ = x·Wᵢᵀ`, the weights one below the other. For devices where a launch costs
//! more than copying the weights together. Weights that were rounded together ([`crate::Parameter::vars_for`]) lie like that already.
//!
//! Each yᵢ is a view of the product, (…, outᵢ). Gradient: `dx = Σᵢ dyᵢ·Wᵢ`, since x enters all of them, and `dWᵢ = dyᵢᵀ·x`, each as of
//! [`super::linear`].

use super::linear::{flat, gradients};
use crate::{GradSlot, Op, Result, Var, apply};
use tensor::{Tensor, TensorError};

/// The operation.
pub struct Linears;

impl Op<4, 3> for Linears {
    const NAME: &'static str = "linears";
    /// `x` as (rows, in), and the weights in its dtype, one below the other; where each of them begins and how many rows it has.
    type Saved = (Tensor, Tensor, [(usize, usize); 3]);

    fn forward(&self, [x, ws @ ..]: [&Tensor; 4], _: [bool; 4]) -> Result<([Tensor; 3], Self::Saved)> {
        let (axis, c) = (x.rank().saturating_sub(1), x.dim(x.rank().saturating_sub(1)));
        if let Some(w) = ws.iter().find(|w| w.rank() != 2 || w.dim(1) != c || x.rank() == 0) {
            let (lhs, rhs) = (x.dims().to_vec(), w.dims().to_vec());
            return Err(TensorError::Shape { op: Self::NAME, lhs, rhs }.into());
        }
        let [q, k, v] = ws.map(|w| w.dim(0));
        let parts = [(0, q), (q, k), (q + k, v)];
        let together = Tensor::adjacent(&ws).filter(|all| all.dtype() == x.dtype());
        let all = together.map_or_else(|| Tensor::joined(&ws, 0, x.dtype()), Ok)?;
        let rows = flat(x)?;
        let y = rows.matmul(&all.transpose(0, 1)?)?.reshape(&[&x.dims()[..axis], &[all.dim(0)]].concat())?;
        let part = |i: usize| y.narrow(axis, parts[i].0, parts[i].1);
        Ok(([part(0)?, part(1)?, part(2)?], (rows, all, parts)))
    }
    fn vjp(
        &self,
        (x, all, parts): Self::Saved,
        dys: [Option<&Tensor>; 3],
        [dx, dws @ ..]: [Option<&GradSlot>; 4],
    ) -> Result<()> {
        for ((dy, dw), (first, rows)) in dys.into_iter().zip(dws).zip(parts) {
            if let Some(dy) = dy {
                gradients(dy, Some(&x), Some(&all.narrow(0, first, rows)?), dx, dw)?;
            }
        }
        Ok(())
    }
}

impl Var {
    /// `x·Wᵀ` for three weights (outᵢ, in): (…, in) → (…, outᵢ), views of one product.
    pub fn linears(&self, [a, b, c]: [&Var; 3]) -> Result<[Var; 3]> {
        apply(Linears, [self, a, b, c])
    }
}
