//! One task: draw the few-shot examples, score all items at once, count the right ones.

use super::prompts::{Example, Form, few_shot};
use super::score::{Scorer, Sequence, SpanScore};
use super::spans;
use crate::error::Result;
use tokenizer::Tokenizer;

/// How a task went.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskScore {
    /// Whether each item is right.
    pub right: Vec<bool>,
    /// Items whose continuation the tokenizer joins to the context. They count as wrong.
    pub not_scorable: usize,
}

impl TaskScore {
    /// The part of right items.
    pub fn accuracy(&self) -> f64 {
        self.right.iter().filter(|&&r| r).count() as f64 / self.right.len().max(1) as f64
    }
}

/// Score all `rows` of a task with `shots` examples before each. `progress(done, of)` counts sequences and stops by `false`.
pub fn evaluate_task(
    scorer: &Scorer<'_>,
    tokenizer: &Tokenizer,
    rows: &[Example],
    shots: usize,
    delimiter: &str,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<TaskScore> {
    let items: Vec<Vec<Sequence>> =
        (0..rows.len()).map(|i| item(rows, i, shots, delimiter, tokenizer).unwrap_or_default()).collect();
    let not_scorable = items.iter().filter(|s| s.is_empty()).count();
    let of = items.iter().map(Vec::len).sum();
    let mut scores = scorer.score(&items, &mut |done| progress(done, of))?.into_iter();
    let right = rows.iter().zip(&items).map(|(row, sequences)| {
        let scores: Option<Vec<SpanScore>> = scores.by_ref().take(sequences.len()).collect();
        scores.is_some_and(|scores| is_right(row, &scores))
    });
    Ok(TaskScore { right: right.collect(), not_scorable })
}

/// The sequences of item `i`.
pub fn item(
    rows: &[Example],
    i: usize,
    shots: usize,
    delimiter: &str,
    tokenizer: &Tokenizer,
) -> std::result::Result<Vec<Sequence>, spans::NotAPrefix> {
    let shown: Vec<&Example> = few_shot(i, rows.len(), shots).into_iter().map(|j| &rows[j]).collect();
    spans::sequences(rows[i].form(), &rows[i].prompts(&shown, delimiter), tokenizer)
}

/// Is an item with these scores right?
pub fn is_right(row: &Example, scores: &[SpanScore]) -> bool {
    match row.form() {
        Form::LanguageModeling => scores.first().is_some_and(|s| s.exact),
        _ => !scores.is_empty() && Some(choice(scores)) == row.gold(),
    }
}

/// The choice of least mean loss, the first of equals. A first choice without tokens (NaN) stays, a later one is passed over:
/// that is what the original's comparison does.
pub fn choice(scores: &[SpanScore]) -> usize {
    let mut best = 0;
    for i in 1..scores.len() {
        if scores[i].mean_loss < scores[best].mean_loss {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footgun_a_choice_without_tokens_is_decided_as_in_the_original() {
        let score = |mean_loss| SpanScore { mean_loss, predicted: vec![], exact: false };
        let choose = |losses: &[f64]| choice(&losses.iter().map(|&l| score(l)).collect::<Vec<_>>());
        assert_eq!(choose(&[2.0, 1.0, 1.0]), 1);
        assert_eq!(choose(&[f64::NAN, 1.0]), 0);
        assert_eq!(choose(&[2.0, f64::NAN, 1.0]), 2);
    }
}
