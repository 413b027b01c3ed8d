//! The test: questions never seen in training, each with a rule that tells a right reply from a wrong one.
//!
//! Facts are asked about held-out subjects, arithmetic uses held-out operand pairs, counting held-out (word, letter) pairs,
//! spelling held-out words. Two baselines stand beside every score: what a model earns that always gives the commonest
//! answer of the training questions of the same topic, and what guessing among the possible answers earns.
//! Next: `store.rs` writes them to disk.

use super::letters::{self, Letters};
use super::rng::Rng;
use super::sums::{self, Split, Sum};
use super::world::{Subject, Topic, World};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// The kinds of question; each is scored by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Facts of held-out people, towns and animals.
    Facts,
    /// Sums and word problems with held-out operands.
    Arithmetic,
    /// Letters counted with the tool.
    Counting,
    /// Words spelled from memory.
    Spelling,
}

impl Kind {
    /// All kinds, in report order.
    pub const ALL: [Kind; 4] = [Kind::Facts, Kind::Arithmetic, Kind::Counting, Kind::Spelling];
}

/// How a reply is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matcher {
    /// The answer stands in the reply as a whole word, and no other candidate does.
    Word,
    /// The last number of the reply equals the answer.
    Number,
    /// The answer stands in the reply as a whole (`a-p-p-l-e`).
    Phrase,
}

/// One question with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestQuestion {
    /// What is tested.
    pub kind: Kind,
    /// The relation, or `plain` and `word_problem` in arithmetic.
    pub topic: String,
    /// The user's turn.
    pub question: String,
    /// The expected answer.
    pub answer: String,
    /// How to find it in a reply.
    pub matcher: Matcher,
    /// All answers that questions of this topic can have (empty for numbers and spellings).
    pub candidates: Vec<String>,
}

impl TestQuestion {
    /// Is this reply right? Give it the assistant's words, without the calculator's part.
    pub fn is_correct(&self, reply: &str) -> bool {
        match self.matcher {
            Matcher::Word => {
                let words: HashSet<String> = words(reply).map(str::to_lowercase).collect();
                let holds = |word: &str| words.contains(&word.to_lowercase());
                holds(&self.answer) && !self.candidates.iter().any(|c| *c != self.answer && holds(c))
            }
            Matcher::Number => last_number(reply).is_some_and(|n| n == self.answer),
            Matcher::Phrase => reply
                .split(|c: char| !c.is_alphanumeric() && c != '-')
                .any(|w| w.trim_matches('-') == self.answer),
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty())
}

/// The last number of a text, normalised: `1,000` is 1000 and `21.0` is 21.
fn last_number(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let end = (0..bytes.len()).rev().find(|&i| digit(i))? + 1;
    let joins = |i: usize| matches!(bytes[i], b'.' | b',') && digit(i + 1) && i > 0 && digit(i - 1);
    let start = (0..end).rev().take_while(|&i| digit(i) || joins(i)).last()?;
    let negative =
        start > 0 && bytes[start - 1] == b'-' && !(start > 1 && bytes[start - 2].is_ascii_alphanumeric());
    let number = text[start..end].replace(',', "");
    let whole = match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => whole,
        _ => &number,
    };
    Some(if negative { format!("-{whole}") } else { whole.to_string() })
}

/// Up to `per_kind` questions of every kind, all different.
pub(super) fn write(world: &World, letters: &Letters, per_kind: usize) -> Vec<TestQuestion> {
    let mut rng = Rng::new(world.seed, 40);
    let mut tests = facts(&mut rng, world, per_kind);
    tests.extend(arithmetic(&mut rng, world, per_kind));
    tests.extend(counting(&mut rng, letters, per_kind));
    tests.extend(spelling(&mut rng, letters, per_kind));
    tests
}

/// Deals rounds over the items: every item is asked in one phrasing before any is asked in a second.
fn in_rounds(rng: &mut Rng, mut items: Vec<Vec<TestQuestion>>, limit: usize) -> Vec<TestQuestion> {
    items.iter_mut().for_each(|phrasings| rng.shuffle(phrasings));
    let rounds = items.iter().map(Vec::len).max().unwrap_or(0);
    let mut out = Vec::new();
    for round in 0..rounds {
        rng.shuffle(&mut items);
        out.extend(items.iter().filter_map(|phrasings| phrasings.get(round).cloned()));
    }
    out.truncate(limit);
    out
}

fn facts(rng: &mut Rng, world: &World, limit: usize) -> Vec<TestQuestion> {
    let mut items = Vec::new();
    for subject in world.subjects.iter().filter(|s| s.held_out) {
        for fact in &subject.facts {
            let candidates = world.values(fact.relation);
            let ask = |template: &&str| TestQuestion {
                kind: Kind::Facts,
                topic: fact.relation.name.to_string(),
                question: subject.say(fact, template),
                answer: fact.value.clone(),
                matcher: Matcher::Word,
                candidates: candidates.clone(),
            };
            items.push(fact.relation.questions.iter().map(ask).collect());
        }
    }
    in_rounds(rng, items, limit)
}

fn arithmetic(rng: &mut Rng, world: &World, limit: usize) -> Vec<TestQuestion> {
    let people: Vec<&Subject> = world.of(Topic::Person).into_iter().filter(|s| !s.held_out).collect();
    let (mut seen, mut out) = (HashSet::new(), Vec::new());
    while out.len() < limit {
        let plain = out.len() % 2 == 0;
        let sum = Sum::draw(rng, world.seed, Split::Test, plain);
        let question = if plain {
            sums::plain_question(rng, sum).0
        } else {
            let told = sums::word_problem(rng, sum, &people);
            format!("{} {}", told.text, told.question)
        };
        if seen.insert(question.clone()) {
            out.push(TestQuestion {
                kind: Kind::Arithmetic,
                topic: if plain { "plain" } else { "word_problem" }.to_string(),
                question,
                answer: sum.result().to_string(),
                matcher: Matcher::Number,
                candidates: Vec::new(),
            });
        }
    }
    out
}

fn counting(rng: &mut Rng, letters: &Letters, limit: usize) -> Vec<TestQuestion> {
    let mut items = Vec::new();
    for word in &letters.words {
        let Some(letter) = letters.letter(rng, word, Split::Test) else { continue };
        let ask = |question| TestQuestion {
            kind: Kind::Counting,
            topic: "count".to_string(),
            question,
            answer: letters::count(word, letter).to_string(),
            matcher: Matcher::Number,
            candidates: Vec::new(),
        };
        items.push(letters::count_questions(word, letter).into_iter().map(ask).collect());
    }
    in_rounds(rng, items, limit)
}

fn spelling(rng: &mut Rng, letters: &Letters, limit: usize) -> Vec<TestQuestion> {
    let mut items = Vec::new();
    for word in letters.words.iter().filter(|w| letters.spelling_split(w) == Split::Test) {
        let ask = |question| TestQuestion {
            kind: Kind::Spelling,
            topic: "spell".to_string(),
            question,
            answer: letters::spelled(word),
            matcher: Matcher::Phrase,
            candidates: Vec::new(),
        };
        items.push(letters::spell_questions(word).into_iter().map(ask).collect());
    }
    in_rounds(rng, items, limit)
}

/// What a score of one kind has to beat, as fractions of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Which questions.
    pub kind: Kind,
    /// Always the commonest training answer of the topic.
    pub majority: f64,
    /// A uniform guess among the answers that occur in the topic's training questions.
    pub chance: f64,
}

/// Answers of the training questions, by (kind, topic): how often each occurs.
pub(super) type Answers = BTreeMap<(Kind, String), BTreeMap<String, usize>>;

/// The baselines of a kind, from the training answers.
pub(super) fn baseline(kind: Kind, tests: &[TestQuestion], answers: &Answers) -> Baseline {
    let tests: Vec<&TestQuestion> = tests.iter().filter(|t| t.kind == kind).collect();
    let (mut right, mut chance) = (0.0, 0.0);
    for test in &tests {
        let Some(seen) = answers.get(&(kind, test.topic.clone())) else { continue };
        let commonest = seen.iter().max_by_key(|(answer, n)| (**n, std::cmp::Reverse(*answer)));
        right += f64::from(u8::from(commonest.is_some_and(|(answer, _)| *answer == test.answer)));
        let possible = test.candidates.len().max(seen.len());
        chance += 1.0 / possible.max(1) as f64;
    }
    let n = tests.len().max(1) as f64;
    Baseline { kind, majority: right / n, chance: chance / n }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(matcher: Matcher, answer: &str, candidates: &[&str]) -> TestQuestion {
        let candidates = candidates.iter().map(|c| c.to_string()).collect();
        let (topic, question) = (String::new(), String::new());
        TestQuestion { kind: Kind::Facts, topic, question, answer: answer.to_string(), matcher, candidates }
    }

    #[test]
    fn a_word_must_stand_alone_and_without_rivals() {
        let q = question(Matcher::Word, "rat", &["cat", "rat", "dog"]);
        assert!(q.is_correct("Mira has a rat.") && q.is_correct("A Rat!"));
        assert!(!q.is_correct("Mira has a rat and a dog."));
        assert!(!q.is_correct("Mira is a pirate.") && !q.is_correct(""));
    }

    #[test]
    fn the_last_number_counts() {
        let q = question(Matcher::Number, "1000", &[]);
        assert!(q.is_correct("10 * 100 = 1000.") && q.is_correct("It is 1,000") && q.is_correct("1000.0"));
        assert!(
            !q.is_correct("1000 or 7")
                && !q.is_correct("-1000")
                && !q.is_correct("100")
                && !q.is_correct("none")
        );
        assert!(!q.is_correct("1000.5") && q.is_correct("11-1000"));
    }

    #[test]
    fn a_spelling_must_be_whole() {
        let q = question(Matcher::Phrase, "c-a-t", &[]);
        assert!(q.is_correct("The word cat is spelled c-a-t.") && q.is_correct("c-a-t"));
        assert!(!q.is_correct("c-a-t-s") && !q.is_correct("s-c-a-t") && !q.is_correct("cat"));
    }

    #[test]
    fn the_last_number_survives_odd_texts() {
        for text in ["", "-", ".", "5", ",5", "5.", "a-5", "-5", "é7é"] {
            let _ = last_number(text);
        }
        assert_eq!(last_number("-5").as_deref(), Some("-5"));
        assert_eq!(last_number("x,5.").as_deref(), Some("5"));
    }
}
