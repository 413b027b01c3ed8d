//! The one place that prints. A closed pipe (`nanochat … | head`) is an error value here, not a panic.

use crate::globals::Globals;
use anyhow::Context;
use serde_json::Value;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use tensor::Device;
use train::stage::report::{Reporter, StepLine};

/// A line on standard output.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Text on standard output, without a line end.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A line on standard error; nothing can be done if that fails.
pub fn error(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Where a command that can write a report as JSON writes it: as it was told; on a GPU, whose owner will want to send it, always.
pub fn report_file(asked: Option<&Path>, on_gpu: &str, globals: &Globals) -> Option<PathBuf> {
    let usual = (globals.device() == Device::Cuda).then(|| PathBuf::from(on_gpu));
    asked.map(Path::to_path_buf).or(usual)
}

/// Writes it, and says where.
pub fn write_report(file: &Path, report: &Value, globals: &Globals) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    if !globals.json && !globals.quiet {
        line(&format!("written to {}", file.display()))?;
    }
    Ok(())
}

/// Did the reader of our output go away?
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// Progress of a training run: one line per step, rewritten in place on a terminal.
pub struct Progress {
    quiet: bool,
    live: bool,
    /// Off a terminal, print every so many steps.
    every: usize,
    /// Is an unfinished line on the screen?
    open: bool,
}

impl Progress {
    /// `every`: how often a step is kept as a line when the output is not a terminal.
    pub fn new(quiet: bool, every: usize) -> Progress {
        Progress { quiet, live: io::stderr().is_terminal(), every: every.max(1), open: false }
    }
    /// A transient status text (`encoding documents …`).
    pub fn status(&mut self, text: &str) {
        if self.live && !self.quiet {
            let _ = write!(io::stderr().lock(), "\r\x1b[2K{text}");
            self.open = true;
        }
    }
    /// Wipe the transient line.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.open) {
            let _ = write!(io::stderr().lock(), "\r\x1b[2K");
        }
    }
}

impl Reporter for Progress {
    fn message(&mut self, text: &str) {
        self.clear();
        if !self.quiet {
            let _ = line(text);
        }
    }
    fn step(&mut self, step: &StepLine) {
        if self.quiet {
            return;
        }
        let keep = step.step == 1 || step.step == step.of || step.step.is_multiple_of(self.every);
        if keep {
            self.clear();
            let _ = line(&step.to_string());
        } else {
            self.status(&step.to_string());
        }
    }
}
