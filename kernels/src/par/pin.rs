//! Threads that stay on their cores.
//!
//! The system moves threads between cores as it sees fit, and a thread that was moved finds its caches cold; where cores
//! are not equally near each other, two threads may also land far apart. Who has a machine for himself can rule that out.
//! Off unless asked for: a pinned thread waits while another program has its core, though others may be idle.
//! Linux only; elsewhere there is no such call, or a hint at most.

use std::thread::JoinHandle;

/// Give the calling thread the first core that this process may use, and `helpers` the ones after it. `false`, and nothing is
/// changed, if there are fewer cores than threads or the system has no such call.
#[cfg(target_os = "linux")]
pub(super) fn pin(helpers: &[JoinHandle<()>]) -> bool {
    use std::os::unix::thread::JoinHandleExt;
    let cores = cores();
    if cores.len() <= helpers.len() {
        return false;
    }
    // SAFETY: names the calling thread.
    let leader = unsafe { libc::pthread_self() };
    let threads = std::iter::once(leader).chain(helpers.iter().map(|helper| helper.as_pthread_t()));
    threads.zip(cores).all(|(thread, core)| {
        // SAFETY: an empty set is all zeros.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the number came out of a set of this size.
        unsafe { libc::CPU_SET(core, &mut set) };
        // SAFETY: the thread exists until its handle is joined, or it is the caller; the set is read during the call.
        unsafe { libc::pthread_setaffinity_np(thread, size_of_val(&set), &raw const set) == 0 }
    })
}

/// The cores that this thread may use now.
#[cfg(target_os = "linux")]
fn cores() -> Vec<usize> {
    // SAFETY: an empty set is all zeros.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread; the system writes at most the size given.
    let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0;
    // SAFETY: every number is below the size of the set.
    (0..8 * size_of_val(&set)).filter(|&core| !failed && unsafe { libc::CPU_ISSET(core, &set) }).collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn pin(_: &[JoinHandle<()>]) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_core_and_more_threads_than_cores_are_refused() {
        std::thread::spawn(|| {
            let all = cores();
            let end = std::sync::Arc::new(std::sync::Barrier::new(all.len() + 1));
            let waiting = |_: &usize| {
                let end = end.clone();
                std::thread::spawn(move || {
                    end.wait();
                })
            };
            let many: Vec<_> = all.iter().map(waiting).collect();
            assert!(!pin(&many), "one thread too many");
            assert_eq!(cores(), all);
            assert!(pin(&many[1..]));
            assert_eq!(cores(), all[..1]);
            end.wait();
        })
        .join()
        .unwrap();
    }
}
