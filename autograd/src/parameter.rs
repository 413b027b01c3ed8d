//! A trainable weight: a name, an f32 master value, the slot where its gradient accumulates, and on devices that multiply
//! in bf16 a rounded copy.

use crate::error::Result;
use crate::slot::GradSlot;
use crate::tape::Tape;
use crate::var::Var;
use kernels::planted;
use std::cell::RefCell;
use std::rc::Rc;
use tensor::{DType, Tensor, memory};

/// A named weight.
pub struct Parameter {
    /// Its name in files, e.g. `transformer.h.0.attn.c_q.weight`.
    pub name: String,
    value: Tensor,
    grad: Rc<GradSlot>,
    rounded: RefCell<Option<Rounded>>,
}

/// The weight in a narrower dtype, and whether it still is that.
struct Rounded {
    copy: Tensor,
    fresh: bool,
}

impl Parameter {
    /// A parameter with no gradient yet.
    pub fn new(name: impl Into<String>, value: Tensor) -> Parameter {
        let grad = Rc::new(GradSlot::persistent(&value));
        Parameter { name: name.into(), value, grad, rounded: RefCell::default() }
    }
    /// For use in a forward pass: tracked on `tape`, or a constant without one.
    pub fn var(&self, tape: Option<&Tape>) -> Result<Var> {
        self.tracked(self.value.clone(), tape)
    }
    /// As [`Parameter::var`], for a product with activations of `dtype`. The CPU's products round an f32 weight while they read it.
    /// Those of a GPU read it rounded already: the copy is made when it is first asked for, once for every change of the
    /// weight, however many micro-batches read it. Its gradient goes to the same slot, in f32.
    pub fn var_for(&self, dtype: DType, tape: Option<&Tape>) -> Result<Var> {
        if dtype == self.value.dtype() || self.value.device().memory().is_none() {
            return self.var(tape);
        }
        let mut state = self.rounded.borrow_mut();
        let mut kept = state.take().filter(|kept| kept.copy.dtype() == dtype);
        if let Some(stale) = kept.as_mut().filter(|kept| !kept.fresh) {
            stale.fresh = stale.copy.copy_from(&self.value).is_ok(); // refused where somebody still reads it
        }
        let copy = match kept {
            Some(Rounded { copy, fresh: true }) => copy,
            _ => {
                let _label = memory::label("weights");
                self.value.cast(dtype)?
            }
        };
        *state = Some(Rounded { copy: copy.clone(), fresh: true });
        self.tracked(copy, tape)
    }
    /// The same for weights of layers with one input: their copies are made together and lie one below the other, so that one
    /// product can read them all.
    pub fn vars_for<const N: usize>(
        params: [&Parameter; N],
        dtype: DType,
        tape: Option<&Tape>,
    ) -> Result<[Var; N]> {
        let narrow = |p: &&Parameter| dtype != p.value.dtype() && p.value.device().memory().is_some();
        if params.iter().all(narrow) && !params.iter().all(|p| p.has_fresh(dtype)) {
            params.iter().for_each(|p| drop(p.rounded.take())); // their memory is what the new copies take
            let _label = memory::label("weights");
            let all = Tensor::joined(&params.map(|p| &p.value), 0, dtype)?;
            let mut first = 0;
            for p in params {
                let copy = all.narrow(0, first, p.value.dim(0))?;
                p.rounded.replace(Some(Rounded { copy, fresh: true }));
                first += p.value.dim(0);
            }
        }
        let vars = params.map(|p| p.var_for(dtype, tape)).into_iter().collect::<Result<Vec<_>>>()?;
        vars.try_into().map_err(|_| unreachable!("a variable for each"))
    }
    fn has_fresh(&self, dtype: DType) -> bool {
        self.rounded.borrow().as_ref().is_some_and(|kept| kept.fresh && kept.copy.dtype() == dtype)
    }
    fn tracked(&self, value: Tensor, tape: Option<&Tape>) -> Result<Var> {
        match tape {
            Some(tape) => tape.watch_into(value, self.grad.clone()),
            None => Ok(Var::constant(value)),
        }
    }
    /// The weight.
    pub fn value(&self) -> &Tensor {
        &self.value
    }
    /// The weight, for an in-place update; kernels refuse while a live tape still holds it.
    pub fn value_mut(&mut self) -> &mut Tensor {
        if let Some(rounded) = self.rounded.get_mut() {
            rounded.fresh = planted!("parameter.rounded_copy_kept_after_a_change", false => rounded.fresh);
        }
        &mut self.value
    }
    /// The weight and its rounded copy, if it has one of its own, for an update that writes both.
    pub fn value_and_rounded_mut(&mut self) -> (&mut Tensor, Option<&mut Tensor>) {
        let rounded = self.rounded.get_mut().as_mut().and_then(|rounded| {
            rounded.fresh = rounded.copy.view_mut().is_ok(); // not while others read it, or what it lies beside
            rounded.fresh.then_some(&mut rounded.copy)
        });
        (&mut self.value, rounded)
    }
    /// Replace the weight (loading a checkpoint).
    pub fn set(&mut self, value: Tensor) {
        self.grad = Rc::new(GradSlot::persistent(&value));
        self.value = value;
        *self.rounded.get_mut() = None;
    }
    /// Where its gradient accumulates.
    pub fn grad(&self) -> &GradSlot {
        &self.grad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::Device;

    fn weight(value: f64) -> Parameter {
        Parameter::new("w", Tensor::full(value, &[2, 2], DType::F32, Device::Emulated).unwrap())
    }

    #[test]
    fn the_rounded_copy_is_made_once_for_every_change_of_the_weight() {
        let mut w = weight(1.0);
        let read = |w: &Parameter| w.var_for(DType::Bf16, None).unwrap().value().clone();
        let (first, second) = (read(&w), read(&w));
        assert!(first.dtype() == DType::Bf16 && first.same_storage(&second));
        drop((first, second));
        w.value_mut().fill(3.0).unwrap();
        assert_eq!(read(&w).to_f64_vec(), [3.0; 4]);
        // somebody still reads the copy from before: it stays as it was
        let before = read(&w);
        w.value_mut().fill(5.0).unwrap();
        assert_eq!((read(&w).to_f64_vec(), before.to_f64_vec()), (vec![5.0; 4], vec![3.0; 4]));
        let (_, rounded) = w.value_and_rounded_mut();
        rounded.unwrap().fill(7.0).unwrap();
        assert_eq!(read(&w).to_f64_vec(), [7.0; 4], "who takes both writes both");
        w.set(Tensor::full(9.0, &[2, 2], DType::F32, Device::Emulated).unwrap());
        assert_eq!(read(&w).to_f64_vec(), [9.0; 4]);
    }

    #[test]
    fn copies_that_are_made_together_lie_together() {
        let mut all = [weight(1.0), weight(2.0), weight(3.0)];
        let read = |all: &[Parameter; 3]| {
            Parameter::vars_for(all.each_ref(), DType::Bf16, None).unwrap().map(|v| v.value().clone())
        };
        let joined = Tensor::adjacent(&read(&all).each_ref()).unwrap();
        assert_eq!(joined.to_f64_vec(), [1., 1., 1., 1., 2., 2., 2., 2., 3., 3., 3., 3.]);
        assert!(joined.dims() == [6, 2] && joined.same_storage(&read(&all)[1]));
        drop(joined);
        all[1].value_mut().fill(5.0).unwrap();
        assert!(all[0].value_and_rounded_mut().1.is_none(), "it lies beside others'");
        let again = read(&all);
        assert_eq!(again[1].to_f64_vec(), [5.0; 4]);
        assert!(Tensor::adjacent(&again.each_ref()).is_some());
    }

    #[test]
    fn where_products_round_by_themselves_there_is_no_copy() {
        let w = Parameter::new("w", Tensor::full(1.0, &[2], DType::F32, Device::Cpu).unwrap());
        let read = w.var_for(DType::Bf16, None).unwrap();
        assert!(read.value().same_storage(w.value()));
        let w = weight(1.0);
        assert!(w.var_for(DType::F32, None).unwrap().value().same_storage(w.value()));
    }
}
