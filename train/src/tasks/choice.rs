//! Multiple choice: ARC (Clark et al. 2018) and MMLU (Hendrycks et al. 2021).
//!
//! The letter stands right after `=`, not after a space, so that it is the same token there as in the answer. Scored by the
//! likeliest of the letters.

use super::{Example, Scoring, Task, hub, no_example};
use crate::error::{Result, TrainError};
use serde::Deserialize;
use std::path::Path;
use tokenizer::conversation::{Conversation, Message, Role};

/// The question as the user asks it; letters and choices go in pairs as far as both last.
pub fn prompt<S: AsRef<str>>(question: &str, letters: &[S], choices: &[String]) -> String {
    let lines: String = letters
        .iter()
        .zip(choices)
        .map(|(letter, choice)| format!("- {choice}={}\n", letter.as_ref()))
        .collect();
    format!(
        "Multiple Choice question: {question}\n{lines}\nRespond only with the letter of the correct answer."
    )
}

/// A question with its choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    question: String,
    letters: Vec<String>,
    choices: Vec<String>,
    answer: String,
}

/// ARC or MMLU.
pub struct Choice {
    name: String,
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct ArcRow {
    question: String,
    choices: ArcChoices,
    #[serde(rename = "answerKey")]
    answer_key: String,
}

#[derive(Deserialize)]
struct ArcChoices {
    text: Vec<String>,
    label: Vec<String>,
}

#[derive(Deserialize)]
struct MmluRow {
    question: String,
    choices: Vec<String>,
    answer: usize,
}

/// The hub's names.
pub const ARC: &str = "allenai/ai2_arc";
/// The hub's names.
pub const MMLU: &str = "cais/mmlu";

impl Choice {
    /// `subset` is ARC-Easy or ARC-Challenge; `split` train, validation or test.
    pub fn arc(tasks: &Path, subset: &str, split: &str) -> Result<Choice> {
        let rows: Vec<ArcRow> = hub::shuffled(tasks, ARC, subset, split)?;
        let question = |r: ArcRow| Question {
            question: r.question,
            letters: r.choices.label,
            choices: r.choices.text,
            answer: r.answer_key,
        };
        Choice::checked(subset, rows.into_iter().map(question).collect())
    }
    /// `split` is auxiliary_train, validation, dev or test of subset `all`.
    pub fn mmlu(tasks: &Path, split: &str) -> Result<Choice> {
        let rows: Vec<MmluRow> = hub::shuffled(tasks, MMLU, "all", split)?;
        let letters: Vec<String> = ["A", "B", "C", "D"].map(String::from).to_vec();
        let question = |r: MmluRow| Question {
            answer: letters.get(r.answer).cloned().unwrap_or_default(),
            question: r.question,
            letters: letters.clone(),
            choices: r.choices,
        };
        Choice::checked("MMLU", rows.into_iter().map(question).collect())
    }
    fn checked(name: &str, questions: Vec<Question>) -> Result<Choice> {
        for q in &questions {
            if q.letters.len() != q.choices.len() || !q.letters.contains(&q.answer) {
                let question: String = q.question.chars().take(60).collect();
                return Err(TrainError::Config(format!(
                    "{name}: {question:?} has {} choices for letters {:?}, and the answer {:?}; get the data again",
                    q.choices.len(),
                    q.letters,
                    q.answer
                )));
            }
        }
        Ok(Choice { name: name.into(), questions })
    }
}

impl Task for Choice {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn len(&self) -> usize {
        self.questions.len()
    }
    fn example(&self, i: usize) -> Result<Example> {
        let q = self.questions.get(i).ok_or_else(|| no_example(&self.name, i, self.len()))?;
        let messages = vec![
            Message::new(Role::User, prompt(&q.question, &q.letters, &q.choices)),
            Message::new(Role::Assistant, q.answer.clone()),
        ];
        Ok(Example { conversation: Conversation { messages }, letters: q.letters.clone() })
    }
    fn scoring(&self) -> Scoring {
        Scoring::Categorical
    }
    fn is_right(&self, example: &Example, answer: &str) -> Result<bool> {
        let last = example.conversation.messages.last();
        Ok(last.is_some_and(|m| m.content == tokenizer::conversation::Content::Text(answer.into())))
    }
    fn baseline(&self) -> f64 {
        0.25
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(tasks: &Path, repo: &str, subset: &str, text: &str) {
        let dir = hub::folder(tasks, repo, subset, "test");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("0.jsonl"), text).unwrap();
    }

    #[test]
    fn arc_keeps_its_own_labels_and_mmlu_has_letters() {
        let tasks = crate::data::scratch("choice");
        write(
            &tasks,
            ARC,
            "ARC-Easy",
            r#"{"question":"Q","choices":{"text":["x","y"],"label":["1","2"]},"answerKey":"2"}"#,
        );
        write(
            &tasks,
            MMLU,
            "all",
            r#"{"question":"Q","choices":["w","x","y","z"],"answer":3,"subject":"s"}"#,
        );
        let arc = Choice::arc(&tasks, "ARC-Easy", "test").unwrap().example(0).unwrap();
        assert_eq!(arc.letters, ["1", "2"]);
        let mmlu = Choice::mmlu(&tasks, "test").unwrap();
        let example = mmlu.example(0).unwrap();
        let want = "Multiple Choice question: Q\n- w=A\n- x=B\n- y=C\n- z=D\n\nRespond only with the letter of the correct answer.";
        assert_eq!(example.conversation.messages[0], Message::new(Role::User, want));
        assert!(mmlu.is_right(&example, "D").unwrap() && !mmlu.is_right(&example, "A").unwrap());
    }

    #[test]
    fn a_row_without_its_answer_is_refused() {
        let tasks = crate::data::scratch("choice-bad");
        write(&tasks, MMLU, "all", r#"{"question":"Q","choices":["w","x","y","z"],"answer":4}"#);
        assert!(Choice::mmlu(&tasks, "test").err().unwrap().to_string().contains("get the data again"));
    }
}
