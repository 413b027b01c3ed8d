//! Spelling: letters are what tokens hide. SimpleSpelling spells a word; SpellingBee counts a letter in a word, first by
//! hand and then with the tool.
//!
//! Example i follows from the seed i alone, by Python's random numbers in the original's order of draws; the phrasings are our
//! own. Test examples have seeds of their own: the original once took −(i + 1), and Python drops the sign, so that test and
//! training shared examples. No space stands before a letter, so that it is the same token everywhere.

use super::{Example, Scoring, Task, gsm8k, no_example};
use crate::error::{Result, TrainError};
use crate::random::Python;
use std::path::Path;
use tokenizer::conversation::{Content, Conversation, Message, Part, PartKind, Role};

/// Where the seeds of test examples begin.
const TEST_SEEDS: i64 = 10_000_000;
/// The seed of SimpleSpelling's list.
const LIST_SEED: i64 = 42;

/// Words, one per line.
pub fn words(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let words: Vec<String> =
        text.lines().map(str::trim).filter(|w| !w.is_empty()).map(String::from).collect();
    if words.is_empty() {
        return Err(TrainError::bad(path, "holds no words; give a list with one word per line"));
    }
    Ok(words)
}

/// How one may ask; `{c}` is the letter, `{w}` the word.
const QUESTIONS: &[&str] = &[
    "How many {c} are in {w}",
    "How many {c} are there in {w}",
    "How many times does {c} occur in {w}",
    "How many times is {c} in the word {w}",
    "How often does {c} come in {w}",
    "How often is the letter {c} used in {w}",
    "Count the {c} in {w}",
    "Count the letter {c} in {w}",
    "Count every {c} of {w}",
    "Tell me the number of {c} in {w}",
    "Give me the number of letters {c} in {w}",
    "What is the number of {c} in {w}",
    "What is the count of {c} in the word {w}",
    "Find how many {c} the word {w} has",
    "Please count {c} in {w}",
    "Can you count the {c} in {w}",
    "Do you know how many {c} {w} has",
    "In {w}, how many {c} are there",
    "In the word {w}, how often is {c}",
    "The word {w} has how many {c}",
    "Number of {c} in {w}",
    "{w} has how many letters {c}",
    "Cuántas {c} hay en {w}",
    "Cuántas veces aparece {c} en {w}",
    "Combien de {c} dans {w}",
    "Combien de fois {c} est dans {w}",
    "Wie viele {c} sind in {w}",
    "Wie oft kommt {c} in {w} vor",
    "{w}中有多少个{c}",
    "{w}に{c}はいくつありますか",
    "{w}에 {c}가 몇 개 있나요",
];

/// Letters counted in words.
pub struct SpellingBee {
    words: Vec<String>,
    size: usize,
    first_seed: i64,
}

impl SpellingBee {
    /// `size` examples; those of the test are no training examples.
    pub fn new(words: Vec<String>, size: usize, test: bool) -> SpellingBee {
        SpellingBee { words, size, first_seed: if test { TEST_SEEDS } else { 0 } }
    }
    /// Word, letter and question of example `i`.
    fn draw(&self, i: usize) -> Option<(&str, char, String)> {
        let mut rng = Python::new(self.first_seed + i as i64);
        let word = self.words.get(rng.below(self.words.len()))?;
        let inside: Vec<char> = word.chars().collect();
        let letter = match rng.random() < 0.9 && !inside.is_empty() {
            true => *rng.choice(&inside),
            false => char::from(b'a' + rng.below(26) as u8),
        };
        let mut template = rng.choice(QUESTIONS).to_string();
        if rng.random() < 0.3 {
            template = template.to_lowercase();
        }
        let quotes = ["", "'", "\""];
        let (around_letter, around_word) = (rng.choice(&quotes).to_string(), rng.choice(&quotes).to_string());
        let quoted = |quote: &str, text: &str| format!("{quote}{text}{quote}");
        let mut question = template
            .replace("{c}", &quoted(&around_letter, &letter.to_string()))
            .replace("{w}", &quoted(&around_word, word));
        if rng.random() < 0.5 {
            question.push('?');
        }
        Some((word, letter, question))
    }
}

/// The answer in parts: by hand, then by the tool.
fn answer(word: &str, letter: char) -> Vec<Part> {
    let part = |kind, text: String| Part { kind, text };
    let mut lines = String::new();
    let mut count = 0;
    for (i, c) in word.chars().enumerate() {
        lines += &format!("{}:{c}", i + 1);
        if c == letter {
            count += 1;
            lines += &format!(" hit! count={count}");
        }
        lines.push('\n');
    }
    let by_hand = format!(
        "We count the letter '{letter}' in the word '{word}'. First by hand, spelling it:\n\n{word}:{}\n\n{lines}\nThat makes {count}.",
        spelled(word)
    );
    vec![
        part(PartKind::Text, by_hand),
        part(PartKind::Text, "\n\nNow the same in Python:\n\n".into()),
        part(PartKind::Python, format!("'{word}'.count('{letter}')")),
        part(PartKind::PythonOutput, count.to_string()),
        part(PartKind::Text, format!("\n\nPython counts {count}, too.\n\n#### {count}")),
    ]
}

/// `a,p,p,l,e`.
fn spelled(word: &str) -> String {
    word.chars().map(String::from).collect::<Vec<_>>().join(",")
}

impl Task for SpellingBee {
    fn name(&self) -> String {
        "SpellingBee".into()
    }
    fn len(&self) -> usize {
        self.size
    }
    fn example(&self, i: usize) -> Result<Example> {
        let drawn = if i < self.size { self.draw(i) } else { None };
        let (word, letter, question) = drawn.ok_or_else(|| no_example("SpellingBee", i, self.size))?;
        let parts = Content::Parts(answer(word, letter));
        let messages =
            vec![Message::new(Role::User, question), Message { role: Role::Assistant, content: parts }];
        Ok(Example { conversation: Conversation { messages }, letters: Vec::new() })
    }
    fn scoring(&self) -> Scoring {
        Scoring::Generative
    }
    fn is_right(&self, example: &Example, answer: &str) -> Result<bool> {
        Ok(gsm8k::agrees(example, answer))
    }
}

/// Words spelled.
pub struct SimpleSpelling {
    words: Vec<String>,
    size: usize,
    first_seed: i64,
}

impl SimpleSpelling {
    /// `size` examples; those of the test are no training examples.
    pub fn new(mut words: Vec<String>, size: usize, test: bool) -> SimpleSpelling {
        Python::new(LIST_SEED).shuffle(&mut words);
        SimpleSpelling { words, size, first_seed: if test { TEST_SEEDS } else { 0 } }
    }
}

impl Task for SimpleSpelling {
    fn name(&self) -> String {
        "SimpleSpelling".into()
    }
    fn len(&self) -> usize {
        self.size
    }
    fn example(&self, i: usize) -> Result<Example> {
        let mut rng = Python::new(self.first_seed + i as i64);
        let word = self.words.get(rng.below(self.words.len())).filter(|_| i < self.size);
        let word = word.ok_or_else(|| no_example("SimpleSpelling", i, self.size))?;
        let messages = vec![
            Message::new(Role::User, format!("Spell the word: {word}")),
            Message::new(Role::Assistant, format!("{word}:{}", spelled(word))),
        ];
        Ok(Example { conversation: Conversation { messages }, letters: Vec::new() })
    }
    fn scoring(&self) -> Scoring {
        Scoring::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn words() -> Vec<String> {
        (0..40).map(|i| format!("w{}ord", char::from(b'a' + i % 26))).collect()
    }

    #[test]
    fn footgun_test_examples_are_not_those_of_training() {
        let seeds = |test| {
            let bee = SpellingBee::new(words(), 300, test);
            (0..300).map(|i| (bee.first_seed + i).unsigned_abs()).collect::<HashSet<_>>()
        };
        assert!(seeds(true).is_disjoint(&seeds(false)));
    }

    #[test]
    fn the_reference_answer_is_right_and_counts_by_hand_what_the_tool_counts() {
        let bee = SpellingBee::new(words(), 50, true);
        for i in 0..50 {
            let example = bee.example(i).unwrap();
            let Content::Parts(parts) = example.conversation.messages[1].content.clone() else { panic!() };
            assert!(bee.is_right(&example, &parts[4].text).unwrap());
            assert!(!bee.is_right(&example, "#### 77").unwrap());
            let count: usize = parts[3].text.parse().unwrap();
            assert_eq!(parts[0].text.matches("hit!").count(), count);
            assert_eq!(
                crate::engine::calculator::use_calculator(&parts[2].text),
                Some(parts[3].text.clone())
            );
        }
        assert!(bee.example(50).is_err());
    }

    #[test]
    fn a_word_is_spelled_with_commas() {
        let example = SimpleSpelling::new(vec!["apple".into()], 3, false).example(2).unwrap();
        assert_eq!(example.conversation.messages[1], Message::new(Role::Assistant, "apple:a,p,p,l,e"));
        assert!(SimpleSpelling::new(vec![], 3, false).example(0).is_err());
    }
}
