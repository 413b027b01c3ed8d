//! Embedding: `y[i] = w[ids[i]]`, rows of a table (V, C).
//!
//! Gradient. Row v of the table occurs in y wherever `ids[i] = v`, so `dw[v] = Σ dy[i]` over those i, in their order.

use crate::{GradSlot, Op, Result, Var, apply};
use kernels::embedding::embedding_bwd;
use tensor::{DType, Tensor};

/// The operation.
pub struct Embedding {
    /// Token ids, any shape.
    pub ids: Tensor,
    /// Dtype of the output (the activations' dtype).
    pub out: DType,
}

impl Op<1, 1> for Embedding {
    const NAME: &'static str = "embedding";
    type Saved = ();

    fn forward(&self, [w]: [&Tensor; 1], _: [bool; 1]) -> Result<([Tensor; 1], ())> {
        Ok(([w.embedding(&self.ids, self.out)?], ()))
    }
    fn vjp(&self, (): (), [dy]: [Option<&Tensor>; 1], [dw]: [Option<&GradSlot>; 1]) -> Result<()> {
        let (Some(dy), Some(dw)) = (dy, dw) else { return Ok(()) };
        let dy = super::linear::flat(dy)?;
        let ids = self.ids.contiguous()?.reshape(&[self.ids.numel()])?;
        dw.add_to_zeroed(|table| {
            let backend = table.device().backend();
            embedding_bwd(backend, dy.view(), ids.view(), table.view_mut()?)
                .map_err(crate::AutogradError::kernel)
        })
    }
}

impl Var {
    /// Rows `ids` of this table, as `out`.
    pub fn embedding(&self, ids: &Tensor, out: DType) -> Result<Var> {
        let [y] = apply(Embedding { ids: ids.clone(), out }, [self])?;
        Ok(y)
    }
}
