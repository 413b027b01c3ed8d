//! `nanochat doctor`: what this machine has, what the program would use of it, and what it has kept so far.
//!
//! A list of facts in sections, printed as text or JSON. Whatever cannot be found out is `unknown`: this command never
//! fails, so that it can be run where everything else does.

mod cuda;
mod kept;
mod machine;
mod measure;

pub use machine::in_short;

use crate::globals::Globals;
use crate::output::{self, Progress};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// `doctor`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nanochat doctor\n  nanochat doctor --json             for programs and bug reports\n  \
nanochat doctor --threads 1        what one thread reaches"
)]
pub struct Args {
    /// Skip the measurements (a second of computing)
    #[arg(long)]
    no_measure: bool,
}

/// A heading and its facts: key for programs, and the value.
struct Section {
    title: &'static str,
    key: &'static str,
    facts: Vec<Fact>,
}

/// One fact.
struct Fact {
    key: &'static str,
    value: Value,
    /// As people read it; the value itself where there is no more to say.
    text: String,
}

impl Fact {
    /// A text, or `unknown`.
    fn text(key: &'static str, value: Option<String>) -> Fact {
        Fact { key, text: value.clone().unwrap_or_else(|| "unknown".into()), value: json!(value) }
    }
    /// A number of bytes, or `unknown`.
    fn bytes(key: &'static str, value: Option<u64>) -> Fact {
        Fact { key, text: value.map_or("unknown".into(), bytes), value: json!(value) }
    }
    /// Anything, with its own wording.
    fn new(key: &'static str, value: Value, text: String) -> Fact {
        Fact { key, value, text }
    }
}

pub use machine::available_memory;

/// `7.5 GiB`, `512 MiB`, `100 bytes`.
fn bytes(n: u64) -> String {
    let v = n as f64;
    match n {
        0..1024 => format!("{n} bytes"),
        1024..1_048_576 => format!("{:.0} KiB", v / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.0} MiB", v / 1_048_576.0),
        _ => format!("{:.1} GiB", v / 1_073_741_824.0),
    }
}

/// Print everything known.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let mut sections = vec![program(globals), machine::section(), machine::memory(globals)];
    if !args.no_measure {
        let mut progress = Progress::new(globals.quiet, 1);
        progress.status("measuring …");
        sections.push(measure::section());
        progress.clear();
    }
    sections.push(kept::section(globals));
    sections.push(kept::environment());
    sections.push(cuda::section(globals));
    match globals.json {
        true => output::text(&format!("{}\n", serde_json::to_string_pretty(&as_json(&sections))?))?,
        false => output::text(&as_text(&sections))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(sections: &[Section]) -> Value {
    let facts =
        |s: &Section| s.facts.iter().map(|f| (f.key.to_string(), f.value.clone())).collect::<Map<_, _>>();
    Value::Object(sections.iter().map(|s| (s.key.to_string(), Value::Object(facts(s)))).collect())
}

fn as_text(sections: &[Section]) -> String {
    let width = sections.iter().flat_map(|s| &s.facts).map(|f| f.key.len()).max().unwrap_or(0);
    let mut text = String::new();
    for section in sections {
        text += &format!("{}\n", section.title);
        for fact in &section.facts {
            let mut lines = fact.text.lines();
            text += &format!("  {:width$}  {}\n", label(fact.key), lines.next().unwrap_or("none"));
            lines.for_each(|line| text += &format!("  {:width$}  {line}\n", ""));
        }
        text.push('\n');
    }
    text.trim_end().to_string() + "\n"
}

/// A key as people read it; names in capitals are those of variables and stay.
fn label(key: &str) -> String {
    if key.chars().any(char::is_uppercase) { key.into() } else { key.replace('_', " ") }
}

/// This program: version, and what the global options choose.
fn program(globals: &Globals) -> Section {
    let build = if cfg!(debug_assertions) { "debug (slow: build with --release)" } else { "release" };
    let (used, best) = (kernels::simd::level(), kernels::simd::detected());
    let simd = match used == best {
        true => used.name().to_string(),
        false => format!("{} (this machine has {})", used.name(), best.name()),
    };
    let facts = vec![
        Fact::text("version", Some(env!("CARGO_PKG_VERSION").into())),
        Fact::new("build", json!(build.split(' ').next()), build.into()),
        Fact::text("target", Some(format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))),
        Fact::new(
            "checkpoint_format",
            json!(train::checkpoint::VERSION),
            train::checkpoint::VERSION.to_string(),
        ),
        Fact::text("device", Some(globals.device().to_string())),
        Fact::new("vector_instructions", json!({ "used": used.name(), "detected": best.name() }), simd),
        Fact::new("threads", json!(kernels::par::threads()), kernels::par::threads().to_string()),
    ];
    Section { title: "Program", key: "program", facts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_printed_in_a_readable_unit() {
        assert_eq!(
            [0, 100, 2048, 3 << 20, 15 << 29].map(bytes).join(", "),
            "0 bytes, 100 bytes, 2 KiB, 3 MiB, 7.5 GiB"
        );
    }

    #[test]
    fn text_and_json_hold_the_same_facts() {
        let facts = vec![
            Fact::text("a_name", Some("x\ny".into())),
            Fact::text("missing", None),
            Fact::bytes("size", Some(2048)),
            Fact::text("A_NAME", Some("y".into())),
        ];
        let sections = [Section { title: "Things", key: "things", facts }];
        assert_eq!(
            as_text(&sections),
            "Things\n  a name   x\n           y\n  missing  unknown\n  size     2 KiB\n  A_NAME   y\n"
        );
        assert_eq!(
            as_json(&sections),
            json!({"things": {"a_name": "x\ny", "missing": null, "size": 2048, "A_NAME": "y"}})
        );
    }
}
