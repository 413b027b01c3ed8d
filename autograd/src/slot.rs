//! The place where a gradient lives.
//!
//! A vector-Jacobian product does not return gradients, it *adds* them to slots: `dx += …`. So a weight's gradient grows in
//! one persistent buffer over all micro-batches (a matmul with beta = 1 writes it directly), and a value used twice needs
//! no special case. A slot adds through `&self`, because two inputs of an operation may be the same variable.

use crate::error::{AutogradError, Result};
use kernels::planted;
use std::cell::RefCell;
use tensor::{DType, Device, Layout, Tensor, ViewMut, memory};

/// One gradient: shape, dtype and device are those of the value it belongs to; the dtype of a weight's slot is f32, also where
/// products read the weight rounded.
pub struct GradSlot {
    dims: Vec<usize>,
    dtype: DType,
    device: Device,
    /// Keep the buffer when the gradient is read: for weights.
    persistent: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    buffer: Option<Tensor>,
    /// Does the buffer hold a gradient? If not, the next addition overwrites it.
    filled: bool,
}

/// A buffer, or one element of it, and whether to add to that.
fn part(buffer: &mut Tensor, filled: bool, at: Option<usize>) -> Result<(ViewMut<'_>, bool)> {
    let Some(at) = at.filter(|_| buffer.numel() > 1) else { return Ok((buffer.view_mut()?, filled)) };
    if !filled {
        buffer.fill(0.0)?;
    }
    let layout = *buffer.narrow(0, at, 1)?.layout();
    Ok((buffer.view_mut()?.with_layout(layout).map_err(AutogradError::kernel)?, true))
}

impl GradSlot {
    /// An empty slot for a value like `t`; takes memory when something is added.
    pub fn like(t: &Tensor) -> GradSlot {
        GradSlot {
            dims: t.dims().to_vec(),
            dtype: t.dtype(),
            device: t.device(),
            persistent: false,
            state: RefCell::default(),
        }
    }
    /// A slot for a weight: its buffer, once made, stays.
    pub fn persistent(t: &Tensor) -> GradSlot {
        GradSlot { persistent: true, ..GradSlot::like(t) }
    }
    /// Shape of the value.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }
    /// Has anything been added since the last `clear`?
    pub fn is_filled(&self) -> bool {
        self.state.borrow().filled
    }
    /// The gradient, if any: another handle on it.
    pub fn get(&self) -> Option<Tensor> {
        let state = self.state.borrow();
        if state.filled { state.buffer.clone() } else { None }
    }
    /// The gradient, if any, leaving the slot empty (a persistent buffer stays).
    pub fn take(&self) -> Option<Tensor> {
        let mut state = self.state.borrow_mut();
        if !std::mem::take(&mut state.filled) {
            return None;
        }
        if self.persistent { state.buffer.clone() } else { state.buffer.take() }
    }
    /// Forget the gradient, keep the memory: the next addition starts from zero without a pass over it.
    pub fn clear(&self) {
        self.state.borrow_mut().filled = false;
    }
    /// Multiply the gradient by `factor`, a one-element tensor, in place: for clipping.
    pub fn scale(&self, factor: &Tensor) -> Result<()> {
        let mut state = self.state.borrow_mut();
        if let (true, Some(t)) = (state.filled, state.buffer.as_mut()) {
            t.scale_by(factor)?;
        }
        Ok(())
    }
    fn fits(&self, got: &[usize]) -> Result<()> {
        if got.iter().product::<usize>() == self.dims.iter().product::<usize>() {
            return Ok(());
        }
        Err(AutogradError::GradientShape { got: got.to_vec(), want: self.dims.clone() })
    }

    /// `dx += g`. An empty slot without a buffer takes `g` over without copying.
    pub fn add(&self, g: Tensor) -> Result<()> {
        self.fits(g.dims())?;
        let movable = {
            let state = self.state.borrow();
            let alike = g.dtype() == self.dtype && g.device() == self.device;
            !state.filled && state.buffer.is_none() && alike && !self.persistent
        };
        if movable {
            let g = g.contiguous()?.reshape(&self.dims)?;
            *self.state.borrow_mut() = State { buffer: Some(g), filled: true };
            return Ok(());
        }
        let g = if g.dims() == self.dims { g } else { g.contiguous()?.reshape(&self.dims)? };
        self.with(|buffer, filled| {
            if filled {
                buffer.accumulate(1.0, &g)?
            } else {
                buffer.copy_from(&g)?
            }
            Ok(())
        })
    }

    /// `dx += alpha · x`, with `alpha` a one-element tensor.
    pub fn add_scaled(&self, alpha: &Tensor, x: &Tensor) -> Result<()> {
        self.fits(x.dims())?;
        let x = x.reshape(&self.dims)?;
        self.with(|buffer, filled| {
            if !filled {
                buffer.fill(0.0)?;
            }
            Ok(buffer.accumulate_scaled(alpha, &x)?)
        })
    }

    /// `dx += a·b`, straight into the slot: a matmul with beta 0 or 1, summed in f32.
    pub fn add_matmul(&self, a: &Tensor, b: &Tensor) -> Result<()> {
        let ([lead @ .., m, _], [.., n]) = (a.dims(), b.dims()) else {
            return Err(AutogradError::GradientShape { got: a.dims().to_vec(), want: self.dims.clone() });
        };
        let dims = [lead, &[*m, *n]].concat();
        self.fits(&dims)?;
        let (av, bv) = (a.view(), b.view());
        self.add_with(|out, accumulate| {
            // The gradient may start inside a larger one's memory (a part of what was concatenated).
            let strides = Layout::contiguous(&dims)?;
            let layout = Layout::strided(&dims, strides.strides(), out.layout().offset())?;
            let out = out.with_layout(layout)?;
            let beta = if accumulate { 1.0 } else { 0.0 };
            kernels::matmul::matmul(a.device().backend(), av, bv, out, 1.0, beta)
        })
    }

    /// Let a kernel write the slot: `f(buffer, accumulate)` must overwrite, or add if `accumulate`. The buffer is
    /// contiguous, of the slot's shape and dtype.
    pub fn add_with(&self, f: impl FnOnce(ViewMut<'_>, bool) -> kernels::Result<()>) -> Result<()> {
        self.with(|buffer, filled| f(buffer.view_mut()?, filled).map_err(AutogradError::kernel))
    }

    /// As [`GradSlot::add_with`] for element `at` of several: `f` gets that, and the others are zero if nothing was added yet.
    pub fn add_part(
        &self,
        at: usize,
        f: impl FnOnce(ViewMut<'_>, bool) -> kernels::Result<()>,
    ) -> Result<()> {
        self.with(|buffer, filled| {
            let (part, add) = part(buffer, filled, Some(at))?;
            f(part, add).map_err(AutogradError::kernel)
        })
    }

    /// As [`GradSlot::add_with`] for a kernel that writes four slots, no two of them the same; of some an element only.
    pub fn add_all(
        [a, b, c, d]: [&GradSlot; 4],
        [i, j, k, l]: [Option<usize>; 4],
        f: impl FnOnce([ViewMut<'_>; 4], [bool; 4]) -> kernels::Result<()>,
    ) -> Result<()> {
        a.with(|a, filled_a| {
            b.with(|b, filled_b| {
                c.with(|c, filled_c| {
                    d.with(|d, filled_d| {
                        let ((a, add_a), (b, add_b)) = (part(a, filled_a, i)?, part(b, filled_b, j)?);
                        let ((c, add_c), (d, add_d)) = (part(c, filled_c, k)?, part(d, filled_d, l)?);
                        f([a, b, c, d], [add_a, add_b, add_c, add_d]).map_err(AutogradError::kernel)
                    })
                })
            })
        })
    }

    /// As [`GradSlot::add_with`] for kernels that can only add: an empty slot is zeroed first.
    pub fn add_to_zeroed(&self, f: impl FnOnce(&mut Tensor) -> Result<()>) -> Result<()> {
        self.with(|buffer, filled| {
            if planted!("slot.not_zeroed", !filled => false) {
                buffer.fill(0.0)?;
            }
            f(buffer)
        })
    }

    /// Give `f` the buffer, made or made private where needed, and mark the slot filled.
    fn with(&self, f: impl FnOnce(&mut Tensor, bool) -> Result<()>) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let filled = state.filled;
        let label = self.persistent.then(|| memory::label("gradients"));
        if state.buffer.as_mut().is_some_and(|buffer| buffer.view_mut().is_err()) {
            // Someone else still reads this memory (a residual hands one gradient to both its inputs): write a copy. If there
            // is no memory for one, the slot stays as it is.
            let holds = planted!("slot.copy_forgets_the_gradient", filled => false);
            let own = |b: &Tensor| if holds { b.copied() } else { b.uninit_like() };
            state.buffer = state.buffer.as_ref().map(own).transpose()?;
        }
        let mut buffer = match state.buffer.take() {
            Some(buffer) => buffer,
            None => Tensor::uninit(&self.dims, self.dtype, self.device)?,
        };
        drop(label);
        let result = f(&mut buffer, planted!("slot.overwrites", filled => false));
        state.buffer = Some(buffer);
        state.filled = filled || result.is_ok();
        result
    }
}
