//! What the check runner reports: one [`CheckResult`] per check, one [`Summary`] at the end. Plain data; printing is the
//! caller's business.

use crate::element::DType;

/// How much to try.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Random cases per sample, dtype and magnitude.
    pub seeds: u64,
    /// Skip samples with more elements than this in all arguments together.
    pub max_elements: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { seeds: 1, max_elements: usize::MAX }
    }
}

/// The element that used up most of its tolerance.
#[derive(Clone, Copy, Debug)]
pub struct Worst {
    /// The output's name.
    pub output: &'static str,
    /// Row-major index in it.
    pub index: usize,
    /// What the device computed.
    pub got: f64,
    /// What the reference computed.
    pub want: f64,
    /// `|got − want|`.
    pub err: f64,
    /// How much of that was allowed.
    pub tol: f64,
}

impl Worst {
    /// `err / tol`: above 1 is a failure. Never NaN: infinite where a NaN or an infinity is on one side only.
    pub fn ratio(&self) -> f64 {
        if self.err == 0.0 {
            return 0.0;
        }
        let ratio = self.err / self.tol;
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    }
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Worst { output, index, got, want, err, tol } = self;
        write!(f, "{output}[{index}] = {got:e}, expected {want:e}; error {err:.3e}, allowed {tol:.3e}")
    }
}

/// Outcome of one check of one case.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// The kernel or operation: `rms_norm_fwd`.
    pub name: &'static str,
    /// `value`, `inputs unchanged`, `nan`, …
    pub check: &'static str,
    /// The sample's label.
    pub sample: &'static str,
    /// The case's dtype.
    pub dtype: DType,
    /// How the arguments lay in memory.
    pub layout: &'static str,
    /// Magnitude of the inputs.
    pub scale: f64,
    /// Which random case.
    pub seed: u64,
    /// Passed?
    pub ok: bool,
    /// For checks of values: the worst element, passed or not.
    pub worst: Option<Worst>,
    /// What went wrong; empty if nothing did.
    pub detail: String,
}

impl std::fmt::Display for CheckResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CheckResult { name, check, sample, dtype, layout, scale, seed, .. } = self;
        let outcome = if self.ok { "ok  " } else { "FAIL" };
        write!(f, "{outcome} {name}: {check} [{sample}, {dtype}, {layout}, scale {scale:e}, seed {seed}]")?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// Everything that was checked of one kernel or operation.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Checks made.
    pub checks: usize,
    /// Checks failed.
    pub failed: usize,
    /// Largest error of all elements, in units of what was allowed.
    pub worst: f64,
}

/// Everything that was checked.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Checks made.
    pub checks: usize,
    /// Checks failed.
    pub failed: usize,
    /// One line per kernel or operation.
    pub rows: Vec<Row>,
}

impl Summary {
    /// Count one result.
    pub fn add(&mut self, result: &CheckResult) {
        if self.rows.last().is_none_or(|row| row.name != result.name) {
            self.rows.push(Row { name: result.name, checks: 0, failed: 0, worst: 0.0 });
        }
        let failed = usize::from(!result.ok);
        self.checks += 1;
        self.failed += failed;
        if let Some(row) = self.rows.last_mut() {
            row.checks += 1;
            row.failed += failed;
            row.worst = row.worst.max(result.worst.map_or(0.0, |w| w.ratio()));
        }
    }
}
