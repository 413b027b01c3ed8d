//! Views: other layouts over the same storage. Nothing here copies.

use crate::{Layout, Result, Tensor, TensorError};
use kernels::planted;

impl Tensor {
    fn relayout(&self, dims: &[usize], strides: &[usize], offset: usize) -> Result<Tensor> {
        Ok(Tensor { layout: Layout::strided(dims, strides, offset)?, ..self.clone() })
    }
    fn axis_error(&self, op: &'static str, axis: usize, start: usize, end: usize) -> TensorError {
        TensorError::OutOfRange { op, axis, start, end, dims: self.dims().to_vec() }
    }
    /// Swap two axes.
    pub fn transpose(&self, a: usize, b: usize) -> Result<Tensor> {
        let worst = a.max(b);
        if worst >= self.rank() {
            return Err(self.axis_error("transpose", worst, 0, 0));
        }
        let mut order: Vec<usize> = (0..self.rank()).collect();
        order.swap(a, b);
        self.permute(&order)
    }
    /// Axis `i` of the result is axis `order[i]` of this tensor.
    pub fn permute(&self, order: &[usize]) -> Result<Tensor> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if sorted != (0..self.rank()).collect::<Vec<_>>() {
            return Err(TensorError::Shape { op: "permute", lhs: self.dims().to_vec(), rhs: order.to_vec() });
        }
        let dims: Vec<usize> = order.iter().map(|&a| self.dims()[a]).collect();
        let strides: Vec<usize> = order.iter().map(|&a| self.layout.strides()[a]).collect();
        self.relayout(&dims, &strides, self.layout.offset())
    }
    /// Elements `start .. start + len` along `axis`.
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Result<Tensor> {
        let end = start.saturating_add(len); // no dimension reaches that far
        if axis >= self.rank() || end > self.dims()[axis] {
            return Err(self.axis_error("narrow", axis, start, end));
        }
        let mut dims = self.dims().to_vec();
        dims[axis] = len;
        let step = planted!("views.narrow_ignores_the_stride", self.layout.strides()[axis] => 1);
        let offset = self.layout.offset() + start * step;
        self.relayout(&dims, self.layout.strides(), offset)
    }
    /// Repeat size-1 axes (and new leading axes) to reach `dims`; a stride of 0 repeats without copying.
    pub fn expand(&self, dims: &[usize]) -> Result<Tensor> {
        let misfit = || TensorError::Shape { op: "expand", lhs: self.dims().to_vec(), rhs: dims.to_vec() };
        let new = dims.len().checked_sub(self.rank()).ok_or_else(misfit)?;
        let mut strides = vec![0; dims.len()];
        for (axis, (&d, &s)) in self.dims().iter().zip(self.layout.strides()).enumerate() {
            match (d == dims[new + axis], d) {
                (true, _) => strides[new + axis] = s,
                (false, 1) => planted!("views.repeated_axis_keeps_its_stride", () => strides[new + axis] = s),
                _ => return Err(misfit()),
            }
        }
        self.relayout(dims, &strides, self.layout.offset())
    }
    /// The same elements in the same order under other dimensions. Works whenever strides can express it.
    pub fn reshape(&self, dims: &[usize]) -> Result<Tensor> {
        let plain = Layout::contiguous(dims)?;
        if plain.numel() != self.numel() {
            return Err(TensorError::Shape { op: "reshape", lhs: self.dims().to_vec(), rhs: dims.to_vec() });
        }
        if self.layout.is_contiguous() {
            return self.relayout(dims, plain.strides(), self.layout.offset());
        }
        let strides = split_strides(self.dims(), self.layout.strides(), dims).ok_or_else(|| {
            let (dims, strides) = (self.dims().to_vec(), self.layout.strides().to_vec());
            TensorError::NonContiguous { op: "reshape", dims, strides }
        })?;
        self.relayout(dims, &strides, self.layout.offset())
    }
    /// All of `parts`, one below the other, as one view: if they lie like that in one storage already.
    pub fn adjacent(parts: &[&Tensor]) -> Option<Tensor> {
        let (first, last) = (parts.first()?, parts.last()?);
        let fits = |t: &Tensor| t.same_storage(first) && t.dtype == first.dtype && t.layout.is_contiguous();
        let row = |t: &Tensor| t.rank() >= 1 && t.dims()[1..] == first.dims()[1..];
        let follows = |pair: &[&Tensor]| pair[0].layout.offset() + pair[0].numel() == pair[1].layout.offset();
        if !parts.iter().all(|t| row(t) && fits(t)) || !parts.windows(2).all(follows) {
            return None;
        }
        let rows =
            (last.layout.offset() + last.numel() - first.layout.offset()) / first.layout.strides()[0].max(1);
        let dims = [&[rows], &first.dims()[1..]].concat();
        first.relayout(&dims, first.layout.strides(), first.layout.offset()).ok()
    }
    /// A size-1 axis inserted before `axis`.
    pub fn unsqueeze(&self, axis: usize) -> Result<Tensor> {
        if axis > self.rank() {
            return Err(self.axis_error("unsqueeze", axis, 0, 0));
        }
        let (mut dims, mut strides) = (self.dims().to_vec(), self.layout.strides().to_vec());
        dims.insert(axis, 1);
        strides.insert(axis, 1);
        self.relayout(&dims, &strides, self.layout.offset())
    }
}

/// Strides that give a strided array new dimensions, if there are any: groups of old axes that are dense among themselves
/// are matched with groups of new axes of the same product (size-1 axes are free).
fn split_strides(old: &[usize], old_strides: &[usize], new: &[usize]) -> Option<Vec<usize>> {
    let kept: Vec<(usize, usize)> =
        old.iter().copied().zip(old_strides.iter().copied()).filter(|&(d, _)| d != 1).collect();
    let mut strides = vec![1; new.len()];
    let (mut o, mut n) = (0, 0);
    while o < kept.len() && n < new.len() {
        let (first_o, first_n) = (o, n);
        let (mut size_o, mut size_n) = (kept[o].0, new[n]);
        while size_o != size_n {
            if size_o < size_n {
                o += 1;
                size_o *= kept.get(o)?.0;
            } else {
                n += 1;
                size_n *= *new.get(n)?;
            }
        }
        let gap = (first_o..o).any(|a| kept[a].1 != kept[a + 1].1 * kept[a + 1].0);
        if planted!("views.gap_not_seen", gap => false) {
            return None; // a gap inside the group
        }
        let mut step = kept[o].1;
        for axis in (first_n..=n).rev() {
            strides[axis] = step;
            step *= new[axis];
        }
        o += 1;
        n += 1;
    }
    Some(strides)
}
