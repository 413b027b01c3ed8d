//! The calculator and the tool machine: a table of expressions, and scripted generations.

use super::input::{bytes, find_support, json};
use super::report::{Checked, Reporter, Stop};
use super::tokenizer::{same, some, specials};
use crate::engine::calculator::use_calculator;
use crate::engine::generate::{Column, Compat, Engine, Forward, GenerateOptions, Sampling};
use crate::engine::tools::ToolTokens;
use ::tokenizer::Tokenizer;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

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
    let compat = Compat { broadcast_first_token: !second, forward_after_last: second };
    for s in &dump.scenarios {
        report.exact(&format!("tools: {}", s.name), scenario(s, &tokenizer, compat));
    }
    let all = some(dump.scenarios.len(), "scenarios");
    report.exact("tool_state_machine.json", all);
    Ok(())
}

/// Draws what its script says, row by row, then `end`; remembers what it was fed.
struct Scripted<'a> {
    script: &'a [Vec<u32>],
    end: u32,
    fed: Vec<Vec<u32>>,
}

impl Forward for Scripted<'_> {
    type Error = Infallible;

    fn prefill(&mut self, prompt: &[u32], _rows: usize, _max_new: Option<usize>) -> Result<(), Infallible> {
        self.fed = vec![prompt.last().copied().into_iter().collect()];
        Ok(())
    }
    fn sample(&mut self, _sampling: &Sampling, draw: u64) -> Result<Vec<u32>, Infallible> {
        Ok(self.script.iter().map(|row| row.get(draw as usize).copied().unwrap_or(self.end)).collect())
    }
    fn step(&mut self, column: &[u32]) -> Result<(), Infallible> {
        self.fed.push(column.to_vec());
        Ok(())
    }
}

fn scenario(s: &Scenario, tokenizer: &Tokenizer, compat: Compat) -> Checked<String> {
    let model = Scripted { script: &s.sampled_per_row, end: tokenizer.assistant_end(), fed: Vec::new() };
    let mut engine = Engine::new(model, tokenizer);
    let (num_samples, max_tokens) = (s.sampled_per_row.len(), Some(s.max_tokens));
    let options = GenerateOptions { num_samples, max_tokens, compat, ..GenerateOptions::default() };
    let masks = |rows: Vec<Vec<bool>>| -> Vec<Vec<u8>> {
        rows.into_iter().map(|row| row.into_iter().map(u8::from).collect()).collect()
    };

    let columns = engine.generate(&s.prompt, &options)?.collect::<Result<Vec<Column>, _>>()?;
    let tokens: Vec<_> = columns.iter().map(|c| c.tokens.clone()).collect();
    same("generate_columns", &tokens, &s.generate_columns)?;
    same("generate_masks", &masks(columns.into_iter().map(|c| c.sampled).collect()), &s.generate_masks)?;
    same("model_fed_tokens", &engine.model.fed, &s.model_fed_tokens)?;

    let batch = engine.generate_batch(&s.prompt, &options)?;
    same("batch_results", &batch.sequences, &s.batch_results)?;
    same("batch_masks", &masks(batch.sampled), &s.batch_masks)?;
    let texts: Vec<String> = batch.sequences.iter().map(|row| ToolTokens::decode(tokenizer, row)).collect();
    same("batch_text", &texts, &s.batch_text)?;
    Ok(format!("{} columns", tokens.len()))
}
