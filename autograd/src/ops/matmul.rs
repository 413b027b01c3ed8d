//! Batched matrix product `c = a·b`: (…, M, K) × (…, K, N); leading axes broadcast.
//!
//! Gradients: `da = dc·bᵀ`, `db = aᵀ·dc`, summed over the axes an operand was repeated along.

use crate::{GradSlot, Op, Result, Var, apply};
use tensor::Tensor;

/// The operation.
pub struct Matmul;

fn t(x: &Tensor) -> Result<Tensor> {
    Ok(x.transpose(x.rank() - 2, x.rank() - 1)?)
}

fn add_product(slot: &GradSlot, a: &Tensor, b: &Tensor) -> Result<()> {
    let lead = |x: &Tensor| x.dims()[..x.rank() - 2].to_vec();
    let slot_lead = &slot.dims()[..slot.dims().len() - 2];
    if lead(a) == slot_lead && lead(b) == slot_lead {
        return slot.add_matmul(a, b);
    }
    slot.add(a.matmul(b)?.sum_to(slot.dims())?)
}

impl Op<2, 1> for Matmul {
    const NAME: &'static str = "matmul";
    /// `a` if b needs a gradient, `b` if a does.
    type Saved = (Option<Tensor>, Option<Tensor>);

    fn forward(&self, [a, b]: [&Tensor; 2], needs: [bool; 2]) -> Result<([Tensor; 1], Self::Saved)> {
        Ok(([a.matmul(b)?], (needs[1].then(|| a.clone()), needs[0].then(|| b.clone()))))
    }
    fn vjp(
        &self,
        (a, b): Self::Saved,
        [dc]: [Option<&Tensor>; 1],
        [da, db]: [Option<&GradSlot>; 2],
    ) -> Result<()> {
        let Some(dc) = dc else { return Ok(()) };
        if let (Some(da), Some(b)) = (da, b) {
            add_product(da, dc, &t(&b)?)?;
        }
        if let (Some(db), Some(a)) = (db, a) {
            add_product(db, &t(&a)?, dc)?;
        }
        Ok(())
    }
}

impl Var {
    /// `a·b` over the last two axes.
    pub fn matmul(&self, rhs: &Var) -> Result<Var> {
        let [c] = apply(Matmul, [self, rhs])?;
        Ok(c)
    }
}
