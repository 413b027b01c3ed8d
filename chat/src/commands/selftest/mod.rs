//! `nanochat selftest`: every kernel and every gradient against its definition, from the binary itself.
//!
//! What is checked, and how, is the business of `kernels::verify` and `checks`; this prints it. The same checks
//! run in the tests, but here they run on the machine, with the instructions and in the build that will train.

mod entry;
mod list;
mod places;
mod table;
mod target;

use crate::globals::{DeviceArg, Globals, Usage};
use crate::output::{self, Progress};
use anyhow::bail;
use entry::Entry;
use kernels::verify::{Budget, CheckResult, apart};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use table::{Line, Tally};
use target::Target;

/// `selftest`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  nanochat selftest                       everything on the CPU\n  \
nanochat selftest --filter matmul --seeds 10\n  nanochat selftest --simd scalar         without vector instructions\n  \
nanochat selftest --device reference    the definitions against themselves\n  \
nanochat selftest --device emulated     the CUDA kernels, on the emulator with every checker on\n  \
nanochat selftest --device cuda --against emulated    on a GPU, and how far its emulator is from it\n  \
nanochat selftest --list --markdown     the table of operations\n\nExit code 1 if any check fails.")]
pub struct Args {
    /// Only kernels and operations with this in their name
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Random cases per shape, dtype and magnitude
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
    /// Leave out cases with more elements than this in all arguments together (default: none; 3000 on the emulator)
    #[arg(long, value_name = "N")]
    max_elements: Option<usize>,
    /// Beside the checks, compare every kernel's results with those of this device
    #[arg(long, value_name = "DEVICE", conflicts_with = "list")]
    against: Option<DeviceArg>,
    /// Write everything as JSON to this file (default: none; nanochat-selftest.json on a GPU)
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    output: Option<PathBuf>,
    /// Print what there is, with its formulas, and check nothing
    #[arg(long)]
    list: bool,
    /// With --list: as a Markdown table
    #[arg(long, requires = "list")]
    markdown: bool,
}

/// Check, or list.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let chosen = |entry: &Entry| args.filter.as_deref().is_none_or(|part| entry.name().contains(part));
    let entries: Vec<Entry> = Entry::all().into_iter().filter(chosen).collect();
    if entries.is_empty() {
        let filter = args.filter.as_deref().unwrap_or_default();
        bail!(Usage(format!(
            "--filter {filter}: nothing has that in its name; `nanochat selftest --list` shows all"
        )));
    }
    if args.list {
        output::text(&list::render(&entries, args.markdown, globals.json)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.seeds == 0 {
        bail!(Usage("--seeds 0: give at least 1".into()));
    }
    let target = Target::of(globals.device, globals)?;
    let other = args.against.map(|device| Target::beside(device, globals)).transpose()?;
    let most = args.max_elements.unwrap_or(target.max_elements());
    let compared = args.max_elements.or(other.as_ref().map(Target::max_elements)).unwrap_or(most).min(most);
    let budget = Budget { seeds: args.seeds, max_elements: most };
    let (entries, without) = target.split(entries);
    let mut screen = Screen::new(globals, &entries);
    let mut tally = Tally::without(without);
    for &entry in &entries {
        screen.heading(entry)?;
        let mut line = check(entry, &target, budget, &mut screen);
        if let (Some(other), Entry::Kernel(info)) = (&other, entry) {
            let budget = Budget { max_elements: compared, ..budget };
            line.stand_beside(apart(info, [target.backend(), other.backend()], budget));
        }
        screen.finished(&line)?;
        tally.add(line);
    }
    screen.end(&tally, globals)?;
    let file = output::report_file(args.output.as_deref(), "nanochat-selftest.json", globals);
    if let Some(file) = file {
        let mut all = tally.json(globals);
        all["gpu"] = target.json();
        all["against"] = json!(args.against.map(|device| format!("{device:?}").to_lowercase()));
        output::write_report(&file, &all, globals)?;
    }
    Ok(ExitCode::from(u8::from(tally.failed() > 0)))
}

/// All checks of one entry on the chosen device.
fn check(entry: Entry, target: &Target, budget: Budget, screen: &mut Screen) -> Line {
    let mut line = Line::new(entry.kind(), entry.name());
    let refused = target.verify(entry, budget, &mut |result: &CheckResult| {
        line.add(result.ok, result.worst.map_or(0.0, |w| w.ratio()), || result.to_string());
        screen.working(&line);
    });
    line.refused = refused;
    line
}

/// Where the table goes, line by line as it is made.
struct Screen {
    progress: Progress,
    begun: Instant,
    shown: Instant,
    /// Is standard output for JSON only?
    json: bool,
    quiet: bool,
    width: usize,
    /// Of the latest heading.
    kind: &'static str,
}

impl Screen {
    fn new(globals: &Globals, entries: &[Entry]) -> Screen {
        let (begun, progress) = (Instant::now(), Progress::new(globals.quiet, 1));
        let width = entries.iter().map(|e| e.name().len().max(e.kind().len())).max().unwrap_or(0);
        let (json, quiet) = (globals.json, globals.quiet);
        Screen { progress, begun, shown: begun, json, quiet, width, kind: "" }
    }
    /// The header, whenever another kind of entry begins.
    fn heading(&mut self, entry: Entry) -> anyhow::Result<()> {
        let gap = if self.kind.is_empty() { "" } else { "\n" };
        if std::mem::replace(&mut self.kind, entry.kind()) != entry.kind() && !self.json && !self.quiet {
            output::line(&format!("{gap}{}", table::header(self.kind, self.width)))?;
        }
        Ok(())
    }
    /// Say now and then what is being checked.
    fn working(&mut self, line: &Line) {
        if self.shown.elapsed().as_millis() > 200 {
            self.shown = Instant::now();
            self.progress.status(&format!("{} … {} checks", line.name, line.checks));
        }
    }
    fn finished(&mut self, line: &Line) -> anyhow::Result<()> {
        self.progress.clear();
        if !self.json && (!self.quiet || line.failed > 0) {
            output::line(&table::row(line, self.width))?;
        }
        Ok(())
    }
    /// Failures in detail, and the sum of everything.
    fn end(&mut self, tally: &Tally, globals: &Globals) -> anyhow::Result<()> {
        if self.json {
            output::text(&format!("{}\n", serde_json::to_string_pretty(&tally.json(globals))?))?;
            return Ok(());
        }
        output::text(&tally.failures())?;
        output::text(&tally.missing())?;
        output::line(&tally.summary(globals, self.begun.elapsed()))?;
        Ok(())
    }
}
