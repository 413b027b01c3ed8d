//! Everything the reference tokenizer was recorded to do: splitting, training, encoding, decoding, rendering.
//!
//! The recordings lie in the folder `tokenizer` below the one that NANOCHAT_GOLDENS names; their README says what each
//! file holds. Without the variable the tests say so and check nothing. Vocabularies are found by listing `v*`, so
//! recordings of further sizes are checked without a change here.

#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;
use tokenizer::{Conversation, Special, Tokenizer, TrainOptions, TrainReport, split, train::Budget};

fn folder() -> Option<PathBuf> {
    let Some(goldens) = std::env::var_os("NANOCHAT_GOLDENS") else {
        // Not `eprintln!`, which the test harness hides when the test passes.
        static NOTICE: Once = Once::new();
        NOTICE.call_once(|| {
            let notice =
                b"notice: NANOCHAT_GOLDENS is not set, recordings of the reference are not checked\n";
            std::io::stderr().write_all(notice).unwrap();
        });
        return None;
    };
    Some(Path::new(&goldens).join("tokenizer"))
}

fn json(path: impl AsRef<Path>) -> Value {
    let path = path.as_ref();
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(text).collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn ids(value: &Value) -> Vec<u32> {
    list(value).iter().map(|id| number(id) as u32).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn train<S: AsRef<str>>(docs: &[S], vocab_size: usize) -> (Tokenizer, TrainReport) {
    let options = TrainOptions { vocab_size, doc_cap: usize::MAX, max_chars: u64::MAX };
    Tokenizer::train(docs, &options, &mut |_| {}).unwrap()
}

fn merges(report: &TrainReport) -> Vec<[u32; 2]> {
    report.merges.iter().map(|merge| [merge.left, merge.right]).collect()
}

/// Every recorded vocabulary: its folder, and the tokenizer its rank lines describe.
fn vocabularies(folder: &Path) -> Vec<(PathBuf, Tokenizer)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let dirs: Vec<_> = entries.filter(|path| path.join("vocab.json").exists()).collect();
    assert!(!dirs.is_empty(), "no v*/vocab.json in {}", folder.display());
    let load = |dir: PathBuf| {
        let lines = fs::read(dir.join("ranks.tiktoken")).unwrap();
        let tokenizer = Tokenizer::import_tiktoken(&lines).unwrap();
        (dir, tokenizer)
    };
    dirs.into_iter().map(load).collect()
}

#[test]
fn texts_are_split_as_recorded() {
    let Some(folder) = folder() else { return };
    let (strings, recorded) = (json(folder.join("strings.json")), json(folder.join("split_pieces.json")));
    assert_eq!(recorded["pattern"], split::PATTERN);
    let (strings, recorded) = (texts(&strings["strings"]), list(&recorded["pieces"]));
    assert_eq!(strings.len(), recorded.len());
    for (string, recorded) in strings.into_iter().zip(recorded) {
        assert_eq!(split::pieces(string).collect::<Vec<_>>(), texts(recorded), "{string:?}");
    }
}

#[test]
fn training_learns_the_recorded_vocabularies() {
    let Some(folder) = folder() else { return };
    let corpus = fs::read_to_string(folder.join("corpus.jsonl")).unwrap();
    let docs: Vec<String> = corpus.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (dir, _) in vocabularies(&folder) {
        let vocab = json(dir.join("vocab.json"));
        let (tokenizer, report) = train(&docs, number(&vocab["vocab_size"]));
        let recorded: Vec<_> =
            list(&vocab["merges"]).iter().map(|pair| [ids(pair)[0], ids(pair)[1]]).collect();
        assert_eq!(merges(&report), recorded);
        assert_eq!(tokenizer.num_mergeable(), number(&vocab["num_mergeable"]));
        assert_eq!(tokenizer.vocab_size(), number(&vocab["vocab_size"]));
        assert_eq!(tokenizer.bos() as usize, number(&vocab["bos_id"]));
        for (name, id) in vocab["special_tokens"].as_object().unwrap() {
            assert_eq!(tokenizer.special_by_name(name), id.as_u64().map(|id| id as u32), "{name}");
        }
        for (id, hex) in list(&vocab["mergeable_ranks_hex"]).iter().enumerate() {
            assert_eq!(tokenizer.token(id as u32).unwrap(), unhex(text(hex)), "token {id}");
        }
        assert_eq!(tokenizer.token_bytes(), ids(&vocab["token_bytes_HEAD"]));
        assert_eq!(tokenizer.token_bytes_classic(), ids(&vocab["token_bytes_G1"]));
        let mut lines = Vec::new();
        tokenizer.export_tiktoken(&mut lines).unwrap();
        assert!(
            lines == fs::read(dir.join("ranks.tiktoken")).unwrap(),
            "{}: rank lines differ",
            dir.display()
        );
    }
}

#[test]
fn tiny_corpora_are_trained_as_recorded() {
    let Some(folder) = folder() else { return };
    for case in list(&json(folder.join("micro_train.json"))) {
        // These sizes do not include the special tokens.
        let (tokenizer, report) = train(&texts(&case["texts"]), number(&case["vocab_size"]) + Special::COUNT);
        let recorded: Vec<_> =
            list(&case["merges"]).iter().map(|pair| [ids(pair)[0], ids(pair)[1]]).collect();
        assert_eq!(merges(&report), recorded, "{case}");
        for (merge, bytes) in report.merges.iter().zip(texts(&case["merge_bytes"])) {
            assert_eq!(tokenizer.token(merge.id).unwrap(), bytes.as_bytes(), "{case}");
        }
    }
}

#[test]
fn training_stops_early_as_recorded() {
    let Some(folder) = folder() else { return };
    let case = json(folder.join("early_stop.json"));
    let (tokenizer, report) = train(&texts(&case["texts"]), number(&case["requested_vocab_size"]));
    assert_eq!(report.vocab_size, number(&case["actual_vocab_size"]));
    assert!(report.warning().is_some_and(|warning| warning.contains(&case["actual_vocab_size"].to_string())));
    let learned: Vec<_> = (256..tokenizer.bos()).map(|id| tokenizer.token(id).unwrap().to_vec()).collect();
    let recorded: Vec<_> = texts(&case["mergeable_hex_from_256"]).into_iter().map(unhex).collect();
    assert_eq!(learned, recorded);
    for (name, id) in case["special_tokens"].as_object().unwrap() {
        assert_eq!(tokenizer.special_by_name(name), Some(number(id) as u32), "{name}");
    }
}

#[test]
fn documents_are_cut_as_recorded() {
    let Some(folder) = folder() else { return };
    for case in list(&json(folder.join("text_iterator.json"))) {
        let mut budget = Budget::new(number(&case["doc_cap"]), number(&case["max_chars"]) as u64);
        let docs = texts(&case["docs"]);
        let admitted: Vec<_> = docs.into_iter().map_while(|doc| budget.admit(doc)).collect();
        assert_eq!(admitted, texts(&case["yielded"]), "{case}");
    }
}

#[test]
fn texts_are_encoded_as_recorded() {
    let Some(folder) = folder() else { return };
    let strings = json(folder.join("strings.json"));
    let strings = texts(&strings["strings"]);
    for (dir, tokenizer) in vocabularies(&folder) {
        let recorded = json(dir.join("encodings.json"));
        for case in list(&recorded["encode"]) {
            let string = strings[number(&case["i"])];
            let encoded = tokenizer.encode(string);
            assert_eq!(encoded, ids(&case["ids"]), "{string:?}");
            assert_eq!(tokenizer.decode(&encoded).unwrap(), string);
        }
        let recorded = list(&recorded["batch_prepend_bos_append_end"]);
        let (bos, end) = (tokenizer.bos(), tokenizer.special(Special::AssistantEnd));
        let batch = tokenizer.encode_batch_between(Some(bos), &strings[..recorded.len()], Some(end));
        assert_eq!(batch, recorded.iter().map(ids).collect::<Vec<_>>());
    }
}

#[test]
fn any_ids_are_decoded_as_recorded() {
    let Some(folder) = folder() else { return };
    for (dir, tokenizer) in vocabularies(&folder) {
        for case in list(&json(dir.join("decode_invalid.json"))) {
            let ids = ids(&case["ids"]);
            assert_eq!(tokenizer.decode_bytes(&ids).unwrap(), unhex(text(&case["bytes_hex"])), "{case}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text(&case["text"]), "{case}");
            let mut stream = tokenizer.stream_decoder();
            let streamed: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            assert_eq!(streamed + &stream.finish(), text(&case["text"]), "{case}");
        }
    }
}

#[test]
fn conversations_are_rendered_or_refused_as_recorded() {
    let Some(folder) = folder() else { return };
    let conversations = json(folder.join("conversations.json"));
    for (dir, tokenizer) in vocabularies(&folder) {
        for case in list(&json(dir.join("rendered.json"))) {
            let entry = list(&conversations).iter().find(|entry| entry["name"] == case["name"]).unwrap();
            let conversation = Conversation::from_json(&entry["conversation"].to_string());
            if let Some(max_tokens) = case.get("max_tokens") {
                let rendered =
                    conversation.and_then(|c| tokenizer.render_conversation(&c, number(max_tokens)));
                match case.get("error") {
                    Some(_) => assert!(rendered.is_err(), "{case}"),
                    None => {
                        let rendered = rendered.unwrap();
                        assert_eq!(rendered.ids, ids(&case["ids"]), "{case}");
                        assert_eq!(
                            rendered.mask,
                            ids(&case["mask"]).iter().map(|&m| m as u8).collect::<Vec<_>>()
                        );
                    }
                }
            } else {
                let rendered = conversation.and_then(|c| tokenizer.render_for_completion(&c));
                match case.get("render_for_completion") {
                    Some(recorded) => assert_eq!(rendered.unwrap(), ids(recorded), "{case}"),
                    None => {
                        assert!(case["render_for_completion_error"].is_string(), "{case}");
                        assert!(rendered.is_err(), "{case}");
                    }
                }
            }
        }
    }
}
