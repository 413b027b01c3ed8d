//! Timing something that can be repeated.
//!
//! A shared machine disturbs in one direction: a run can only be too slow. So a *limit of the hardware* is the best of
//! many runs ([`best`]), while what a user will see is the median, with the range beside it ([`repeat`]).

use std::time::{Duration, Instant};

/// How long to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Untimed runs before the first timed one (one more that is long by itself is not added).
    pub warm_up: usize,
    /// Repeat until the timed runs together have taken this long …
    pub at_least: Duration,
    /// … but stop after the run that reaches this, warm-up included. One timed run is always made.
    pub at_most: Duration,
}

impl Limits {
    /// For one measurement of about `seconds`.
    pub fn seconds(seconds: f64) -> Limits {
        let at_least = Duration::from_secs_f64(seconds.clamp(0.0, 3600.0));
        Limits { warm_up: 2, at_least, at_most: 4 * at_least }
    }
}

/// What the timed runs came to, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// The middle one.
    pub median: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// How many there were.
    pub runs: usize,
}

impl Timing {
    /// Of single times in seconds; `None` if there are none.
    pub fn of(mut seconds: Vec<f64>) -> Option<Timing> {
        seconds.sort_by(f64::total_cmp);
        let (min, max) = (*seconds.first()?, *seconds.last()?);
        Some(Timing { median: median(&seconds), min, max, runs: seconds.len() })
    }
}

/// The middle of sorted values, or the mean of the two in the middle; NaN of none.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n.is_multiple_of(2) => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// Run `f` again and again within `limits`. An error ends it at once; so does `f` saying that it was told to stop.
pub fn repeat<E>(limits: Limits, mut f: impl FnMut() -> Result<(), E>) -> Result<Timing, E> {
    let begun = Instant::now();
    for _ in 0..limits.warm_up {
        f()?;
        if begun.elapsed() >= limits.at_least {
            break;
        }
    }
    let (mut times, mut sum) = (Vec::new(), Duration::ZERO);
    loop {
        let start = Instant::now();
        f()?;
        let time = start.elapsed();
        times.push(time.as_secs_f64());
        sum += time;
        if sum >= limits.at_least || begun.elapsed() >= limits.at_most {
            break;
        }
    }
    let none = Timing { median: f64::NAN, min: f64::NAN, max: f64::NAN, runs: 0 };
    Ok(Timing::of(times).unwrap_or(none))
}

/// Seconds of the shortest of as many runs as fit into `budget`; at least one, after a first that is not counted.
pub fn best(budget: Duration, mut run: impl FnMut()) -> f64 {
    run();
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while best == Duration::MAX || start.elapsed() < budget {
        let begun = Instant::now();
        run();
        best = best.min(begun.elapsed());
    }
    best.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_times() {
        let of = |times: &[f64]| Timing::of(times.to_vec()).unwrap();
        assert_eq!((of(&[3.0, 1.0, 2.0]).median, of(&[4.0, 1.0, 3.0, 2.0]).median), (2.0, 2.5));
        assert_eq!((of(&[3.0, 1.0, 2.0]).min, of(&[3.0, 1.0, 2.0]).max), (1.0, 3.0));
        assert!(Timing::of(Vec::new()).is_none());
    }

    #[test]
    fn a_slow_run_is_made_once_and_a_fast_one_often() {
        let mut runs = 0;
        let slow = Limits::seconds(0.001);
        let timing = repeat::<Infallible>(slow, || {
            runs += 1;
            std::thread::sleep(Duration::from_millis(5));
            Ok(())
        });
        let Ok(timing) = timing;
        assert_eq!((runs, timing.runs), (2, 1), "one to warm up, one timed");
        assert!(timing.min >= 0.005);
        let Ok(timing) = repeat::<Infallible>(slow, || Ok(()));
        assert!(timing.runs > 10 && timing.min <= timing.median && timing.median <= timing.max);
    }

    #[test]
    fn an_error_ends_the_repetition() {
        let mut runs = 0;
        let result = repeat(Limits::seconds(10.0), || {
            runs += 1;
            if runs == 3 { Err("stopped") } else { Ok(()) }
        });
        assert_eq!((result, runs), (Err("stopped"), 3));
    }

    #[test]
    fn the_first_run_does_not_count_and_at_least_one_follows() {
        let (mut runs, budget) = (0, Duration::from_millis(5));
        let time = best(budget, || {
            runs += 1;
            std::thread::sleep(budget);
        });
        assert_eq!(runs, 2);
        assert!(time >= budget.as_secs_f64());
    }
}
