//! The calculator and the tool machine: a table of expressions, and scripted generations.
//!
//! The original generates in columns: rows that have ended go on producing tokens that mean nothing until all have
//! ended. Our engine lets such rows go. So a row is compared up to the token that ends it: tokens, masks, and what the
//! model was fed for it.
//!
//! Two habits of the original are not the engine's, and are undone here: the first generation copies the first token of
//! the first row to all rows; the second feeds the last column to the model, too, though nobody reads the logits.

use super::input::{bytes, find_support, json};
use super::report::{Checked, Reporter, Stop};
use super::tokenizer::{same, some, specials};
use crate::engine::calculator::use_calculator;
use crate::engine::collect::{Sample, drain};
use crate::engine::forward::{Forward, Seat};
use crate::engine::tools::ToolTokens;
use crate::engine::{Engine, Finish, Limits, Request, What};
use ::tokenizer::Tokenizer;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tensor::{Device, Tensor, TensorError};

#[derive(Deserialize)]
struct Expression {
    expr: String,
    is_none: bool,
    str: Option<String>,
}

pub(super) fn calculator(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let table: Vec<Expression> = json(file)?;
    let wrong = |e: &&Expression| use_calculator(&e.expr) != e.str.clone().filter(|_| !e.is_none);
    for e in table.iter().filter(wrong) {
        let ours = use_calculator(&e.expr);
        report.exact(&e.expr, same("result", ours, e.str.clone()).map(|()| String::new()));
    }
    let right = table.len() - table.iter().filter(wrong).count();
    report.exact("calculator.json", some(right, "expressions agree"));
    Ok(())
}

#[derive(Deserialize)]
struct Dump {
    tokenizer: String,
    special_tokens: BTreeMap<String, u32>,
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    name: String,
    prompt: Vec<u32>,
    sampled_per_row: Vec<Vec<u32>>,
    max_tokens: usize,
    generate_columns: Vec<Vec<u32>>,
    generate_masks: Vec<Vec<u8>>,
    model_fed_tokens: Vec<Vec<u32>>,
    batch_results: Vec<Vec<u32>>,
    batch_masks: Vec<Vec<u8>>,
    batch_text: Vec<String>,
}

pub(super) fn tool_machine(file: &Path, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    let dump: Dump = json(file)?;
    let dir = file.parent().unwrap_or(Path::new("."));
    let ranks = find_support(dir, &format!("{}/ranks.tiktoken", dump.tokenizer), goldens)?;
    let tokenizer = Tokenizer::import_tiktoken(&bytes(&ranks)?)
        .map_err(|e| Stop::Fail(format!("ranks.tiktoken: {e}")))?;
    specials(&tokenizer, &dump.special_tokens)?;
    // The second generation feeds the last column to the model; that tells which one made the dump.
    let second = dump.scenarios.iter().any(|s| s.model_fed_tokens.len() > s.generate_columns.len());
    for s in &dump.scenarios {
        report.exact(&format!("tools: {}", s.name), scenario(s, &tokenizer, second));
    }
    let all = some(dump.scenarios.len(), "scenarios");
    report.exact("tool_state_machine.json", all);
    Ok(())
}

/// Tokens that a page of the scripted model holds: more than any row has.
const PAGE: usize = 1 << 16;

/// Its logits say what the script of a row says, then `end`; remembers what each row was fed.
struct Scripted {
    script: Vec<Vec<u32>>,
    end: u32,
    vocab: usize,
    pages: usize,
    /// Which row of the script lies in a page: every row has one of its own.
    rows: HashMap<u32, usize>,
    fed: Vec<Vec<u32>>,
}

impl Forward for Scripted {
    type Error = TensorError;

    fn pages(&self) -> usize {
        self.pages
    }
    fn page_len(&self) -> usize {
        PAGE
    }
    fn vocab_size(&self) -> usize {
        self.vocab
    }
    fn context(&self) -> usize {
        usize::MAX
    }
    fn feed(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<Tensor, TensorError> {
        let mut logits = vec![0.0f32; rows.len() * self.vocab];
        let each = tokens.len() / rows.len().max(1);
        for (i, (row, fed)) in rows.iter().zip(tokens.chunks(each.max(1))).enumerate() {
            let (place, unknown) = (row.pages.last().copied().unwrap_or(0), self.rows.len());
            let number = *self.rows.entry(place).or_insert(unknown);
            let (Some(history), Some(&last)) = (self.fed.get_mut(number), fed.last()) else { continue };
            history.push(last);
            let token = self.script[number].get(history.len() - 1).copied().unwrap_or(self.end);
            logits[i * self.vocab + token as usize] = 1.0;
        }
        Tensor::from_slice(&logits, &[rows.len(), self.vocab], Device::Cpu)
    }
    fn fill(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<(), TensorError> {
        self.feed(rows, tokens).map(drop)
    }
    /// Nobody asks for it here; the row's next token, behind every one of them.
    fn score(&mut self, row: &Seat<'_>, tokens: &[u32]) -> Result<Tensor, TensorError> {
        self.feed(&[*row], tokens)?.expand(&[tokens.len(), self.vocab])
    }
    fn copy_page(&mut self, _from: u32, _to: u32) -> Result<(), TensorError> {
        Ok(())
    }
}

/// A column for each token; `None` behind the end of a row.
fn row<T: Copy>(columns: &[Vec<T>], row: usize) -> Vec<T> {
    columns.iter().filter_map(|column| column.get(row).copied()).collect()
}

fn scenario(s: &Scenario, tokenizer: &Tokenizer, second: bool) -> Checked<String> {
    let (rows, vocab) = (s.sampled_per_row.len(), tokenizer.vocab_size());
    let mut script = s.sampled_per_row.clone();
    let first = script.first().and_then(|row| row.first()).copied();
    if let (false, Some(first)) = (second, first) {
        script.iter_mut().filter_map(|row| row.first_mut()).for_each(|token| *token = first);
    }
    let pages = rows * (s.prompt.len() + s.max_tokens).div_ceil(PAGE);
    let end = ToolTokens::assistant_end(tokenizer);
    let model = Scripted { script, end, vocab, pages, rows: HashMap::new(), fed: vec![Vec::new(); rows] };
    let limits = Limits { rows, waiting: rows, chunk: usize::MAX, context: usize::MAX };
    let mut engine = Engine::new(model, tokenizer, limits);
    for _ in 0..rows {
        engine
            .submit(Request::greedy(s.prompt.clone(), s.max_tokens))
            .map_err(|e| Stop::Fail(e.to_string()))?;
    }
    let mut columns: Vec<(Vec<u32>, Vec<u8>)> = vec![Default::default(); rows];
    let mut samples = vec![Sample::default(); rows];
    drain(&mut engine, |event| {
        let number = event.request.0 as usize;
        if let What::Token(token) = &event.what {
            columns[number].0.push(token.id);
            columns[number].1.push(u8::from(token.sampled));
        }
        samples[number].add(event.what);
        true
    })?;

    for (i, (tokens, masks)) in columns.iter().enumerate() {
        let theirs = row(&s.generate_columns, i);
        let length = tokens.len();
        let whole = samples[i].finish == Some(Finish::Length);
        if whole || theirs.len() < length {
            same("generate_columns", tokens, &theirs)?;
        }
        same("generate_columns", tokens.as_slice(), &theirs[..length])?;
        same("generate_masks", masks.as_slice(), &row(&s.generate_masks, i)[..length])?;
        // Fed are the prompt, then every token but the last. Where the first entry is the prompt's last token, it is a
        // column of one.
        let prompt = s.model_fed_tokens.first().and_then(|fed| fed.first()).copied();
        let later = row(s.model_fed_tokens.get(1..).unwrap_or(&[]), i);
        let theirs: Vec<u32> = prompt.into_iter().chain(later).take(length).collect();
        same("model_fed_tokens", &engine.forward().fed[i], &theirs)?;
    }
    let answers: Vec<Vec<u32>> = samples.iter().map(|a| [&s.prompt[..], &a.tokens].concat()).collect();
    same("batch_results", &answers, &s.batch_results)?;
    let masks = samples.iter().map(|a| {
        let drawn = a.sampled.iter().map(|&sampled| u8::from(sampled));
        std::iter::repeat_n(0, s.prompt.len()).chain(drawn).collect::<Vec<u8>>()
    });
    same("batch_masks", &masks.collect::<Vec<_>>(), &s.batch_masks)?;
    let texts: Vec<String> = answers.iter().map(|row| ToolTokens::decode(tokenizer, row)).collect();
    same("batch_text", &texts, &s.batch_text)?;
    Ok(format!("{} columns", s.generate_columns.len()))
}
