//! The registry's checks of some kernels on the emulator, while one is written: `check FOLDER,… [ELEMENTS [SEED]]`, or `all`.
//! A seed shuffles the order of warps and blocks and moves approximations to their bounds.
#![allow(clippy::print_stdout)] // it is a program

use cuda::{Cuda, Emulated, has_kernel, verify};
use emulator::Options;
use kernels::verify::Budget;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folders = args.next().ok_or("usage: check FOLDER,… [ELEMENTS [SEED]]")?;
    let max_elements = args.next().map_or(Ok(3000), |n| n.parse())?;
    let order = args.next().map(|n| n.parse()).transpose()?;
    let gpu = Cuda::new(Emulated::new(Options { order, perturb: order, ..Options::default() }));
    let chosen = |folder: &str| folders == "all" || folders.split(',').any(|name| name == folder);
    for &(_, table) in kernels::TABLES.iter().filter(|(folder, _)| chosen(folder) && has_kernel(folder)) {
        for info in table {
            let (mut checks, mut failures, begun) = (0, Vec::new(), std::time::Instant::now());
            let budget = Budget { max_elements, ..Budget::default() };
            let refused = verify(info, &gpu, budget, &mut |result| {
                checks += 1;
                failures.extend((!result.ok).then(|| result.to_string()));
            });
            let (failed, time) = (failures.len(), begun.elapsed());
            println!("{}: {checks} checks, {failed} failed, {refused} refused, {time:.2?}", info.name);
            failures.iter().take(8).for_each(|failure| println!("   {failure}"));
        }
    }
    Ok(())
}
