//! HumanEval: functions to be completed, judged by running their tests (Chen et al. 2021).
//!
//! The program of an answer is its first fenced block, or all of it. It is run behind the imports of the prompt, followed by
//! the published test, in a process of its own that somebody else provides ([`RunProgram`]): a library that runs foreign code
//! by default would be a trap.

use super::{Example, Scoring, Task, hub, no_example};
use crate::error::{Result, TrainError};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use tokenizer::conversation::{Content, Conversation, Message, Role};

/// The hub's name.
pub const REPO: &str = "openai/openai_humaneval";

/// Runs a Python program somewhere safe.
pub trait RunProgram: Send + Sync {
    /// Did it end well?
    fn succeeds(&self, program: &str) -> Result<bool>;
}

/// A published row.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    prompt: String,
    canonical_solution: String,
    entry_point: String,
    test: String,
}

/// The problems.
pub struct HumanEval {
    rows: Vec<Row>,
    runner: Option<Arc<dyn RunProgram>>,
}

impl HumanEval {
    /// Without a runner, problems can be read but not judged.
    pub fn open(tasks: &Path, runner: Option<Arc<dyn RunProgram>>) -> Result<HumanEval> {
        Ok(HumanEval { rows: hub::shuffled(tasks, REPO, "openai_humaneval", "test")?, runner })
    }
    /// From a file in which rows stand, one per line.
    pub fn from_file(path: &Path, runner: Option<Arc<dyn RunProgram>>) -> Result<HumanEval> {
        let rows = hub::rows_of(path)?
            .into_iter()
            .map(serde_json::from_value)
            .collect::<std::result::Result<_, _>>();
        Ok(HumanEval { rows: rows.map_err(|e| TrainError::bad(path, e.to_string()))?, runner })
    }
    fn row_of(&self, example: &Example) -> Option<&Row> {
        let Content::Text(prompt) = &example.conversation.messages.first()?.content else { return None };
        self.rows.iter().find(|r| r.prompt == *prompt)
    }
}

/// The imports with which a prompt begins.
fn imports(prompt: &str) -> String {
    let mut lines = Vec::new();
    for line in prompt.lines().map(str::trim) {
        if line.starts_with("import ") || line.starts_with("from ") {
            lines.push(line);
        } else if !line.is_empty() && !line.starts_with('#') {
            break;
        }
    }
    lines.join("\n")
}

/// The first fenced block of an answer, or all of it.
fn program(answer: &str) -> &str {
    let block = ["```python\n", "```\n"].iter().filter_map(|fence| {
        let start = answer.find(fence)? + fence.len();
        let end = answer[start..].find("\n```").or_else(|| answer[start..].find("```"))?;
        Some((start, &answer[start..start + end]))
    });
    block.min_by_key(|&(start, _)| start).map_or(answer, |(_, text)| text).trim()
}

impl Task for HumanEval {
    fn name(&self) -> String {
        "HumanEval".into()
    }
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn example(&self, i: usize) -> Result<Example> {
        let row = self.rows.get(i).ok_or_else(|| no_example("HumanEval", i, self.len()))?;
        let messages = vec![
            Message::new(Role::User, row.prompt.clone()),
            Message::new(Role::Assistant, format!("{}\n{}", row.prompt, row.canonical_solution)),
        ];
        Ok(Example { conversation: Conversation { messages }, letters: Vec::new() })
    }
    fn scoring(&self) -> Scoring {
        Scoring::Generative
    }
    fn is_right(&self, example: &Example, answer: &str) -> Result<bool> {
        let Some(runner) = &self.runner else {
            let why = "HumanEval is judged by running what the model writes, and nothing here runs foreign programs unless a runner is given; ask for one with --run-code, or leave the task out with -a";
            return Err(TrainError::Config(why.into()));
        };
        let Some(Row { prompt, test, entry_point, .. }) = self.row_of(example) else { return Ok(false) };
        runner.succeeds(&format!(
            "{}\n\n{}\n\n{test}\ncheck({entry_point})",
            imports(prompt),
            program(answer)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_first_block_or_everything() {
        assert_eq!(program("Sure:\n```python\nx = 1\n```\n```\ny\n```"), "x = 1");
        assert_eq!(program("```\na\n```"), "a");
        assert_eq!(program(" def f(): pass "), "def f(): pass");
        assert_eq!(
            imports("# c\nfrom a import b\n\nimport c\ndef f():\n  import d"),
            "from a import b\nimport c"
        );
    }

    #[test]
    fn nothing_is_run_unless_a_runner_is_given() {
        struct Says(bool);
        impl RunProgram for Says {
            fn succeeds(&self, program: &str) -> Result<bool> {
                assert!(program.ends_with("check(f)") && program.contains("import math"), "{program}");
                Ok(self.0)
            }
        }
        let path = crate::data::scratch("human-eval").join("h.jsonl");
        let row = r#"{"prompt":"import math\ndef f():","canonical_solution":"  return 1","entry_point":"f","test":"def check(g): pass"}"#;
        std::fs::write(&path, row).unwrap();
        let open = |runner| HumanEval::from_file(&path, runner).unwrap();
        let task = open(None);
        let example = task.example(0).unwrap();
        assert!(task.is_right(&example, "x").unwrap_err().to_string().contains("leave the task out"));
        assert!(open(Some(Arc::new(Says(true)))).is_right(&example, "x").unwrap());
        assert!(!open(Some(Arc::new(Says(false)))).is_right(&example, "x").unwrap());
    }
}
