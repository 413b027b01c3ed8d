//! The files of CORE as they are published: a folder with `core.yaml`, `eval_meta_data.csv` and `eval_data/**.jsonl`.
//!
//! Tasks, shots, delimiters and baselines are read from there. Of YAML and CSV only what these files use is understood:
//! a list of flat maps under `icl_tasks:`, and comma-separated columns with quotes.

use super::prompts::{Example, Form};
use crate::error::{Result, TrainError};
use std::path::{Path, PathBuf};

/// A task of the bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInfo {
    /// Its name.
    pub label: String,
    /// Its rows.
    pub path: PathBuf,
    /// Examples shown before each item.
    pub shots: usize,
    /// Its form.
    pub form: Form,
    /// What stands between query and answer.
    pub delimiter: String,
    /// What guessing scores, in percent.
    pub baseline: f64,
}

/// All tasks.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// In the order of the file.
    pub tasks: Vec<TaskInfo>,
}

/// The list of tasks.
pub const TASKS: &str = "core.yaml";
/// Their baselines.
pub const BASELINES: &str = "eval_meta_data.csv";
/// Their rows, below.
pub const DATA: &str = "eval_data";

impl Bundle {
    /// The bundle in `dir`.
    pub fn open(dir: &Path) -> Result<Bundle> {
        let read = |name: &str| {
            let path = dir.join(name);
            match std::fs::read_to_string(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(TrainError::bad(
                    dir,
                    format!(
                        "no CORE bundle here ({name} is missing): unpack the published eval_bundle here, or make one with `nanochat data synth`"
                    ),
                )),
                other => other.map_err(TrainError::io(&path)),
            }
        };
        let yaml = read(TASKS)?;
        let (yaml_path, csv_path) = (dir.join(TASKS), dir.join(BASELINES));
        let baselines = baselines(&read(BASELINES)?).map_err(|why| TrainError::bad(&csv_path, why))?;
        let mut tasks = Vec::new();
        for entry in entries(&yaml).map_err(|why| TrainError::bad(&yaml_path, why))? {
            let get = |key: &str| entry.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
            let need = |key: &str| {
                get(key).ok_or_else(|| TrainError::bad(&yaml_path, format!("a task has no {key}")))
            };
            let label = need("label")?.to_string();
            let form = need("icl_task_type")?;
            let form: Form = serde_json::from_value(form.into())
                .map_err(|e| TrainError::bad(&yaml_path, format!("{label}: {e}")))?;
            let shots = need("num_fewshot")?.trim_matches(['[', ']']).trim().to_string();
            let shots = shots.parse().map_err(|_| {
                TrainError::bad(&yaml_path, format!("{label}: num_fewshot {shots:?} is not one number"))
            })?;
            let baseline =
                baselines.iter().find(|(name, _)| *name == label).map(|&(_, b)| b).ok_or_else(|| {
                    TrainError::bad(&csv_path, format!("no baseline of {label}: add its row"))
                })?;
            let delimiter = get("continuation_delimiter").unwrap_or(" ").to_string();
            let path = dir.join(DATA).join(need("dataset_uri")?);
            tasks.push(TaskInfo { label, path, shots, form, delimiter, baseline });
        }
        if tasks.is_empty() {
            return Err(TrainError::bad(&yaml_path, "lists no tasks under icl_tasks:"));
        }
        Ok(Bundle { tasks })
    }
}

impl TaskInfo {
    /// Its rows, in file order.
    pub fn rows(&self) -> Result<Vec<Example>> {
        let bytes = std::fs::read(&self.path).map_err(TrainError::io(&self.path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| TrainError::bad(&self.path, "not UTF-8: get the bundle again"))?;
        let mut rows = Vec::new();
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let bad = |why: String| TrainError::bad(&self.path, format!("line {}: {why}", i + 1));
            let row: Example = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
            if row.form() != self.form {
                return Err(bad(format!("a row of {:?}, but the task is {:?}", row.form(), self.form)));
            }
            if self.form != Form::LanguageModeling && row.gold().is_none() {
                return Err(bad("gold is no number of a choice".into()));
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

type Entry = Vec<(String, String)>;

/// The maps of the list under `icl_tasks:`.
fn entries(yaml: &str) -> std::result::Result<Vec<Entry>, String> {
    let mut out: Vec<Entry> = Vec::new();
    let mut inside = false;
    for (number, line) in yaml.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if !inside {
            inside = text == "icl_tasks:";
            continue;
        }
        let (new, text) = match text.strip_prefix('-') {
            Some(rest) if rest.trim().is_empty() => {
                out.push(Vec::new());
                continue;
            }
            // An item of a map's list is one more value of the key before: `num_fewshot:` and `- 10` below.
            Some(item) if !item.contains(':') => {
                let last = out.last_mut().and_then(|e| e.last_mut()).filter(|(_, v)| v.is_empty());
                let Some((_, value)) = last else {
                    return Err(format!("line {}: not understood", number + 1));
                };
                *value = scalar(item);
                continue;
            }
            Some(rest) => (true, rest.trim()),
            None => (false, text),
        };
        if !new && !line.starts_with([' ', '\t']) {
            break; // the next top-level key
        }
        let Some((key, value)) = text.split_once(':') else {
            return Err(format!("line {}: expected `key: value`", number + 1));
        };
        if new {
            out.push(Vec::new());
        }
        match out.last_mut() {
            Some(entry) => entry.push((key.trim().to_string(), scalar(value))),
            None => return Err(format!("line {}: a value before the first `-`", number + 1)),
        }
    }
    Ok(out)
}

/// A value: plain, in single quotes, or in double quotes with escapes.
fn scalar(text: &str) -> String {
    let text = text.trim();
    let inside = |q: char| text.strip_prefix(q).and_then(|t| t.strip_suffix(q));
    if let Some(text) = inside('"') {
        return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\"", "\"").replace("\\\\", "\\");
    }
    match inside('\'') {
        Some(text) => text.replace("''", "'"),
        None => text.split(" #").next().unwrap_or("").trim().to_string(),
    }
}

/// Name and baseline of each row.
fn baselines(csv: &str) -> std::result::Result<Vec<(String, f64)>, String> {
    let mut lines = csv.lines().map(fields);
    let header = lines.next().unwrap_or_default();
    let column = |name: &str| {
        header
            .iter()
            .position(|h| h.trim() == name)
            .ok_or_else(|| format!("no column {name:?} in the first line"))
    };
    let (name, baseline) = (column("Eval Task")?, column("Random baseline")?);
    let mut out = Vec::new();
    for row in lines.filter(|r| r.iter().any(|f| !f.trim().is_empty())) {
        let (Some(name), Some(value)) = (row.get(name), row.get(baseline)) else { continue };
        if let Ok(value) = value.trim().parse() {
            out.push((name.trim().to_string(), value));
        }
    }
    Ok(out)
}

/// The fields of a line: commas inside of quotes do not separate.
fn fields(line: &str) -> Vec<String> {
    let (mut out, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    out.push(field);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_shots_delimiters_and_baselines_come_from_the_files() {
        let dir = crate::data::scratch("bundle");
        let yaml = "icl_tasks:\n-\n  label: hellaswag_zeroshot\n  dataset_uri: a/h.jsonl\n  num_fewshot: [0]\n  icl_task_type: multiple_choice\n- label: jeopardy\n  dataset_uri: b/j.jsonl\n  num_fewshot:\n  - 10\n  icl_task_type: language_modeling\n  continuation_delimiter: \"\\nAnswer: \"\n  has_categories: true\n";
        std::fs::write(dir.join(TASKS), yaml).unwrap();
        let csv = "Eval Task,\"Task, long\",Random baseline\nhellaswag_zeroshot,\"a, \"\"b\"\"\",25\njeopardy,x,0\n";
        std::fs::write(dir.join(BASELINES), csv).unwrap();
        let tasks = Bundle::open(&dir).unwrap().tasks;
        assert_eq!(tasks.len(), 2);
        assert_eq!((tasks[0].shots, tasks[0].delimiter.as_str(), tasks[0].baseline), (0, " ", 25.0));
        assert_eq!((tasks[1].shots, tasks[1].delimiter.as_str(), tasks[1].baseline), (10, "\nAnswer: ", 0.0));
        assert_eq!(tasks[1].form, Form::LanguageModeling);

        std::fs::create_dir_all(dir.join("eval_data/a")).unwrap();
        let write = |text: &str| std::fs::write(&tasks[0].path, text).unwrap();
        write("{\"query\":\"q\",\"choices\":[\"a\",\"b\"],\"gold\":1}\n\n");
        assert_eq!(tasks[0].rows().unwrap().len(), 1);
        write("{\"query\":\"q\",\"choices\":[\"a\",\"b\"],\"gold\":2}");
        assert!(tasks[0].rows().unwrap_err().to_string().contains("line 1"));
        write("{\"context\":\"q\",\"continuation\":\"a\"}");
        assert!(tasks[0].rows().is_err());
    }

    #[test]
    fn a_missing_bundle_says_how_to_get_one() {
        let error = Bundle::open(&crate::data::scratch("no-bundle")).unwrap_err().to_string();
        assert!(error.contains("eval_bundle"), "{error}");
    }
}
