//! Letters: how words are spelled, and how often a letter occurs in them.
//!
//! Spelling is knowledge (a token hides its letters), so documents spell every word and conversations only half of them;
//! counting is done by the tool, `'apple'.count('p')`, so what must be learnt is to copy word and letter. Counting is split
//! by (word, letter). Next: `talk.rs`.

use super::lexicon::{FOODS, JOBS, PETS, WORDS};
use super::nature::ANIMALS;
use super::phrase::Slots;
use super::rng::{Deck, Rng, mix};
use super::sums::Split;

/// The words that are spelled and counted in, and the letters they may be asked for.
#[derive(Debug)]
pub(super) struct Letters {
    seed: u64,
    pub words: Vec<&'static str>,
}

const SPELL_STATEMENTS: &[&str] = &[
    "The word '{s}' is spelled {v}.",
    "To write '{s}', put down the letters {v}.",
    "You write '{s}' like this: {v}.",
    "The letters of '{s}' are {v}.",
    "In the spelling book '{s}' stands as {v}.",
];

const SPELL_QUESTIONS: &[&str] = &[
    "How do you spell '{s}'?",
    "Spell the word '{s}'.",
    "Please spell '{s}'.",
    "Which letters does the word '{s}' have?",
    "What is the spelling of '{s}'?",
    "How is the word '{s}' written?",
    "Can you spell '{s}'?",
];

const COUNT_QUESTIONS: &[&str] = &[
    "How many times does the letter '{c}' occur in '{s}'?",
    "How often is the letter '{c}' in the word '{s}'?",
    "How many '{c}' are in '{s}'?",
    "Count the letter '{c}' in '{s}'.",
];

impl Letters {
    /// The word list of a seed.
    pub fn new(seed: u64) -> Self {
        let animals = ANIMALS.iter().map(|row| &row[0]);
        let mut words: Vec<&str> =
            animals.chain(JOBS).chain(PETS).chain(FOODS).chain(WORDS).copied().collect();
        words.sort_unstable();
        words.dedup();
        Letters { seed, words }
    }

    /// Half of the words are never spelled in a conversation.
    pub fn spelling_split(&self, word: &str) -> Split {
        if hash(self.seed, word, 0).is_multiple_of(2) { Split::Test } else { Split::Train }
    }

    /// One letter in three of every word is left to the test.
    pub fn counting_split(&self, word: &str, letter: char) -> Split {
        if hash(self.seed, word, letter as u64).is_multiple_of(3) { Split::Test } else { Split::Train }
    }

    /// A letter of the split, from the word itself four times in five where it has one.
    pub fn letter(&self, rng: &mut Rng, word: &str, split: Split) -> Option<char> {
        let of_split = |c: &char| self.counting_split(word, *c) == split;
        let inside: Vec<char> = word.chars().filter(of_split).collect();
        let any: Vec<char> = ('a'..='z').filter(of_split).collect();
        let letters = if !inside.is_empty() && rng.chance(80) { inside } else { any };
        (!letters.is_empty()).then(|| rng.pick(&letters))
    }

    /// A page that spells one or two words and says more about them, naming them again and again: to count letters one must
    /// be able to repeat a word.
    pub fn document(&self, rng: &mut Rng, deck: &mut Deck) -> String {
        let mut lines = Vec::new();
        for _ in 0..rng.between(1, 2) {
            let word = self.words[deck.deal(rng)];
            let mut about = vec![spell(word, rng.pick(SPELL_STATEMENTS))];
            about.extend((0..rng.between(1, 3)).map(|_| self.remark(rng, word)));
            rng.shuffle(&mut about);
            lines.push(about.join(" "));
        }
        lines.join("\n")
    }

    fn remark(&self, rng: &mut Rng, word: &str) -> String {
        let letter = self.letter(rng, word, Split::Train);
        match (rng.below(5), letter) {
            (0, Some(letter)) => {
                format!("In python{} gives {}.", count_expression(word, letter), count(word, letter))
            }
            (1, Some(letter)) => count_reply(word, letter),
            (2, _) => format!("The word '{word}' has {} letters.", word.len()),
            (3, _) => spell(word, "We say '{s}' and write '{s}'."),
            _ => spell(word, rng.pick(SPELL_STATEMENTS)),
        }
    }
}

fn hash(seed: u64, word: &str, salt: u64) -> u64 {
    word.bytes().fold(mix(mix(seed ^ 0x1E77) ^ salt), |h, b| mix(h ^ u64::from(b)))
}

fn spell(word: &str, template: &str) -> String {
    Slots::new().with("s", word).with("v", spelled(word)).fill(template)
}

/// `a-p-p-l-e`.
pub(super) fn spelled(word: &str) -> String {
    word.chars().map(String::from).collect::<Vec<_>>().join("-")
}

/// All ways to ask for the spelling of a word.
pub(super) fn spell_questions(word: &str) -> Vec<String> {
    SPELL_QUESTIONS.iter().map(|t| spell(word, t)).collect()
}

/// The assistant's answer.
pub(super) fn spell_reply(word: &str) -> String {
    spell(word, "The word '{s}' is spelled {v}.")
}

/// All ways to ask for a count.
pub(super) fn count_questions(word: &str, letter: char) -> Vec<String> {
    let slots = Slots::new().with("s", word).with("c", letter);
    COUNT_QUESTIONS.iter().map(|t| slots.fill(t)).collect()
}

/// What the calculator gets. The space in front makes the quoted word the same tokens as in a question, where a space stands
/// before the quote too; without it `'t` would be split off as in *don't*.
pub(super) fn count_expression(word: &str, letter: char) -> String {
    format!(" '{word}'.count('{letter}')")
}

/// The true count.
pub(super) fn count(word: &str, letter: char) -> usize {
    word.chars().filter(|c| *c == letter).count()
}

/// The assistant's answer.
pub(super) fn count_reply(word: &str, letter: char) -> String {
    let n = count(word, letter);
    format!("The letter '{letter}' occurs {n} {} in '{word}'.", if n == 1 { "time" } else { "times" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_say_what_the_word_shows() {
        assert_eq!(spell_reply("apple"), "The word 'apple' is spelled a-p-p-l-e.");
        assert_eq!(count_reply("apple", 'p'), "The letter 'p' occurs 2 times in 'apple'.");
        assert_eq!(count_expression("apple", 'p'), " 'apple'.count('p')");
    }

    #[test]
    fn letters_come_from_their_side_of_the_split() {
        let letters = Letters::new(4);
        let mut rng = Rng::new(4, 0);
        for word in &letters.words {
            for split in [Split::Train, Split::Test] {
                let letter = letters.letter(&mut rng, word, split).unwrap();
                assert_eq!(letters.counting_split(word, letter), split);
            }
        }
    }
}
