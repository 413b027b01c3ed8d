//! Counters beside the lines of the source.

use crate::count::Counters;
use crate::module::Module;
use std::fmt::Write;

/// A table with a row for every line of the CUDA file `number` (its number in `.loc`) that was executed: warp instructions,
/// the part of lanes that were active, global sectors against the fewest that would do, shared wavefronts against requests.
pub fn line_table(counters: &Counters, module: &Module, number: u32, source: &str) -> String {
    let path = module.file(number).unwrap_or("the source");
    let mut text = format!("{path}\n line   instr  lanes    sectors/fewest   waves/requests\n");
    for ((_, line), count) in counters.lines.iter().filter(|((file, _), _)| *file == number) {
        let active = 100.0 * count.lane_instructions as f64 / (32 * count.warp_instructions).max(1) as f64;
        let pair = |a: u64, b: u64| if a + b == 0 { String::new() } else { format!("{a}/{b}") };
        let code = (*line as usize)
            .checked_sub(1)
            .and_then(|line| source.lines().nth(line))
            .unwrap_or("")
            .trim_end();
        let _ = writeln!(
            text,
            "{line:>5} {:>7} {active:>5.0}% {:>17} {:>16}  {code}",
            count.warp_instructions,
            pair(count.sectors, count.min_sectors),
            pair(count.wavefronts, count.requests),
        );
    }
    text
}
