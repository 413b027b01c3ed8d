//! What kernels that work row by row share: rows of a strided view, and the loop over all of them.
//!
//! A row is the last dimension, dense in memory. Rows are spread over threads in blocks of about 16 Ki elements; a row is
//! computed by one thread alone, so its bits depend on nothing but itself. Read next: `smear/cpu.rs`, a user.

use crate::check::host;
use crate::par::SharedPtr;
use crate::{Element, Layout, Result, View, ViewMut, par, simd};

/// Call `f(row)` for `rows` rows of `c` elements, in parallel, compiled for the vector instructions in use (if the closure
/// is `#[inline(always)]`).
pub(crate) fn each_row((rows, c): (usize, usize), f: impl Fn(usize) + Sync + Send) {
    let per_task = par::rows_per_task(c);
    par::for_each_task(rows.div_ceil(per_task), |task| {
        simd::vectorize(
            #[inline(always)]
            || (task * per_task..((task + 1) * per_task).min(rows)).for_each(&f),
        )
    });
}

/// Rows to read.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    base: &'a [T],
    layout: Layout,
    c: usize,
}

impl<'a, T: Element> Rows<'a, T> {
    /// The rows of `view`, an argument of `op`.
    pub fn of(op: &'static str, arg: &'static str, view: &View<'a>) -> Result<Self> {
        Ok(Rows { base: host(op, arg, view.base::<T>())?, layout: *view.layout(), c: view.layout().rows().1 })
    }
    /// Row `r` of all.
    #[inline(always)]
    pub fn row(&self, r: usize) -> &'a [T] {
        if self.c == 0 { &[] } else { &self.base[self.layout.row_position(r)..][..self.c] }
    }
    /// Element `i` of all, in logical order.
    #[inline(always)]
    pub fn element(&self, i: usize) -> T {
        self.base[self.layout.position(i)]
    }
}

/// Rows to write, each by one task.
pub(crate) struct RowsMut<T> {
    base: SharedPtr<T>,
    layout: Layout,
    c: usize,
}

impl<T: Element> RowsMut<T> {
    /// The rows of `view`, an output of `op` that has passed [`crate::check::output`].
    pub fn of(op: &'static str, arg: &'static str, view: &mut ViewMut) -> Result<Self> {
        let (layout, c) = (*view.layout(), view.layout().rows().1);
        Ok(RowsMut { base: SharedPtr::new(host(op, arg, view.base_mut::<T>())?), layout, c })
    }
    /// Row `r` of all.
    ///
    /// # Safety
    /// The buffer is still borrowed, `r` is a row of it, and no other task has this row or an element of it.
    #[inline(always)]
    #[expect(
        clippy::mut_from_ref,
        reason = "rows of an output are disjoint; the caller promises to be the only one"
    )]
    pub unsafe fn row(&self, r: usize) -> &mut [T] {
        if self.c == 0 {
            return &mut [];
        }
        // SAFETY: the view's bounds were checked when it was made, its rows are disjoint; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.base.get().add(self.layout.row_position(r)), self.c) }
    }
    /// Element `i` of all, in logical order.
    ///
    /// # Safety
    /// As in [`RowsMut::row`], for this element.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "as above")]
    pub unsafe fn element(&self, i: usize) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.base.get().add(self.layout.position(i)) }
    }
}
