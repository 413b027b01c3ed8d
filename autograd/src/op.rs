//! What a differentiable operation is, and how it gets onto a tape.

use crate::error::{AutogradError, Result};
use crate::slot::GradSlot;
use crate::tape::Tape;
use crate::var::Var;
use kernels::planted;
use tensor::{Tensor, memory};

/// A differentiable operation with `N` inputs and `M` outputs.
pub trait Op<const N: usize, const M: usize>: 'static {
    /// Its name in errors, profiles and the registry.
    const NAME: &'static str;
    /// Exactly what [`Op::vjp`] reads: the memory this operation costs between forward and backward.
    type Saved: 'static;
    /// Compute the outputs. `needs[i]`: does anything upstream of input `i` want a gradient? Save nothing that will not
    /// be read.
    fn forward(&self, x: [&Tensor; N], needs: [bool; N]) -> Result<([Tensor; M], Self::Saved)>;
    /// `dx[i] += dyᵀ · ∂y/∂x[i]`, only where a slot is given. `dy[j]` is `None` when nothing used output `j`.
    fn vjp(&self, saved: Self::Saved, dy: [Option<&Tensor>; M], dx: [Option<&GradSlot>; N]) -> Result<()>;
}

/// [`Op`] for a number of inputs known only at run time (`cat`, checkpointing of a block).
pub trait OpN: 'static {
    /// Its name in errors, profiles and the registry.
    const NAME: &'static str;
    /// As in [`Op`].
    type Saved: 'static;
    /// As in [`Op`].
    fn forward(&self, x: &[&Tensor], needs: &[bool]) -> Result<(Vec<Tensor>, Self::Saved)>;
    /// As in [`Op`].
    fn vjp(&self, saved: Self::Saved, dy: &[Option<&Tensor>], dx: &[Option<&GradSlot>]) -> Result<()>;
}

/// Apply `op` and, if any input is tracked, record it.
pub fn apply<const N: usize, const M: usize, O: Op<N, M>>(op: O, x: [&Var; N]) -> Result<[Var; M]> {
    let tape = common_tape(O::NAME, &x)?;
    let needs = x.map(Var::is_tracked);
    let (y, saved) = {
        let _label = memory::label(O::NAME);
        op.forward(x.map(Var::value), needs)?
    };
    let Some(tape) = tape else {
        return Ok(y.map(Var::constant)); // inference: `saved` is dropped right here
    };
    let vjp = move |dy: &[Option<&Tensor>], dx: &[Option<&GradSlot>]| {
        // The tape hands back as many outputs and inputs as were recorded below.
        op.vjp(saved, std::array::from_fn(|j| dy[j]), std::array::from_fn(|i| dx[i]))
    };
    let first = tape.record(O::NAME, &x, &y, Box::new(vjp))?;
    let mut id = first;
    Ok(y.map(|value| {
        id += 1;
        Var::tracked(value, tape.clone(), id - 1)
    }))
}

/// [`apply`] for [`OpN`].
pub fn apply_n<O: OpN>(op: O, x: &[&Var]) -> Result<Vec<Var>> {
    let tape = common_tape(O::NAME, x)?;
    let needs: Vec<bool> = x.iter().map(|v| v.is_tracked()).collect();
    let values: Vec<&Tensor> = x.iter().map(|v| v.value()).collect();
    let (y, saved) = {
        let _label = memory::label(O::NAME);
        op.forward(&values, &needs)?
    };
    let Some(tape) = tape else {
        return Ok(y.into_iter().map(Var::constant).collect());
    };
    let vjp = move |dy: &[Option<&Tensor>], dx: &[Option<&GradSlot>]| op.vjp(saved, dy, dx);
    let first = tape.record(O::NAME, x, &y, Box::new(vjp))?;
    Ok(y.into_iter().enumerate().map(|(j, value)| Var::tracked(value, tape.clone(), first + j)).collect())
}

/// The tape of the tracked inputs, if any; two tapes in one operation are an error.
fn common_tape(op: &'static str, x: &[&Var]) -> Result<Option<Tape>> {
    let mut tape: Option<&Tape> = None;
    for var in x {
        let Some((own, _)) = var.place() else { continue };
        if planted!("op.foreign_tape_accepted", tape.is_some_and(|t| !t.same(own)) => false) {
            return Err(AutogradError::ForeignTape { op });
        }
        tape = Some(own);
    }
    Ok(tape.cloned())
}
