//! From the files of a run to numbers. What is missing or cut short is left out; a page is for looking, not for proof.

use super::answers::{Answered, first_and_last};
use crate::error::{Result, TrainError};
use crate::run::Layout;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// base, mid, sft, rl.
    pub stage: String,
    /// The run it started from.
    pub from: Option<String>,
    /// Steps done.
    pub steps: usize,
    /// Seconds spent in steps.
    pub seconds: f64,
    /// Tokens of all steps, as far as their rates are known.
    pub tokens: f64,
    /// Figures by name, each with its steps: loss, val_bpb, reward, pass@1, …
    pub curves: BTreeMap<String, Vec<(f64, f64)>>,
    /// The last validation.
    pub val_bpb: Option<f64>,
    /// Of held-out text, the model and a trigram.
    pub trigram: Option<[f64; 2]>,
    /// CORE, and its tasks.
    pub core: Option<f64>,
    /// ChatCORE.
    pub chat_core: Option<f64>,
    /// Accuracy of each task, of both kinds.
    pub scores: Vec<(String, f64)>,
    /// Problems of each task that were asked.
    pub asked: BTreeMap<String, usize>,
    /// Floating-point operations of all steps, by the model's formula.
    pub flops: f64,
    /// The run whose operations this one was given, to be compared with it.
    pub control_of: Option<String>,
    /// Beginnings and how they were continued, of the last time.
    pub samples: Vec<(String, String)>,
    /// What was answered in the first and the last step, where answers are logged.
    pub answers: Vec<Answered>,
    /// Its options, as text.
    pub config: String,
}

/// Runs, the first of the line first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// The runs.
    pub runs: Vec<Run>,
    /// Runs that were given the operations of one of these.
    pub controls: Vec<Run>,
}

/// Where it ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// The processor.
    pub cpu: String,
    /// Threads used.
    pub threads: usize,
    /// Vector instructions.
    pub simd: String,
    /// The operating system.
    pub system: String,
}

impl Line {
    /// Seconds spent in steps, by all.
    pub fn seconds(&self) -> f64 {
        self.runs.iter().map(|r| r.seconds).sum()
    }
    /// Names of all tasks, in order of appearance.
    pub fn tasks(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in self.runs.iter().flat_map(|r| &r.scores) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// More runs than any line has, or one that leads back to itself.
const MAX_LINE: usize = 12;

/// A run and those it came from.
pub fn collect(layout: &Layout, name: &str) -> Result<Line> {
    let mut runs = Vec::new();
    let mut next = Some(name.to_string());
    while let Some(name) = next.filter(|_| runs.len() < MAX_LINE) {
        let dir = layout.run(&name).dir;
        if !dir.is_dir() {
            let known = layout.runs().join(", ");
            let why = format!("no run {name:?} here; known runs: {known}");
            return Err(TrainError::bad(&dir, why));
        }
        let run = read(&dir, &name);
        next = run.from.clone();
        runs.push(run);
    }
    runs.reverse();
    Ok(Line { controls: controls(layout, &runs), runs })
}

/// Those of all runs whose options name one of `runs` as what they are compared with, in the order of their names.
fn controls(layout: &Layout, runs: &[Run]) -> Vec<Run> {
    let entries = std::fs::read_dir(layout.base().join("runs")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    let of_ours = |run: &Run| runs.iter().any(|ours| run.control_of.as_ref() == Some(&ours.name));
    names.iter().map(|name| read(&layout.run(name).dir, name)).filter(of_ours).collect()
}

/// What a run's folder says.
pub fn read(dir: &Path, name: &str) -> Run {
    let text = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
    let config = text("config.toml");
    let options: toml::Table = config.parse().unwrap_or_default();
    let option = |key: &str| options.get(key).and_then(|v| v.as_str()).map(String::from);
    let mut run = Run {
        name: name.into(),
        stage: option("stage").unwrap_or_else(|| "?".into()),
        from: option("from"),
        control_of: option("flops_of"),
        answers: first_and_last(dir),
        config,
        ..Run::default()
    };
    for line in text("metrics.jsonl").lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()) {
        run.add(&line);
    }
    if let Some(result) = newest(dir, "trigram_") {
        run.trigram = result["val_bpb"].as_f64().zip(result["trigram_bpb"].as_f64()).map(<[f64; 2]>::from);
    }
    for (file, task) in [("core_", "task"), ("chat_", "task")] {
        if let Some(result) = newest(dir, file) {
            run.core = result["core"].as_f64().or(run.core);
            run.chat_core = result["chat_core"].as_f64().or(run.chat_core);
            for row in result["tasks"].as_array().into_iter().flatten() {
                if let (Some(name), Some(accuracy)) = (row[task].as_str(), row["accuracy"].as_f64()) {
                    run.scores.push((name.into(), accuracy));
                    run.asked.extend(row["asked"].as_u64().map(|n| (name.to_string(), n as usize)));
                }
            }
        }
    }
    run
}

/// The result of the last step among files with this beginning.
fn newest(dir: &Path, beginning: &str) -> Option<Value> {
    let entries = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path());
    let ours = |p: &std::path::PathBuf| {
        let name = p.file_name().and_then(|n| n.to_str()).unwrap_or("");
        name.starts_with(beginning) && name.ends_with(".json")
    };
    let path = entries.filter(ours).max()?;
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

impl Run {
    /// The accuracy in a task.
    pub fn accuracy(&self, task: &str) -> Option<f64> {
        self.scores.iter().find(|(name, _)| name == task).map(|&(_, accuracy)| accuracy)
    }
    fn add(&mut self, line: &Value) {
        let Some(step) = line["step"].as_f64() else { return };
        match line["kind"].as_str() {
            Some("train") => {
                let seconds = line["seconds"].as_f64().unwrap_or(0.0);
                self.steps = self.steps.max(step as usize + 1);
                self.seconds += seconds;
                self.flops += line["flops"].as_f64().unwrap_or(0.0);
                self.tokens += seconds * line["tokens_per_second"].as_f64().unwrap_or(0.0);
                self.figures(line, step);
            }
            Some("eval") => {
                self.val_bpb = line["val_bpb"].as_f64().or(self.val_bpb);
                self.figures(line, step);
            }
            Some("sample") => {
                let field = |key: &str| line[key].as_str().unwrap_or("").to_string();
                self.samples.retain(|(prompt, _)| *prompt != field("prompt"));
                self.samples.push((field("prompt"), field("text")));
            }
            _ => {}
        }
    }
    /// Every number of a line is a point of the curve of its name.
    fn figures(&mut self, line: &Value, step: f64) {
        for (name, value) in line.as_object().into_iter().flatten() {
            if let Some(value) = value.as_f64().filter(|v| v.is_finite() && name != "step") {
                self.curves.entry(name.clone()).or_default().push((step, value));
            }
        }
    }
}
