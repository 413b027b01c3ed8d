//! The allocator: its books balance, its limits hold, and running out of memory is an error that first gives back what
//! was kept. One test, since the books are the process's own.
#![allow(clippy::unwrap_used)]

use tensor::memory::{self, Stats};
use tensor::{DType, Device, Tensor, TensorError, set_cache_limit, trim};

const MIB: usize = 1 << 20;

fn block(mib: usize) -> Result<Tensor, TensorError> {
    Tensor::uninit(&[mib * MIB / 4], DType::F32, Device::Cpu)
}

fn stats() -> Stats {
    memory::stats(Device::Cpu)
}

#[test]
fn books_balance_limits_hold_and_exhaustion_is_an_error() {
    let device = Device::Cpu;
    let (a, b) = (block(4).unwrap(), block(8).unwrap());
    assert_eq!((stats().live_bytes, stats().live_storages, memory::live_here()), (12 * MIB, 2, 2));
    drop((a, b));
    let s = stats();
    assert_eq!(
        (s.live_bytes, s.peak_bytes, s.cached_bytes, s.system_bytes),
        (0, 12 * MIB, 12 * MIB, 12 * MIB)
    );
    assert_eq!((s.system_allocations, s.system_releases, s.reuses, memory::live_here()), (2, 0, 0, 0));

    // A smaller cache limit gives back the size that was used least recently: 4 MiB, because 8 was asked for last.
    drop(block(4).unwrap());
    drop(block(8).unwrap());
    set_cache_limit(device, 9 * MIB);
    assert_eq!((stats().cached_bytes, stats().system_releases, stats().reuses), (8 * MIB, 1, 2));
    drop(block(8).unwrap());
    assert_eq!(stats().reuses, 3, "the block that was kept is the one in use");
    drop(block(2).unwrap());
    assert_eq!(stats().cached_bytes, 2 * MIB, "8 and 2 are too much, and 2 is the newer one");
    drop(block(16).unwrap());
    assert_eq!(
        (stats().cached_bytes, stats().system_bytes),
        (0, 0),
        "more than the limit is not kept at all"
    );

    // At the memory limit everything kept goes back first; only then the request is refused.
    set_cache_limit(device, memory::CACHE_LIMIT);
    memory::set_limit(device, 20 * MIB);
    let held = block(8).unwrap();
    drop(block(12).unwrap());
    let s = stats();
    assert_eq!((s.cached_bytes, s.system_bytes), (12 * MIB, 20 * MIB));
    let other = block(10).unwrap(); // of another class: the 12 had to go
    assert_eq!((stats().cached_bytes, stats().system_bytes), (0, 18 * MIB));
    let before = stats();
    let refused = block(3);
    let Err(TensorError::OutOfMemory { bytes, live, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((bytes, live, stats()), (3 * MIB, 18 * MIB, before));
    drop(other);
    block(3).unwrap();

    // Labels follow the guard that holds when a storage is made, and a mark keeps the largest picture.
    drop(held);
    trim(device);
    let named = {
        let _outer = memory::label("outer");
        let inner = {
            let _inner = memory::label("inner");
            block(1).unwrap()
        };
        (inner, block(2).unwrap())
    };
    memory::reset_peak(device);
    memory::mark(device);
    assert_eq!(memory::by_label(device), [("inner", MIB), ("outer", 2 * MIB)]);
    drop(named);
    memory::mark(device);
    {
        let _label = memory::label("inside");
        let _large = block(7).unwrap();
        memory::mark(device);
    }
    assert_eq!(
        (memory::by_label(device), memory::marked(device)),
        (vec![], vec![("inner", MIB), ("outer", 2 * MIB)])
    );

    // A storage counts for the thread that made it, wherever it is dropped.
    let made = std::thread::spawn(|| {
        let x = block(1).unwrap();
        (memory::live_here(), x)
    });
    let (there, x) = made.join().unwrap();
    assert_eq!((there, memory::live_here()), (1, 0));
    let _y = block(1).unwrap();
    drop(x);
    assert_eq!(memory::live_here(), 1);
}
