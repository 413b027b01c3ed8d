//! Small dumps of further kinds, made here by formulas of their own, so that the paths through `parity` that need a whole
//! model's optimizer, a cache or a training run are exercised without any recorded file.

#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use model::generate::{Sampling, generate};
use model::{Gpt, GptConfig, GptOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tensor::{DType, Device, Tensor, safetensors};
use tests::LeakCheck;
use train::parity::{self, Options, Row, Status};

type Tensors = BTreeMap<String, Tensor>;

/// The rows that failed.
fn failures(path: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let options = Options { allow_skip: false, goldens: None, device: Device::Cpu };
    let summary = parity::run(&[path.to_path_buf()], &options, &mut |row| rows.push(row.clone())).unwrap();
    assert_eq!(summary.passed(), rows.iter().all(|r| r.status == Status::Ok) && !rows.is_empty());
    rows.into_iter().filter(|r| r.status != Status::Ok).collect()
}

fn save(path: &Path, tensors: &Tensors) {
    let file = safetensors::File { tensors: tensors.clone(), ..Default::default() };
    let mut bytes = Vec::new();
    safetensors::write(&file, &mut bytes).unwrap();
    fs::write(path, bytes).unwrap();
}

fn tensor(data: &[f64], dims: &[usize]) -> Tensor {
    Tensor::from_f64(data, dims, DType::F32, Device::Cpu).unwrap()
}

const WIDTH: usize = 192;
/// √(768/192)
const WIDTH_SCALE: f64 = 2.0;

/// One clipped step of a model with one matrix of each rule. Only the head has a gradient, of norm 4; AdamW's first step
/// moves a weight by the learning rate against the sign of its gradient, whatever the gradient's size.
fn one_step(head_rate: f64) -> Tensors {
    let n = 4 * WIDTH;
    let start: Vec<f64> = (0..n).map(|i| (i as f64 * 0.37).sin()).collect();
    let size = 4.0 / (n as f64).sqrt();
    let gradient: Vec<f64> = (0..n).map(|i| if i % 3 == 0 { -size } else { size }).collect();
    let moved: Vec<f64> = start.iter().zip(&gradient).map(|(p, g)| p - head_rate * g.signum()).collect();
    let clipped: Vec<f64> = gradient.iter().map(|g| g / (4.0 + 1e-6)).collect();
    let dims = [4, WIDTH];
    let (still, zero) = (tensor(&start, &dims), tensor(&vec![0.0; n], &dims));
    let mut out = Tensors::new();
    for name in ["transformer.wte.weight", "transformer.h.0.attn.c_q.weight"] {
        for (step, t) in [("p0", &still), ("p1", &still), ("grad0", &zero), ("clipped0", &zero)] {
            out.insert(format!("{step}.{name}"), t.clone());
        }
    }
    for (step, data) in [("p0", &start), ("p1", &moved), ("grad0", &gradient), ("clipped0", &clipped)] {
        out.insert(format!("{step}.lm_head.weight"), tensor(data, &dims));
    }
    out
}

#[test]
fn a_whole_models_optimizer_step_is_clipped_grouped_and_scaled() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    let head = 0.004 * WIDTH_SCALE;
    let by_multiplier =
        json!({"hyperparams_per_step": [{"lr_mult": 1.0, "muon_momentum": 0.85}], "steps": 1});
    let rates = |scale: f64| {
        let step = json!({"muon_lr": 0.02, "lm_head_lr": 0.004 * scale, "wte_lr": 0.2 * scale, "muon_momentum": 0.85});
        json!({"hyperparams_per_step": [step]})
    };
    save(&root.path().join("data.safetensors"), &one_step(head));
    for info in [by_multiplier, rates(1.0), rates(WIDTH_SCALE)] {
        fs::write(root.path().join("info.json"), info.to_string()).unwrap();
        assert_eq!(failures(root.path()), [], "{info}");
    }
    fs::write(
        root.path().join("info.json"),
        r#"{"hyperparams_per_step":[{"lr_mult":0.9,"muon_momentum":0.85}]}"#,
    )
    .unwrap();
    assert_eq!(failures(root.path()).len(), 1, "another rate moves the head");
    fs::write(root.path().join("info.json"), "{}").unwrap();
    assert_eq!(failures(root.path()).len(), 1, "no steps");
}

#[test]
fn weights_that_were_not_understood_or_went_missing_fail_their_rows() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    let info = r#"{"hyperparams_per_step":[{"lr_mult":1,"muon_momentum":0.85}]}"#;
    fs::write(root.path().join("info.json"), info).unwrap();
    let mut dump = one_step(0.004 * WIDTH_SCALE);
    dump.insert("surprise".into(), tensor(&[1.0], &[1]));
    dump.remove("p1.transformer.wte.weight");
    save(&root.path().join("data.safetensors"), &dump);
    let names: Vec<String> = failures(root.path()).into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["surprise", "p1.transformer.wte.weight"]);
}

fn small_model() -> Gpt {
    let sizes = GptConfig { sequence_len: 64, vocab_size: 60, n_layer: 2, ..GptConfig::default() };
    let config = GptConfig { n_head: 4, n_kv_head: 1, n_embd: 32, ..sizes };
    let fill = |(p, (name, dims)): (usize, (String, Vec<usize>))| {
        let data: Vec<f64> =
            (0..dims[0] * dims[1]).map(|i| 0.4 * (0.9 * i as f64 + p as f64).sin()).collect();
        (name, tensor(&data, &dims))
    };
    let weights = config.param_shapes().into_iter().enumerate().map(fill).collect();
    Gpt::from_weights(config, weights, GptOptions::default()).unwrap()
}

fn rows_of(gpt: &Gpt, ids: &[i32]) -> Tensor {
    gpt.all_logits(&Tensor::ids(ids, &[1, ids.len()], Device::Cpu).unwrap()).unwrap()
}

/// A greedy dump without any cache: the whole sequence is run once, its last rows are the logits.
fn greedy_dump(dir: &Path, change: impl Fn(&mut Value, &mut Tensors)) {
    let gpt = small_model();
    let prompt: Vec<i32> = (0..70).map(|i| (i * i + 3) % 60).collect();
    let unsigned: Vec<u32> = prompt.iter().map(|&id| id as u32).collect();
    let ids = generate(&gpt, &unsigned, 8, Sampling::greedy(), |_| true).unwrap();
    let all: Vec<i32> = prompt.iter().copied().chain(ids[..7].iter().map(|&id| id as i32)).collect();
    let mut tensors = gpt.to_file().tensors;
    tensors.insert("expected.kv_logits".into(), rows_of(&gpt, &all).narrow(0, 69, 8).unwrap());
    tensors.insert("expected.chunked_prefill_logits".into(), rows_of(&gpt, &prompt));
    let c = gpt.config();
    let mut dump = json!([{
        "config": {"sequence_len": c.sequence_len, "vocab_size": c.vocab_size, "n_layer": c.n_layer,
                   "n_head": c.n_head, "n_kv_head": c.n_kv_head, "n_embd": c.n_embd},
        "prompt": prompt, "greedy_ids": ids, "naive_generate_ids": ids,
        "batch3_first8": [ids, ids, ids],
        "single_token_prompt": {"prompt": [prompt[0]], "greedy_ids": generate(&gpt, &unsigned[..1], 4, Sampling::greedy(), |_| true).unwrap()},
        "chunked_prefill_bounds": [0, 7, 8, 70],
    }]);
    change(&mut dump, &mut tensors);
    fs::write(dir.join("greedy.json"), dump.to_string()).unwrap();
    save(&dir.join("greedy0.safetensors"), &tensors);
}

#[test]
fn greedy_decoding_equals_the_whole_sequence_at_once() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    greedy_dump(root.path(), |_, _| ());
    assert_eq!(failures(root.path()), []);
    greedy_dump(root.path(), |dump, _| dump[0]["greedy_ids"][7] = json!(59));
    let names: Vec<String> = failures(root.path()).into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["greedy0 ids", "greedy0 ids, generate()"]);
    greedy_dump(root.path(), |_, t| _ = t.remove("expected.kv_logits"));
    assert!(failures(root.path())[0].note.contains("expected.kv_logits"));
    for (key, value) in [
        ("prompt", json!([])),
        ("prompt", json!([60])),
        ("chunked_prefill_bounds", json!([0, 71])),
        ("chunked_prefill_bounds", json!([5, 2])),
        ("config", json!({})),
    ] {
        greedy_dump(root.path(), |dump, _| dump[0][key] = value.clone());
        assert!(!failures(root.path()).is_empty(), "{key} {value}");
    }
    fs::write(root.path().join("greedy1.safetensors"), "").unwrap();
    greedy_dump(root.path(), |_, _| ());
    assert_eq!(failures(root.path())[0].name, "greedy1.safetensors");
}

#[test]
fn json_dumps_with_odd_contents_fail() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    for file in [
        "schedules.json",
        "calculator.json",
        "tool_state_machine.json",
        "sampling.json",
        "derivations.json",
        "facts.json",
        "init_stats_x.json",
        "vocab.json",
        "ranks.tiktoken",
        "micro_train.json",
        "split_pieces.json",
        "corpus.jsonl",
        "early_stop.json",
        "text_iterator.json",
        "greedy.json",
        "newton_schulz5.safetensors",
    ] {
        for text in
            ["", "[", "[]", "{}", "[{}]", "null", "NaN", "\u{fffd}", r#"{"g1":{"N=x":[{}]}}"#, r#"{"x":[1]}"#]
        {
            fs::write(root.path().join(file), text).unwrap();
            assert!(!failures(root.path()).is_empty(), "{file}: {text:?}");
        }
        fs::remove_file(root.path().join(file)).unwrap();
    }
}
