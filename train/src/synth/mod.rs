//! The generated corpus: a small consistent world in documents, conversations and a test.
//!
//! It is what `nanochat data synth` writes and `nanochat demo` trains on: no download, no licence, and every answer is
//! known. The idea: a seeded table of facts (`world.rs`) is told in many phrasings (`phrasebook.rs`) by documents
//! (`documents.rs`, `stories.rs`, `sums.rs`, `letters.rs`, `identity.rs`); conversations (`talk.rs`) ask about a part of
//! it; the test (`questions.rs`) asks about the rest. A model answers the test only if it remembers what it read
//! and carries over how one answers. Everything follows from one seed; another seed is another world.

mod conversation;
mod documents;
mod identity;
mod letters;
mod lexicon;
mod nature;
mod phrase;
mod phrasebook;
mod questions;
mod rng;
mod store;
mod stories;
mod sums;
mod talk;
mod twin_core;
mod twins;
mod world;

pub use conversation::{Content, Conversation, Message, Part, PartKind, Role};
pub use questions::{Baseline, Kind, Matcher, TestQuestion};
pub use store::Manifest;
pub use twin_core::write_core;
pub use twins::{TwinSizes, write_twins};

use documents::Writer;
use letters::Letters;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use talk::Talker;
use world::World;

/// How much to write. The defaults are those of `nanochat demo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynthOptions {
    /// Decides the world and every sentence.
    pub seed: u64,
    /// Training documents (about 70 tokens each at a vocabulary of 2048).
    pub documents: usize,
    /// Validation documents, none of which is a training document.
    pub validation_documents: usize,
    /// Training conversations.
    pub conversations: usize,
    /// Validation conversations about the same subjects, none of which is a training conversation.
    pub validation_conversations: usize,
    /// Test questions of each kind, as far as there are so many.
    pub test_per_kind: usize,
}

impl Default for SynthOptions {
    fn default() -> Self {
        SynthOptions {
            seed: 1,
            documents: 16_000,
            validation_documents: 400,
            conversations: 8_000,
            validation_conversations: 300,
            test_per_kind: 600,
        }
    }
}

/// How many of each came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Training documents.
    pub documents: usize,
    /// Their characters.
    pub document_chars: usize,
    /// Validation documents.
    pub validation_documents: usize,
    /// Training conversations.
    pub conversations: usize,
    /// Validation conversations.
    pub validation_conversations: usize,
    /// Test questions by kind.
    pub tests: Vec<(Kind, usize)>,
    /// Different answers of the fact questions.
    pub distinct_fact_answers: usize,
}

/// The whole corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Synth {
    /// What was asked for.
    pub options: SynthOptions,
    /// For the tokenizer and pretraining.
    pub documents: Vec<String>,
    /// For bits per byte.
    pub validation_documents: Vec<String>,
    /// For supervised fine-tuning.
    pub conversations: Vec<Conversation>,
    /// For its validation loss.
    pub validation_conversations: Vec<Conversation>,
    /// Questions that occur nowhere in training.
    pub tests: Vec<TestQuestion>,
    baselines: Vec<Baseline>,
}

/// Writes the corpus of a seed.
pub fn generate(options: &SynthOptions) -> Synth {
    let world = World::new(options.seed);
    let letters = Letters::new(options.seed);
    let mut writer = Writer::new(&world, &letters, 10);
    let documents: Vec<String> = (0..options.documents).map(|_| writer.write()).collect();
    let mut writer = Writer::new(&world, &letters, 11);
    let validation_documents = fresh(options.validation_documents, &documents, || writer.write());
    let mut talker = Talker::new(&world, &letters, 20);
    let conversations: Vec<Conversation> = (0..options.conversations).map(|_| talker.write()).collect();
    let tests = questions::write(&world, &letters, options.test_per_kind);
    let baselines = Kind::ALL.map(|kind| questions::baseline(kind, &tests, &talker.answers)).to_vec();
    let mut talker = Talker::new(&world, &letters, 21);
    let validation_conversations = fresh(options.validation_conversations, &conversations, || talker.write());
    Synth {
        options: options.clone(),
        documents,
        validation_documents,
        conversations,
        validation_conversations,
        tests,
        baselines,
    }
}

/// `n` items that are not in `known`; gives up after `20·n` tries, when the generator has nothing new to say.
fn fresh<T: std::hash::Hash + Eq>(n: usize, known: &[T], mut write: impl FnMut() -> T) -> Vec<T> {
    let known: HashSet<&T> = known.iter().collect();
    (0..20 * n).map(|_| write()).filter(|item| !known.contains(item)).take(n).collect()
}

impl Synth {
    /// How many of each there are.
    pub fn counts(&self) -> Counts {
        let of = |kind: Kind| self.tests.iter().filter(move |t| t.kind == kind);
        Counts {
            documents: self.documents.len(),
            document_chars: self.documents.iter().map(String::len).sum(),
            validation_documents: self.validation_documents.len(),
            conversations: self.conversations.len(),
            validation_conversations: self.validation_conversations.len(),
            tests: Kind::ALL.iter().map(|k| (*k, of(*k).count())).collect(),
            distinct_fact_answers: of(Kind::Facts).map(|t| &t.answer).collect::<HashSet<_>>().len(),
        }
    }

    /// What the score of each kind has to beat.
    pub fn baselines(&self) -> Vec<Baseline> {
        self.baselines.clone()
    }

    /// Five questions for a demonstration: facts of a held-out person and town, a sum, a word problem, and the name.
    pub fn sample_questions(&self) -> [String; 5] {
        let first = |topic: &str| {
            let found = self.tests.iter().find(|t| t.topic == topic);
            found.map_or_else(|| "Hello!".to_string(), |t| t.question.clone())
        };
        let [home, famous, plain, story] = ["home", "famous", "plain", "word_problem"].map(first);
        [home, famous, plain, story, "Who are you?".to_string()]
    }
}

#[cfg(test)]
mod tests;
