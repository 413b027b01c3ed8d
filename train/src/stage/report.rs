//! What a run tells the person who waits: one line per step, and messages.

use super::looping::StageSummary;

/// Where a run's output goes. A library never prints.
pub trait Reporter {
    /// A message worth keeping on the screen.
    fn message(&mut self, text: &str);
    /// The progress line of a step.
    fn step(&mut self, line: &StepLine);
    /// The run is over.
    fn done(&mut self, _: &StageSummary) {}
}

/// Says nothing.
pub struct Silent;

impl Reporter for Silent {
    fn message(&mut self, _: &str) {}
    fn step(&mut self, _: &StepLine) {}
}

/// Figures of one step.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepLine {
    /// Steps done, this one included.
    pub step: usize,
    /// Steps in all.
    pub of: usize,
    /// Debiased moving average of the loss, in nats per token.
    pub loss: f64,
    /// Learning-rate multiplier.
    pub lr: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Input tokens per second, this step.
    pub tokens_per_second: f64,
    /// 10⁹ floating-point operations per second by the model's formula, this step.
    pub gflops: f64,
    /// Seconds to go, from the run's mean.
    pub eta_seconds: f64,
}

/// `1h02m`, `3m05s`, `12s`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

impl std::fmt::Display for StepLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.of.to_string().len();
        write!(
            f,
            "step {:0width$}/{} ({:5.1}%) | loss {:.4} | lr {:.3} | {:>6.0} tok/s | {:>5.1} GFLOP/s | eta {}",
            self.step,
            self.of,
            100.0 * self.step as f64 / self.of.max(1) as f64,
            self.loss,
            self.lr,
            self.tokens_per_second,
            self.gflops,
            duration(self.eta_seconds),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_naturally() {
        assert_eq!([0.4, 59.6, 125.0, 3725.0].map(duration), ["0s", "1m00s", "2m05s", "1h02m"]);
    }
}
