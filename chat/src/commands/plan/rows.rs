//! Steps on the device `dry-run`: what one takes, and with how many rows it still fits.

use super::operations::{Kernels, launched};
use crate::commands::bench::steps::Bench;
use kernels::profile;
use tensor::{Device, memory};

/// What a step was found to do.
pub struct Plan {
    /// Rows of its micro-batch.
    pub rows: usize,
    /// The most bytes that tensors have at a time.
    pub peak: f64,
    /// Bytes when forward ends, by what they are for.
    pub memory: Vec<(&'static str, usize)>,
    /// Per operation: launches, and calls with their work.
    pub kernels: Kernels,
    /// The most rows that fit; 0 if one does not.
    pub most_rows: usize,
}

/// No GPU has room for more rows than this in any model worth planning.
const MOST: usize = 1 << 14;

/// A step of `rows` rows, and the most rows whose step needs at most `room` bytes.
pub fn plan(bench: &mut Bench, rows: usize, room: f64) -> anyhow::Result<Plan> {
    peak(bench, 1)?; // gradients and the optimizer's memory are there from the second step on
    let most_rows = most(room, MOST, |rows| peak(bench, rows))?;
    tensor::dry_launches();
    profile::start();
    let peak = peak(bench, rows);
    let kernels = launched(profile::stop());
    Ok(Plan { rows, peak: peak?, memory: memory::marked(Device::DryRun), kernels, most_rows })
}

/// The most bytes that exist at a time in a step of so many rows.
fn peak(bench: &mut Bench, rows: usize) -> anyhow::Result<f64> {
    bench.rows = rows;
    memory::reset_peak(Device::DryRun);
    bench.step()?;
    Ok(memory::stats(Device::DryRun).peak_bytes as f64)
}

/// The largest number up to `limit` with `peak(number) ≤ room`, found by doubling and halving: the peak grows with the number.
pub fn most(
    room: f64,
    limit: usize,
    mut peak: impl FnMut(usize) -> anyhow::Result<f64>,
) -> anyhow::Result<usize> {
    let (mut fits, mut not) = (0, 1);
    while not <= limit && peak(not)? <= room {
        (fits, not) = (not, 2 * not);
    }
    not = not.min(limit + 1);
    while not - fits > 1 {
        let middle = fits.midpoint(not);
        match peak(middle)? <= room {
            true => fits = middle,
            false => not = middle,
        }
    }
    Ok(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_rows_are_the_last_that_fit() {
        for room in [0.0, 9.0, 10.0, 57.0, 1000.0] {
            for limit in [1, 7, 100, 500] {
                let found = most(room, limit, |rows| Ok(5.0 + 5.0 * rows as f64)).unwrap();
                let want = ((room - 5.0) / 5.0).max(0.0) as usize;
                assert_eq!(found, want.min(limit), "{room} {limit}");
            }
        }
    }
}
