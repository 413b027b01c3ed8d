//! A team of threads: one that leads, and helpers that join it for one list of tasks at a time.
//!
//! Decoding a token is a hundred small kernels, so what counts is how fast a helper hears of work. It stays awake for a
//! moment after its last task, watching one word of memory, and joins within a microsecond; only then it sleeps, and must
//! be woken by the system. The leader works, too, and waits for nobody who has not joined: a helper whose core is taken by
//! another program costs nothing.
//!
//! Tasks are shared out in contiguous parts, one per thread, so that neighbouring data tends to stay with one core from
//! kernel to kernel; whoever is done takes from the others' parts. Who runs a task, and when, is all that is left open.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a helper stays awake without work: longer than the serial work between two kernels of a decoding step.
const AWAKE: Duration = Duration::from_micros(150);
/// Looks at the word before the core is offered to others.
const LOOKS: usize = 64;

/// In `state`: how many helpers are in the list of tasks, whether it may still be joined, and its number above these.
const HELPERS: usize = 0xFFFF;
const OPEN: usize = 1 << 16;
const NUMBER: usize = 1 << 17;

thread_local! {
    /// Is this thread in a list of tasks? Then lists inside it are its own.
    static WORKING: Cell<bool> = const { Cell::new(false) };
}

/// The threads of a list of tasks. The calling thread is one of them.
pub(super) struct Team {
    shared: Arc<Shared>,
    /// Held by the thread that leads.
    lead: Mutex<()>,
    helpers: Vec<JoinHandle<()>>,
}

struct Shared {
    state: AtomicUsize,
    /// What to do, while `state` is open or has helpers.
    job: UnsafeCell<Option<Job>>,
    /// The next task of each thread's part.
    parts: Box<[Part]>,
    sleepers: AtomicUsize,
    asleep: Mutex<()>,
    bell: Condvar,
    dismissed: AtomicBool,
    /// What a helper's task panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A cache line of its own, or threads would fight over it.
#[repr(align(128))]
struct Part(AtomicUsize);

#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    tasks: usize,
    /// Threads, and so parts.
    size: usize,
}

impl Job {
    /// Where the part of thread `index` ends; all parts are equal, or nearly.
    fn part_end(&self, index: usize) -> usize {
        (self.tasks as u128 * (index as u128 + 1) / self.size as u128) as usize
    }
}

// SAFETY: `job` is written only by the leader while `state` is neither open nor has helpers, and read only by helpers that
// were counted in `state`; what it points to lives until the leader has seen the last of them leave.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

/// A poisoned lock is used all the same: none of them guards data that could be half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Team {
    /// A team of `threads`, or of fewer if the system refuses some.
    pub fn new(threads: usize) -> Team {
        let threads = threads.clamp(1, HELPERS);
        let shared = Arc::new(Shared {
            state: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            parts: (0..threads).map(|_| Part(AtomicUsize::new(0))).collect(),
            sleepers: AtomicUsize::new(0),
            asleep: Mutex::new(()),
            bell: Condvar::new(),
            dismissed: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let helper = |index: usize| {
            let shared = shared.clone();
            let named = thread::Builder::new().name(format!("kernel-{index}"));
            named.spawn(move || shared.help(index)).ok()
        };
        Team { lead: Mutex::new(()), helpers: (1..threads).map_while(helper).collect(), shared }
    }
    /// How many threads there are.
    pub fn size(&self) -> usize {
        1 + self.helpers.len()
    }
    /// Each thread on a core of its own: the caller's and the helpers'.
    pub fn pin(&self) -> bool {
        super::pin::pin(&self.helpers)
    }
    /// `task(i)` for every `i` below `tasks`, each once. Inside of a task, or while another thread leads, the caller does
    /// it all by itself.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks < 2 || self.helpers.is_empty() || WORKING.get() {
            return (0..tasks).for_each(task);
        }
        let leading = match self.lead.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()), // a task panicked; the list was closed all the same
            Err(TryLockError::WouldBlock) => None,
        };
        match leading {
            Some(_guard) => self.shared.lead(Job { task: erased(task), tasks, size: self.size() }),
            None => (0..tasks).for_each(task),
        }
    }
}

/// The same pointer without its lifetime; [`Shared::lead`] returns only when nobody uses it any more.
fn erased<'a>(task: &'a (dyn Fn(usize) + Sync + 'a)) -> *const (dyn Fn(usize) + Sync) {
    let task: *const (dyn Fn(usize) + Sync + 'a) = task;
    // SAFETY: two types that differ in a lifetime alone have one layout.
    unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + 'a), *const (dyn Fn(usize) + Sync)>(task) }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.dismissed.store(true, Ordering::SeqCst);
        drop(lock(&self.shared.asleep));
        self.shared.bell.notify_all();
        for helper in self.helpers.drain(..) {
            let _ = helper.join(); // its panics were passed on to the leader
        }
    }
}

impl Shared {
    /// Run a job with whoever joins.
    fn lead(&self, job: Job) {
        for index in 0..job.size {
            let start = if index == 0 { 0 } else { job.part_end(index - 1) };
            self.parts[index].0.store(start, Ordering::Relaxed);
        }
        // SAFETY: only the leader writes, and nobody is in: `state` is closed and its helpers have left.
        unsafe { *self.job.get() = Some(job) };
        let number = (self.state.load(Ordering::Relaxed) & !(NUMBER - 1)).wrapping_add(NUMBER);
        self.state.store(number | OPEN, Ordering::SeqCst);
        let wanted = (job.tasks - 1).min(self.sleepers.load(Ordering::SeqCst));
        if wanted > 0 {
            drop(lock(&self.asleep)); // whoever is about to sleep looks at `state` first
            (0..wanted).for_each(|_| self.bell.notify_one());
        }
        let mine = catch_unwind(AssertUnwindSafe(|| self.work(job, 0)));
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0;
        while self.state.load(Ordering::Acquire) & HELPERS != 0 {
            looks += 1;
            if looks < LOOKS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let theirs = lock(&self.panic).take();
        if let Some(panic) = mine.err().or(theirs) {
            resume_unwind(panic);
        }
    }
    /// Take tasks until there are none: of the own part, then of those behind it.
    fn work(&self, job: Job, index: usize) {
        let _restore = Restore(WORKING.replace(true));
        // SAFETY: the leader waits for everybody who works.
        let task = unsafe { &*job.task };
        for part in (index..job.size).chain(0..index) {
            let end = job.part_end(part);
            loop {
                let next = self.parts[part].0.fetch_add(1, Ordering::Relaxed);
                if next >= end {
                    break;
                }
                task(next);
            }
        }
    }
    /// The life of a helper.
    fn help(&self, index: usize) {
        let mut seen = 0;
        while let Some(state) = self.next(seen) {
            seen = state & !(NUMBER - 1);
            let joined =
                self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if !joined {
                seen = seen.wrapping_sub(NUMBER); // somebody else joined or the list was closed: look again
                continue;
            }
            // SAFETY: we are counted in `state`, so the leader does not touch it until we leave.
            if let Some(job) = unsafe { *self.job.get() }
                && let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work(job, index)))
            {
                *lock(&self.panic) = Some(panic);
            }
            self.state.fetch_sub(1, Ordering::AcqRel);
        }
    }
    /// Wait for a list other than `seen` that is open; its state. `None` when dismissed.
    fn next(&self, seen: usize) -> Option<usize> {
        let news = || {
            let state = self.state.load(Ordering::SeqCst);
            (state & OPEN != 0 && state & !(NUMBER - 1) != seen).then_some(state)
        };
        let since = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if let Some(state) = news() {
                    return Some(state);
                }
                std::hint::spin_loop();
            }
            if self.dismissed.load(Ordering::SeqCst) {
                return None;
            }
            if since.elapsed() >= AWAKE {
                break;
            }
            thread::yield_now(); // if the leader is on this core, it goes first
        }
        let mut guard = lock(&self.asleep);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let state = loop {
            if self.dismissed.load(Ordering::SeqCst) {
                break None;
            }
            if let Some(state) = news() {
                break Some(state);
            }
            guard = self.bell.wait(guard).unwrap_or_else(|e| e.into_inner());
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        state
    }
}

/// Puts `WORKING` back, also when a task panics.
struct Restore(bool);
impl Drop for Restore {
    fn drop(&mut self) {
        WORKING.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each task was done. Plain memory: what a helper wrote must be there for the leader, or Miri objects.
    fn counts(team: &Team, tasks: usize) -> Vec<usize> {
        let mut counts = vec![0; tasks];
        let place = crate::par::SharedPtr::new(&mut counts);
        team.run(tasks, &|i| {
            // SAFETY: each task has its own place.
            unsafe { *place.get().add(i) += 1 };
        });
        counts
    }

    #[test]
    fn every_task_is_done_once_by_awake_and_by_sleeping_helpers() {
        let team = Team::new(3);
        let (rounds, nap) = if cfg!(miri) { (60, 20) } else { (2000, 500) };
        for round in 0..rounds {
            let tasks = round % 17;
            assert_eq!(counts(&team, tasks), vec![1; tasks]);
            if round % nap == 0 {
                thread::sleep(4 * AWAKE);
            }
        }
    }

    #[test]
    fn helpers_take_part() {
        let (team, both) = (Team::new(2), std::sync::Barrier::new(2));
        team.run(2, &|_| {
            both.wait(); // one thread alone would wait for ever
        });
    }

    #[test]
    fn a_list_inside_a_task_and_one_beside_another_are_done_all_the_same() {
        let team = Team::new(2);
        let total = AtomicUsize::new(0);
        let add = |_: usize| {
            total.fetch_add(1, Ordering::Relaxed);
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| team.run(10, &|_| team.run(10, &add)));
            }
        });
        assert_eq!(total.into_inner(), 300);
    }

    #[test]
    fn a_panic_of_a_task_reaches_the_caller_and_the_team_lives_on() {
        let team = Team::new(2);
        for bad in [0, 7] {
            let run = || team.run(8, &|i| assert!(i != bad, "task {i}"));
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), &format!("task {bad}"));
            assert_eq!(counts(&team, 9), vec![1; 9]);
        }
    }
}
