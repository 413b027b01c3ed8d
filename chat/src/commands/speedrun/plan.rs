//! The list of steps: TOML to command lines.
//!
//! ```toml
//! name = "small"
//! [[step]]
//! command = "train base"
//! run = "{name}-{seed}-base"
//! num-iterations = 500
//! ```
//!
//! A key is an option, in the order of the alphabet; `true` is an option without value, `false` none, a list is the option several times. `{name}` and `{seed}` are
//! filled in. The key `args` is for what a command takes without a name.

use crate::globals::Usage;
use anyhow::bail;
use toml::{Table, Value};

/// A command of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its words, without the program's name.
    pub words: Vec<String>,
}

/// The list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// From the text of a file.
    pub fn read(text: &str, seed: u64) -> anyhow::Result<Plan> {
        let table: Table = text.parse()?;
        let name = match table.get("name").and_then(Value::as_str) {
            Some(name)
                if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_') =>
            {
                name
            }
            _ => bail!(Usage("give the list a name = \"…\" of letters, digits, - and _".into())),
        };
        let fill = |text: &str| text.replace("{name}", name).replace("{seed}", &seed.to_string());
        let mut steps = Vec::new();
        for (i, step) in table.get("step").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let Some(step) = step.as_table() else {
                bail!(Usage("step is not a table: write [[step]]".into()))
            };
            let Some(command) = step.get("command").and_then(Value::as_str) else {
                bail!(Usage(format!("step {} has no command", i + 1)));
            };
            let mut words: Vec<String> = command.split_whitespace().map(&fill).collect();
            let mut options: Vec<_> = step.iter().filter(|(key, _)| *key != "command").collect();
            options.sort_by_key(|(key, _)| key.as_str()); // how a step is said must not depend on how the file was read
            for (key, value) in options {
                for value in
                    values(value).ok_or_else(|| Usage(format!("step {}: {key} is a table", i + 1)))?
                {
                    match (key.as_str(), value.as_str()) {
                        ("args", value) => words.push(fill(value)),
                        (_, "false") => {}
                        (key, "true") => words.push(format!("--{key}")),
                        (key, value) => words.extend([format!("--{key}"), fill(value)]),
                    }
                }
            }
            let trains = words.first().is_some_and(|w| w == "train");
            if trains && !words.iter().any(|w| w == "--resume") {
                words.push("--resume".into());
            }
            steps.push(Step { words });
        }
        if steps.is_empty() {
            bail!(Usage("the list has no [[step]]".into()));
        }
        Ok(Plan { name: name.into(), steps })
    }
    /// Which data are generated and which are real, in words.
    pub fn sources(&self) -> String {
        let mut said = Vec::new();
        for step in &self.steps {
            let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
            match words[..] {
                ["data", "synth", ..] => {
                    said.push("a generated world and generated twins of the public tasks".to_string())
                }
                ["data", "download", set, ..] => said.push(format!("real data ({set})")),
                ["data", "import", what, ..] => said.push(format!("your data ({what})")),
                _ => {}
            }
        }
        if said.is_empty() { "data that are there already".into() } else { said.join("; ") }
    }
    /// The run of the last training that is not a control of another.
    pub fn last_run(&self) -> Option<String> {
        self.steps.iter().rev().filter(|s| !s.is_control()).find_map(Step::run)
    }
}

impl Step {
    /// As it would be typed.
    pub fn said(&self) -> String {
        let quoted = |w: &String| if w.contains([' ', '|']) { format!("'{w}'") } else { w.clone() };
        self.words.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
    /// Is it a training that another one is compared with?
    fn is_control(&self) -> bool {
        self.words.iter().any(|w| w == "--flops-of")
    }
    /// The run that a training writes.
    pub fn run(&self) -> Option<String> {
        let trains = self.words.first().is_some_and(|w| w == "train");
        let at = self.words.iter().position(|w| w == "--run").filter(|_| trains)?;
        self.words.get(at + 1).cloned()
    }
}

/// The values of an option.
fn values(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Table(_) => None,
        Value::Array(items) => Some(items.iter().map(values).collect::<Option<Vec<_>>>()?.concat()),
        Value::String(text) => Some(vec![text.clone()]),
        other => Some(vec![other.to_string()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_options() {
        let text = "name = \"a\"\n[[step]]\ncommand = \"train base\"\nrun = \"{name}-{seed}\"\nnum-iterations = 5\nprompt = [\"x y\", \"z\"]\n[[step]]\ncommand = \"data import\"\nargs = \"f.txt\"\nshards = true\nname = \"b\"";
        let plan = Plan::read(text, 3).unwrap();
        assert_eq!(
            plan.steps[0].said(),
            "train base --num-iterations 5 --prompt 'x y' --prompt z --run a-3 --resume"
        );
        assert_eq!(plan.steps[1].said(), "data import f.txt --name b --shards");
        let more = format!("{text}\n[[step]]\ncommand = \"train sft\"\nrun = \"c\"\nflops-of = \"a-3\"");
        assert_eq!(Plan::read(&more, 3).unwrap().last_run().as_deref(), Some("a-3"), "a control is no stage");
        assert_eq!((plan.last_run().as_deref(), plan.steps[1].run()), (Some("a-3"), None));
        assert!(plan.sources().contains("f.txt"));
    }

    #[test]
    fn lists_that_make_no_sense_say_why() {
        for (text, hint) in [
            ("", "name"),
            ("name = \"a/b\"", "letters"),
            ("name = \"a\"", "no [[step]]"),
            ("name = \"a\"\n[[step]]\nrun = \"x\"", "step 1 has no command"),
            ("name = \"a\"\n[[step]]\ncommand = \"x\"\n[step.y]\nz = 1", "y is a table"),
        ] {
            let error = Plan::read(text, 1).unwrap_err().to_string();
            assert!(error.contains(hint), "{text:?}: {error}");
        }
    }
}
