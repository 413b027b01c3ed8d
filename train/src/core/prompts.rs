//! What the model reads: few-shot examples and the question, joined by one blank line.
//!
//! | form | row | texts |
//! |---|---|---|
//! | multiple choice | query, choices, gold | query + delimiter + choice, one for each choice |
//! | schema | context_options, continuation, gold | context option + delimiter + continuation, one for each option |
//! | language modelling | context, continuation | context + delimiter, without and with the continuation |
//!
//! Values are inserted as they are, except that a context of language modelling is trimmed. The text without the
//! continuation is trimmed at its ends too: else the delimiter's space would be a token of its own there, but part of the
//! first word in the text with the continuation, and the one would not begin the other.

use crate::random::Python;
use serde::Deserialize;

/// The form of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Which continuation?
    MultipleChoice,
    /// Which context?
    Schema,
    /// Is the continuation what the model would write?
    LanguageModeling,
}

/// A row of a task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Example {
    /// One query, several continuations.
    MultipleChoice {
        /// The question.
        query: String,
        /// Possible continuations.
        choices: Vec<String>,
        /// Number of the right one.
        gold: usize,
    },
    /// Several contexts, one continuation.
    Schema {
        /// Possible contexts.
        context_options: Vec<String>,
        /// What follows.
        continuation: String,
        /// Number of the right one.
        gold: usize,
    },
    /// A context and what follows.
    LanguageModeling {
        /// What is given.
        context: String,
        /// What is to be found.
        continuation: String,
    },
}

impl Example {
    /// Its form.
    pub fn form(&self) -> Form {
        match self {
            Example::MultipleChoice { .. } => Form::MultipleChoice,
            Example::Schema { .. } => Form::Schema,
            Example::LanguageModeling { .. } => Form::LanguageModeling,
        }
    }
    /// Number of the right choice, if it has one and it is one of them.
    pub fn gold(&self) -> Option<usize> {
        let (gold, n) = match self {
            Example::MultipleChoice { gold, choices, .. } => (*gold, choices.len()),
            Example::Schema { gold, context_options, .. } => (*gold, context_options.len()),
            Example::LanguageModeling { .. } => return None,
        };
        Some(gold).filter(|&g| g < n)
    }
    /// As a few-shot example: with its answer.
    fn shown(&self, delimiter: &str) -> String {
        let at = |items: &[String], i: usize| items.get(i).cloned().unwrap_or_default();
        match self {
            Example::MultipleChoice { query, choices, gold } => {
                format!("{query}{delimiter}{}", at(choices, *gold))
            }
            Example::Schema { context_options, continuation, gold } => {
                format!("{}{delimiter}{continuation}", at(context_options, *gold))
            }
            Example::LanguageModeling { context, continuation } => {
                format!("{}{delimiter}{continuation}", context.trim())
            }
        }
    }
    /// The texts of an item, after the few-shot examples `shots`. Language modelling has two: without and with the continuation.
    pub fn prompts(&self, shots: &[&Example], delimiter: &str) -> Vec<String> {
        let before: String = shots.iter().map(|s| s.shown(delimiter) + "\n\n").collect();
        match self {
            Example::MultipleChoice { query, choices, .. } => {
                choices.iter().map(|choice| format!("{before}{query}{delimiter}{choice}")).collect()
            }
            Example::Schema { context_options, continuation, .. } => {
                context_options.iter().map(|c| format!("{before}{c}{delimiter}{continuation}")).collect()
            }
            Example::LanguageModeling { context, continuation } => {
                let without = format!("{before}{}{delimiter}", context.trim());
                let with = format!("{without}{continuation}");
                vec![without.trim().to_string(), with]
            }
        }
    }
}

/// The examples shown before item `index` of `n`: `k` others, or as many as there are. The original's numbers.
pub fn few_shot(index: usize, n: usize, k: usize) -> Vec<usize> {
    if k == 0 {
        return Vec::new();
    }
    let others: Vec<usize> = (0..n).filter(|&i| i != index).collect();
    Python::new(1234 + index as i64).sample(&others, k)
}

/// The order of a task's rows, cut to the first `most` (0 = all).
pub fn in_order<T>(mut rows: Vec<T>, most: usize) -> Vec<T> {
    Python::new(1337).shuffle(&mut rows);
    if most > 0 {
        rows.truncate(most);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footgun_fewer_examples_than_shots_are_no_crash() {
        assert_eq!(few_shot(0, 3, 10).len(), 2);
        assert!(few_shot(0, 1, 10).is_empty());
        assert!(few_shot(4, 9, 0).is_empty());
    }

    #[test]
    fn footgun_exactly_one_blank_line_stands_between_examples_and_none_at_the_end() {
        let row = |c: &str| Example::LanguageModeling { context: format!(" {c} "), continuation: "y".into() };
        let (a, b) = (row("a"), row("b"));
        assert_eq!(a.prompts(&[&b], " "), ["b y\n\na", "b y\n\na y"]);
        let mc =
            Example::MultipleChoice { query: "q".into(), choices: vec!["0".into(), "1".into()], gold: 1 };
        assert_eq!(mc.prompts(&[&mc], ":"), ["q:1\n\nq:0", "q:1\n\nq:1"]);
        let schema = Example::Schema {
            context_options: vec!["s".into(), "t".into()],
            continuation: "u".into(),
            gold: 0,
        };
        assert_eq!(schema.prompts(&[&schema], " "), ["s u\n\ns u", "s u\n\nt u"]);
    }

    #[test]
    fn rows_are_told_apart_by_their_fields() {
        let read = |text: &str| serde_json::from_str::<Example>(text).map(|e| e.form());
        assert_eq!(read(r#"{"query":"q","choices":["a"],"gold":0}"#).unwrap(), Form::MultipleChoice);
        assert_eq!(read(r#"{"context_options":["a"],"continuation":"c","gold":0}"#).unwrap(), Form::Schema);
        assert_eq!(read(r#"{"context":"c","continuation":"d","x":1}"#).unwrap(), Form::LanguageModeling);
        assert!(read(r#"{"context":"c"}"#).is_err());
    }
}
