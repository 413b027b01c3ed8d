//! The tape: operations in the order they were applied (a Wengert list), so reverse order is already topological.
//!
//! No sort, no recursion, no reference cycles. `backward` consumes the tape and frees what each operation saved as soon as
//! it has been read.

use crate::error::{AutogradError, Result};
use crate::slot::GradSlot;
use crate::var::Var;
use kernels::planted;
use std::cell::RefCell;
use std::rc::Rc;
use tensor::{Tensor, TensorError, memory};

/// An operation's vector-Jacobian product with everything it saved.
pub(crate) type Vjp = Box<dyn FnOnce(&[Option<&Tensor>], &[Option<&GradSlot>]) -> Result<()>>;

struct Node {
    op: &'static str,
    inputs: Vec<Option<usize>>,
    first_output: usize,
    outputs: usize,
    vjp: Vjp,
}

#[derive(Default)]
struct Recording {
    nodes: Vec<Node>,
    /// The gradient slot of every tracked value, by its number.
    slots: Vec<Rc<GradSlot>>,
}

/// A recording of one forward pass. Cloning gives another handle on the same recording.
#[derive(Clone)]
pub struct Tape(Rc<RefCell<Option<Recording>>>);

impl Default for Tape {
    fn default() -> Self {
        Tape::new()
    }
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Tape {
        Tape(Rc::new(RefCell::new(Some(Recording::default()))))
    }
    /// Start tracking `value`; its gradient is handed out by [`Gradients::take`].
    pub fn watch(&self, value: Tensor) -> Result<Var> {
        let slot = Rc::new(GradSlot::like(&value));
        self.watch_into(value, slot)
    }
    /// Start tracking `value`, with its gradient added to `slot`: how weights get persistent gradients.
    pub fn watch_into(&self, value: Tensor, slot: Rc<GradSlot>) -> Result<Var> {
        let mut guard = self.0.borrow_mut();
        let recording = guard.as_mut().ok_or(AutogradError::TapeConsumed { op: "watch" })?;
        recording.slots.push(slot);
        Ok(Var::tracked(value, self.clone(), recording.slots.len() - 1))
    }
    /// Are these two handles on one recording?
    pub(crate) fn same(&self, other: &Tape) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
    /// Append an operation; returns the number of its first output.
    pub(crate) fn record(&self, op: &'static str, x: &[&Var], y: &[Tensor], vjp: Vjp) -> Result<usize> {
        let mut guard = self.0.borrow_mut();
        let recording = guard.as_mut().ok_or(AutogradError::TapeConsumed { op })?;
        let first_output = recording.slots.len();
        recording.slots.extend(y.iter().map(|t| Rc::new(GradSlot::like(t))));
        let inputs = x.iter().map(|v| v.place().map(|(_, id)| id)).collect();
        recording.nodes.push(Node { op, inputs, first_output, outputs: y.len(), vjp });
        Ok(first_output)
    }
    /// Names of the recorded operations, in order.
    pub fn ops(&self) -> Vec<&'static str> {
        self.0.borrow().iter().flat_map(|r| r.nodes.iter().map(|n| n.op)).collect()
    }

    /// Sweep in reverse from each `(output, d_output)` seed, which has the output's shape, dtype and device. Slots of
    /// watched values receive their gradients. If a seed is refused, the tape is as it was.
    pub fn backward(self, seeds: &[(&Var, Tensor)]) -> Result<Gradients> {
        const OP: &str = "backward";
        for (output, dy) in seeds {
            let (tape, _) = output.place().ok_or(AutogradError::NotTracked { op: OP })?;
            if !self.same(tape) {
                return Err(AutogradError::ForeignTape { op: OP });
            }
            fits(OP, output.value(), dy)?;
        }
        let recording =
            planted!("tape.not_consumed", self.0.take() => self.0.replace(Some(Recording::default())));
        let mut recording = recording.ok_or(AutogradError::TapeConsumed { op: OP })?;
        seeds.iter().for_each(|(_, dy)| memory::mark(dy.device())); // what is alive at the end of forward was saved
        let _label = memory::label(OP);
        for (output, dy) in seeds {
            if let Some((_, id)) = output.place() {
                recording.slots[id].add(dy.clone())?;
            }
        }
        while let Some(node) = planted!(
            "tape.swept_forwards",
            recording.nodes.pop() => (!recording.nodes.is_empty()).then(|| recording.nodes.remove(0))
        ) {
            let outputs = node.first_output..node.first_output + node.outputs;
            let dy: Vec<Option<Tensor>> = recording.slots[outputs].iter().map(|s| s.take()).collect();
            if dy.iter().all(Option::is_none) {
                continue; // not on a path to a seed
            }
            let dy: Vec<Option<&Tensor>> = dy.iter().map(Option::as_ref).collect();
            let dx: Vec<Option<&GradSlot>> =
                node.inputs.iter().map(|id| id.map(|id| &*recording.slots[id])).collect();
            (node.vjp)(&dy, &dx)?;
        }
        Ok(Gradients { tape: self, slots: recording.slots })
    }
}

/// A seed must be what it is the gradient of, in everything but its values.
fn fits(op: &'static str, output: &Tensor, dy: &Tensor) -> Result<()> {
    if dy.dims() != output.dims() {
        return Err(AutogradError::GradientShape { got: dy.dims().to_vec(), want: output.dims().to_vec() });
    }
    let (got, want) = (dy.dtype(), output.dtype());
    if got != want {
        return Err(TensorError::DTypeMismatch { op, got, want }.into());
    }
    let (lhs, rhs) = (output.device(), dy.device());
    if lhs == rhs { Ok(()) } else { Err(TensorError::DeviceMismatch { op, lhs, rhs }.into()) }
}

/// What [`Tape::backward`] leaves: the gradients of watched values.
pub struct Gradients {
    tape: Tape,
    slots: Vec<Rc<GradSlot>>,
}

impl Gradients {
    /// The gradient of a watched value; `None` if nothing depended on it (or it was taken before).
    pub fn take(&self, leaf: &Var) -> Option<Tensor> {
        let (tape, id) = leaf.place()?;
        if self.tape.same(tape) { self.slots.get(id)?.take() } else { None }
    }
}
