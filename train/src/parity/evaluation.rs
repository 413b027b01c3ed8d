//! Evaluation: random numbers, tasks and answers, which need no model; and the scores of one (`evaluation_model.rs`,
//! `evaluation_rl.rs`).

use super::input::{bytes, file_name, find_support, json};
use super::kind::Case;
use super::report::{Checked, Reporter, Tolerance, fail};
use super::tokenizer::{same, some};
use super::{evaluation_model, evaluation_rl};
use crate::core::{centred, prompts::few_shot};
use crate::random::{Python, numpy, python_hash};
use crate::tasks::gsm8k::{self, Row};
use crate::tasks::{Example, Mixture, Scoring, Sequence, Slice, Task, choice, conversations};
use ::tokenizer::Tokenizer;
use ::tokenizer::conversation::{Content, Conversation, Message, Role};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn check(case: &Case, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    for file in &case.files {
        let name = file_name(file);
        let outcome = match name.as_str() {
            "python_rng.json" => random(file, report),
            "tasks.json" => tasks(file, report),
            "gsm8k.json" => answers(file, report),
            "core_centering.json" => centring(file, report),
            "bpb.json" => evaluation_model::bits_per_byte(file, goldens, report),
            "core.json" => evaluation_model::core(file, goldens, report),
            "categorical.json" => evaluation_model::categorical(file, goldens, report),
            "rl.json" => evaluation_rl::check(file, goldens, report),
            _ => Ok(()), // what these read
        };
        outcome.unwrap_or_else(|stop| report.stop(&name, stop));
    }
    Ok(())
}

/// The tokenizer of these dumps.
pub(super) fn tokenizer(dir: &Path, goldens: Option<&Path>) -> Checked<Tokenizer> {
    let ranks = find_support(dir, "tokenizer/v512/ranks.tiktoken", goldens)?;
    Ok(Tokenizer::import_tiktoken(&bytes(&ranks)?)?)
}

#[derive(Deserialize)]
struct FewShot {
    idx: usize,
    n_items: usize,
    num_fewshot: usize,
    fewshot_indices: Vec<usize>,
}

#[derive(Deserialize)]
struct Seed {
    step: usize,
    example_idx: usize,
    sampling_step: usize,
    seed: u64,
}

/// The keys of the dump are the expressions that were evaluated, with remarks in brackets.
fn random(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let dump: BTreeMap<String, Value> = json(file)?;
    for (key, value) in &dump {
        let orders =
            || -> Checked<BTreeMap<usize, Vec<usize>>> { Ok(serde_json::from_value(value.clone())?) };
        let shuffled = |seed: i64| {
            let orders = orders()?;
            for (&n, order) in &orders {
                let mut items: Vec<usize> = (0..n).collect();
                Python::new(seed).shuffle(&mut items);
                same(&format!("order of {n}"), &items, order)?;
            }
            some(orders.len(), "orders")
        };
        let outcome = if key.contains("Random(42).shuffle") {
            shuffled(42)
        } else if key.contains("Random(1337).shuffle") {
            shuffled(1337)
        } else if key.contains("sample(") {
            samples(value)
        } else if key.contains("permutation") {
            orders().and_then(|orders| {
                for (&n, order) in &orders {
                    same(&format!("permutation of {n}"), &numpy::permutation(42, n), order)?;
                }
                some(orders.len(), "permutations")
            })
        } else if key.contains("getrandbits(32)") {
            let words: Vec<u32> = serde_json::from_value(value.clone())?;
            let mut python = Python::new(42);
            let ours: Vec<u32> = words.iter().map(|_| python.next_u32()).collect();
            same("words", &ours, &words).and_then(|()| some(words.len(), "words"))
        } else if key.contains("hash(") {
            let seeds: Vec<Seed> = serde_json::from_value(value.clone())?;
            let ours = |s: &Seed| python_hash::rollout_seed(s.step, s.example_idx, s.sampling_step);
            seeds
                .iter()
                .try_for_each(|s| same("seed", ours(s), s.seed))
                .and_then(|()| some(seeds.len(), "seeds"))
        } else {
            fail("an expression that is not understood")
        };
        report.exact(key.split(" [").next().unwrap_or(key), outcome);
    }
    some(dump.len(), "expressions").map(|_| ())
}

fn samples(value: &Value) -> Checked<String> {
    let rows: Vec<FewShot> = serde_json::from_value(value.clone())?;
    for row in &rows {
        let ours = few_shot(row.idx, row.n_items, row.num_fewshot);
        same(&format!("{} of {}", row.num_fewshot, row.n_items), &ours, &row.fewshot_indices)?;
    }
    some(rows.len(), "samples")
}

/// `n` examples that say their name and number.
struct Named(&'static str, usize);

impl Task for Named {
    fn name(&self) -> String {
        self.0.into()
    }
    fn len(&self) -> usize {
        self.1
    }
    fn example(&self, i: usize) -> crate::Result<Example> {
        let messages = vec![Message::new(Role::User, format!("{}{i}", self.0))];
        Ok(Example { conversation: Conversation { messages }, letters: Vec::new() })
    }
    fn scoring(&self) -> Scoring {
        Scoring::None
    }
}

fn items(task: &dyn Task) -> Checked<Vec<String>> {
    let text = |c: &Conversation| match c.messages.first().map(|m| &m.content) {
        Some(Content::Text(text)) => text.clone(),
        _ => String::new(),
    };
    Ok(conversations(task)?.iter().map(text).collect())
}

#[derive(Deserialize)]
struct Tasks {
    slices: Vec<SliceDump>,
    mixture_a5_b3_c4stop2_b3: Vec<String>,
    sequence_a3_b2: Vec<String>,
    render_mc: Vec<Rendering>,
}

#[derive(Deserialize)]
struct SliceDump {
    n: usize,
    start: usize,
    stop: Option<usize>,
    step: usize,
    items: Vec<String>,
}

#[derive(Deserialize)]
struct Rendering {
    question: String,
    letters: String,
    choices: Vec<String>,
    text: String,
}

fn tasks(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let dump: Tasks = json(file)?;
    let slices = dump.slices.iter().try_for_each(|s| {
        let slice = Slice::new(Box::new(Named("a", s.n)), s.start, s.stop, s.step);
        same("items", &items(&slice)?, &s.items)
    });
    report.exact("slices", slices.and_then(|()| some(dump.slices.len(), "slices")));
    let named = |name, n| Box::new(Named(name, n)) as Box<dyn Task>;
    let short = Box::new(Slice::new(named("c", 4), 0, Some(2), 1));
    let mixture = items(&Mixture::new(vec![named("a", 5), named("b", 3), short, named("b", 3)]))?;
    let theirs = &dump.mixture_a5_b3_c4stop2_b3;
    report.exact("mixture", same("order", &mixture, theirs).and_then(|()| some(theirs.len(), "items")));
    let sequence = items(&Sequence::new(vec![named("a", 3), named("b", 2)]))?;
    let theirs = &dump.sequence_a3_b2;
    report.exact("sequence", same("order", &sequence, theirs).and_then(|()| some(theirs.len(), "items")));
    let rendered = dump.render_mc.iter().try_for_each(|r| {
        let letters: Vec<String> = r.letters.chars().map(String::from).collect();
        same("text", &choice::prompt(&r.question, &letters, &r.choices), &r.text)
    });
    report.exact("multiple choice", rendered.and_then(|()| some(dump.render_mc.len(), "questions")));
    Ok(())
}

#[derive(Deserialize)]
struct Answers {
    extract_answer: Vec<Extraction>,
    rows_to_conversation: Vec<Conversion>,
    evaluate: Vec<Judged>,
}

#[derive(Deserialize)]
struct Extraction {
    text: String,
    answer: Option<String>,
}

#[derive(Deserialize)]
struct Conversion {
    row: Row,
    conversation: Conversation,
}

#[derive(Deserialize)]
struct Judged {
    row: usize,
    response: String,
    evaluate: u8,
    reward: f64,
}

fn answers(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let dump: Answers = json(file)?;
    let extracted = dump
        .extract_answer
        .iter()
        .try_for_each(|e| same(&e.text, gsm8k::answer_of(&e.text), e.answer.clone()));
    report.exact("answers", extracted.and_then(|()| some(dump.extract_answer.len(), "texts")));
    let rows = dump.rows_to_conversation.iter();
    let converted =
        rows.clone().try_for_each(|c| same(&c.row.question, &c.row.conversation(), &c.conversation));
    report.exact("conversations", converted.and_then(|()| some(dump.rows_to_conversation.len(), "rows")));
    let judged = dump.evaluate.iter().try_for_each(|j| {
        let Some(row) = dump.rows_to_conversation.get(j.row) else { return fail("no such row") };
        let example = Example { conversation: row.row.conversation(), letters: Vec::new() };
        let right = gsm8k::agrees(&example, &j.response);
        same(&j.response, (u8::from(right), f64::from(u8::from(right))), (j.evaluate, j.reward))
    });
    report.exact("judgements", judged.and_then(|()| some(dump.evaluate.len(), "answers")));
    Ok(())
}

#[derive(Deserialize)]
struct Centring {
    cases: Vec<Centred>,
}

#[derive(Deserialize)]
struct Centred {
    acc: f64,
    random_baseline_percent: f64,
    centered: f64,
}

fn centring(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let dump: Centring = json(file)?;
    let ours: Vec<f64> = dump.cases.iter().map(|c| centred(c.acc, c.random_baseline_percent)).collect();
    let theirs: Vec<f64> = dump.cases.iter().map(|c| c.centered).collect();
    report.numbers("centred accuracies", &ours, &theirs, Tolerance::MaxAbs(1e-12));
    some(ours.len(), "cases").map(|_| ())
}
