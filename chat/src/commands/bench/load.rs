//! Was the machine ours alone while we measured? Known on Linux, from `/proc`.

use std::fs;
use std::time::Instant;

/// The clock ticks in which `/proc` counts, per second: the same on every Linux that this is likely to run on.
const HERTZ: f64 = 100.0;

/// A stretch of time.
pub struct Load {
    begun: Instant,
    ticks: Option<(u64, u64)>,
}

impl Load {
    /// From now on.
    pub fn begin() -> Load {
        Load { begun: Instant::now(), ticks: ticks() }
    }
    /// Cores that other programs used since, on average.
    pub fn other_cores(&self) -> Option<f64> {
        let ((machine, own), (machine_before, own_before)) = (ticks()?, self.ticks?);
        let others = machine.saturating_sub(machine_before) as f64 - own.saturating_sub(own_before) as f64;
        Some((others / HERTZ / self.begun.elapsed().as_secs_f64().max(1e-3)).max(0.0))
    }
}

/// Ticks of work that the whole machine and this process have done.
fn ticks() -> Option<(u64, u64)> {
    Some((
        machine(&fs::read_to_string("/proc/stat").ok()?)?,
        own(&fs::read_to_string("/proc/self/stat").ok()?)?,
    ))
}

/// `cpu user nice system idle iowait irq softirq …`: all but idle and iowait.
fn machine(stat: &str) -> Option<u64> {
    let words: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|w| w.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6].map(|i| words.get(i).copied());
    busy.into_iter().sum()
}

/// User and system time; they are counted from behind the name, which may contain anything.
fn own(stat: &str) -> Option<u64> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(words.next()?.parse::<u64>().ok()? + words.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_from_the_right_columns() {
        assert_eq!(machine("cpu  1 2 4 100 200 8 16 32 0 0\ncpu0 1\n"), Some(1 + 2 + 4 + 8 + 16));
        assert_eq!(own("7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 500 20 0 0"), Some(520));
        assert_eq!((machine("cpu 1"), own("7 x")), (None, None));
    }
}
