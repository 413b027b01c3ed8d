//! Which tokens count: those in which the texts of an item differ.
//!
//! Multiple choice: all that comes after the common beginning. Schema: the common end. Language modelling: what the text with
//! the continuation has more than the one without. Texts are encoded with `<|bos|>` in front.

use super::prompts::Form;
use super::score::Sequence;
use tokenizer::Tokenizer;

/// An item that cannot be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the tokens without the continuation do not begin those with it: the tokenizer joins the two at their border"
)]
pub struct NotAPrefix;

/// The sequences of an item, with the span of each.
pub fn sequences(form: Form, prompts: &[String], tokenizer: &Tokenizer) -> Result<Vec<Sequence>, NotAPrefix> {
    let bos = tokenizer.bos();
    let mut ids: Vec<Vec<u32>> =
        prompts.iter().map(|p| tokenizer.encode_between(Some(bos), p, None)).collect();
    match form {
        Form::MultipleChoice => {
            let start = common_beginning(&ids);
            Ok(ids.into_iter().map(|ids| Sequence { start, end: ids.len(), ids }).collect())
        }
        Form::Schema => {
            let n = common_end(&ids);
            Ok(ids.into_iter().map(|ids| Sequence { start: ids.len() - n, end: ids.len(), ids }).collect())
        }
        Form::LanguageModeling => {
            let (Some(with), Some(without)) = (ids.pop(), ids.pop()) else { return Err(NotAPrefix) };
            if without.len() >= with.len() || with[..without.len()] != without[..] {
                return Err(NotAPrefix);
            }
            Ok(vec![Sequence { start: without.len(), end: with.len(), ids: with }])
        }
    }
}

fn common_beginning(all: &[Vec<u32>]) -> usize {
    let Some((first, rest)) = all.split_first() else { return 0 };
    (0..first.len()).take_while(|&i| rest.iter().all(|ids| ids.get(i) == Some(&first[i]))).count()
}

fn common_end(all: &[Vec<u32>]) -> usize {
    let Some((first, rest)) = all.split_first() else { return 0 };
    let from_end = |ids: &[u32], i: usize| ids.len().checked_sub(i + 1).map(|at| ids[at]);
    (0..first.len()).take_while(|&i| rest.iter().all(|ids| from_end(ids, i) == from_end(first, i))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_where_texts_differ() {
        let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let spans = |form, texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|t| t.to_string()).collect();
            sequences(form, &texts, &bytes).map(|s| s.iter().map(|s| (s.start, s.end)).collect::<Vec<_>>())
        };
        assert_eq!(spans(Form::MultipleChoice, &["q red", "q rose"]).unwrap(), [(4, 6), (4, 7)]);
        assert_eq!(
            spans(Form::MultipleChoice, &["q a", "q ab"]).unwrap(),
            [(4, 4), (4, 5)],
            "empty spans happen"
        );
        assert_eq!(spans(Form::Schema, &["he ran", "she ran"]).unwrap(), [(1, 7), (2, 8)]);
        assert_eq!(spans(Form::LanguageModeling, &["ab", "ab cd"]).unwrap(), [(3, 6)]);
        assert!(spans(Form::LanguageModeling, &["ab", "ab"]).is_err());
        assert!(spans(Form::LanguageModeling, &["ax", "ab cd"]).is_err());
    }
}
