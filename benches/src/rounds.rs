//! Ours and theirs in alternation.
//!
//! On a shared machine two separate runs differ by more than the programs do. So all sides take a short turn in every
//! round, in an order that moves on from round to round, and only ratios within one round are taken.

use kernels::measure::clock::{Limits, Timing, repeat};
use std::convert::Infallible;
use std::time::Duration;

/// One program under comparison.
pub struct Side<'a> {
    /// As it is printed.
    pub name: &'static str,
    /// Does the work once.
    pub call: Box<dyn FnMut() + 'a>,
}

/// What all rounds of one side come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Result {
    /// Of the side.
    pub name: &'static str,
    /// Median over the rounds of its median seconds per call.
    pub seconds: f64,
    /// Its time over the first side's, round by round: above 1 the first side is faster.
    pub ratio: Timing,
}

/// Threads of a pool may spin for some milliseconds after their last work.
const SETTLE: Duration = Duration::from_millis(15);

/// `rounds` rounds in which each side is called for about `seconds`.
pub fn alternate(sides: &mut [Side<'_>], rounds: usize, seconds: f64) -> Vec<Result> {
    let mut times = vec![Vec::with_capacity(rounds); sides.len()];
    for round in 0..rounds {
        for turn in 0..sides.len() {
            let i = (round + turn) % sides.len();
            std::thread::sleep(SETTLE);
            let limits = Limits { warm_up: 1, ..Limits::seconds(seconds) };
            let Ok(timing) = repeat::<Infallible>(limits, || {
                (sides[i].call)();
                Ok(())
            });
            times[i].push(timing.median);
        }
    }
    results(sides.iter().map(|side| side.name), &times)
}

/// Times by side and round, as results.
fn results(names: impl Iterator<Item = &'static str>, times: &[Vec<f64>]) -> Vec<Result> {
    let one = |(name, of): (&'static str, &Vec<f64>)| {
        let ratios = of.iter().zip(&times[0]).map(|(theirs, ours)| theirs / ours).collect();
        Some(Result { name, seconds: Timing::of(of.clone())?.median, ratio: Timing::of(ratios)? })
    };
    names.zip(times).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine is ten times slower in the second round, for both.
        let times = [vec![1.0, 10.0, 1.0], vec![2.0, 20.0, 3.0]];
        let of = results(["ours", "theirs"].into_iter(), &times);
        assert_eq!((of[0].seconds, of[0].ratio.min, of[0].ratio.max), (1.0, 1.0, 1.0));
        assert_eq!((of[1].ratio.median, of[1].ratio.min, of[1].ratio.max), (2.0, 2.0, 3.0));
    }

    #[test]
    fn every_side_has_its_turn_in_every_round_and_nobody_is_always_first() {
        let (log, rounds) = (std::cell::RefCell::new(Vec::new()), 4);
        let log_ref = &log;
        let side = |name: &'static str| Side {
            name,
            call: Box::new(move || {
                if log_ref.borrow().last() != Some(&name) {
                    log_ref.borrow_mut().push(name);
                }
            }),
        };
        let mut sides = [side("a"), side("b")];
        assert_eq!(alternate(&mut sides, rounds, 1e-6).len(), 2);
        assert!(alternate(&mut sides, 0, 1.0).is_empty());
        drop(sides);
        assert_eq!(log.into_inner(), ["a", "b", "a", "b", "a"], "turns that meet are one here");
    }
}
