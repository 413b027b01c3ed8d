//! Sorting on the CPU, rows in parallel.
//!
//! An element becomes one integer: its value, mapped to an unsigned number of the same order, above its index. No two are
//! equal, so any sort of them is a stable sort of the row. Short rows go to the standard library; long ones are sorted by
//! digits of 11 bits from the lowest up (Knuth, vol. 3, 5.2.5), which never compares two elements: it counts each digit,
//! and copies. A digit that all elements share costs no pass (bf16 values have zeros below).

use super::Sort;
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};
use std::cell::RefCell;

impl Sort for Cpu {
    fn sort(&self, descending: bool, x: View, mut values: ViewMut, mut indices: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => run::<Bf16>(descending, &x, &mut values, &mut indices),
            _ => run::<f32>(descending, &x, &mut values, &mut indices),
        }
    }
}

thread_local! {
    /// The row at hand, and room for a pass over it.
    static KEYS: RefCell<[Vec<u64>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

fn run<T: Float>(descending: bool, x: &View, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    const OP: &str = "sort";
    let (rows, c) = x.layout().rows();
    let (x_layout, values_layout, indices_layout) = (*x.layout(), *values.layout(), *indices.layout());
    let x = host(OP, "x", x.base::<T>())?;
    let values = par::SharedPtr::new(host(OP, "values", values.base_mut::<T>())?);
    let indices = par::SharedPtr::new(host(OP, "indices", indices.base_mut::<i32>())?);
    let per_task = par::rows_per_task(c);
    par::for_each_task(rows.div_ceil(per_task), |task| {
        KEYS.with_borrow_mut(|[keys, spare]| {
            for row in task * per_task..((task + 1) * per_task).min(rows) {
                let x = &x[x_layout.row_position(row)..][..c];
                sort_keys(x, descending, keys, spare);
                let (to, to_index) = (values_layout.row_position(row), indices_layout.row_position(row));
                // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
                let values = unsafe { std::slice::from_raw_parts_mut(values.get().add(to), c) };
                // SAFETY: as above.
                let indices = unsafe { std::slice::from_raw_parts_mut(indices.get().add(to_index), c) };
                for (rank, &key) in keys.iter().enumerate() {
                    indices[rank] = key as u32 as i32;
                    values[rank] = x[key as u32 as usize];
                }
            }
        });
    });
    Ok(())
}

/// Larger for values that come later: the bits of a positive number are in its order, those of a negative one in the reverse
/// order. −0 is taken as 0, and NaN comes last.
#[inline(always)]
fn ordered(value: f32, descending: bool) -> u32 {
    let bits = (value + 0.0).to_bits();
    let rising = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    let directed = if descending { !rising } else { rising };
    if planted!("sort.nan_by_its_bits", value.is_nan() => false) { u32::MAX } else { directed }
}

/// Rows up to this length go to the standard library.
const SHORT: usize = 512;
/// Bits of a digit.
const DIGIT: u32 = 11;

/// Leave the keys of `row` in `keys`, in order.
fn sort_keys<T: Float>(row: &[T], descending: bool, keys: &mut Vec<u64>, spare: &mut Vec<u64>) {
    keys.clear();
    keys.resize(row.len(), 0);
    simd::vectorize(
        #[inline(always)]
        || {
            let elements = keys.iter_mut().zip(row).enumerate();
            elements
                .for_each(|(i, (key, x))| *key = u64::from(ordered(x.to_f32(), descending)) << 32 | i as u64);
        },
    );
    if row.len() <= SHORT {
        return keys.sort_unstable();
    }
    spare.resize(row.len(), 0);
    for shift in (32..64).step_by(DIGIT as usize) {
        let digit = |key: u64| (key >> shift) as usize & ((1 << DIGIT) - 1);
        let mut next = [0u32; 1 << DIGIT];
        keys.iter().for_each(|&key| next[digit(key)] += 1);
        if next[digit(keys[0])] as usize == keys.len() {
            continue;
        }
        let mut before = 0;
        next.iter_mut().for_each(|n| before += std::mem::replace(n, before));
        for &key in keys.iter() {
            let to = &mut next[digit(key)];
            spare[*to as usize] = key;
            *to += 1;
        }
        std::mem::swap(keys, spare);
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::order;
    use super::*;
    use crate::philox::Philox;

    #[test]
    fn rows_of_any_kind_and_length_are_in_stable_order() {
        let mut rng = Philox::new(7, 0);
        let (mut keys, mut spare) = (Vec::new(), Vec::new());
        for n in [1usize, 2, 5, SHORT, SHORT + 1, 6000, 100] {
            let rising: Vec<f32> = (0..n).map(|i| i as f32 - 9.0).collect();
            let falling = rising.iter().rev().copied().collect();
            let coarse = (0..n).map(|_| rng.below(7) as f32 - 3.0).collect(); // many ties
            let normal = (0..n).map(|_| rng.normal() as f32).collect();
            let odd: Vec<f32> = (0..n)
                .map(|_| match rng.below(9) {
                    0 => f32::NAN,
                    1 => -f32::NAN,
                    2 => f32::INFINITY,
                    3 => f32::NEG_INFINITY,
                    4 => -0.0,
                    5 => f32::from_bits(1),
                    _ => 0.0,
                })
                .collect();
            for row in [rising, falling, coarse, normal, odd] {
                let wide: Vec<f64> = row.iter().map(|&v| v.into()).collect();
                for descending in [false, true] {
                    sort_keys(&row, descending, &mut keys, &mut spare);
                    let got: Vec<usize> = keys.iter().map(|&key| key as u32 as usize).collect();
                    assert_eq!(got, order(&wide, descending), "n {n} descending {descending}");
                }
            }
        }
    }
}
