//! Table lookup on the CPU. Forward: rows in parallel. Backward: positions are sorted by id, so that the rows that go to
//! one table row are neighbours, still in the order in which they came; whoever finds the first of them adds them all.
//! That makes the sum independent of the threads without a lock, and the table row is read and written once.

use super::Embedding;
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, planted, simd};
use std::cell::RefCell;

impl Embedding for Cpu {
    fn embedding_fwd(&self, w: View, ids: View, mut y: ViewMut) -> Result<()> {
        match (w.dtype(), y.dtype()) {
            (DType::Bf16, DType::Bf16) => forward::<Bf16, Bf16>(&w, &ids, &mut y),
            (DType::Bf16, _) => forward::<Bf16, f32>(&w, &ids, &mut y),
            (_, DType::Bf16) => forward::<f32, Bf16>(&w, &ids, &mut y),
            _ => forward::<f32, f32>(&w, &ids, &mut y),
        }
    }
    fn embedding_bwd(&self, dy: View, ids: View, mut dw: ViewMut) -> Result<()> {
        match (dy.dtype(), dw.dtype()) {
            (DType::Bf16, DType::Bf16) => backward::<Bf16, Bf16>(&dy, &ids, &mut dw),
            (DType::Bf16, _) => backward::<Bf16, f32>(&dy, &ids, &mut dw),
            _ => backward::<f32, f32>(&dy, &ids, &mut dw),
        }
    }
}

fn row<'a, T>(base: &'a [T], layout: &Layout, row: usize, c: usize) -> &'a [T] {
    &base[layout.row_position(row)..][..c]
}

fn forward<W: Float, Y: Float>(w: &View, ids: &View, y: &mut ViewMut) -> Result<()> {
    const OP: &str = "embedding_fwd";
    let (rows, c) = y.layout().rows();
    if rows * c == 0 {
        return Ok(());
    }
    let (w_layout, ids_layout, y_layout) = (*w.layout(), *ids.layout(), *y.layout());
    let w = host(OP, "w", w.base::<W>())?;
    let ids = host(OP, "ids", ids.base::<i32>())?;
    let y = par::SharedPtr::new(host(OP, "y", y.base_mut::<Y>())?);
    let per_task = par::rows_per_task(c);
    let tasks = planted!("embedding.rows_of_the_last_task_lost", rows.div_ceil(per_task) => rows / per_task);
    par::for_each_task(tasks, |task| {
        for n in task * per_task..((task + 1) * per_task).min(rows) {
            let w = row(w, &w_layout, ids[ids_layout.position(n)] as usize, c);
            // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
            let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(y_layout.row_position(n)), c) };
            simd::vectorize(
                #[inline(always)]
                move || y.iter_mut().zip(w).for_each(|(y, w)| *y = Y::from_f32(w.to_f32())),
            );
        }
    });
    Ok(())
}

thread_local! {
    /// Id and position of every token, packed so that sorting the numbers sorts by id, then by position.
    static ORDER: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

fn backward<D: Float, W: Float>(dy: &View, ids: &View, dw: &mut ViewMut) -> Result<()> {
    const OP: &str = "embedding_bwd";
    let (rows, c) = dy.layout().rows();
    if rows * c == 0 {
        return Ok(());
    }
    let (dy_layout, dw_layout) = (*dy.layout(), *dw.layout());
    let dy = host(OP, "dy", dy.base::<D>())?;
    let base = host(OP, "ids", ids.base::<i32>())?;
    let dw = par::SharedPtr::new(host(OP, "dw", dw.base_mut::<W>())?);
    ORDER.with_borrow_mut(|order| {
        order.clear();
        order.extend((0..rows).map(|n| (base[ids.layout().position(n)] as u64) << 32 | n as u64));
        order.sort_unstable(); // no two are equal, so there is only one order
        let (order, per_task) = (order.as_slice(), par::rows_per_task(c));
        let id = |at: usize| order[at] >> 32;
        par::for_each_task(rows.div_ceil(per_task), |task| {
            let (mut at, end) = (task * per_task, rows.min((task + 1) * per_task));
            while at < end {
                let same = order[at..].iter().take_while(|&&o| o >> 32 == id(at)).count();
                if at == 0 || id(at - 1) != id(at) {
                    let first = dw_layout.row_position(id(at) as usize);
                    // SAFETY: in bounds; this table row belongs to the task that holds the first position of its id.
                    let dw = unsafe { std::slice::from_raw_parts_mut(dw.get().add(first), c) };
                    simd::vectorize(
                        #[inline(always)]
                        move || add_rows(dy, &dy_layout, &order[at..at + same], dw),
                    );
                }
                at += same;
            }
        });
    });
    Ok(())
}

/// Columns summed at a time.
const COLUMNS: usize = 512;

/// `dw += Σ dy[n]`, in f32, for the positions `n` in the lower halves of `order`.
#[inline(always)]
fn add_rows<D: Float, W: Float>(dy: &[D], layout: &Layout, order: &[u64], dw: &mut [W]) {
    for (block, dw) in dw.chunks_mut(COLUMNS).enumerate() {
        let mut sum = [0.0f32; COLUMNS];
        let sum = &mut sum[..dw.len()];
        sum.iter_mut().zip(dw.iter()).for_each(|(sum, dw)| *sum = dw.to_f32());
        let order = planted!("embedding.duplicates_overwritten", order => &order[order.len() - 1..]);
        for n in order {
            let at = layout.row_position(*n as u32 as usize) + block * COLUMNS;
            sum.iter_mut().zip(&dy[at..]).for_each(|(sum, dy)| *sum += dy.to_f32());
        }
        dw.iter_mut().zip(sum).for_each(|(dw, sum)| *dw = W::from_f32(*sum));
    }
}

#[cfg(test)]
mod tests {
    use crate::embedding::{embedding_bwd, embedding_fwd};
    use crate::{Bf16, Cpu, KernelError, View, ViewMut, par};

    #[test]
    fn duplicates_are_added_in_row_order_whatever_the_threads() {
        let (n, v, c) = (1000, 17, 33);
        let ids: Vec<i32> = (0..n).map(|i| (i * i % v) as i32).collect();
        let dy: Vec<f32> = (0..n * c).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut want = vec![0.5f32; v * c];
        (0..n * c).for_each(|i| want[ids[i / c] as usize * c + i % c] += dy[i]);
        for threads in [1, 2, 3] {
            let mut dw = vec![0.5f32; v * c];
            let (dy, ids) = (View::from_slice(&dy, &[n, c]).unwrap(), View::from_slice(&ids, &[n]).unwrap());
            let out = ViewMut::from_slice(&mut dw, &[v, c]).unwrap();
            par::with_threads(threads, || embedding_bwd(&Cpu, dy, ids, out)).unwrap();
            assert_eq!(dw, want);
        }
    }

    #[test]
    fn many_small_rows_survive_in_a_bf16_table() {
        // Added one by one in bf16, 1/512 would vanish beside 1.
        let (dy, ids) = (vec![Bf16::from_f32(1.0 / 512.0); 512], vec![0i32; 512]);
        let mut dw = [Bf16::from_f32(1.0)];
        let (dy, ids) = (View::from_slice(&dy, &[512, 1]).unwrap(), View::from_slice(&ids, &[512]).unwrap());
        embedding_bwd(&Cpu, dy, ids, ViewMut::from_slice(&mut dw, &[1, 1]).unwrap()).unwrap();
        assert_eq!(dw[0].to_f32(), 2.0);
    }

    #[test]
    fn an_id_outside_the_table_is_refused() {
        let (w, mut y) = ([0.0f32; 6], [0.0f32; 2]);
        for bad in [3, -1] {
            let ids = [bad];
            let (w, ids) = (View::from_slice(&w, &[3, 2]).unwrap(), View::from_slice(&ids, &[1]).unwrap());
            let err = embedding_fwd(&Cpu, w, ids, ViewMut::from_slice(&mut y, &[1, 2]).unwrap());
            assert!(matches!(err, Err(KernelError::IndexOutOfRange { limit: 3, .. })));
        }
    }
}
