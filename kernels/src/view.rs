//! Views: how a kernel sees memory.
//!
//! A view is a buffer, an offset, a dtype, at most five dimensions and their strides (in elements). Transposing, slicing
//! and broadcasting (stride 0) are changes of these numbers, never copies. The buffer is one non-generic type, so that
//! `dyn Backend` works for host and device memory alike. Read next: [`crate::rms_norm`], a small op that uses views.

use crate::element::{DType, Element};
use crate::error::{KernelError, Result};
use crate::planted;
use std::marker::PhantomData;

/// The most dimensions a view can have.
pub const MAX_RANK: usize = 5;

/// The most elements a layout may span: so many of the widest type have a length that fits `isize`, as slices need.
pub const MAX_ELEMENTS: usize = isize::MAX as usize / 8;

/// Which memory an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// This process's own memory.
    Host,
    /// Memory of accelerator number `.0`.
    Device(u32),
}

/// A piece of memory: where, how long, in which space. Holding one grants no access; a view does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Host pointer or device address.
    pub address: usize,
    /// Length in bytes.
    pub bytes: usize,
    /// Which memory.
    pub space: Space,
}

/// Shape, strides and offset, all in elements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    rank: usize,
    dims: [usize; MAX_RANK],
    strides: [usize; MAX_RANK],
    offset: usize,
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}/{:?}+{}", self.dims(), self.strides(), self.offset)
    }
}

impl Layout {
    /// Row-major, no gaps. At most [`MAX_RANK`] dimensions and [`MAX_ELEMENTS`] elements.
    pub fn contiguous(dims: &[usize]) -> Result<Self> {
        let mut strides = [0; MAX_RANK];
        if dims.len() > MAX_RANK {
            return Err(KernelError::Rank { rank: dims.len(), max: MAX_RANK });
        }
        let mut step = 1;
        for axis in (0..dims.len()).rev() {
            strides[axis] = step;
            step = dims[axis].saturating_mul(step); // too much is found below
        }
        Layout::strided(dims, &strides[..dims.len()], 0)
    }
    /// Any strides; zero repeats an element along its axis.
    pub fn strided(dims: &[usize], strides: &[usize], offset: usize) -> Result<Self> {
        if dims.len() > MAX_RANK || strides.len() != dims.len() {
            return Err(KernelError::Rank { rank: dims.len().max(strides.len()), max: MAX_RANK });
        }
        let mut layout = Layout { rank: dims.len(), dims: [0; MAX_RANK], strides: [0; MAX_RANK], offset };
        layout.dims[..dims.len()].copy_from_slice(dims);
        layout.strides[..dims.len()].copy_from_slice(strides);
        let fits = layout.reach().is_some_and(|reach| reach < MAX_ELEMENTS);
        if fits {
            Ok(layout)
        } else {
            Err(KernelError::TooLarge { dims: dims.to_vec(), strides: strides.to_vec() })
        }
    }
    /// The larger of the number of elements and the last position, where an empty dimension counts as one of size 1:
    /// what no later sum or product of these numbers can exceed. `None` if it overflows.
    fn reach(&self) -> Option<usize> {
        let (mut count, mut last) = (1usize, self.offset);
        for (&d, &s) in self.dims().iter().zip(self.strides()) {
            count = count.checked_mul(d.max(1))?;
            last = last.checked_add((d.max(1) - 1).checked_mul(s)?)?;
        }
        Some(count.max(last))
    }
    /// Size of each dimension.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
    /// Distance between neighbours along each dimension, in elements.
    pub fn strides(&self) -> &[usize] {
        &self.strides[..self.rank]
    }
    /// Position of the first element. Set when the layout is made and checked, like everything here.
    pub fn offset(&self) -> usize {
        self.offset
    }
    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.rank
    }
    /// Number of logical elements.
    pub fn numel(&self) -> usize {
        self.dims().iter().product()
    }
    /// Row-major without gaps? (Dimensions of size 1 may have any stride.)
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        for axis in (0..self.rank).rev() {
            if self.dims[axis] != 1 && self.strides[axis] != step {
                return self.numel() == 0;
            }
            step *= self.dims[axis];
        }
        true
    }
    /// Are the elements of each last-dimension row adjacent?
    pub fn has_unit_last_stride(&self) -> bool {
        self.rank == 0 || self.strides[self.rank - 1] == 1 || self.dims[self.rank - 1] <= 1
    }
    /// Elements a buffer must have for this layout.
    pub fn span(&self) -> usize {
        if self.numel() == 0 {
            return 0;
        }
        let last: usize = self.dims().iter().zip(self.strides()).map(|(d, s)| (d - 1) * s).sum();
        self.offset + last + 1
    }
    /// Does every logical element have its own memory?
    pub fn is_injective(&self) -> bool {
        let mut axes: Vec<_> = (0..self.rank).filter(|&a| self.dims[a] > 1).collect();
        axes.sort_by_key(|&a| self.strides[a]);
        let mut reach = 0; // largest offset reachable by the finer axes
        axes.iter().all(|&a| {
            let ok =
                planted!("view.overlap_of_rows_not_seen", self.strides[a] > reach => self.strides[a] > 0);
            reach += (self.dims[a] - 1) * self.strides[a];
            ok
        }) || self.numel() == 0
    }
    /// Buffer position of logical element `index` (row-major order).
    #[inline]
    pub fn position(&self, mut index: usize) -> usize {
        let mut at = self.offset;
        for axis in (0..self.rank).rev() {
            at += index % self.dims[axis] * self.strides[axis];
            index /= self.dims[axis];
        }
        at
    }
    /// Number of last-dimension rows, and their length. A scalar is one row of one element.
    pub fn rows(&self) -> (usize, usize) {
        match self.dims().split_last() {
            Some((&d, lead)) => (lead.iter().product(), d),
            None => (1, 1),
        }
    }
    /// Buffer position of the first element of row `row`.
    #[inline]
    pub fn row_position(&self, mut row: usize) -> usize {
        // Rows of equal distance, as in all dense tensors, spare the divisions, which take longer than a short row's sum.
        let lead = &self.strides[..self.rank.saturating_sub(1)];
        let even = lead.windows(2).zip(&self.dims[1..]).all(|(s, dim)| s[0] == dim * s[1]);
        if let (true, Some(step)) = (even, lead.last()) {
            return self.offset + row * step;
        }
        let mut at = self.offset;
        for axis in (0..self.rank.saturating_sub(1)).rev() {
            at += row % self.dims[axis] * self.strides[axis];
            row /= self.dims[axis];
        }
        at
    }
}

macro_rules! view_facts {
    ($view:ident) => {
        impl $view<'_> {
            /// Size of each dimension.
            pub fn dims(&self) -> &[usize] {
                self.layout.dims()
            }
            /// Distance between neighbours along each dimension, in elements.
            pub fn strides(&self) -> &[usize] {
                self.layout.strides()
            }
            /// Shape, strides and offset.
            pub fn layout(&self) -> &Layout {
                &self.layout
            }
            /// Element type.
            pub fn dtype(&self) -> DType {
                self.dtype
            }
            /// Number of logical elements.
            pub fn numel(&self) -> usize {
                self.layout.numel()
            }
            /// Bytes of its elements, repeated ones counted once: what must cross the memory bus at least.
            pub fn traffic(&self) -> f64 {
                let moved = self.dims().iter().zip(self.strides()).filter(|&(&d, &s)| s != 0 || d == 0);
                moved.map(|(&d, _)| d as f64).product::<f64>() * self.dtype.size() as f64
            }
            /// The memory behind the view.
            pub fn buffer(&self) -> Buffer {
                self.buffer
            }
            /// Bytes this view's elements span, as a range of addresses; empty when there are no elements.
            pub fn address_range(&self) -> std::ops::Range<usize> {
                let size = self.dtype.size();
                let first = self.buffer.address + self.layout.offset * size;
                first..(self.buffer.address + self.layout.span() * size).max(first)
            }
            fn host<T: Element>(&self) -> bool {
                self.buffer.space == Space::Host && self.dtype == T::DTYPE
            }
        }
    };
}

/// A read-only view.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    buffer: Buffer,
    dtype: DType,
    layout: Layout,
    _borrow: PhantomData<&'a [u8]>,
}
/// A view that a kernel may write. Nobody else reads or writes the buffer while it exists.
#[derive(Debug)]
pub struct ViewMut<'a> {
    buffer: Buffer,
    dtype: DType,
    layout: Layout,
    _borrow: PhantomData<&'a mut [u8]>,
}
view_facts!(View);
view_facts!(ViewMut);

// SAFETY: a `View` is a `&[T]` with strides and a `ViewMut` a `&mut [T]` with strides; the element types are `Send + Sync`.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}
// SAFETY: as above.
unsafe impl Send for ViewMut<'_> {}
// SAFETY: through `&ViewMut` only facts and shared reads are reachable.
unsafe impl Sync for ViewMut<'_> {}

fn check_bounds(buffer: &Buffer, dtype: DType, layout: &Layout) -> Result<()> {
    let (needs, has) = (layout.span(), buffer.bytes / dtype.size());
    if needs > has {
        let (dims, strides) = (layout.dims().to_vec(), layout.strides().to_vec());
        return Err(KernelError::ViewOutOfBounds { dims, strides, offset: layout.offset, needs, has });
    }
    Ok(())
}

impl<'a> View<'a> {
    /// A view of memory described by `buffer`.
    ///
    /// # Safety
    /// The buffer must be valid, initialised and not written for `'a`, and aligned for `dtype`.
    pub unsafe fn from_buffer(buffer: Buffer, dtype: DType, layout: Layout) -> Result<Self> {
        check_bounds(&buffer, dtype, &layout)?;
        Ok(View { buffer, dtype, layout, _borrow: PhantomData })
    }
    /// A contiguous view of a slice.
    pub fn from_slice<T: Element>(data: &'a [T], dims: &[usize]) -> Result<Self> {
        View::from_slice_strided(data, Layout::contiguous(dims)?)
    }
    /// A strided view of a slice.
    pub fn from_slice_strided<T: Element>(data: &'a [T], layout: Layout) -> Result<Self> {
        let (address, bytes) = (data.as_ptr() as usize, std::mem::size_of_val(data));
        // SAFETY: the slice is borrowed for 'a.
        unsafe { View::from_buffer(Buffer { address, bytes, space: Space::Host }, T::DTYPE, layout) }
    }
    /// The same memory under another layout.
    pub fn with_layout(&self, layout: Layout) -> Result<View<'a>> {
        check_bounds(&self.buffer, self.dtype, &layout)?;
        Ok(View { layout, ..*self })
    }
    /// All elements as a slice, when they are contiguous host memory of type `T`.
    pub fn as_slice<T: Element>(&self) -> Option<&'a [T]> {
        if !self.host::<T>() || !self.layout.is_contiguous() {
            return None;
        }
        if self.numel() == 0 {
            return Some(&[]);
        }
        // SAFETY: bounds were checked when the view was made, the memory is borrowed for 'a, every bit pattern is valid.
        Some(unsafe { std::slice::from_raw_parts(self.ptr::<T>().add(self.layout.offset), self.numel()) })
    }
    /// The whole buffer from its first element, as `T`. For kernels that do their own stride arithmetic; `None` when
    /// the view is not host memory of type `T`.
    pub fn base<T: Element>(&self) -> Option<&'a [T]> {
        if !self.host::<T>() {
            return None;
        }
        if self.layout.span() == 0 {
            return Some(&[]);
        }
        // SAFETY: as in `as_slice`; `span` elements were checked to be there.
        Some(unsafe { std::slice::from_raw_parts(self.ptr::<T>(), self.layout.span()) })
    }
    fn ptr<T>(&self) -> *const T {
        self.buffer.address as *const T
    }
    /// Every element in logical order, widened to f64; `None` for device memory. What reference kernels read.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        fn gather<T: Element>(v: &View<'_>) -> Option<Vec<f64>> {
            let data = v.base::<T>()?;
            Some((0..v.numel()).map(|i| data[v.layout.position(i)].to_f64()).collect())
        }
        match self.dtype {
            DType::F32 => gather::<f32>(self),
            DType::Bf16 => gather::<crate::Bf16>(self),
            DType::I32 => gather::<i32>(self),
            DType::F64 => gather::<f64>(self),
        }
    }
}

impl<'a> ViewMut<'a> {
    /// A writable view of memory described by `buffer`.
    ///
    /// # Safety
    /// The buffer must be valid, initialised and not otherwise accessed for `'a`, and aligned for `dtype`.
    pub unsafe fn from_buffer(buffer: Buffer, dtype: DType, layout: Layout) -> Result<Self> {
        check_bounds(&buffer, dtype, &layout)?;
        Ok(ViewMut { buffer, dtype, layout, _borrow: PhantomData })
    }
    /// A contiguous view of a slice.
    pub fn from_slice<T: Element>(data: &'a mut [T], dims: &[usize]) -> Result<Self> {
        ViewMut::from_slice_strided(data, Layout::contiguous(dims)?)
    }
    /// A strided view of a slice.
    pub fn from_slice_strided<T: Element>(data: &'a mut [T], layout: Layout) -> Result<Self> {
        let (address, bytes) = (data.as_mut_ptr() as usize, std::mem::size_of_val(data));
        // SAFETY: the slice is borrowed mutably for 'a.
        unsafe { ViewMut::from_buffer(Buffer { address, bytes, space: Space::Host }, T::DTYPE, layout) }
    }
    /// Lend the view out again for a shorter time.
    pub fn reborrow(&mut self) -> ViewMut<'_> {
        ViewMut { _borrow: PhantomData, ..*self }
    }
    /// Read what was written.
    pub fn as_view(&self) -> View<'_> {
        View { buffer: self.buffer, dtype: self.dtype, layout: self.layout, _borrow: PhantomData }
    }
    /// The same memory under another layout.
    pub fn with_layout(self, layout: Layout) -> Result<ViewMut<'a>> {
        check_bounds(&self.buffer, self.dtype, &layout)?;
        Ok(ViewMut { layout, ..self })
    }
    /// All elements as a slice, when they are contiguous host memory of type `T`.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        if !self.host::<T>() || !self.layout.is_contiguous() {
            return None;
        }
        if self.numel() == 0 {
            return Some(&mut []);
        }
        let first = self.buffer.address as *mut T;
        // SAFETY: bounds were checked when the view was made and we hold the only access.
        Some(unsafe { std::slice::from_raw_parts_mut(first.add(self.layout.offset), self.numel()) })
    }
    /// The whole buffer from its first element, as `T`; `None` when the view is not host memory of type `T`.
    pub fn base_mut<T: Element>(&mut self) -> Option<&mut [T]> {
        if !self.host::<T>() {
            return None;
        }
        if self.layout.span() == 0 {
            return Some(&mut []);
        }
        // SAFETY: as in `as_mut_slice`; `span` elements were checked to be there.
        Some(unsafe { std::slice::from_raw_parts_mut(self.buffer.address as *mut T, self.layout.span()) })
    }
    /// Write every element in logical order, each rounded once; `false` for device memory or a wrong count.
    pub fn store_f64(&mut self, values: &[f64]) -> bool {
        fn scatter<T: Element>(v: &mut ViewMut<'_>, values: &[f64]) -> bool {
            let layout = v.layout;
            let Some(data) = v.base_mut::<T>() else { return false };
            for (i, &value) in values.iter().enumerate() {
                data[layout.position(i)] = T::from_f64(value);
            }
            true
        }
        values.len() == self.numel()
            && match self.dtype {
                DType::F32 => scatter::<f32>(self, values),
                DType::Bf16 => scatter::<crate::Bf16>(self, values),
                DType::I32 => scatter::<i32>(self, values),
                DType::F64 => scatter::<f64>(self, values),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_view_reads_columns_as_rows() {
        let data = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let t = View::from_slice_strided(&data, Layout::strided(&[3, 2], &[1, 3], 0).unwrap()).unwrap();
        assert_eq!(t.to_f64().unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert!(t.as_slice::<f32>().is_none());
    }

    #[test]
    fn a_view_past_the_end_is_refused() {
        let data = [0.0f32; 5];
        assert!(matches!(View::from_slice(&data, &[2, 3]), Err(KernelError::ViewOutOfBounds { .. })));
        assert!(View::from_slice(&data, &[0, 3]).is_ok());
    }

    #[test]
    fn sizes_that_overflow_are_refused_even_beside_an_empty_dimension() {
        let refused = |layout| matches!(layout, Err(KernelError::TooLarge { .. }));
        assert!(refused(Layout::contiguous(&[usize::MAX, 2])));
        assert!(refused(Layout::contiguous(&[1 << 33, 1 << 33])));
        assert!(refused(Layout::contiguous(&[0, usize::MAX, 3])));
        assert!(
            refused(Layout::contiguous(&[MAX_ELEMENTS])) && !refused(Layout::contiguous(&[MAX_ELEMENTS - 1]))
        );
        assert!(refused(Layout::strided(&[2, 2], &[usize::MAX, 1], 0)));
        assert!(refused(Layout::strided(&[1], &[1], usize::MAX)));
    }

    #[test]
    fn repeated_elements_are_not_injective() {
        assert!(Layout::strided(&[4, 3], &[3, 1], 0).unwrap().is_injective());
        assert!(Layout::strided(&[3, 4], &[1, 3], 0).unwrap().is_injective());
        assert!(!Layout::strided(&[4, 3], &[0, 1], 0).unwrap().is_injective());
        assert!(!Layout::strided(&[4, 3], &[2, 1], 0).unwrap().is_injective());
    }

    #[test]
    fn row_positions_follow_leading_strides() {
        let l = Layout::strided(&[2, 3, 4], &[100, 10, 1], 7).unwrap();
        assert_eq!((0..6).map(|r| l.row_position(r)).collect::<Vec<_>>(), [7, 17, 27, 107, 117, 127]);
        let even = Layout::strided(&[2, 3, 4], &[30, 10, 1], 7).unwrap();
        assert_eq!((0..6).map(|r| even.row_position(r)).collect::<Vec<_>>(), [7, 17, 27, 37, 47, 57]);
        assert_eq!([Layout::contiguous(&[4]).unwrap().row_position(0), l.row_position(0)], [0, 7]);
        assert_eq!(l.rows(), (6, 4));
    }
}
