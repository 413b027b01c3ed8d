//! Deterministic parallelism: the only file that knows the thread pool.
//!
//! How work is cut into tasks, and the order in which partial results are combined, depend on the size of the problem
//! alone. Threads only decide who runs a task and when, so 1, 2 or 64 threads give the same bits.

use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

static POOL: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();

fn build(threads: usize) -> Option<rayon::ThreadPool> {
    // The builder fails only when the system refuses threads; then everything runs on the caller's thread.
    rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("kernel-{i}")).build().ok()
}

/// Fix the number of worker threads. Takes effect once, before the first kernel runs; later calls return `false`.
pub fn set_threads(threads: usize) -> bool {
    POOL.set(build(threads.max(1))).is_ok()
}

/// Run `f` with a pool of exactly `threads` threads: for tests that compare thread counts inside one process.
pub fn with_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    match build(threads) {
        Some(pool) => pool.install(f),
        None => f(),
    }
}

/// Number of threads kernels will use when called from here.
pub fn threads() -> usize {
    run(rayon::current_num_threads)
}

/// Enter the pool, unless we are inside one already.
fn run<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return f();
    }
    match POOL.get_or_init(|| build(std::thread::available_parallelism().map_or(1, |n| n.get()))) {
        Some(pool) => pool.install(f),
        None => f(),
    }
}

/// Call `f(task)` for every task in `0..tasks`, in parallel. Tasks must touch disjoint data.
pub fn for_each_task(tasks: usize, f: impl Fn(usize) + Sync + Send) {
    match tasks {
        0 => {}
        1 => f(0),
        _ => run(|| (0..tasks).into_par_iter().with_max_len(1).for_each(f)),
    }
}

/// How many rows of `row_len` elements make one task: about 16 Ki elements, the same on every machine.
pub fn rows_per_task(row_len: usize) -> usize {
    (16384 / row_len.max(1)).max(1)
}

/// Cut `data` into rows of `row_len` and call `f(first_row, chunk)` on chunks of `rows_per_task` whole rows.
pub fn for_each_rows<T: Send>(
    data: &mut [T],
    row_len: usize,
    rows_per_task: usize,
    f: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    if data.is_empty() || row_len == 0 {
        return;
    }
    let chunk = rows_per_task.max(1) * row_len;
    if data.len() <= chunk {
        return f(0, data);
    }
    run(|| {
        data.par_chunks_mut(chunk)
            .enumerate()
            .with_max_len(1)
            .for_each(|(i, chunk)| f(i * rows_per_task.max(1), chunk))
    });
}

/// `f` over fixed blocks of `0..n`, in parallel; results come back in block order, to be combined from left to right.
pub fn map_blocks<R: Send>(n: usize, block: usize, f: impl Fn(Range<usize>) -> R + Sync + Send) -> Vec<R> {
    let blocks = n.div_ceil(block.max(1));
    let range = |i: usize| i * block..((i + 1) * block).min(n);
    match blocks {
        0 => Vec::new(),
        1 => vec![f(range(0))],
        _ => run(|| (0..blocks).into_par_iter().with_max_len(1).map(|i| f(range(i))).collect()),
    }
}

/// A pointer that tasks may share. Each task must write only elements that no other task touches.
#[derive(Clone, Copy)]
pub struct SharedPtr<T>(*mut T);
// SAFETY: sharing the address is harmless; dereferencing is unsafe and carries the contract above.
unsafe impl<T: Send> Send for SharedPtr<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedPtr<T> {}
impl<T> SharedPtr<T> {
    /// Wrap the start of a slice that outlives the parallel section.
    pub fn new(data: &mut [T]) -> Self {
        SharedPtr(data.as_mut_ptr())
    }
    /// The pointer itself (a method, so that closures capture the wrapper and not the bare pointer).
    pub fn get(self) -> *mut T {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_visited_once_whatever_the_threads() {
        for threads in [1, 2, 3] {
            let mut data = vec![0u32; 7 * 1000];
            with_threads(threads, || {
                for_each_rows(&mut data, 7, 13, |first, chunk| {
                    for (r, row) in chunk.chunks_mut(7).enumerate() {
                        row.iter_mut().for_each(|v| *v += (first + r) as u32);
                    }
                })
            });
            assert!(data.chunks(7).enumerate().all(|(r, row)| row.iter().all(|&v| v == r as u32)));
        }
    }

    #[test]
    fn blocks_come_back_in_order() {
        let sums = with_threads(2, || map_blocks(10, 4, |r| r.sum::<usize>()));
        assert_eq!(sums, [6, 22, 17]);
    }
}
