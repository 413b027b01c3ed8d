//! The page in Markdown: the tables without the curves.

use super::collect::{Line, Machine};
use super::evidence::{HEADER, comparisons};
use super::page::{cells, score, summary};

/// The text of a line of runs.
pub fn markdown(line: &Line, machine: &Machine, price_per_hour: Option<f64>) -> String {
    let name = line.runs.last().map_or("nothing", |r| r.name.as_str());
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let header = |names: &[String]| row(names) + &format!("|{}\n", " --- |".repeat(names.len()));
    let words = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    let mut out = format!("# {name}\n\n{}\n\n", summary(line, machine, price_per_hour));
    out +=
        &header(&words(&["stage", "run", "steps", "tokens", "time", "loss", "val bpb", "CORE", "ChatCORE"]));
    line.runs.iter().for_each(|run| out += &row(&cells(run)));
    let evidence = comparisons(line);
    if !evidence.is_empty() {
        out += &format!("\n{}", header(&words(&HEADER)));
        evidence.iter().for_each(|c| out += &row(&c.cells()));
    }
    let tasks = line.tasks();
    if !tasks.is_empty() {
        let stages = line.runs.iter().map(|r| r.stage.clone());
        out +=
            &format!("\n{}", header(&std::iter::once("task".to_string()).chain(stages).collect::<Vec<_>>()));
        for task in tasks {
            let scores = line.runs.iter().map(|r| score(r, &task));
            out += &row(&std::iter::once(task.clone()).chain(scores).collect::<Vec<_>>());
        }
    }
    for run in line.runs.iter().filter(|r| !r.samples.is_empty()) {
        out += &format!("\n## Samples of {}\n\n", run.name);
        for (prompt, text) in &run.samples {
            out += &format!("- **{}**{}\n", prompt.replace('\n', " "), text.replace('\n', " "));
        }
    }
    out
}
