//! The page in HTML: one file with its style inside and its curves as SVG, no scripts, nothing fetched.

use super::collect::{Line, Machine, Run};
use super::evidence::{HEADER, comparisons};
use super::short;
use super::svg::curve;
use crate::core::GPT2;
use crate::stage::report::duration;

/// Curves that are shown, in this order, where a run has them.
const SHOWN: &[&str] = &[
    "smooth_loss",
    "val_bpb",
    "reward",
    "pass@1",
    "kl",
    "clipped",
    "sequence_length",
    "grad_norm",
    "tokens_per_second",
];

/// The page of a line of runs; with a price per hour, what it cost.
pub fn html(line: &Line, machine: &Machine, price_per_hour: Option<f64>) -> String {
    let name = line.runs.last().map_or("nothing", |r| r.name.as_str());
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>nanochat: {}</title><style>{STYLE}</style></head><body>\n<h1>{}</h1>\n",
        escape(name),
        escape(name)
    );
    out += &format!("<p>{}</p>\n", escape(&summary(line, machine, price_per_hour)));
    out += "<h2>Stages</h2>\n<table><tr><th>stage<th>run<th>steps<th>tokens<th>time<th>loss<th>val bpb<th>CORE<th>ChatCORE</tr>\n";
    for run in &line.runs {
        out += &format!(
            "<tr><td>{}</tr>\n",
            cells(run).iter().map(|c| escape(c)).collect::<Vec<_>>().join("<td>")
        );
    }
    out += "</table>\n";
    let evidence = comparisons(line);
    if !evidence.is_empty() {
        out += &format!("<h2>What each stage achieves</h2>\n<table><tr><th>{}</tr>\n", HEADER.join("<th>"));
        for row in &evidence {
            out += &format!("<tr><td>{}</tr>\n", row.cells().map(|c| escape(&c)).join("<td>"));
        }
        out += "</table>\n";
    }
    if line.runs.iter().any(|r| r.core.is_some()) {
        out += &format!("<p>CORE of the 1.6-billion GPT-2, on the published tasks: {GPT2}.</p>\n");
    }
    let tasks = line.tasks();
    if !tasks.is_empty() {
        out += "<h2>Scores</h2>\n<table><tr><th>task";
        line.runs.iter().for_each(|r| out += &format!("<th>{}", escape(&r.stage)));
        out += "</tr>\n";
        for task in tasks {
            out += &format!("<tr><td>{}", escape(&task));
            line.runs.iter().for_each(|r| out += &format!("<td>{}", score(r, &task)));
            out += "</tr>\n";
        }
        out += "</table>\n";
    }
    for run in &line.runs {
        out += &format!("<h2>{}: {}</h2>\n", escape(&run.stage), escape(&run.name));
        for name in SHOWN {
            out += &curve(&name.replace('_', " "), run.curves.get(*name).map_or(&[], Vec::as_slice));
        }
        if !run.samples.is_empty() {
            out += "<h3>Samples</h3>\n<ul>";
            for (prompt, text) in &run.samples {
                out += &format!("<li><b>{}</b>{}</li>\n", escape(prompt), escape(text));
            }
            out += "</ul>\n";
        }
        if !run.answers.is_empty() {
            out += "<details><summary>answers of the first and the last step: how often × reward | text</summary>\n";
            for answered in &run.answers {
                out += &format!("<pre>{}</pre>\n", escape(&answered.lines().join("\n")));
            }
            out += "</details>\n";
        }
        out += &format!("<details><summary>options</summary><pre>{}</pre></details>\n", escape(&run.config));
    }
    out + "</body></html>\n"
}

/// Time, machine and cost in a sentence.
pub(super) fn summary(line: &Line, machine: &Machine, price_per_hour: Option<f64>) -> String {
    let seconds = line.seconds();
    let cost = price_per_hour
        .map_or(String::new(), |p| format!(", ${:.3} at ${p:.2} per hour", p * seconds / 3600.0));
    let Machine { cpu, threads, simd, system } = machine;
    format!("{} in training steps{cost}, on {cpu}, {threads} threads, {simd}, {system}", duration(seconds))
}

/// The row of a run in the table of stages.
pub(super) fn cells(run: &Run) -> Vec<String> {
    let number = |x: Option<f64>| x.map_or("-".to_string(), short);
    let loss = run.curves.get("smooth_loss").and_then(|c| c.last()).map(|p| p.1);
    let tokens =
        if run.tokens >= 1e6 { format!("{:.1} M", run.tokens / 1e6) } else { format!("{:.0}", run.tokens) };
    vec![
        run.stage.clone(),
        run.name.clone(),
        run.steps.to_string(),
        tokens,
        duration(run.seconds),
        number(loss),
        number(run.val_bpb),
        number(run.core),
        number(run.chat_core),
    ]
}

/// The accuracy of a run in a task.
pub(super) fn score(run: &Run, task: &str) -> String {
    run.accuracy(task).map_or("-".into(), |accuracy| format!("{accuracy:.4}"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse}td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:left}\
svg{margin:.3em .6em .3em 0;font-size:11px}.axis{fill:none;stroke:#999}.curve{fill:none;stroke:#0a66c2;stroke-width:1.5}\
.name{font-weight:bold;font-size:12px}pre{background:#f6f6f6;padding:1em;overflow:auto}";
