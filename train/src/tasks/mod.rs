//! Tasks: conversations to learn from, and questions with a rule that tells right from wrong.
//!
//! | task | from | scored by |
//! |---|---|---|
//! | ARC, MMLU ([`choice`]) | the hub's parquet or jsonl | the likeliest letter |
//! | GSM8K ([`gsm8k`]) | the same | the number after `####` |
//! | HumanEval ([`human_eval`]) | the same | running the program |
//! | SmolTalk, own JSON ([`talk`]) | the same, a JSON array per line | — |
//! | SpellingBee, SimpleSpelling ([`spelling`]) | a list of words | the number after `####` |
//!
//! Tasks are cut ([`Slice`]), joined ([`Sequence`]) and mixed ([`Mixture`]), the last in the original's order. [`hub`] finds and
//! shuffles rows, [`mixtures`] has the mixtures of the stages. [`crate::synth`] writes generated twins in the same formats.

pub mod choice;
pub mod gsm8k;
pub mod hub;
pub mod human_eval;
pub mod mixtures;
pub mod spelling;
pub mod talk;

use crate::error::{Result, TrainError};
use crate::random::Python;
use tokenizer::conversation::Conversation;

/// One example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Ends with the reference answer.
    pub conversation: Conversation,
    /// The letters to choose from; empty where the answer is written freely.
    pub letters: Vec<String>,
}

/// How a task is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// By the likeliest of some letters.
    Categorical,
    /// By what is written.
    Generative,
    /// Not at all: it is for learning only.
    None,
}

/// Examples by number.
pub trait Task: Send + Sync {
    /// Its name.
    fn name(&self) -> String;
    /// How many examples there are.
    fn len(&self) -> usize;
    /// Are there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Example `i` of `0..len`.
    fn example(&self, i: usize) -> Result<Example>;
    /// How it is scored.
    fn scoring(&self) -> Scoring;
    /// Is this answer to `example` right?
    fn is_right(&self, _example: &Example, _answer: &str) -> Result<bool> {
        Ok(false)
    }
    /// What guessing scores.
    fn baseline(&self) -> f64 {
        0.0
    }
}

/// Examples `start`, `start + step`, … below `stop`.
pub struct Slice {
    task: Box<dyn Task>,
    start: usize,
    stop: usize,
    step: usize,
}

impl Slice {
    /// A part of `task`. A stop beyond its end is its end.
    pub fn new(task: Box<dyn Task>, start: usize, stop: Option<usize>, step: usize) -> Slice {
        let n = task.len();
        Slice { task, start, stop: stop.unwrap_or(n).min(n), step: step.max(1) }
    }
}

impl Task for Slice {
    fn name(&self) -> String {
        self.task.name()
    }
    fn len(&self) -> usize {
        self.stop.saturating_sub(self.start).div_ceil(self.step)
    }
    fn example(&self, i: usize) -> Result<Example> {
        self.task.example(self.start + i * self.step)
    }
    fn scoring(&self) -> Scoring {
        self.task.scoring()
    }
    fn is_right(&self, example: &Example, answer: &str) -> Result<bool> {
        self.task.is_right(example, answer)
    }
    fn baseline(&self) -> f64 {
        self.task.baseline()
    }
}

/// Several tasks one after the other.
pub struct Sequence {
    tasks: Vec<Box<dyn Task>>,
    /// (task, example) of each place.
    order: Vec<(usize, usize)>,
}

impl Sequence {
    /// In this order.
    pub fn new(tasks: Vec<Box<dyn Task>>) -> Sequence {
        let lengths = tasks.iter().map(|task| task.len()).enumerate();
        let order = lengths.flat_map(|(t, n)| (0..n).map(move |i| (t, i))).collect();
        Sequence { tasks, order }
    }
}

/// Several tasks, shuffled together; a task that is given twice counts twice.
pub struct Mixture(Sequence);

impl Mixture {
    /// In the original's order: `random.Random(42).shuffle` of all places.
    pub fn new(tasks: Vec<Box<dyn Task>>) -> Mixture {
        let mut joined = Sequence::new(tasks);
        Python::new(42).shuffle(&mut joined.order);
        Mixture(joined)
    }
}

impl Task for Sequence {
    fn name(&self) -> String {
        self.tasks.iter().map(|t| t.name()).collect::<Vec<_>>().join(" + ")
    }
    fn len(&self) -> usize {
        self.order.len()
    }
    fn example(&self, i: usize) -> Result<Example> {
        let (task, i) = *self.order.get(i).ok_or_else(|| no_example(&self.name(), i, self.len()))?;
        self.tasks[task].example(i)
    }
    fn scoring(&self) -> Scoring {
        Scoring::None
    }
}

impl Task for Mixture {
    fn name(&self) -> String {
        self.0.name()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn example(&self, i: usize) -> Result<Example> {
        self.0.example(i)
    }
    fn scoring(&self) -> Scoring {
        Scoring::None
    }
}

/// All conversations of a task.
pub fn conversations(task: &dyn Task) -> Result<Vec<Conversation>> {
    (0..task.len()).map(|i| Ok(task.example(i)?.conversation)).collect()
}

fn no_example(task: &str, i: usize, n: usize) -> TrainError {
    TrainError::Config(format!("{task} has no example {i}: there are {n}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizer::conversation::{Message, Role};

    struct Named(&'static str, usize);

    impl Task for Named {
        fn name(&self) -> String {
            self.0.into()
        }
        fn len(&self) -> usize {
            self.1
        }
        fn example(&self, i: usize) -> Result<Example> {
            let messages = vec![Message::new(Role::User, format!("{}{i}", self.0))];
            Ok(Example { conversation: Conversation { messages }, letters: vec![] })
        }
        fn scoring(&self) -> Scoring {
            Scoring::None
        }
    }

    fn names(task: &dyn Task) -> Vec<String> {
        let text = |c: Conversation| match &c.messages[0].content {
            tokenizer::conversation::Content::Text(t) => t.clone(),
            _ => String::new(),
        };
        conversations(task).unwrap().into_iter().map(text).collect()
    }

    #[test]
    fn mixtures_have_the_order_of_the_original() {
        let c = Slice::new(Box::new(Named("c", 4)), 0, Some(2), 1);
        let tasks: Vec<Box<dyn Task>> =
            vec![Box::new(Named("a", 5)), Box::new(Named("b", 3)), Box::new(c), Box::new(Named("b", 3))];
        let want = ["b2", "b1", "a2", "c1", "b2", "b0", "b1", "c0", "a3", "a4", "a0", "a1", "b0"];
        assert_eq!(names(&Mixture::new(tasks)), want);
        let sequence = Sequence::new(vec![Box::new(Named("a", 2)), Box::new(Named("b", 1))]);
        assert_eq!(names(&sequence), ["a0", "a1", "b0"]);
        assert!(sequence.example(3).unwrap_err().to_string().contains("there are 3"));
    }

    #[test]
    fn footgun_a_slice_beyond_the_end_stops_at_the_end() {
        let slice = |start, stop, step| names(&Slice::new(Box::new(Named("a", 10)), start, stop, step));
        assert_eq!(slice(1, Some(10), 3), ["a1", "a4", "a7"]);
        assert_eq!(slice(8, Some(5200), 1), ["a8", "a9"]);
        assert!(slice(5, Some(5), 1).is_empty() && slice(20, None, 1).is_empty());
    }
}
