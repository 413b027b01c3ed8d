//! Two activations mixed by learned numbers: `y = a·x + b·z`, a and b kept in f32: tensors of one element, or element i of one each,
//! where every layer has its own.
//!
//! Gradient: `dx = a·dy`, `dz = b·dy`; a meets every element of x, so `da = Σ dy·x`, and `db = Σ dy·z`: dot products over the whole
//! tensor, which a constant a or b does without. Where all four are wanted, one kernel reads dy once for all.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::mix::{mix_bwd, mix_bwd_scalar};
use kernels::planted;
use tensor::Tensor;

/// The operation.
pub struct Mix {
    /// Which element of a and of b.
    pub at: usize,
}

impl Op<4, 1> for Mix {
    const NAME: &'static str = "mix";
    /// For each of a, x, b, z: what its gradient multiplies dy by (x, a, z, b), if it needs one.
    type Saved = [Option<Tensor>; 4];

    fn forward(&self, [a, x, b, z]: [&Tensor; 4], needs: [bool; 4]) -> Result<([Tensor; 1], Self::Saved)> {
        let number =
            |all: &Tensor| if all.numel() == 1 { Ok(all.clone()) } else { all.narrow(0, self.at, 1) };
        let (a, b) = (&number(a)?, &number(b)?);
        let other = [x, a, planted!("mix.scalars_swapped", z => x), b];
        Ok(([x.mix(a, z, b)?], std::array::from_fn(|i| needs[i].then(|| other[i].clone()))))
    }
    fn vjp(
        &self,
        [x, a, z, b]: Self::Saved,
        [dy]: [Option<&Tensor>; 1],
        [da, dx, db, dz]: [Option<&GradSlot>; 4],
    ) -> Result<()> {
        let Some(dy) = dy else { return Ok(()) };
        let apart = |a: &GradSlot, b: &GradSlot| !std::ptr::eq(a, b);
        if let ([Some(x), Some(a), Some(z), Some(b)], [Some(da), Some(dx), Some(db), Some(dz)]) =
            ([&x, &a, &z, &b], [da, dx, db, dz])
            && apart(da, db)
            && apart(dx, dz)
        {
            let (backend, inputs) = (dy.device().backend(), [a.view(), x.view(), b.view(), z.view()]);
            let parts = [Some(self.at), None, Some(self.at), None];
            return GradSlot::add_all([da, dx, db, dz], parts, |outputs, adds| {
                mix_bwd(backend, dy.view(), inputs, outputs, adds)
            });
        }
        for (slot, factor) in [(dx, a), (dz, b)] {
            if let (Some(slot), Some(factor)) = (slot, factor) {
                slot.add_scaled(&factor, dy)?;
            }
        }
        for (slot, with) in [(da, x), (db, z)] {
            if let (Some(slot), Some(with)) = (slot, with) {
                let backend = dy.device().backend();
                slot.add_part(self.at, |out, accumulate| {
                    mix_bwd_scalar(backend, dy.view(), with.view(), out, accumulate)
                })?;
            }
        }
        Ok(())
    }
}

impl Var {
    /// `a·x + b·z`, with `a` and `b` of one element.
    pub fn mix(&self, a: &Var, z: &Var, b: &Var) -> Result<Var> {
        self.mix_at(0, a, z, b)
    }
    /// `aᵢ·x + bᵢ·z`, with `a` and `b` of more elements.
    pub fn mix_at(&self, at: usize, a: &Var, z: &Var, b: &Var) -> Result<Var> {
        let [y] = apply(Mix { at }, [a, self, b, z])?;
        Ok(y)
    }
}
