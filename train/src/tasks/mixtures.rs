//! The mixtures of the stages, as the original trains them.
//!
//! | stage | training | validation |
//! |---|---|---|
//! | classic midtraining | SmolTalk, MMLU, GSM8K, own ×2, SimpleSpelling 200K, SpellingBee 80K | SmolTalk, MMLU, GSM8K (tests) |
//! | classic fine-tuning | ARC-Easy, ARC-Challenge, GSM8K, SmolTalk 10K, own, SimpleSpelling 300, SpellingBee 300 | SmolTalk (test) |
//! | current fine-tuning | SmolTalk, own ×2, MMLU ×3, GSM8K ×4, SimpleSpelling 200K, SpellingBee 80K | as midtraining |
//!
//! Own conversations and words are taken where their files are there; everything else has to be.

use super::choice::Choice;
use super::gsm8k::Gsm8k;
use super::spelling::{self, SimpleSpelling, SpellingBee};
use super::talk::Talk;
use super::{Mixture, Slice, Task};
use crate::error::Result;
use std::path::Path;

/// Conversations of one's own.
pub const IDENTITY: &str = "identity_conversations.jsonl";
/// Words to spell.
pub const WORDS: &str = "words_alpha.txt";

/// A mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Midtraining.
    ClassicMid,
    /// Fine-tuning after it.
    ClassicSft,
    /// Fine-tuning that includes midtraining.
    CurrentSft,
}

/// Parts that can be scaled down for a small model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Examples of SimpleSpelling in the large mixtures.
    pub simple_spelling: usize,
    /// Examples of SpellingBee in the large mixtures.
    pub spelling_bee: usize,
    /// Passes over MMLU in the current mixture.
    pub mmlu_epochs: usize,
    /// Passes over GSM8K in the current mixture.
    pub gsm8k_epochs: usize,
    /// Solved problems of GSM8K in any mixture, from its beginning; reinforcement may know the answers of the others.
    pub gsm8k_solved: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            simple_spelling: 200_000,
            spelling_bee: 80_000,
            mmlu_epochs: 3,
            gsm8k_epochs: 4,
            gsm8k_solved: usize::MAX,
        }
    }
}

type Tasks = Vec<Box<dyn Task>>;

/// Training and validation conversations of a recipe, from the folder of task data.
pub fn open(dir: &Path, recipe: Recipe, sizes: &Sizes) -> Result<(Mixture, Mixture)> {
    let (train, validation) = match recipe {
        Recipe::ClassicMid => (large(dir, sizes, 1, 1)?, held_out(dir)?),
        Recipe::CurrentSft => (large(dir, sizes, sizes.mmlu_epochs, sizes.gsm8k_epochs)?, held_out(dir)?),
        Recipe::ClassicSft => {
            let mut tasks: Tasks = vec![
                Box::new(Choice::arc(dir, "ARC-Easy", "train")?),
                Box::new(Choice::arc(dir, "ARC-Challenge", "train")?),
                solved(dir, sizes)?,
                cut(Talk::smoltalk(dir, "train")?, 10_000),
            ];
            own(dir, 1, 300, 300, &mut tasks)?;
            (tasks, vec![Box::new(Talk::smoltalk(dir, "test")?) as Box<dyn Task>])
        }
    };
    Ok((Mixture::new(train), Mixture::new(validation)))
}

fn cut(task: impl Task + 'static, stop: usize) -> Box<dyn Task> {
    Box::new(Slice::new(Box::new(task), 0, Some(stop), 1))
}

fn solved(dir: &Path, sizes: &Sizes) -> Result<Box<dyn Task>> {
    Ok(cut(Gsm8k::open(dir, "main", "train")?, sizes.gsm8k_solved))
}

fn large(dir: &Path, sizes: &Sizes, mmlu: usize, gsm8k: usize) -> Result<Tasks> {
    let mut tasks: Tasks = vec![Box::new(Talk::smoltalk(dir, "train")?)];
    for _ in 0..mmlu {
        tasks.push(Box::new(Choice::mmlu(dir, "auxiliary_train")?));
    }
    for _ in 0..gsm8k {
        tasks.push(solved(dir, sizes)?);
    }
    own(dir, 2, sizes.simple_spelling, sizes.spelling_bee, &mut tasks)?;
    Ok(tasks)
}

fn held_out(dir: &Path) -> Result<Tasks> {
    Ok(vec![
        Box::new(Talk::smoltalk(dir, "test")?),
        cut(Choice::mmlu(dir, "test")?, 5200),
        cut(Gsm8k::open(dir, "main", "test")?, 420),
    ])
}

/// What is made of files that may be missing.
fn own(dir: &Path, times: usize, simple: usize, bee: usize, tasks: &mut Tasks) -> Result<()> {
    let identity = dir.join(IDENTITY);
    for _ in 0..times {
        if identity.is_file() {
            tasks.push(Box::new(Talk::json_lines(&identity)?));
        }
    }
    let words = dir.join(WORDS);
    if words.is_file() {
        tasks.push(Box::new(SimpleSpelling::new(spelling::words(&words)?, simple, false)));
        tasks.push(Box::new(SpellingBee::new(spelling::words(&words)?, bee, false)));
    }
    Ok(())
}
