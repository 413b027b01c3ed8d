//! Comparison with reference dumps: what the original nanochat computed, tensor by tensor.
//!
//! [`run`] takes any folder of dumps (one case, one kind, a whole tree), finds out from the files what they are
//! (`kind.rs`), runs our code on the recorded inputs and compares with the recorded outputs. Every comparison is one
//! [`Row`]. A dump that is damaged, or that nobody here understands, is a row that fails; one that needs a file which is not here is
//! a row that says `skip`.
//!
//! One file per kind: `model.rs` is the first to read. The dumps themselves are made with the original program;
//! where it has known defects, `Compat` of the engine reproduces them here and nowhere else.

mod compare;
mod config;
mod dial;
mod engine;
mod evaluation;
mod evaluation_model;
mod evaluation_rl;
mod greedy;
mod init_stats;
mod input;
mod kind;
mod loaders;
mod model;
mod newton_schulz;
mod optimizer;
mod optimizer_today;
mod report;
mod schedules;
mod tokenizer;
mod trace;
mod train_curve;
mod vocabulary;

pub use report::{Row, Status, Summary, Tolerance};

use crate::error::{Result, TrainError};
use input::file_name;
use kind::{Case, Kind};
use report::{Checked, Reporter, Stop, fail};
use std::path::{Path, PathBuf};
use tensor::Device;

/// How to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Do dumps that need a file which is not here count as success?
    pub allow_skip: bool,
    /// Where vocabularies are looked up that a case's own tree lacks.
    pub goldens: Option<PathBuf>,
    /// Where training curves are computed; everything else is on the CPU.
    pub device: Device,
}

impl Default for Options {
    /// Skips fail; vocabularies come from the folder that NANOCHAT_GOLDENS names, if any.
    fn default() -> Self {
        let goldens = std::env::var_os("NANOCHAT_GOLDENS").filter(|v| !v.is_empty()).map(PathBuf::from);
        Options { allow_skip: false, goldens, device: Device::Cpu }
    }
}

/// Compares everything below `paths`; `on_row` sees every row when it is known.
///
/// Whatever is wrong with a dump is a row, not an error. Error: no path at all.
pub fn run(paths: &[PathBuf], options: &Options, on_row: &mut dyn FnMut(&Row)) -> Result<Summary> {
    if paths.is_empty() {
        return Err(TrainError::Config("no folder to compare: name one with reference dumps".into()));
    }
    let mut summary = Summary { allow_skip: options.allow_skip, ..Summary::default() };
    for path in paths {
        let cases = kind::find(path);
        let nothing = match &cases {
            Err(e) => Some(format!("cannot be read: {e}")),
            Ok(cases) if cases.is_empty() => Some("there are no dumps here".to_string()),
            Ok(_) => None,
        };
        if let Some(note) = nothing {
            Reporter::new(&path.display().to_string(), on_row, &mut summary).stop("-", Stop::Fail(note));
        }
        for case in cases.unwrap_or_default() {
            let mut report = Reporter::new(&label(&case, path), on_row, &mut summary);
            if let Err(stop) = check(&case, options, &mut report) {
                report.stop(&part(&case), stop);
            }
        }
    }
    Ok(summary)
}

/// The case's folder below the path that was asked for, or that folder's own name.
fn label(case: &Case, path: &Path) -> String {
    match case.dir.strip_prefix(path) {
        Ok(below) if !below.as_os_str().is_empty() => below.display().to_string(),
        _ => file_name(&case.dir.canonicalize().unwrap_or_else(|_| case.dir.clone())),
    }
}

/// What a case that ended early is called in its row.
fn part(case: &Case) -> String {
    match case.files.as_slice() {
        [one] => file_name(one),
        files => format!("{} files", files.len()),
    }
}

fn check(case: &Case, options: &Options, report: &mut Reporter<'_>) -> Checked {
    let goldens = options.goldens.as_deref();
    let file = case.files.first().cloned().unwrap_or_default();
    match case.kind {
        Kind::Model => model::check(&case.dir, report),
        Kind::InitStats => init_stats::check(&file, report),
        Kind::TrainCurve => train_curve::check(&case.dir, options.device, report),
        Kind::Optimizer => optimizer::check(&case.dir, report),
        Kind::NewtonSchulz => newton_schulz::check(&file, report),
        Kind::Schedules => schedules::check(&file, report),
        Kind::Tokenizer => tokenizer::check(case, goldens, report),
        Kind::Vocabulary => vocabulary::check(&case.dir, goldens, report),
        Kind::Calculator => engine::calculator(&file, report),
        Kind::ToolMachine => engine::tool_machine(&file, goldens, report),
        Kind::Greedy => greedy::check(case, report),
        Kind::Sampling => greedy::sampling(&file, report),
        Kind::Derivations => config::check(&file, report),
        Kind::Trace => trace::check(&file, report),
        Kind::Loaders => loaders::check(case, goldens, report),
        Kind::Shards => loaders::shards(case, report),
        Kind::Evaluation => evaluation::check(case, goldens, report),
        Kind::Unknown => fail("not understood: no kind of dump has this file alone"),
    }
}
