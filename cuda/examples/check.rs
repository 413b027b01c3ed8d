//! dev
use cuda::{Cuda, Emulated, verify, has_kernel};
use kernels::verify::Budget;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n = args.get(2).map_or(3000, |n| n.parse().unwrap());
    let order = args.get(3).map(|n| n.parse().unwrap());
    let gpu = Cuda::new(Emulated::new(emulator::Options { order, perturb: order, ..Default::default() }));
    for &(folder, table) in kernels::TABLES {
        if !args[1].split(',').any(|f| f == folder || f == "all") { continue; }
        for info in table {
            if !has_kernel(folder) { println!("{} none", info.name); continue; }
            let (mut checks, mut failures) = (0, Vec::new());
            let begun = std::time::Instant::now();
            let refused = verify(info, &gpu, Budget { max_elements: n, ..Budget::default() }, &mut |result| {
                checks += 1;
                failures.extend((!result.ok).then(|| result.to_string()));
            });
            println!("{}: {checks} checks, {} failed, {refused} refused, {:?}", info.name, failures.len(), begun.elapsed());
            failures.truncate(8);
            failures.iter().for_each(|f| println!("   {f}"));
        }
    }
}
