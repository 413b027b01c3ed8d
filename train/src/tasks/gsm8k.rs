//! GSM8K: word problems of school mathematics (Cobbe et al. 2021), solved step by step with the calculator.
//!
//! In the published answers a calculation stands as `<<12/60=0.2>>`; it becomes a call of the tool (`12/60`) and its output
//! (`0.2`). The result is what stands after `#### `. An answer is right if its number is, as text: `42.` is not `42`.

use super::{Example, Scoring, Task, hub, no_example};
use crate::error::Result;
use serde::Deserialize;
use std::path::Path;
use tokenizer::conversation::{Content, Conversation, Message, Part, PartKind, Role};

/// The hub's name.
pub const REPO: &str = "openai/gsm8k";

/// A published row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// The problem.
    pub question: String,
    /// The solution, with calculations in double angle brackets and the result at the end.
    pub answer: String,
}

/// The problems of a split.
pub struct Gsm8k {
    rows: Vec<Row>,
}

impl Gsm8k {
    /// `subset` is main or socratic, `split` train or test.
    pub fn open(tasks: &Path, subset: &str, split: &str) -> Result<Gsm8k> {
        Ok(Gsm8k { rows: hub::shuffled(tasks, REPO, subset, split)? })
    }
}

impl Row {
    /// Question, and answer in parts.
    pub fn conversation(&self) -> Conversation {
        let answer = Message { role: Role::Assistant, content: Content::Parts(parts(&self.answer)) };
        Conversation { messages: vec![Message::new(Role::User, self.question.clone()), answer] }
    }
}

/// A solution cut at its calculations. Text between them is kept also where it is empty.
fn parts(answer: &str) -> Vec<Part> {
    let part = |kind, text: &str| Part { kind, text: text.into() };
    let (mut out, mut rest) = (Vec::new(), answer);
    while let Some((start, inner, end)) = calculation(rest) {
        out.push(part(PartKind::Text, &rest[..start]));
        let (expression, result) = inner.rsplit_once('=').unwrap_or((inner, ""));
        out.push(part(PartKind::Python, expression));
        out.push(part(PartKind::PythonOutput, result));
        rest = &rest[end..];
    }
    out.push(part(PartKind::Text, rest));
    out
}

/// The first `<<…>>` with something other than `>` inside: where it begins, its inside, where it ends.
fn calculation(text: &str) -> Option<(usize, &str, usize)> {
    let mut from = 0;
    while let Some(start) = text[from..].find("<<").map(|i| from + i) {
        let inner = &text[start + 2..];
        if let Some(n) = inner.find('>').filter(|&n| n > 0 && inner[n..].starts_with(">>")) {
            return Some((start, &inner[..n], start + 2 + n + 2));
        }
        from = start + 1;
    }
    None
}

/// The number after the first `#### ` that has one, without its commas.
pub fn answer_of(text: &str) -> Option<String> {
    for (at, marker) in text.match_indices("#### ") {
        let rest = &text[at + marker.len()..];
        let (sign, digits) = match rest.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", rest),
        };
        let n = digits.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(digits.len());
        if n > 0 {
            return Some(format!("{sign}{}", digits[..n].replace(',', "")));
        }
    }
    None
}

/// Does `answer` have the number that the reference answer has? Two answers without a number agree.
pub fn agrees(example: &Example, answer: &str) -> bool {
    let reference = match example.conversation.messages.last().map(|m| &m.content) {
        Some(Content::Parts(parts)) => parts.last().map(|p| p.text.as_str()),
        Some(Content::Text(text)) => Some(text.as_str()),
        None => None,
    };
    reference.is_some_and(|reference| answer_of(reference) == answer_of(answer))
}

impl Task for Gsm8k {
    fn name(&self) -> String {
        "GSM8K".into()
    }
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn example(&self, i: usize) -> Result<Example> {
        let row = self.rows.get(i).ok_or_else(|| no_example("GSM8K", i, self.len()))?;
        Ok(Example { conversation: row.conversation(), letters: Vec::new() })
    }
    fn scoring(&self) -> Scoring {
        Scoring::Generative
    }
    fn is_right(&self, example: &Example, answer: &str) -> Result<bool> {
        Ok(agrees(example, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_original_reads_them() {
        let answer = |text| answer_of(text);
        assert_eq!(answer("so 1 #### 1,234.50 #### 2").as_deref(), Some("1234.50"));
        assert_eq!(answer("#### $42 #### 7").as_deref(), Some("7"));
        assert_eq!((answer("####5"), answer("#### -"), answer("#### --5")), (None, None, None));
        assert_eq!((answer("#### ,").as_deref(), answer("#### 42.").as_deref()), (Some(""), Some("42.")));
    }

    #[test]
    fn calculations_become_calls_of_the_tool() {
        let row = Row { question: "q".into(), answer: "a $<<x=12/60=0.2>>0.2<<7>>\n#### 3 <<>>".into() };
        let Content::Parts(parts) = row.conversation().messages[1].content.clone() else { panic!() };
        let texts: Vec<&str> = parts.iter().map(|p| p.text.as_str()).collect();
        assert_eq!(texts, ["a $", "x=12/60", "0.2", "0.2", "7", "", "\n#### 3 <<>>"]);
        let example = Example { conversation: row.conversation(), letters: vec![] };
        assert!(agrees(&example, "#### 3") && !agrees(&example, "#### 3.0") && !agrees(&example, "3"));
    }
}
