//! What needs no vocabulary: splitting, tiny trainings, stopping early, cutting documents; and that the texts for the
//! vocabularies can be read.

use super::input::{file_name, find_support, json, unhex};
use super::kind::Case;
use super::report::{Checked, Reporter, Stop, fail};
use ::tokenizer::train::Budget;
use ::tokenizer::{Special, TrainOptions, TrainReport, split};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Are two things equal? If not, the note names `what` and shows the beginnings of both.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Checked {
    if ours == theirs {
        return Ok(());
    }
    let short = |x: &T| format!("{x:?}").chars().take(80).collect::<String>();
    fail(format!("{what}: {} instead of {}", short(&ours), short(&theirs)))
}

pub(super) fn check(case: &Case, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    for file in &case.files {
        let name = file_name(file);
        let outcome = match name.as_str() {
            "corpus.jsonl" => corpus(file).map(|docs| format!("{} documents", docs.len())),
            "strings.json" => json::<Strings>(file).map(|s| format!("{} strings", s.strings.len())),
            "conversations.json" => {
                json::<Vec<Conversation>>(file).map(|c| format!("{} conversations", c.len()))
            }
            "split_pieces.json" => pieces(file, &find(&case.dir, "strings.json", goldens)?),
            "micro_train.json" => micro_train(file),
            "early_stop.json" => early_stop(file),
            "text_iterator.json" => text_iterator(file),
            _ => fail("not understood"),
        };
        report.exact(&name, outcome);
    }
    Ok(())
}

/// A text file of this kind: beside the case, above it, or in the tokenizer folder of the nearest tree.
pub(super) fn find(dir: &Path, name: &str, goldens: Option<&Path>) -> Checked<PathBuf> {
    let near = [Some(dir), dir.parent()].into_iter().flatten().map(|d| d.join(name)).find(|p| p.exists());
    near.map_or_else(|| find_support(dir, &format!("tokenizer/{name}"), goldens), Ok)
}

#[derive(Deserialize)]
pub(super) struct Strings {
    pub strings: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Conversation {
    pub name: String,
    pub conversation: Value,
}

/// One JSON string per line.
pub(super) fn corpus(file: &Path) -> Checked<Vec<String>> {
    let text = String::from_utf8(super::input::bytes(file)?)?;
    let line = |(i, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|e| Stop::Fail(format!("{}, line {}: {e}", file_name(file), i + 1)))
    };
    let documents = text.lines().enumerate().map(line).collect::<Checked<Vec<String>>>()?;
    if documents.is_empty() { fail(format!("{} is empty", file_name(file))) } else { Ok(documents) }
}

pub(super) fn train<S: AsRef<str>>(
    docs: &[S],
    vocab_size: usize,
) -> Checked<(::tokenizer::Tokenizer, TrainReport)> {
    let options = TrainOptions { vocab_size, doc_cap: usize::MAX, max_chars: u64::MAX };
    Ok(::tokenizer::Tokenizer::train(docs, &options, &mut |_| {})?)
}

pub(super) fn merges(report: &TrainReport) -> Vec<[u32; 2]> {
    report.merges.iter().map(|m| [m.left, m.right]).collect()
}

#[derive(Deserialize)]
struct Pieces {
    pattern: String,
    pieces: Vec<Vec<String>>,
}

fn pieces(file: &Path, strings: &Path) -> Checked<String> {
    let (recorded, strings): (Pieces, Strings) = (json(file)?, json(strings)?);
    same("pattern", split::PATTERN, &recorded.pattern)?;
    same("number of texts", strings.strings.len(), recorded.pieces.len())?;
    for (text, recorded) in strings.strings.iter().zip(&recorded.pieces) {
        same(&format!("{text:?}"), &split::pieces(text).map(String::from).collect::<Vec<_>>(), recorded)?;
    }
    some(strings.strings.len(), "texts")
}

/// A count that must not be zero.
pub(super) fn some(n: usize, what: &str) -> Checked<String> {
    if n == 0 { fail(format!("no {what}")) } else { Ok(format!("{n} {what}")) }
}

#[derive(Deserialize)]
struct MicroTrain {
    texts: Vec<String>,
    vocab_size: usize,
    merges: Vec<[u32; 2]>,
    merge_bytes: Vec<String>,
}

fn micro_train(file: &Path) -> Checked<String> {
    let cases: Vec<MicroTrain> = json(file)?;
    for (i, case) in cases.iter().enumerate() {
        // These sizes do not include the special tokens.
        let (tokenizer, report) = train(&case.texts, case.vocab_size + Special::COUNT)?;
        same(&format!("merges of case {i}"), &merges(&report), &case.merges)?;
        let tokens = report.merges.iter().map(|m| Ok(tokenizer.token(m.id)?.to_vec()));
        let recorded: Vec<Vec<u8>> = case.merge_bytes.iter().map(|b| b.clone().into_bytes()).collect();
        same(&format!("bytes of case {i}"), tokens.collect::<Checked<Vec<_>>>()?, recorded)?;
    }
    some(cases.len(), "corpora")
}

#[derive(Deserialize)]
struct EarlyStop {
    texts: Vec<String>,
    requested_vocab_size: usize,
    mergeable_hex_from_256: Vec<String>,
    actual_vocab_size: usize,
    special_tokens: BTreeMap<String, u32>,
}

fn early_stop(file: &Path) -> Checked<String> {
    let case: EarlyStop = json(file)?;
    let (tokenizer, report) = train(&case.texts, case.requested_vocab_size)?;
    same("vocab_size", report.vocab_size, case.actual_vocab_size)?;
    let learned =
        (256..tokenizer.bos()).map(|id| Ok(tokenizer.token(id)?.to_vec())).collect::<Checked<Vec<_>>>()?;
    let recorded = case.mergeable_hex_from_256.iter().map(|hex| unhex(hex)).collect::<Checked<Vec<_>>>()?;
    same("tokens", learned, recorded)?;
    specials(&tokenizer, &case.special_tokens)?;
    Ok(format!("{} of {} ids", case.actual_vocab_size, case.requested_vocab_size))
}

pub(super) fn specials(tokenizer: &::tokenizer::Tokenizer, recorded: &BTreeMap<String, u32>) -> Checked {
    let ours: BTreeMap<String, u32> =
        Special::ALL.iter().map(|s| (s.name().to_string(), tokenizer.special(*s))).collect();
    same("special tokens", &ours, recorded)
}

#[derive(Deserialize)]
struct TextIterator {
    docs: Vec<String>,
    doc_cap: usize,
    max_chars: u64,
    yielded: Vec<String>,
}

fn text_iterator(file: &Path) -> Checked<String> {
    let cases: Vec<TextIterator> = json(file)?;
    for (i, case) in cases.iter().enumerate() {
        let mut budget = Budget::new(case.doc_cap, case.max_chars);
        let admitted: Vec<&str> = case.docs.iter().map_while(|doc| budget.admit(doc)).collect();
        same(&format!("case {i}"), admitted, case.yielded.iter().map(String::as_str).collect())?;
    }
    some(cases.len(), "cases")
}
