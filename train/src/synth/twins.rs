//! Generated twins of the public tasks: the same files, the same columns, about the generated world.
//!
//! With them every stage, metric and test of the pipeline runs without a download. Training splits ask about the open subjects,
//! test splits about the held-out ones (or operands, words and letters), so a right answer is knowledge carried over.
//! `crate::tasks` reads these files as it reads the published ones. Next: `twin_core.rs`, the twin of CORE.

use super::conversation::Conversation;
use super::identity;
use super::letters::Letters;
use super::rng::Rng;
use super::store::write_lines;
use super::sums::{self, Split, Sum};
use super::talk::Talker;
use super::world::{Subject, Topic, World};
use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// How many rows each twin has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwinSizes {
    /// Training rows of each task.
    pub train: usize,
    /// Test rows of each task but the next.
    pub test: usize,
    /// Test rows of GSM8K: more, so that the accuracies of two models can be told apart.
    pub test_problems: usize,
}

impl Default for TwinSizes {
    fn default() -> Self {
        TwinSizes { train: 2000, test: 200, test_problems: 1000 }
    }
}

/// Write all twins of the world of `seed` below `dir`.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn write_twins(seed: u64, sizes: TwinSizes, dir: &Path) -> io::Result<()> {
    let world = World::new(seed);
    let letters = Letters::new(seed);
    let mut rng = Rng::new(seed, 60);
    for (subset, topics) in
        [("ARC-Easy", &[Topic::Animal][..]), ("ARC-Challenge", &[Topic::Person, Topic::Town][..])]
    {
        for (split, held_out, n) in [("train", false, sizes.train), ("test", true, sizes.test)] {
            let rows = choices(&mut rng, &world, topics, held_out, n);
            let rows: Vec<Value> = rows.iter().map(Asked::as_arc).collect();
            save(dir, "allenai--ai2_arc", subset, split, &rows)?;
        }
    }
    let all = [Topic::Person, Topic::Town, Topic::Animal];
    for (split, held_out, n) in [("auxiliary_train", false, sizes.train), ("test", true, sizes.test)] {
        let rows = choices(&mut rng, &world, &all, held_out, n);
        let rows: Vec<Value> = rows.iter().map(Asked::as_mmlu).collect();
        save(dir, "cais--mmlu", "all", split, &rows)?;
    }
    for (split, side, n) in [("train", Split::Train, sizes.train), ("test", Split::Test, sizes.test_problems)]
    {
        let rows: Vec<Value> = (0..n).map(|_| problem(&mut rng, &world, side)).collect();
        save(dir, "openai--gsm8k", "main", split, &rows)?;
    }
    for (split, stream, n) in [("train", 61, sizes.train), ("test", 62, sizes.test)] {
        let mut talker = Talker::new(&world, &letters, stream);
        let rows: Vec<Conversation> = (0..n).map(|_| talker.write()).collect();
        save(dir, "HuggingFaceTB--smol-smoltalk", "default", split, &rows)?;
    }
    save(dir, "openai--openai_humaneval", "openai_humaneval", "test", &programs(&mut rng, 40))?;
    let turns: Vec<Value> = (0..sizes.train / 10).map(|_| introduction(&mut rng)).collect();
    write_lines(&dir.join(crate::tasks::mixtures::IDENTITY), &turns)?;
    std::fs::write(dir.join(crate::tasks::mixtures::WORDS), letters.words.join("\n") + "\n")
}

fn save<T: serde::Serialize>(
    dir: &Path,
    repo: &str,
    subset: &str,
    split: &str,
    rows: &[T],
) -> io::Result<()> {
    let dir = dir.join(repo).join(subset).join(split);
    std::fs::create_dir_all(&dir)?;
    write_lines(&dir.join("00000.jsonl"), rows)
}

/// A question about a fact, with four values to choose from.
struct Asked {
    question: String,
    subject: &'static str,
    choices: Vec<String>,
    answer: usize,
}

impl Asked {
    fn as_arc(&self) -> Value {
        let labels = &["A", "B", "C", "D"][..self.choices.len()];
        json!({"question": self.question, "choices": {"text": self.choices, "label": labels}, "answerKey": labels[self.answer]})
    }
    fn as_mmlu(&self) -> Value {
        json!({"question": self.question, "subject": self.subject, "choices": self.choices, "answer": self.answer})
    }
}

/// Up to `n` questions about subjects of these topics.
fn choices(rng: &mut Rng, world: &World, topics: &[Topic], held_out: bool, n: usize) -> Vec<Asked> {
    let subjects: Vec<&Subject> =
        world.subjects.iter().filter(|s| topics.contains(&s.topic) && s.held_out == held_out).collect();
    let mut all = Vec::new();
    for subject in subjects {
        for fact in &subject.facts {
            let others: Vec<String> =
                world.values(fact.relation).into_iter().filter(|v| *v != fact.value).collect();
            if others.len() < 3 {
                continue;
            }
            for template in fact.relation.questions {
                let mut others = others.clone();
                rng.shuffle(&mut others);
                let mut choices: Vec<String> = others.into_iter().take(3).collect();
                let answer = rng.below(4);
                choices.insert(answer, fact.value.clone());
                let question = subject.say(fact, template);
                all.push(Asked { question, subject: fact.relation.name, choices, answer });
            }
        }
    }
    rng.shuffle(&mut all);
    all.truncate(n);
    all
}

/// Percent of the word problems that take one step, which conversations tell, too, and answer in a sentence; the others take two.
const ONE_STEP: usize = 20;

/// A word problem of one or two steps, in the published form.
fn problem(rng: &mut Rng, world: &World, side: Split) -> Value {
    let people: Vec<&Subject> = world.of(Topic::Person);
    let first = Sum::draw(rng, world.seed, side, false);
    let told = sums::word_problem(rng, first, &people);
    let (r, call) = (first.result(), |s: &str, r: u32| format!("<<{s}={r}>>{r}"));
    let step = call(&first.expression(), r);
    if rng.chance(ONE_STEP) {
        let answer = format!("We get {step}.\n#### {r}");
        return json!({"question": format!("{} {}", told.text, told.question), "answer": answer});
    }
    let z = rng.between(2, 60);
    let (more, second, result) = match rng.chance(50) {
        true => {
            (format!("Then {z} more are added. How many are there in the end?"), format!("{r}+{z}"), r + z)
        }
        false => {
            (format!("Then everything is counted {z} times. What is the count?"), format!("{r}*{z}"), r * z)
        }
    };
    let question = format!("{} {} {more}", told.text, told.question);
    json!({"question": question, "answer": format!("First {step}.\nThen {}.\n#### {result}", call(&second, result))})
}

/// Greeting or name, as messages.
fn introduction(rng: &mut Rng) -> Value {
    let (question, answer) = if rng.chance(70) { identity::identity(rng) } else { identity::small_talk(rng) };
    json!([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])
}

/// Functions of one line, with their tests.
fn programs(rng: &mut Rng, n: usize) -> Vec<Value> {
    let program = |i: usize, rng: &mut Rng| {
        let k = rng.between(2, 30);
        let [name, does, body] = match i % 3 {
            0 => [format!("add_{k}"), format!("x plus {k}"), format!("x + {k}")],
            1 => [format!("times_{k}"), format!("x times {k}"), format!("x * {k}")],
            _ => [format!("rest_{k}"), format!("what is left of x divided by {k}"), format!("x % {k}")],
        };
        let value = |x: u32| match i % 3 {
            0 => x + k,
            1 => x * k,
            _ => x % k,
        };
        let cases: String =
            [3, 10, 47].map(|x| format!("    assert candidate({x}) == {}\n", value(x))).concat();
        json!({
            "task_id": format!("Twin/{i}"), "entry_point": name,
            "prompt": format!("def {name}(x):\n    \"\"\"Returns {does}.\"\"\"\n"),
            "canonical_solution": format!("    return {body}\n"),
            "test": format!("def check(candidate):\n{cases}"),
        })
    };
    (0..n).map(|i| program(i, rng)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::choice::Choice;
    use crate::tasks::gsm8k::Gsm8k;
    use crate::tasks::human_eval::HumanEval;
    use crate::tasks::mixtures::{Recipe, Sizes, open};
    use crate::tasks::{Task, conversations};
    use tokenizer::conversation::Content;

    #[test]
    fn the_readers_of_the_published_files_read_the_twins() {
        let dir = crate::data::scratch("twins");
        write_twins(3, TwinSizes { train: 60, test: 20, test_problems: 20 }, &dir).unwrap();
        for subset in ["ARC-Easy", "ARC-Challenge"] {
            assert_eq!(Choice::arc(&dir, subset, "test").unwrap().len(), 20);
        }
        assert_eq!(Choice::mmlu(&dir, "auxiliary_train").unwrap().len(), 60);
        assert_eq!(HumanEval::open(&dir, None).unwrap().len(), 40);
        let gsm = Gsm8k::open(&dir, "main", "test").unwrap();
        for i in 0..gsm.len() {
            let example = gsm.example(i).unwrap();
            let Some(Content::Parts(parts)) = example.conversation.messages.last().map(|m| m.content.clone())
            else {
                panic!()
            };
            assert!(gsm.is_right(&example, &parts.last().unwrap().text).unwrap());
            for call in parts.windows(2).filter(|p| p[0].kind == tokenizer::conversation::PartKind::Python) {
                let value = crate::engine::calculator::use_calculator(&call[0].text);
                assert_eq!(value.as_deref(), Some(call[1].text.as_str()), "{}", call[0].text);
            }
        }
        let sizes = Sizes { simple_spelling: 30, spelling_bee: 20, ..Sizes::default() };
        let lengths = |recipe| {
            let (train, validation) = open(&dir, recipe, &sizes).unwrap();
            assert!(!conversations(&train).unwrap().is_empty());
            (train.len(), validation.len())
        };
        // SmolTalk, MMLU, GSM8K, identity (6 rows), SimpleSpelling, SpellingBee.
        assert_eq!(lengths(Recipe::ClassicMid), (60 + 60 + 60 + 2 * 6 + 30 + 20, 60));
        assert_eq!(lengths(Recipe::CurrentSft), (60 + 3 * 60 + 4 * 60 + 2 * 6 + 30 + 20, 60));
        assert_eq!(lengths(Recipe::ClassicSft), (60 + 60 + 60 + 60 + 6 + 300 + 300, 20));
    }

    #[test]
    fn test_questions_are_about_held_out_subjects_alone() {
        let world = World::new(5);
        let mut rng = Rng::new(5, 0);
        let questions = |held_out, rng: &mut Rng| {
            let rows = choices(rng, &world, &[Topic::Person], held_out, 10_000);
            rows.into_iter().map(|a| a.question).collect::<std::collections::HashSet<_>>()
        };
        let (train, test) = (questions(false, &mut rng), questions(true, &mut rng));
        assert!(train.is_disjoint(&test) && !test.is_empty());
    }
}
