//! Argument checks shared by all operations: shape, dtype, layout, memory space, overlap. Each returns a typed error that
//! names the op and the argument, so a swapped argument never becomes a wrong number.

use crate::element::DType;
use crate::error::{KernelError, Result};
use crate::planted;
use crate::view::{Layout, Space, View, ViewMut};

/// A named read-only argument.
pub type Arg<'v, 'a> = (&'static str, &'v View<'a>);

/// `arg` must have exactly `dims`.
pub fn dims(op: &'static str, arg: &'static str, got: &[usize], want: &[usize]) -> Result<()> {
    if planted!("check.compares_ranks_alone", got == want => got.len() == want.len()) {
        return Ok(());
    }
    Err(KernelError::Shape { op, arg, got: got.to_vec(), want: format!("{want:?}") })
}

/// `arg` must have `rank` dimensions, described by `want` in the message.
pub fn rank(op: &'static str, arg: &'static str, got: &[usize], rank: usize, want: &str) -> Result<()> {
    if got.len() == rank {
        return Ok(());
    }
    Err(KernelError::Shape { op, arg, got: got.to_vec(), want: want.into() })
}

/// `arg` must have one of `allowed`.
pub fn dtype(op: &'static str, arg: &'static str, got: DType, allowed: &[DType]) -> Result<()> {
    if allowed.contains(&got) {
        return Ok(());
    }
    let want = allowed.iter().map(|d| d.to_string()).collect::<Vec<_>>().join(" or ");
    Err(KernelError::DType { op, arg, got, want })
}

/// Any of the float types.
pub const FLOATS: &[DType] = &[DType::F32, DType::Bf16, DType::F64];

/// The type in which statistics and sums of `dtype` are kept: f64 for f64, f32 for everything else.
pub fn accumulator(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// The last dimension must be dense.
pub fn unit_last_stride(op: &'static str, arg: &'static str, layout: &Layout) -> Result<()> {
    if planted!("check.strides_not_looked_at", layout.has_unit_last_stride() || layout.numel() == 0 => true) {
        return Ok(());
    }
    Err(KernelError::NonContiguous { op, arg, strides: layout.strides().to_vec() })
}

/// Row-major without gaps.
pub fn contiguous(op: &'static str, arg: &'static str, layout: &Layout) -> Result<()> {
    if layout.is_contiguous() {
        return Ok(());
    }
    Err(KernelError::NonContiguous { op, arg, strides: layout.strides().to_vec() })
}

/// Name, layout and dtype of an argument, read or written.
pub type Shaped<'a> = (&'static str, &'a Layout, DType);

/// What every normalisation of rows asks for: `rows` (…, C) of one shape and float dtype with unit last stride; one number per
/// row (…) and one per column (C) in the accumulator's dtype, contiguous. A row without elements has no mean.
pub fn normalised(
    op: &'static str,
    rows: &[Shaped<'_>],
    per_row: &[Shaped<'_>],
    per_column: &[Shaped<'_>],
) -> Result<()> {
    let Some(&(first, layout, dtype_of_rows)) = rows.first() else { return Ok(()) };
    dtype(op, first, dtype_of_rows, FLOATS)?;
    let all = layout.dims();
    parameter(op, !all.is_empty(), || "a scalar has no last dimension to normalise".into())?;
    let (lead, c) = all.split_at(all.len() - 1);
    parameter(op, lead.contains(&0) || c != [0], || {
        "a row without elements has no mean; the last dimension must not be 0".into()
    })?;
    for &(arg, layout, own) in rows {
        dims(op, arg, layout.dims(), all)?;
        dtype(op, arg, own, &[dtype_of_rows])?;
        unit_last_stride(op, arg, layout)?;
    }
    for (args, want) in [(per_row, lead), (per_column, c)] {
        for &(arg, layout, own) in args {
            dims(op, arg, layout.dims(), want)?;
            dtype(op, arg, own, &[accumulator(dtype_of_rows)])?;
            contiguous(op, arg, layout)?;
        }
    }
    Ok(())
}

/// `out` must own each of its elements, live in the inputs' memory space and share no bytes with them.
pub fn output(op: &'static str, arg: &'static str, out: &ViewMut<'_>, inputs: &[Arg<'_, '_>]) -> Result<()> {
    if !out.layout().is_injective() {
        return Err(KernelError::Overlap { op, arg });
    }
    let o = out.address_range();
    for (name, input) in inputs {
        if input.buffer().space != out.buffer().space {
            return Err(KernelError::WrongSpace { op, arg: name });
        }
        let i = input.address_range();
        if planted!("check.overlap_accepted", o.start < i.end && i.start < o.end => o == i) {
            return Err(KernelError::Overlap { op, arg });
        }
    }
    Ok(())
}

/// Two outputs must not share memory.
pub fn disjoint(op: &'static str, arg: &'static str, a: &ViewMut<'_>, b: &ViewMut<'_>) -> Result<()> {
    let (a, b) = (a.address_range(), b.address_range());
    if a.start < b.end && b.start < a.end { Err(KernelError::Overlap { op, arg }) } else { Ok(()) }
}

/// Every id of a host-side index array must lie in `0..limit`. Device arrays are checked by the kernel that reads them.
pub fn indices(op: &'static str, arg: &'static str, ids: &View<'_>, limit: usize) -> Result<()> {
    dtype(op, arg, ids.dtype(), &[DType::I32])?;
    if ids.buffer().space != Space::Host {
        return Ok(());
    }
    let end = planted!("check.limit_itself_accepted", limit => limit + 1);
    let outside = |&value: &i32| value < 0 || value as usize >= end;
    if ids.as_slice::<i32>().is_some_and(|ids| !ids.iter().any(outside)) {
        return Ok(()); // the usual case, without stride arithmetic
    }
    let Some(base) = ids.base::<i32>() else { return Ok(()) };
    for index in 0..ids.numel() {
        let value = base[ids.layout().position(index)];
        if outside(&value) {
            return Err(KernelError::IndexOutOfRange { op, arg, index, value: value.into(), limit });
        }
    }
    Ok(())
}

/// A scalar condition, with the fix in words.
pub fn parameter(op: &'static str, ok: bool, what: impl FnOnce() -> String) -> Result<()> {
    if ok { Ok(()) } else { Err(KernelError::Parameter { op, what: what() }) }
}

/// The slice a CPU body works on. Dtype and layout were checked before; a mismatch here is reported as the memory space
/// being wrong, the one thing those checks cannot rule out.
pub fn host<T>(op: &'static str, arg: &'static str, slice: Option<T>) -> Result<T> {
    slice.ok_or(KernelError::WrongSpace { op, arg })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    #[test]
    fn an_output_that_shares_a_single_element_with_an_input_is_refused() {
        let mut memory = [0.0f32; 8];
        let place = |first| Layout::strided(&[4], &[1], first).unwrap();
        // The checks look at addresses alone: the copy stands for a caller who made two views of one buffer.
        let mut out = ViewMut::from_slice_strided(&mut memory, place(0)).unwrap();
        let buffer = out.buffer();
        for (first, shares) in [(0, true), (3, true), (4, false)] {
            // SAFETY: neither view is read or written.
            let input = unsafe { View::from_buffer(buffer, DType::F32, place(first)) }.unwrap();
            assert_eq!(output("test", "y", &out.reborrow(), &[("x", &input)]).is_err(), shares, "{first}");
        }
    }
}
