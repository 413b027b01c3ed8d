//! The results as a table: a line per kernel or operation, the failures in detail, one sum.

use crate::globals::Globals;
use kernels::verify::Apart;
use serde_json::{Value, json};
use std::time::Duration;

/// Failures told in full per line; the rest are counted.
const TOLD: usize = 5;

/// Everything that was checked of one kernel or operation.
pub struct Line {
    /// `kernel` or `operation`.
    kind: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Checks made.
    pub checks: usize,
    /// Checks failed.
    pub failed: usize,
    /// The largest error, as a fraction of what was allowed.
    worst: f64,
    /// The first few failures.
    details: Vec<String>,
    /// Checks that the device refused to take part in, as not supported.
    pub refused: usize,
    /// How far it is from another device, where that was asked.
    beside: Option<Apart>,
}

impl Line {
    /// Nothing checked yet.
    pub fn new(kind: &'static str, name: &'static str) -> Line {
        Line { kind, name, checks: 0, failed: 0, worst: 0.0, details: Vec::new(), refused: 0, beside: None }
    }
    /// Count one check; `detail` is asked for where it failed.
    pub fn add(&mut self, ok: bool, worst: f64, detail: impl FnOnce() -> String) {
        self.checks += 1;
        self.worst = self.worst.max(worst);
        if !ok {
            self.failed += 1;
            if self.details.len() < TOLD {
                self.details.push(detail());
            }
        }
    }
    /// How far another device's results are; what either refused is a failure.
    pub fn stand_beside(&mut self, apart: Apart) {
        apart.failures.iter().for_each(|what| self.add(false, 0.0, || what.clone()));
        self.beside = Some(apart);
    }
    fn outcome(&self) -> String {
        let beside = self.beside.as_ref().map_or(String::new(), beside);
        self.checked() + &beside
    }
    fn checked(&self) -> String {
        match (self.checks, self.failed) {
            (0, _) => "nothing checked".into(),
            (_, 0) if self.refused > 0 => format!("ok ({} cases not supported)", self.refused),
            (_, 0) => "ok".into(),
            (_, n) => format!("FAIL ({n})"),
        }
    }
}

/// `; 12 of 3000 differ, by 1 ulp at most`
fn beside(apart: &Apart) -> String {
    match (apart.different, apart.ulps) {
        (0, _) => format!("; all {} the same", apart.elements),
        (n, ulps) => format!("; {n} of {} differ, by {ulps} ulp at most", apart.elements),
    }
}

/// The table's head.
pub fn header(kind: &str, width: usize) -> String {
    format!("{:width$}  {:>6}  {:>11}  result", kind, "checks", "worst error")
}

/// A line of the table. The worst error is in units of what is allowed: above 1 is a failure.
pub fn row(line: &Line, width: usize) -> String {
    let worst = if line.worst.is_finite() { format!("{:.3}", line.worst) } else { "inf".into() };
    format!("{:width$}  {:>6}  {worst:>11}  {}", line.name, line.checks, line.outcome())
}

/// All lines.
#[derive(Default)]
pub struct Tally {
    lines: Vec<Line>,
    /// Kernels that the device does not have.
    without: Vec<&'static str>,
}

impl Tally {
    /// No line yet, and what cannot have one.
    pub fn without(without: Vec<&'static str>) -> Tally {
        Tally { lines: Vec::new(), without }
    }
    /// Add a line.
    pub fn add(&mut self, line: Line) {
        self.lines.push(line);
    }
    /// Checks failed in all of them.
    pub fn failed(&self) -> usize {
        self.lines.iter().map(|l| l.failed).sum()
    }
    fn checks(&self) -> usize {
        self.lines.iter().map(|l| l.checks).sum()
    }
    /// The failures in detail, a paragraph per line; empty if there are none.
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for line in self.lines.iter().filter(|l| l.failed > 0) {
            text +=
                &format!("\n{} {}: {} of {} checks failed\n", line.kind, line.name, line.failed, line.checks);
            line.details.iter().for_each(|detail| text += &format!("  {detail}\n"));
            if line.failed > line.details.len() {
                text += &format!("  … and {} more\n", line.failed - line.details.len());
            }
        }
        text
    }
    /// A paragraph about what the device has no kernel for; empty where it has all.
    pub fn missing(&self) -> String {
        if self.without.is_empty() {
            return String::new();
        }
        format!("\nno kernel yet, {} in all: {}\n", self.without.len(), self.without.join(", "))
    }
    /// One line about everything.
    pub fn summary(&self, globals: &Globals, time: Duration) -> String {
        let (checks, failed) = (self.checks(), self.failed());
        let outcome = if failed == 0 { "all passed".to_string() } else { format!("{failed} FAILED") };
        let (device, simd) = (globals.device(), kernels::simd::level().name());
        format!("\n{checks} checks on {device} ({simd}) in {:.1} s: {outcome}", time.as_secs_f64())
    }
    /// Everything, for programs; `worst` is null where it is not a finite number.
    pub fn json(&self, globals: &Globals) -> Value {
        let line = |l: &Line| {
            let worst = l.worst.is_finite().then_some(l.worst);
            json!({
                "kind": l.kind, "name": l.name, "checks": l.checks, "failed": l.failed, "worst": worst,
                "failures": l.details, "not_supported": l.refused, "beside": l.beside.as_ref().map(beside_json),
            })
        };
        json!({
            "device": globals.device().to_string(),
            "simd": kernels::simd::level().name(),
            "checks": self.checks(),
            "failed": self.failed(),
            "no_kernel": self.without,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
        })
    }
}

/// The largest difference is null where it is not a finite number.
fn beside_json(apart: &Apart) -> Value {
    json!({
        "cases": apart.cases, "elements": apart.elements, "different": apart.different, "largest_ulps": apart.ulps,
        "largest_difference": apart.largest.is_finite().then_some(apart.largest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(oks: &[bool]) -> Line {
        let mut line = Line::new("kernel", "add");
        oks.iter()
            .for_each(|&ok| line.add(ok, if ok { 0.25 } else { f64::INFINITY }, || "what was wrong".into()));
        line
    }

    #[test]
    fn a_row_shows_the_worst_error_and_the_outcome() {
        assert_eq!(row(&line(&[true, true]), 6), "add          2        0.250  ok");
        assert_eq!(row(&line(&[true, false]), 6), "add          2          inf  FAIL (1)");
        assert_eq!(row(&line(&[]), 3), "add       0        0.000  nothing checked");
    }

    #[test]
    fn a_row_says_how_far_another_device_is() {
        let (mut line, apart) = (line(&[true]), Apart { cases: 2, elements: 300, ..Apart::default() });
        line.stand_beside(apart.clone());
        assert!(row(&line, 3).ends_with("ok; all 300 the same"));
        line.stand_beside(Apart { different: 7, ulps: 2, largest: 0.5, ..apart.clone() });
        assert!(row(&line, 3).ends_with("ok; 7 of 300 differ, by 2 ulp at most"));
        line.stand_beside(Apart { failures: vec!["refused".into()], ..apart });
        assert!(row(&line, 3).contains("FAIL (1)") && line.failed == 1);
    }

    #[test]
    fn failures_are_told_up_to_a_limit_and_then_counted() {
        let mut tally = Tally::default();
        tally.add(line(&[true; 3]));
        assert_eq!((tally.failures(), tally.failed()), (String::new(), 0));
        tally.add(line(&[false; 8]));
        let text = tally.failures();
        assert_eq!(text.matches("what was wrong").count(), TOLD);
        assert!(text.contains("kernel add: 8 of 8 checks failed") && text.contains("and 3 more"), "{text}");
    }
}
