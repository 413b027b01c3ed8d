//! One vocabulary: training it from the corpus, its rank lines, encodings, decoding of any ids, and conversations.

use super::input::{bytes, json, unhex};
use super::report::{Checked, Reporter, Stop, fail};
use super::tokenizer::{Conversation, Strings, corpus, find, merges, same, some, specials, train};
use ::tokenizer::{Special, Tokenizer};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Vocabulary {
    vocab_size: usize,
    num_mergeable: usize,
    split_pattern: String,
    special_tokens: BTreeMap<String, u32>,
    bos_id: u32,
    merges: Vec<[u32; 2]>,
    mergeable_ranks_hex: Vec<String>,
    #[serde(rename = "token_bytes_HEAD")]
    token_bytes: Vec<u32>,
    #[serde(rename = "token_bytes_G1")]
    token_bytes_classic: Vec<u32>,
}

pub(super) fn check(dir: &Path, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    let lines = bytes(&dir.join("ranks.tiktoken"))?;
    let tokenizer =
        Tokenizer::import_tiktoken(&lines).map_err(|e| Stop::Fail(format!("ranks.tiktoken: {e}")))?;
    let recorded = json::<Vocabulary>(&dir.join("vocab.json"));
    report.exact("vocab.json", recorded.as_ref().map_err(note).and_then(|v| tables(&tokenizer, v)));
    let trained = recorded.and_then(|v| {
        let docs = corpus(&find(dir, "corpus.jsonl", goldens)?)?;
        training(&docs, &v, &lines)
    });
    report.exact("training", trained);
    report.exact("encodings.json", encodings(dir, &tokenizer, goldens));
    report.exact("decode_invalid.json", decodings(dir, &tokenizer));
    report.exact("rendered.json", conversations(dir, &tokenizer, goldens));
    Ok(())
}

/// The same stop again, for a second row.
fn note(stop: &Stop) -> Stop {
    match stop {
        Stop::Fail(note) => Stop::Fail(note.clone()),
        Stop::Skip(note) => Stop::Skip(note.clone()),
    }
}

/// Sizes, special tokens, bytes of every token, and the rank lines themselves.
fn tables(tokenizer: &Tokenizer, v: &Vocabulary) -> Checked<String> {
    same("split_pattern", ::tokenizer::split::PATTERN, &v.split_pattern)?;
    same("vocab_size", tokenizer.vocab_size(), v.vocab_size)?;
    same("num_mergeable", tokenizer.num_mergeable(), v.num_mergeable)?;
    same("bos_id", tokenizer.bos(), v.bos_id)?;
    specials(tokenizer, &v.special_tokens)?;
    same("number of tokens", tokenizer.num_mergeable(), v.mergeable_ranks_hex.len())?;
    for (id, hex) in v.mergeable_ranks_hex.iter().enumerate() {
        same(&format!("token {id}"), tokenizer.token(id as u32)?, &unhex(hex)?)?;
    }
    same("token_bytes_HEAD", &tokenizer.token_bytes(), &v.token_bytes)?;
    same("token_bytes_G1", &tokenizer.token_bytes_classic(), &v.token_bytes_classic)?;
    Ok(format!("{} ids", v.vocab_size))
}

/// The corpus gives the same merges and, exported, the same file.
fn training(docs: &[String], v: &Vocabulary, lines: &[u8]) -> Checked<String> {
    let (tokenizer, report) = train(docs, v.vocab_size)?;
    let ours = merges(&report);
    if let Some(k) = (0..ours.len().max(v.merges.len())).find(|&k| ours.get(k) != v.merges.get(k)) {
        same(&format!("merge {k}"), ours.get(k), v.merges.get(k))?;
    }
    let mut exported = Vec::new();
    tokenizer.export_tiktoken(&mut exported)?;
    if exported != lines {
        return fail("the exported rank lines differ from ranks.tiktoken");
    }
    Ok(format!("{} merges, {} documents", ours.len(), docs.len()))
}

#[derive(Deserialize)]
struct Encodings {
    encode: Vec<Encoding>,
    batch_prepend_bos_append_end: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Encoding {
    i: usize,
    ids: Vec<u32>,
}

fn encodings(dir: &Path, tokenizer: &Tokenizer, goldens: Option<&Path>) -> Checked<String> {
    let recorded: Encodings = json(&dir.join("encodings.json"))?;
    let strings = json::<Strings>(&find(dir, "strings.json", goldens)?)?.strings;
    for Encoding { i, ids } in &recorded.encode {
        let Some(text) = strings.get(*i) else {
            return fail(format!("encodings.json: there is no string {i}"));
        };
        same(&format!("string {i}, {text:?}"), &tokenizer.encode(text), ids)?;
        same(&format!("string {i}, decoded"), &tokenizer.decode(ids)?, text)?;
    }
    let batch = &recorded.batch_prepend_bos_append_end;
    let Some(texts) = strings.get(..batch.len()) else {
        return fail("encodings.json: a batch without strings");
    };
    let (bos, end) = (tokenizer.bos(), tokenizer.special(Special::AssistantEnd));
    same("batch", &tokenizer.encode_batch_between(Some(bos), texts, Some(end)), batch)?;
    some(recorded.encode.len(), "strings")
}

#[derive(Deserialize)]
struct Decoding {
    ids: Vec<u32>,
    bytes_hex: String,
    text: String,
}

fn decodings(dir: &Path, tokenizer: &Tokenizer) -> Checked<String> {
    let cases: Vec<Decoding> = json(&dir.join("decode_invalid.json"))?;
    for Decoding { ids, bytes_hex, text } in &cases {
        same(&format!("bytes of {ids:?}"), tokenizer.decode_bytes(ids)?, unhex(bytes_hex)?)?;
        same(&format!("text of {ids:?}"), &tokenizer.decode(ids)?, text)?;
    }
    some(cases.len(), "lists of ids")
}

/// One rendering: ids and mask, ids to complete, or an error of either.
#[derive(Deserialize)]
struct Rendering {
    name: String,
    max_tokens: Option<usize>,
    ids: Option<Vec<u32>>,
    mask: Option<Vec<u8>>,
    error: Option<String>,
    render_for_completion: Option<Vec<u32>>,
    render_for_completion_error: Option<String>,
}

fn conversations(dir: &Path, tokenizer: &Tokenizer, goldens: Option<&Path>) -> Checked<String> {
    let cases: Vec<Rendering> = json(&dir.join("rendered.json"))?;
    let all: Vec<Conversation> = json(&find(dir, "conversations.json", goldens)?)?;
    for case in &cases {
        let Some(entry) = all.iter().find(|c| c.name == case.name) else {
            return fail(format!("conversations.json has no conversation {}", case.name));
        };
        rendering(case, entry, tokenizer)?;
    }
    some(cases.len(), "renderings")
}

fn rendering(case: &Rendering, entry: &Conversation, tokenizer: &Tokenizer) -> Checked {
    let name = &case.name;
    let read = ::tokenizer::Conversation::from_json(&entry.conversation.to_string());
    let refused = |refused: bool| {
        if refused { Ok(()) } else { fail(format!("{name}: was rendered, the original refuses it")) }
    };
    if let Some(most) = case.max_tokens {
        let rendered = read.and_then(|c| tokenizer.render_conversation(&c, most));
        if case.error.is_some() {
            return refused(rendered.is_err());
        }
        let rendered = rendered.map_err(|e| Stop::Fail(format!("{name}: {e}")))?;
        same(&format!("{name}, ids of {most}"), Some(&rendered.ids), case.ids.as_ref())?;
        return same(&format!("{name}, mask of {most}"), Some(&rendered.mask), case.mask.as_ref());
    }
    let rendered = read.and_then(|c| tokenizer.render_for_completion(&c));
    if case.render_for_completion_error.is_some() {
        return refused(rendered.is_err());
    }
    let rendered = rendered.map_err(|e| Stop::Fail(format!("{name}: {e}")))?;
    same(&format!("{name}, to complete"), Some(&rendered), case.render_for_completion.as_ref())
}
