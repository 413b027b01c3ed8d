//! The loop driven by a scripted model, and by the reference scenarios.

use std::collections::HashMap;
use std::convert::Infallible;

use serde_json::Value;

use super::super::tools::ToolTokens;
use super::super::tools::tests::{BOS, Bytes, END, OUTPUT, OUTPUT_END, PYTHON, PYTHON_END};
use super::*;

/// Samples what its script says, row by row, then `end`; remembers what it was fed.
struct Scripted {
    script: Vec<Vec<u32>>,
    end: u32,
    forwards: usize,
    fed: Vec<Vec<u32>>,
}

impl Scripted {
    fn new(script: &[Vec<u32>], end: u32) -> Self {
        Self { script: script.to_vec(), end, forwards: 0, fed: Vec::new() }
    }
}

impl Forward for Scripted {
    type Error = Infallible;

    fn prefill(&mut self, prompt: &[u32], _rows: usize, _max_new: Option<usize>) -> Result<(), Infallible> {
        (self.forwards, self.fed) = (1, vec![vec![prompt[prompt.len() - 1]]]);
        Ok(())
    }

    fn sample(&mut self, _sampling: &Sampling, draw: u64) -> Result<Vec<u32>, Infallible> {
        assert_eq!(draw + 1, self.forwards as u64, "one sample per forward pass");
        Ok(self.script.iter().map(|row| row.get(draw as usize).copied().unwrap_or(self.end)).collect())
    }

    fn step(&mut self, column: &[u32]) -> Result<(), Infallible> {
        self.forwards += 1;
        self.fed.push(column.to_vec());
        Ok(())
    }
}

fn options(rows: usize, max_tokens: usize) -> GenerateOptions {
    GenerateOptions { num_samples: rows, max_tokens: Some(max_tokens), ..GenerateOptions::default() }
}

#[test]
fn forced_tokens_replace_samples_and_the_ended_row_keeps_running() {
    let script = [
        [&[PYTHON][..], &Bytes.encode("2*2"), &[PYTHON_END, 1, 1, 1, 65, END]].concat(),
        vec![66, END, 67, 68, 69, 70, 71, 72, 73, 74],
    ];
    let mut engine = Engine::new(Scripted::new(&script, END), Bytes);
    let columns: Vec<Column> =
        engine.generate(&[BOS], &options(2, 40)).unwrap().map(Result::unwrap).collect();
    let row = |r: usize| columns.iter().map(|c| c.tokens[r]).collect::<Vec<_>>();
    assert_eq!(row(0)[5..], [OUTPUT, u32::from(b'4'), OUTPUT_END, 65, END]);
    assert_eq!(row(1), script[1]);
    assert_eq!(columns[6].sampled, [false, true]);
    assert_eq!(columns[1].finished, [false, false], "the column that ends a row is still its own");
    assert_eq!(columns[2].finished, [false, true]);
    assert_eq!(engine.model.fed.len(), columns.len(), "the last column is not fed");

    let batch = engine.generate_batch(&[BOS], &options(2, 40)).unwrap();
    assert_eq!(batch.sequences[1], [BOS, 66]);
    assert_eq!(batch.sampled[1], [false, true]);
    assert_eq!(batch.sequences[0].last(), Some(&65));
}

#[test]
fn rows_are_sampled_independently_from_the_first_token_on() {
    let script: Vec<Vec<u32>> = (0..4).map(|row| vec![65 + row]).collect();
    let mut engine = Engine::new(Scripted::new(&script, END), Bytes);
    let first = |engine: &mut Engine<Scripted, Bytes>, options| {
        engine.generate(&[BOS], &options).unwrap().next().unwrap().unwrap().tokens
    };
    assert_eq!(first(&mut engine, options(4, 1)), [65, 66, 67, 68]);
    let compat = Compat { broadcast_first_token: true, ..Compat::default() };
    assert_eq!(first(&mut engine, GenerateOptions { compat, ..options(4, 1) }), [65; 4]);
}

#[test]
fn the_number_of_columns_is_bounded() {
    let mut engine = Engine::new(Scripted::new(&[vec![65; 100]], END), Bytes);
    for most in [0, 1, 7] {
        assert_eq!(engine.generate(&[BOS], &options(1, most)).unwrap().count(), most);
        assert_eq!(engine.generate_batch(&[BOS], &options(1, most)).unwrap().sequences[0].len(), 1 + most);
    }
    let unbounded = GenerateOptions::default();
    assert_eq!(engine.generate(&[BOS], &unbounded).unwrap().count(), 101);
}

#[test]
fn bad_requests_are_refused_before_the_model_runs() {
    let mut engine = Engine::new(Scripted::new(&[vec![65]], END), Bytes);
    let refused = |engine: &mut Engine<Scripted, Bytes>, prompt: &[u32], o: &GenerateOptions| {
        engine.generate(prompt, o).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refused(&mut engine, &[], &options(1, 1)).contains("<|bos|>"));
    assert!(refused(&mut engine, &[BOS], &options(0, 1)).contains("num_samples"));
    for temperature in [-0.1, f32::NAN, f32::INFINITY] {
        let sampling = Sampling { temperature, ..Sampling::default() };
        assert!(
            refused(&mut engine, &[BOS], &GenerateOptions { sampling, ..options(1, 1) })
                .contains("temperature")
        );
    }
    assert!(engine.model.fed.is_empty());
    assert!(matches!(
        engine.generate_batch(&[BOS], &options(3, 1)),
        Err(GenerateError::Rows { rows: 3, got: 1 })
    ));
}

/// The reference vocabulary, enough of it for results of calculations: digits in twos, all else byte by byte.
struct Vocabulary {
    bytes: Vec<Vec<u8>>,
    ids: HashMap<Vec<u8>, u32>,
    special: HashMap<String, u32>,
}

impl Vocabulary {
    fn load(path: &str) -> Self {
        let json = read(path);
        let hex = |s: &str| {
            (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
        };
        let bytes: Vec<Vec<u8>> = json["mergeable_ranks_hex"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| hex(s.as_str().unwrap()))
            .collect();
        let special = json["special_tokens"].as_object().unwrap();
        Self {
            ids: bytes.iter().cloned().zip(0..).collect(),
            bytes,
            special: special.iter().map(|(name, id)| (name.clone(), id.as_u64().unwrap() as u32)).collect(),
        }
    }
}

impl ToolTokens for Vocabulary {
    fn bos(&self) -> u32 {
        self.special["<|bos|>"]
    }
    fn assistant_end(&self) -> u32 {
        self.special["<|assistant_end|>"]
    }
    fn python_start(&self) -> u32 {
        self.special["<|python_start|>"]
    }
    fn python_end(&self) -> u32 {
        self.special["<|python_end|>"]
    }
    fn output_start(&self) -> u32 {
        self.special["<|output_start|>"]
    }
    fn output_end(&self) -> u32 {
        self.special["<|output_end|>"]
    }
    fn encode(&self, text: &str) -> Vec<u32> {
        let mut rest = text.as_bytes();
        let mut ids = Vec::new();
        while !rest.is_empty() {
            let two_digits = rest.len() > 1 && rest[..2].iter().all(u8::is_ascii_digit);
            let n = if two_digits && self.ids.contains_key(&rest[..2]) { 2 } else { 1 };
            ids.push(self.ids[&rest[..n]]);
            rest = &rest[n..];
        }
        ids
    }
    fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            match self.bytes.get(id as usize) {
                Some(ordinary) => bytes.extend(ordinary),
                None => bytes.extend(self.special.iter().find(|(_, i)| **i == id).unwrap().0.bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn read(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(json: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(json.clone()).unwrap()
}

fn masks(sampled: &[Vec<bool>]) -> Vec<Vec<u32>> {
    sampled.iter().map(|row| row.iter().map(|&s| u32::from(s)).collect()).collect()
}

#[test]
#[allow(clippy::print_stderr)]
fn reference_scenarios_agree_token_by_token() {
    let Ok(folder) = std::env::var("NANOCHAT_GOLDENS") else {
        eprintln!("notice: NANOCHAT_GOLDENS is not set, the tool scenarios were not compared");
        return;
    };
    let vocabulary = Vocabulary::load(&format!("{folder}/tokenizer/v2048/vocab.json"));
    let generations = [
        ("g1", Compat { broadcast_first_token: true, forward_after_last: false }),
        ("g2", Compat { broadcast_first_token: false, forward_after_last: true }),
    ];
    for (generation, compat) in generations {
        let dump = read(&format!("{folder}/engine/{generation}/tool_state_machine.json"));
        let scenarios = dump["scenarios"].as_array().unwrap();
        assert!(!scenarios.is_empty());
        for scenario in scenarios {
            compare(scenario, generation, &vocabulary, compat);
        }
    }
}

fn compare(scenario: &Value, generation: &str, vocabulary: &Vocabulary, compat: Compat) {
    let name = format!("{generation}: {}", scenario["name"]);
    let script = ids(&scenario["sampled_per_row"]);
    let prompt: Vec<u32> = serde_json::from_value(scenario["prompt"].clone()).unwrap();
    let max_tokens = scenario["max_tokens"].as_u64().unwrap() as usize;
    let options = GenerateOptions { compat, ..options(script.len(), max_tokens) };
    let mut engine = Engine::new(Scripted::new(&script, vocabulary.assistant_end()), vocabulary);

    let columns: Vec<Column> = engine.generate(&prompt, &options).unwrap().map(Result::unwrap).collect();
    let tokens: Vec<_> = columns.iter().map(|c| c.tokens.clone()).collect();
    let sampled: Vec<_> = columns.iter().map(|c| c.sampled.clone()).collect();
    assert_eq!(tokens, ids(&scenario["generate_columns"]), "{name}");
    assert_eq!(masks(&sampled), ids(&scenario["generate_masks"]), "{name}");
    assert_eq!(engine.model.fed, ids(&scenario["model_fed_tokens"]), "{name}");

    let batch = engine.generate_batch(&prompt, &options).unwrap();
    assert_eq!(batch.sequences, ids(&scenario["batch_results"]), "{name}");
    assert_eq!(masks(&batch.sampled), ids(&scenario["batch_masks"]), "{name}");
    let texts: Vec<String> = batch.sequences.iter().map(|row| vocabulary.decode(row)).collect();
    assert_eq!(serde_json::json!(texts), scenario["batch_text"], "{name}");
}
