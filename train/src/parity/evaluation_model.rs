//! Scores of a model: bits per byte, CORE item by item, and letters.

use super::evaluation::tokenizer;
use super::input::{Tensors, json, model_config};
use super::model::load;
use super::report::{Checked, Reporter, Stop, Tolerance, fail};
use super::tokenizer::{same, some};
use crate::bpb::BitsPerByte;
use crate::chat_eval::categorical::{letter_logits, prompt};
use crate::core::prompts::few_shot;
use crate::core::{Example, Scorer, Sequence, SpanScore, run, score::argmax, spans};
use crate::data::Batch;
use crate::tasks;
use ::model::Gpt;
use ::tokenizer::conversation::{Content, Conversation, Message};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use tensor::Device;

/// What a comparison of logits and losses allows.
const VALUES: Tolerance = Tolerance::MaxAbs(1e-4);

/// The model beside a dump.
pub(super) fn model(file: &Path) -> Checked<Gpt> {
    let config = model_config(&json::<Value>(&file.with_file_name("model_config.json"))?)?;
    let stored = Tensors::read(&file.with_file_name("model.safetensors"))?;
    load(&config, stored.weights(&config, "")?)
}

#[derive(Deserialize)]
struct Bpb {
    name: String,
    batches: Vec<usize>,
    token_bytes: String,
    bpb: Value,
    total_nats: f64,
    total_bytes: u64,
}

pub(super) fn bits_per_byte(file: &Path, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    let cases: Vec<Bpb> = json(file)?;
    let dir = file.parent().unwrap_or(Path::new("."));
    let tokenizer = tokenizer(dir, goldens)?;
    let batches = Tensors::read(&file.with_file_name("bpb_batches.safetensors"))?;
    let gpt = model(file)?;
    for case in &cases {
        let bytes = match case.token_bytes.as_str() {
            "HEAD" => tokenizer.token_bytes(),
            "G1" => tokenizer.token_bytes_classic(),
            "zeros" => vec![0; tokenizer.vocab_size()],
            other => return fail(format!("token_bytes {other:?} is not understood")),
        };
        let mut sums = BitsPerByte::default();
        for b in &case.batches {
            let (x, y) = (batches.get(&format!("x{b}"))?, batches.get(&format!("y{b}"))?);
            let (ids, targets) = (x.to_vec::<i32>()?, y.to_vec::<i32>()?);
            sums.add(&gpt, &Batch::new(&ids, &targets, x.dim(0), x.dim(1), Device::Cpu)?, &bytes)?;
        }
        let name = format!("bpb {}", case.name);
        report.exact(
            &name,
            same("bytes", sums.bytes, case.total_bytes).map(|()| format!("{} bytes", sums.bytes)),
        );
        match case.bpb.as_f64() {
            Some(bpb) => report.numbers(
                &name,
                &[sums.value(), sums.nats],
                &[bpb, case.total_nats],
                Tolerance::RelL2(1e-5),
            ),
            None => report.exact(&name, same("bpb", sums.value(), f64::INFINITY).map(|()| "infinite".into())),
        }
    }
    some(cases.len(), "cases").map(|_| ())
}

#[derive(Deserialize)]
struct Run {
    name: String,
    meta: Meta,
    max_seq_len: Option<usize>,
    data: Vec<Example>,
    items: Vec<Item>,
    accuracy_evaluate_task: Option<f64>,
}

#[derive(Deserialize)]
struct Meta {
    num_fewshot: usize,
    continuation_delimiter: String,
}

#[derive(Deserialize)]
struct Item {
    idx: usize,
    fewshot_indices: Vec<usize>,
    assertion_error: Option<String>,
    prompts: Option<Vec<String>>,
    tokens: Option<Vec<Vec<u32>>>,
    start_idxs: Option<Vec<usize>>,
    end_idxs: Option<Vec<usize>>,
    truncated_start_idxs: Option<Vec<usize>>,
    truncated_end_idxs: Option<Vec<usize>>,
    mean_losses: Option<Vec<Option<f64>>>,
    pred_idx: Option<usize>,
    predicted: Option<Vec<u32>>,
    is_correct: Option<bool>,
}

pub(super) fn core(file: &Path, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    let runs: Vec<Run> = json(file)?;
    let tokenizer = tokenizer(file.parent().unwrap_or(Path::new(".")), goldens)?;
    let gpt = model(file);
    for r in &runs {
        let name = format!("core {}", r.name);
        let mut all: Vec<Option<Vec<Sequence>>> = Vec::new();
        let texts = r.items.iter().try_for_each(|item| {
            let sequences = texts(r, item, &tokenizer).map_err(|stop| match stop {
                Stop::Fail(why) => Stop::Fail(format!("item {}: {why}", item.idx)),
                skip => skip,
            })?;
            all.push(sequences);
            Ok(())
        });
        let read = texts.is_ok();
        report
            .exact(&format!("{name}: prompts and spans"), texts.and_then(|()| some(r.items.len(), "items")));
        match &gpt {
            Ok(gpt) if read => scores(r, &name, all, gpt, tokenizer.bos(), report)?,
            Ok(_) => {}
            Err(Stop::Skip(why)) => report.stop(&name, Stop::Skip(why.clone())),
            Err(Stop::Fail(why)) => report.stop(&name, Stop::Fail(why.clone())),
        }
    }
    some(runs.len(), "runs").map(|_| ())
}

/// Prompts, tokens and spans of an item; `None` where both refuse it.
fn texts(r: &Run, item: &Item, tokenizer: &::tokenizer::Tokenizer) -> Checked<Option<Vec<Sequence>>> {
    let Some(row) = r.data.get(item.idx) else { return fail("no such row") };
    let shots = few_shot(item.idx, r.data.len(), r.meta.num_fewshot);
    same("few-shot examples", &shots, &item.fewshot_indices)?;
    let shown: Vec<&Example> = shots.iter().map(|&i| &r.data[i]).collect();
    let prompts = row.prompts(&shown, &r.meta.continuation_delimiter);
    if let Some(theirs) = &item.prompts {
        same("prompts", &prompts, theirs)?;
    }
    let sequences = match spans::sequences(row.form(), &prompts, tokenizer) {
        Err(refused) => match item.assertion_error {
            Some(_) => return Ok(None),
            None => return fail(refused.to_string()),
        },
        Ok(_) if item.assertion_error.is_some() => return fail("scored, and the original refuses it"),
        Ok(sequences) => sequences,
    };
    // For language modelling the dump has the tokens of the text with the continuation alone, or both.
    let last = |n: usize, all: &[Vec<u32>]| all[all.len().saturating_sub(n)..].to_vec();
    let (theirs, n) = (item.tokens.clone().unwrap_or_default(), sequences.len());
    let ours: Vec<Vec<u32>> = sequences.iter().map(|s| s.ids.clone()).collect();
    same("tokens", &ours, &last(n, &theirs))?;
    let ends =
        |all: &[Sequence]| (all.iter().map(|s| s.start).collect(), all.iter().map(|s| s.end).collect());
    let theirs = (item.start_idxs.clone().unwrap_or_default(), item.end_idxs.clone().unwrap_or_default());
    same("spans", ends(&sequences), theirs)?;
    if let (Some(most), Some(start), Some(end)) =
        (r.max_seq_len, &item.truncated_start_idxs, &item.truncated_end_idxs)
    {
        let mut cut = sequences.clone();
        cut.iter_mut().for_each(|s| s.cut_to(most));
        same("spans, cut", ends(&cut), (start.clone(), end.clone()))?;
    }
    Ok(Some(sequences))
}

fn scores(
    r: &Run,
    name: &str,
    all: Vec<Option<Vec<Sequence>>>,
    gpt: &Gpt,
    bos: u32,
    report: &mut Reporter<'_>,
) -> Checked {
    let mut scorer = Scorer::new(gpt, bos);
    scorer.max_len = r.max_seq_len.unwrap_or(scorer.max_len);
    scorer.batch_tokens = 600; // so that batches of several lengths occur
    let items: Vec<Vec<Sequence>> = all.iter().flatten().cloned().collect();
    let mut scored = scorer.score(&items, &mut |_| true)?.into_iter().flatten();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut right = 0;
    let verdicts = r.items.iter().zip(&all).try_for_each(|(item, sequences)| {
        let Some(sequences) = sequences else { return Ok(()) };
        let scores: Vec<SpanScore> = scored.by_ref().take(sequences.len()).collect();
        let row = &r.data[item.idx];
        for (score, theirs_loss) in scores.iter().zip(item.mean_losses.iter().flatten()) {
            match theirs_loss {
                Some(loss) => {
                    ours.push(score.mean_loss);
                    theirs.push(*loss);
                }
                None => same("an empty span", score.mean_loss.is_nan(), true)?,
            }
        }
        if let Some(pred) = item.pred_idx {
            same(&format!("item {}: choice", item.idx), run::choice(&scores), pred)?;
        }
        if let Some(predicted) = &item.predicted {
            same(&format!("item {}: tokens", item.idx), &scores[0].predicted, predicted)?;
        }
        let verdict = run::is_right(row, &scores);
        right += usize::from(verdict);
        match item.is_correct {
            Some(theirs) => same(&format!("item {}: right", item.idx), verdict, theirs),
            None => Ok(()),
        }
    });
    report.exact(&format!("{name}: verdicts"), verdicts.and_then(|()| some(r.items.len(), "items")));
    if !theirs.is_empty() {
        report.numbers(&format!("{name}: mean losses"), &ours, &theirs, VALUES);
    }
    if let Some(accuracy) = r.accuracy_evaluate_task {
        let ours = right as f64 / r.items.len() as f64;
        report.numbers(&format!("{name}: accuracy"), &[ours], &[accuracy], Tolerance::MaxAbs(1e-6));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Categorical {
    conversations: Vec<Lettered>,
    prompt_ids: Vec<Vec<u32>>,
    letter_logits: Vec<Vec<f64>>,
    runs: Vec<CategoricalRun>,
}

#[derive(Deserialize)]
struct Lettered {
    messages: Vec<Message>,
    letters: Vec<String>,
}

#[derive(Deserialize)]
struct CategoricalRun {
    batch_size: usize,
    max_problems: Option<usize>,
    accuracy: f64,
    predicted_letters: Vec<String>,
}

pub(super) fn categorical(file: &Path, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    let dump: Categorical = json(file)?;
    let tokenizer = tokenizer(file.parent().unwrap_or(Path::new(".")), goldens)?;
    let example = |c: &Lettered| tasks::Example {
        conversation: Conversation { messages: c.messages.clone() },
        letters: c.letters.clone(),
    };
    let examples: Vec<tasks::Example> = dump.conversations.iter().map(example).collect();
    let prompts = examples.iter().map(|e| prompt(e, &tokenizer)).collect::<crate::Result<Vec<_>>>()?;
    let ids: Vec<_> = prompts.iter().map(|p| p.ids.clone()).collect();
    report.exact(
        "letters: prompts",
        same("ids", &ids, &dump.prompt_ids).and_then(|()| some(ids.len(), "prompts")),
    );
    let gpt = model(file)?;
    for r in &dump.runs {
        let name = format!("letters, {} at once", r.batch_size);
        let n = r.max_problems.unwrap_or(prompts.len()).min(prompts.len());
        let logits = letter_logits(&gpt, &prompts[..n], r.batch_size, tokenizer.bos(), &mut |_| true)?;
        let flat = |all: &[Vec<f64>]| all.iter().flatten().copied().collect::<Vec<_>>();
        report.numbers(&format!("{name}: logits"), &flat(&logits), &flat(&dump.letter_logits[..n]), VALUES);
        let chosen: Vec<String> =
            logits.iter().zip(&examples).map(|(l, e)| e.letters[argmax(l)].clone()).collect();
        report.exact(&name, same("letters", &chosen, &r.predicted_letters).and_then(|()| some(n, "letters")));
        let answer = |e: &tasks::Example| match e.conversation.messages.last().map(|m| &m.content) {
            Some(Content::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let right = chosen.iter().zip(&examples).filter(|(c, e)| **c == answer(e)).count();
        let accuracy = right as f64 / n as f64;
        report.numbers(&format!("{name}: accuracy"), &[accuracy], &[r.accuracy], Tolerance::MaxAbs(1e-9));
    }
    some(dump.runs.len(), "runs").map(|_| ())
}
