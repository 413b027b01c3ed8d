//! Selection of the largest on the CPU: one pass over a row, nothing sorted but the result.
//!
//! A value and its index are packed into one integer that is larger the better the element is. Elements that beat the
//! threshold go on a list; when it is full, the best `k` stay and the worst of them is the new threshold. After a few
//! thousand elements next to nothing beats it, and the pass is a vector comparison against the threshold.

use super::TopK;
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut, par, planted, simd};
use std::cell::RefCell;

impl TopK for Cpu {
    fn top_k(&self, x: View, mut values: ViewMut, mut indices: ViewMut) -> Result<()> {
        match x.dtype() {
            DType::Bf16 => run::<Bf16>(&x, &mut values, &mut indices),
            _ => run::<f32>(&x, &mut values, &mut indices),
        }
    }
}

thread_local! {
    /// Candidates of the row at hand.
    static LIST: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

fn run<T: Float>(x: &View, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    const OP: &str = "top_k";
    let (rows, v, k) = (x.dims()[0], x.dims()[1], values.dims()[1]);
    if rows * k == 0 {
        return Ok(());
    }
    let (x_layout, values_layout, indices_layout) = (*x.layout(), *values.layout(), *indices.layout());
    let x = host(OP, "x", x.base::<T>())?;
    let values = par::SharedPtr::new(host(OP, "values", values.base_mut::<T>())?);
    let indices = par::SharedPtr::new(host(OP, "indices", indices.base_mut::<i32>())?);
    let per_task = par::rows_per_task(v);
    par::for_each_task(rows.div_ceil(per_task), |task| {
        for row in task * per_task..((task + 1) * per_task).min(rows) {
            let x = &x[x_layout.row_position(row)..][..v];
            let (to, to_index) = (values_layout.row_position(row), indices_layout.row_position(row));
            // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
            let values = unsafe { std::slice::from_raw_parts_mut(values.get().add(to), k) };
            // SAFETY: as above.
            let indices = unsafe { std::slice::from_raw_parts_mut(indices.get().add(to_index), k) };
            select(x, k, |rank, index| {
                values[rank] = x[index];
                indices[rank] = index as i32;
            });
        }
    });
    Ok(())
}

/// Call `found(rank, index)` for the `k` best elements of `row`, best first. `k ≤ row.len() < 2³¹`.
pub(crate) fn select<T: Float>(row: &[T], k: usize, mut found: impl FnMut(usize, usize)) {
    LIST.with_borrow_mut(|list| {
        list.clear();
        simd::vectorize(
            #[inline(always)]
            || collect(row, k, list),
        );
        keep_best(list, k);
        list.sort_unstable_by_key(|&key| {
            std::cmp::Reverse(planted!("top_k.ties_in_any_order", key => key >> 32))
        });
        for (rank, key) in list.iter().enumerate() {
            found(rank, !*key as u32 as usize);
        }
    });
}

// ANCHOR: key
/// Larger for larger values (NaN largest, −0 as 0), and among equal ones for smaller indices.
#[inline(always)]
fn key(value: f32, index: usize) -> u64 {
    let bits = (value + 0.0).to_bits();
    let ordered = match value.is_nan() {
        true => planted!("top_k.nan_is_smallest", u32::MAX => 0),
        false if bits >> 31 == 1 => !bits,
        false => bits | 1 << 31,
    };
    (ordered as u64) << 32 | !(index as u32) as u64
}
// ANCHOR_END: key

fn keep_best(list: &mut Vec<u64>, k: usize) {
    if list.len() > k {
        list.select_nth_unstable_by_key(k - 1, |&key| std::cmp::Reverse(key));
        list.truncate(k);
    }
}

/// Elements compared at a time.
const BLOCK: usize = 64;

/// Leave a superset of the `k` best elements of `row` on the list.
#[inline(always)]
fn collect<T: Float>(row: &[T], k: usize, list: &mut Vec<u64>) {
    let capacity = k + k.max(8 * BLOCK);
    let mut threshold = None;
    for first in (0..row.len()).step_by(BLOCK) {
        let block = &row[first..row.len().min(first + BLOCK)];
        if let Some(threshold) = threshold {
            let above = |x: f32| (x > threshold) | x.is_nan();
            if block.iter().fold(0, |count, x| count + above(x.to_f32()) as u32) == 0 {
                continue;
            }
        }
        // An element equal to the threshold comes later than k at least as good ones. Only NaN passes a threshold of NaN,
        // needlessly; that costs time, no more.
        let wanted = |x: f32| threshold.is_none_or(|threshold| x > threshold || x.is_nan());
        let found = block.iter().enumerate().filter(|(_, x)| wanted(x.to_f32()));
        list.extend(found.map(|(i, x)| key(x.to_f32(), first + i)));
        if list.len() + BLOCK > capacity {
            keep_best(list, k);
            if list.len() == k {
                let worst = !*list.iter().min().unwrap_or(&0) as u32 as usize;
                threshold = Some(row[worst].to_f32());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::philox::Philox;
    use crate::top_k::{descending, top_k};

    fn selected(row: &[f32], k: usize) -> Vec<usize> {
        let mut order = vec![0; k];
        select(row, k, |rank, index| order[rank] = index);
        order
    }

    #[test]
    fn any_k_of_any_row_is_the_head_of_the_sorted_row() {
        let mut rng = Philox::new(5, 0);
        for n in [1usize, 5, 64, 1000, 6000] {
            let rising: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let falling = rising.iter().rev().copied().collect();
            let coarse = (0..n).map(|_| rng.below(7) as f32 - 3.0).collect(); // many ties
            let normal = (0..n).map(|_| rng.normal() as f32).collect();
            let mut odd: Vec<f32> = (0..n).map(|_| if rng.below(2) == 0 { 0.0 } else { -0.0 }).collect();
            odd.iter_mut().for_each(|v| match rng.below(9) {
                0 => *v = f32::NAN,
                1 => *v = f32::INFINITY,
                2 => *v = f32::NEG_INFINITY,
                3 => *v = -f32::NAN,
                _ => {}
            });
            for row in [rising, falling, coarse, normal, odd] {
                let order = descending(&row.iter().map(|&v| v as f64).collect::<Vec<_>>());
                for k in [1, n.div_ceil(9), n.div_ceil(2), n] {
                    assert_eq!(selected(&row, k), order[..k], "n {n} k {k}");
                }
            }
        }
    }

    #[test]
    fn more_than_there_are_is_refused() {
        let (x, mut values, mut indices) = ([0.0f32; 3], [0.0f32; 4], [0i32; 4]);
        let x = View::from_slice(&x, &[1, 3]).unwrap();
        let (values, indices) =
            (ViewMut::from_slice(&mut values, &[1, 4]), ViewMut::from_slice(&mut indices, &[1, 4]));
        assert!(top_k(&Cpu, x, values.unwrap(), indices.unwrap()).is_err());
    }
}
