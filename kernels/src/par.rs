//! Deterministic parallelism: the only file that knows the threads. `par/team.rs` is how they find each other.
//!
//! How work is cut into tasks, and the order in which partial results are combined, depend on the size of the problem
//! alone. Threads only decide who runs a task and when, so 1, 2 or 64 threads give the same bits.

mod pin;
mod team;

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::rc::Rc;
use std::sync::OnceLock;
use team::Team;

/// Everybody's threads.
static TEAM: OnceLock<Team> = OnceLock::new();

thread_local! {
    /// This thread's, inside of [`with_threads`].
    static OWN: RefCell<Option<Rc<Team>>> = const { RefCell::new(None) };
}

/// Fix the number of worker threads. Takes effect once, before the first kernel runs; later calls return `false`.
pub fn set_threads(threads: usize) -> bool {
    let mut fixed = false;
    TEAM.get_or_init(|| {
        fixed = true;
        Team::new(threads)
    });
    fixed
}

/// Keep the calling thread and its helpers each on a core of its own, from now on; see `par/pin.rs`. Threads that the caller
/// starts later begin on its core. `false` if there are too few cores, or the system cannot do it (any but Linux).
pub fn pin() -> bool {
    with_team(Team::pin)
}

/// Run `f` with exactly `threads` threads: for tests that compare thread counts inside one process.
pub fn with_threads<R>(threads: usize, f: impl FnOnce() -> R) -> R {
    /// Puts the outer team back, also when `f` panics.
    struct Restore(Option<Rc<Team>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            OWN.set(self.0.take());
        }
    }
    let _restore = Restore(OWN.replace(Some(Rc::new(Team::new(threads)))));
    f()
}

/// The team that works for the calling thread.
fn with_team<R>(f: impl FnOnce(&Team) -> R) -> R {
    let own = OWN.with_borrow(|own| own.clone());
    match own {
        Some(team) => f(&team),
        None => {
            f(TEAM.get_or_init(|| Team::new(std::thread::available_parallelism().map_or(1, |n| n.get()))))
        }
    }
}

/// Number of threads kernels will use when called from here.
pub fn threads() -> usize {
    with_team(Team::size)
}

/// Call `f(task)` for every task in `0..tasks`, in parallel. Tasks must touch disjoint data.
pub fn for_each_task(tasks: usize, f: impl Fn(usize) + Sync + Send) {
    match tasks {
        0 => {}
        1 => f(0),
        _ => with_team(|team| team.run(tasks, &f)),
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
    let (len, start) = (data.len(), SharedPtr::new(data));
    for_each_task(len.div_ceil(chunk), |task| {
        let range = task * chunk..((task + 1) * chunk).min(len);
        // SAFETY: tasks have disjoint ranges within `data`, which is borrowed until all are done.
        let rows = unsafe { std::slice::from_raw_parts_mut(start.get().add(range.start), range.len()) };
        f(task * rows_per_task.max(1), rows);
    });
}

/// `f` over fixed blocks of `0..n`, in parallel; results come back in block order, to be combined from left to right.
pub fn map_blocks<R: Send>(n: usize, block: usize, f: impl Fn(Range<usize>) -> R + Sync + Send) -> Vec<R> {
    let blocks = n.div_ceil(block.max(1));
    let range = |i: usize| i * block..((i + 1) * block).min(n);
    match blocks {
        0 => Vec::new(),
        1 => vec![f(range(0))],
        _ => {
            let mut results: Vec<MaybeUninit<R>> = (0..blocks).map(|_| MaybeUninit::uninit()).collect();
            let place = SharedPtr::new(&mut results);
            for_each_task(blocks, |i| {
                // SAFETY: every block has its own place.
                unsafe { place.get().add(i).write(MaybeUninit::new(f(range(i)))) };
            });
            // SAFETY: every block was done, or `for_each_task` had panicked.
            results.into_iter().map(|result| unsafe { result.assume_init() }).collect()
        }
    }
}

/// A pointer that tasks may share. Each task must write only elements that no other task touches.
pub struct SharedPtr<T>(*mut T);
impl<T> Clone for SharedPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for SharedPtr<T> {}
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
