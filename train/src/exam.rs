//! The exam: held-out questions of the generated world, answered greedily with the calculator, scored per kind beside what
//! guessing would score.

use crate::engine::collect::answer_all;
use crate::engine::tools::ToolTokens;
use crate::error::Result;
use crate::synth::TestQuestion;
use model::Gpt;
use tokenizer::{Special, Tokenizer};

/// Tokens an answer may have.
const MAX_ANSWER: usize = 96;

/// Score of one kind of question.
#[derive(Clone, Debug, PartialEq)]
pub struct KindScore {
    /// Kind of question.
    pub kind: String,
    /// Questions asked.
    pub asked: usize,
    /// Right answers.
    pub right: usize,
}

impl KindScore {
    /// Fraction of right answers.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.asked.max(1) as f64
    }
}

/// One wrong answer, for people to look at.
#[derive(Clone, Debug)]
pub struct Miss {
    /// Kind of question.
    pub kind: String,
    /// The question.
    pub question: String,
    /// What should have come.
    pub expected: String,
    /// What came.
    pub reply: String,
}

/// `<|bos|><|user_start|>question<|user_end|><|assistant_start|>`.
pub fn prompt(tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
    let mut ids = vec![tokenizer.bos(), tokenizer.special(Special::UserStart)];
    ids.extend(tokenizer.encode(question));
    ids.extend([tokenizer.special(Special::UserEnd), tokenizer.special(Special::AssistantStart)]);
    ids
}

/// Ask all `tests`; returns scores by kind, in order of first appearance, and the first misses of each kind.
pub fn take(
    gpt: &Gpt,
    tokenizer: &Tokenizer,
    tests: &[TestQuestion],
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<(Vec<KindScore>, Vec<Miss>)> {
    let prompts: Vec<Vec<u32>> = tests.iter().map(|t| prompt(tokenizer, &t.question)).collect();
    let answers = answer_all(gpt, tokenizer, &prompts, MAX_ANSWER, progress)?;
    let (mut scores, mut misses): (Vec<KindScore>, Vec<Miss>) = (Vec::new(), Vec::new());
    for (test, answer) in tests.iter().zip(answers) {
        let kind = kind_name(test);
        let right = test.is_correct(&spoken(tokenizer, &answer));
        let reply = tokenizer.decode(&answer)?;
        if !right && misses.iter().filter(|m| m.kind == kind).count() < 3 {
            let (question, expected) = (test.question.clone(), test.answer.clone());
            misses.push(Miss { kind: kind.clone(), question, expected, reply });
        }
        match scores.iter_mut().find(|s| s.kind == kind) {
            Some(score) => {
                score.asked += 1;
                score.right += usize::from(right);
            }
            None => scores.push(KindScore { kind, asked: 1, right: usize::from(right) }),
        }
    }
    Ok((scores, misses))
}

/// The kind of a question as reports name it.
fn kind_name(test: &TestQuestion) -> String {
    serde_json::json!(test.kind).as_str().unwrap_or("other").to_string()
}

/// The words of an answer: its text without tool calls and their results.
pub fn spoken(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut words = Vec::new();
    let mut inside = false;
    for &id in ids {
        match tokenizer.as_special(id) {
            Some(Special::PythonStart | Special::OutputStart) => inside = true,
            Some(Special::PythonEnd | Special::OutputEnd) => inside = false,
            Some(_) => {}
            None if !inside => words.push(id),
            None => {}
        }
    }
    ToolTokens::decode(tokenizer, &words)
}
