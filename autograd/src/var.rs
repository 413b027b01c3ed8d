//! A variable: a tensor plus, perhaps, a place on a tape.
//!
//! Constants record nothing, so the model is written once and serves training and inference. The operations as methods
//! live with the operations, in `ops/`.

use crate::error::Result;
use crate::tape::Tape;
use kernels::planted;
use tensor::{DType, Tensor};

/// A tensor and, if it is tracked, its number on a tape.
#[derive(Clone)]
pub struct Var {
    value: Tensor,
    place: Option<(Tape, usize)>,
}

impl Var {
    /// An untracked value.
    pub fn constant(value: Tensor) -> Var {
        Var { value, place: None }
    }
    pub(crate) fn tracked(value: Tensor, tape: Tape, id: usize) -> Var {
        Var { value, place: Some((tape, id)) }
    }
    /// The tensor.
    pub fn value(&self) -> &Tensor {
        &self.value
    }
    /// The tensor, giving up the place on the tape.
    pub fn into_value(self) -> Tensor {
        self.value
    }
    /// Is a gradient wanted of it?
    pub fn is_tracked(&self) -> bool {
        self.place.is_some()
    }
    /// The same value as a constant: the one way out of the graph.
    pub fn detach(&self) -> Var {
        planted!("var.detach_stays_on_the_tape", Var::constant(self.value.clone()) => self.clone())
    }
    pub(crate) fn place(&self) -> Option<(&Tape, usize)> {
        self.place.as_ref().map(|(tape, id)| (tape, *id))
    }
    /// Shape.
    pub fn dims(&self) -> &[usize] {
        self.value.dims()
    }
    /// Element type.
    pub fn dtype(&self) -> DType {
        self.value.dtype()
    }
    /// Sweep the tape from this one-element value with seed `scale`.
    pub fn backward(&self, scale: f64) -> Result<crate::Gradients> {
        let (tape, _) = self.place().ok_or(crate::AutogradError::NotTracked { op: "backward" })?;
        let seed = Tensor::full(scale, self.dims(), self.dtype(), self.value.device())?;
        tape.clone().backward(&[(self, seed)])
    }
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", if self.is_tracked() { "tracked " } else { "" }, self.value)
    }
}
