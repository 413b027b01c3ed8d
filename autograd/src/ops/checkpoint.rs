//! Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): keep only a block's inputs and run it again in backward.
//!
//! Gradient. That of the block, `dx = (∂f/∂x)ᵀ·dy`, taken on a fresh tape of a second run at the same inputs.
//!
//! An ordinary operation whose `Saved` is its inputs. Everything the block differentiates must come in through its
//! arguments; weights go in as arguments too.

use crate::{AutogradError, GradSlot, OpN, Result, Tape, Var, apply_n};
use kernels::planted;
use tensor::Tensor;

/// The operation: a block with one output.
pub struct Checkpoint<F>(pub F);

impl<F: Fn(&[Var]) -> Result<Var> + 'static> OpN for Checkpoint<F> {
    const NAME: &'static str = "checkpoint";
    /// The inputs.
    type Saved = Vec<Tensor>;

    fn forward(&self, x: &[&Tensor], _: &[bool]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let saved: Vec<Tensor> = x.iter().map(|&t| t.clone()).collect();
        let constants: Vec<Var> = saved.iter().cloned().map(Var::constant).collect();
        let y = (self.0)(&constants)?;
        if y.is_tracked() {
            return Err(AutogradError::ForeignTape { op: Self::NAME }); // a weight came in behind our back
        }
        Ok((vec![y.into_value()], saved))
    }
    fn vjp(&self, x: Vec<Tensor>, dy: &[Option<&Tensor>], dx: &[Option<&GradSlot>]) -> Result<()> {
        let Some(dy) = dy[0] else { return Ok(()) };
        let tape = Tape::new();
        let inputs = x
            .into_iter()
            .zip(dx)
            .map(|(t, slot)| if slot.is_some() { tape.watch(t) } else { Ok(Var::constant(t)) })
            .collect::<Result<Vec<Var>>>()?;
        let y = (self.0)(&inputs)?;
        let gradients = tape.backward(&[(&y, dy.clone())])?;
        let dx = planted!("checkpoint.last_gradient_dropped", dx => &dx[..dx.len() - 1]);
        for (input, slot) in inputs.iter().zip(dx) {
            if let (Some(slot), Some(g)) = (slot, gradients.take(input)) {
                slot.add(g)?;
            }
        }
        Ok(())
    }
}

/// `f(x)`, remembering only `x`.
pub fn checkpoint(f: impl Fn(&[Var]) -> Result<Var> + 'static, x: &[&Var]) -> Result<Var> {
    let mut y = apply_n(Checkpoint(f), x)?;
    Ok(y.swap_remove(0))
}
