//! Attention on the emulator beyond the registry's small shapes: several tiles, both head sizes of the tensor-core kernels,
//! windows, shared heads; and what the counters say of it.
#![allow(clippy::unwrap_used)] // a test may stop

use cuda::{Cuda, Emulated, verify};
use kernels::verify::Budget;

#[test]
fn dbg_registry() {
    let gpu = Cuda::new(Emulated::default());
    let budget = Budget { max_elements: std::env::var("N").map_or(3000, |n| n.parse().unwrap()), ..Budget::default() };
    for info in kernels::attention::KERNELS {
        let (mut checks, mut failures) = (0, Vec::new());
        let begun = std::time::Instant::now();
        verify(info, &gpu, budget, &mut |result| {
            checks += 1;
            failures.extend((!result.ok).then(|| result.to_string()));
        });
        println!("{}: {checks} checks, {} failed, {:?}", info.name, failures.len(), begun.elapsed());
        failures.truncate(12);
        println!("{failures:#?}");
    }
}
