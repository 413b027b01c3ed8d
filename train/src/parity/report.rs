//! What a comparison says: one [`Row`] per tensor or case, and a [`Summary`] of all of them.
//!
//! A check owns a [`Reporter`], which measures, judges and passes rows on as soon as they are known, so a long run is
//! watched while it happens. A check that cannot go on returns a [`Stop`], which becomes one more row.

use super::compare::{Difference, difference};
use std::fmt;
use tensor::Tensor;

/// How close two things have to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Every id, byte or character.
    Exact,
    /// `max |a − b|` at most this.
    MaxAbs(f64),
    /// `‖a − b‖ / ‖b‖` at most this.
    RelL2(f64),
    /// Measured and shown, but only NaN fails.
    Informational,
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::Exact => f.pad("exact"),
            Tolerance::MaxAbs(most) => f.pad(&format!("abs {most:.0e}")),
            Tolerance::RelL2(most) => f.pad(&format!("rel {most:.0e}")),
            Tolerance::Informational => f.pad("info"),
        }
    }
}

/// The verdict on one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Within tolerance.
    Ok,
    /// Out of tolerance, unreadable or not understood.
    Fail,
    /// It needs a file that is not here.
    Skip,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Ok => "ok",
            Status::Fail => "FAIL",
            Status::Skip => "skip",
        })
    }
}

/// One compared tensor or case. `Display` is one line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Folder of the dump, below the path that was asked for.
    pub case: String,
    /// The tensor, or what was compared.
    pub name: String,
    /// Largest absolute difference, where numbers were compared.
    pub max_abs: Option<f64>,
    /// Relative difference in the L2 norm, where numbers were compared.
    pub rel_l2: Option<f64>,
    /// What was asked of them.
    pub tolerance: Tolerance,
    /// The verdict.
    pub status: Status,
    /// How much was compared, or what is wrong.
    pub note: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |x: Option<f64>| x.map_or("-".to_string(), |x| format!("{x:.2e}"));
        let (max_abs, rel_l2) = (number(self.max_abs), number(self.rel_l2));
        let Row { case, name, tolerance, status, note, .. } = self;
        write!(f, "{case:<24} {name:<40} {max_abs:>9} {rel_l2:>9}  {tolerance:<9} {status}")?;
        if note.is_empty() { Ok(()) } else { write!(f, "  {note}") }
    }
}

/// How many rows of each status there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows within tolerance.
    pub ok: usize,
    /// Rows that failed.
    pub failed: usize,
    /// Rows that need a file which is not here.
    pub skipped: usize,
    /// Do skipped rows count as success?
    pub allow_skip: bool,
}

impl Summary {
    /// Did something succeed, nothing fail, and was nothing skipped that should not be?
    pub fn passed(&self) -> bool {
        let Summary { ok, failed, skipped, allow_skip } = *self;
        ok + skipped > 0 && failed == 0 && (skipped == 0 || allow_skip)
    }
    pub(super) fn count(&mut self, status: Status) {
        match status {
            Status::Ok => self.ok += 1,
            Status::Fail => self.failed += 1,
            Status::Skip => self.skipped += 1,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ok, {} failed, {} skipped", self.ok, self.failed, self.skipped)?;
        if self.skipped > 0 && !self.allow_skip { write!(f, " (skips count as failures)") } else { Ok(()) }
    }
}

/// Why a case ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something is wrong with the dump, or an operation refused it.
    Fail(String),
    /// It needs a file that is not here.
    Skip(String),
}

/// What a check returns.
pub(super) type Checked<T = ()> = std::result::Result<T, Stop>;

impl<E: std::error::Error> From<E> for Stop {
    fn from(e: E) -> Stop {
        Stop::Fail(e.to_string())
    }
}

/// A failure with a note.
pub(super) fn fail<T>(note: impl Into<String>) -> Checked<T> {
    Err(Stop::Fail(note.into()))
}

/// Makes the rows of one case.
pub(super) struct Reporter<'a> {
    case: String,
    on_row: &'a mut dyn FnMut(&Row),
    summary: &'a mut Summary,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(case: &str, on_row: &'a mut dyn FnMut(&Row), summary: &'a mut Summary) -> Self {
        Reporter { case: case.into(), on_row, summary }
    }
    fn emit(
        &mut self,
        name: &str,
        d: Option<Difference>,
        tolerance: Tolerance,
        status: Status,
        note: String,
    ) {
        self.summary.count(status);
        let (max_abs, rel_l2) = (d.map(|d| d.max_abs), d.map(|d| d.rel_l2));
        let (case, name) = (self.case.clone(), name.to_string());
        (self.on_row)(&Row { case, name, max_abs, rel_l2, tolerance, status, note });
    }
    /// Numbers against numbers.
    pub(super) fn numbers(&mut self, name: &str, ours: &[f64], theirs: &[f64], tolerance: Tolerance) {
        self.numbers_noted(name, ours, theirs, tolerance, String::new());
    }
    /// As [`Reporter::numbers`], with a note.
    pub(super) fn numbers_noted(
        &mut self,
        name: &str,
        ours: &[f64],
        theirs: &[f64],
        tolerance: Tolerance,
        note: String,
    ) {
        if ours.len() != theirs.len() {
            let note = format!("{} numbers, the dump has {}", ours.len(), theirs.len());
            return self.emit(name, None, tolerance, Status::Fail, note);
        }
        let d = difference(ours, theirs);
        let status = if d.within(tolerance) { Status::Ok } else { Status::Fail };
        self.emit(name, Some(d), tolerance, status, note);
    }
    /// Tensor against tensor, shapes included.
    pub(super) fn tensors(&mut self, name: &str, ours: &Tensor, theirs: &Tensor, tolerance: Tolerance) {
        if ours.dims() != theirs.dims() {
            let note = format!("shape {:?}, the dump has {:?}", ours.dims(), theirs.dims());
            return self.emit(name, None, tolerance, Status::Fail, note);
        }
        self.numbers(name, &ours.to_f64_vec(), &theirs.to_f64_vec(), tolerance);
    }
    /// Something that has to be equal: how much was compared, or the first difference.
    pub(super) fn exact(&mut self, name: &str, outcome: Checked<String>) {
        match outcome {
            Ok(note) => self.emit(name, None, Tolerance::Exact, Status::Ok, note),
            Err(stop) => self.stop(name, stop),
        }
    }
    /// The case, or a part of it, ended early.
    pub(super) fn stop(&mut self, name: &str, stop: Stop) {
        let (status, note) = match stop {
            Stop::Fail(note) => (Status::Fail, note),
            Stop::Skip(note) => (Status::Skip, note),
        };
        self.emit(name, None, Tolerance::Exact, status, note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_fail_unless_they_are_allowed_and_nothing_at_all_fails() {
        let summary = |ok, failed, skipped, allow_skip| Summary { ok, failed, skipped, allow_skip };
        assert!(summary(1, 0, 0, false).passed());
        assert!(!summary(1, 0, 1, false).passed());
        assert!(summary(0, 0, 1, true).passed());
        assert!(!summary(5, 1, 0, true).passed());
        assert!(!summary(0, 0, 0, true).passed());
    }

    #[test]
    fn a_row_names_its_numbers_tolerance_and_verdict() {
        let mut lines = Vec::new();
        let mut summary = Summary::default();
        let mut on_row = |row: &Row| lines.push(row.to_string());
        let mut report = Reporter::new("model/x", &mut on_row, &mut summary);
        report.numbers("logits", &[1.0, 2.0], &[1.0, 2.5], Tolerance::MaxAbs(1e-4));
        report.numbers("short", &[1.0], &[], Tolerance::Informational);
        report.numbers("nan", &[f64::NAN], &[f64::NAN], Tolerance::Informational);
        report.exact("ids", Ok("7 ids".into()));
        assert_eq!((summary.ok, summary.failed), (1, 3));
        assert!(lines[0].starts_with("model/x") && lines[0].ends_with("abs 1e-4  FAIL"), "{}", lines[0]);
        assert!(lines[1].ends_with("1 numbers, the dump has 0"), "{}", lines[1]);
        assert!(lines[3].contains("exact     ok  7 ids"), "{}", lines[3]);
    }
}
