//! A trainable weight: a name, an f32 master value, and the slot where its gradient accumulates.

use crate::error::Result;
use crate::slot::GradSlot;
use crate::tape::Tape;
use crate::var::Var;
use std::rc::Rc;
use tensor::Tensor;

/// A named weight.
pub struct Parameter {
    /// Its name in files, e.g. `transformer.h.0.attn.c_q.weight`.
    pub name: String,
    value: Tensor,
    grad: Rc<GradSlot>,
}

impl Parameter {
    /// A parameter with no gradient yet.
    pub fn new(name: impl Into<String>, value: Tensor) -> Parameter {
        let grad = Rc::new(GradSlot::persistent(&value));
        Parameter { name: name.into(), value, grad }
    }
    /// For use in a forward pass: tracked on `tape`, or a constant without one.
    pub fn var(&self, tape: Option<&Tape>) -> Result<Var> {
        match tape {
            Some(tape) => tape.watch_into(self.value.clone(), self.grad.clone()),
            None => Ok(Var::constant(self.value.clone())),
        }
    }
    /// The weight.
    pub fn value(&self) -> &Tensor {
        &self.value
    }
    /// The weight, for an in-place update; kernels refuse while a live tape still holds it.
    pub fn value_mut(&mut self) -> &mut Tensor {
        &mut self.value
    }
    /// Replace the weight (loading a checkpoint).
    pub fn set(&mut self, value: Tensor) {
        self.grad = Rc::new(GradSlot::persistent(&value));
        self.value = value;
    }
    /// Where its gradient accumulates.
    pub fn grad(&self) -> &GradSlot {
        &self.grad
    }
}
