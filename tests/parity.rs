//! The judge is judged: dumps that we make ourselves pass, and every way to damage them is a row that fails, never a panic.

#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use autograd::Tape;
use autograd::ops::lm_head_loss::mean_weights;
use model::{Gpt, GptConfig, GptOptions, RopeTable};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tensor::{DType, Device, Tensor, safetensors};
use tests::LeakCheck;
use train::parity::{self, Options, Row, Status, Summary};

fn compare(path: &Path, allow_skip: bool) -> (Summary, Vec<Row>) {
    let mut rows = Vec::new();
    let options = Options { allow_skip, goldens: None, device: Device::Cpu };
    let summary = parity::run(&[path.to_path_buf()], &options, &mut |row| rows.push(row.clone())).unwrap();
    (summary, rows)
}

fn save(path: &Path, tensors: BTreeMap<String, Tensor>) {
    let file = safetensors::File { tensors, ..Default::default() };
    let mut bytes = Vec::new();
    safetensors::write(&file, &mut bytes).unwrap();
    fs::write(path, bytes).unwrap();
}

fn weights(config: &GptConfig) -> Vec<(String, Tensor)> {
    let fill = |(p, (name, dims)): (usize, (String, Vec<usize>))| {
        let data: Vec<f32> =
            (0..dims[0] * dims[1]).map(|i| 0.3 * (0.7 * i as f32 + p as f32).sin()).collect();
        (name, Tensor::from_slice(&data, &dims, Device::Cpu).unwrap())
    };
    config.param_shapes().into_iter().enumerate().map(fill).collect()
}

/// What a model makes, under the names of dumps.
fn recorded(gpt: &Gpt, ids: &Tensor, targets: &Tensor) -> [BTreeMap<String, Tensor>; 2] {
    let (b, t, v) = (ids.dim(0), ids.dim(1), gpt.config().vocab_size);
    let (mut expected, mut acts) = (BTreeMap::new(), BTreeMap::new());
    let mut put = |name: &str, value: Tensor| expected.insert(name.to_string(), value);
    put("logits", gpt.all_logits(ids).unwrap().reshape(&[b, t, v]).unwrap());
    let (mean, _) = mean_weights(targets, DType::F32).unwrap();
    let tape = Tape::new();
    let [loss, rows] = gpt.loss(ids, targets, &mean, Some(&tape)).unwrap();
    put("loss", loss.value().reshape(&[1]).unwrap());
    put("loss_per_token", rows.value().reshape(&[b, t]).unwrap());
    let ones = Tensor::full(1.0, targets.dims(), DType::F32, Device::Cpu).unwrap();
    put("loss_sum", gpt.loss(ids, targets, &ones, None).unwrap()[0].value().reshape(&[1]).unwrap());
    loss.backward(1.0).unwrap();
    for p in gpt.params() {
        put(&format!("grad.{}", p.name), p.grad().get().unwrap());
    }
    let mut see = |name: &str, value: &autograd::Var| {
        let name = match name {
            "wte_out" => "wte_out".to_string(),
            "final_norm" => "final_norm_out".to_string(),
            "block0.in" => "block0_in".to_string(),
            "block0.out" => "block0_out".to_string(),
            "block0.attn_proj" => "attn0_out".to_string(),
            "block0.mlp_proj" => "mlp0_out".to_string(),
            _ => return,
        };
        acts.insert(format!("act.{name}"), value.value().clone());
    };
    gpt.hidden(ids, None, &mut see).unwrap();
    acts.insert("cos".into(), gpt.rotary().cos.narrow(0, 0, t).unwrap());
    acts.insert("sin".into(), gpt.rotary().sin.narrow(0, 0, t).unwrap());
    [expected, acts]
}

/// A dump of a model with one block, made with our own code.
fn dump(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let sizes = GptConfig { sequence_len: 8, vocab_size: 11, n_layer: 1, ..GptConfig::default() };
    let config = GptConfig { n_head: 2, n_kv_head: 1, n_embd: 8, ..sizes };
    let ids = Tensor::ids(&[1, 2, 3, 4, 5, 6], &[2, 3], Device::Cpu).unwrap();
    let targets = Tensor::ids(&[2, 3, -1, 5, 6, 0], &[6], Device::Cpu).unwrap();
    let gpt = |rope_table| {
        let options = GptOptions { rope_table, ..GptOptions::default() };
        Gpt::from_weights(config.clone(), weights(&config), options).unwrap()
    };
    let [mut expected, mut acts] = recorded(&gpt(RopeTable::F32), &ids, &targets);
    let [mut rounded, mut tables] = recorded(&gpt(RopeTable::Bf16), &ids, &targets);
    for name in ["logits", "loss"] {
        expected.insert(format!("{name}_bf16rope"), rounded.remove(name).unwrap());
    }
    for name in ["cos", "sin"] {
        acts.insert(format!("{name}_bf16"), tables.remove(name).unwrap());
    }
    let io = [("input_ids", ids), ("targets", targets.reshape(&[2, 3]).unwrap())];
    save(&dir.join("io.safetensors"), io.map(|(name, t)| (name.to_string(), t)).into());
    save(&dir.join("weights.safetensors"), weights(&config).into_iter().collect());
    save(&dir.join("expected.safetensors"), expected);
    save(&dir.join("acts.safetensors"), acts);
    let json =
        r#"{"config":{"sequence_len":8,"vocab_size":11,"n_layer":1,"n_head":2,"n_kv_head":1,"n_embd":8}}"#;
    fs::write(dir.join("config.json"), json).unwrap();
}

const FILES: [&str; 5] =
    ["acts.safetensors", "config.json", "expected.safetensors", "io.safetensors", "weights.safetensors"];

#[test]
fn a_dump_of_our_own_passes_under_any_name_and_from_any_level() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    let case = root.path().join("anything/of any name");
    dump(&case);
    for path in [root.path(), &case, &case.join("io.safetensors")] {
        let (summary, rows) = compare(path, false);
        assert!(summary.passed(), "{rows:#?}");
        assert_eq!(summary.ok, 6 + 8 + 6 + 4, "logits and losses, gradients, activations, tables");
    }
}

#[test]
fn one_wrong_number_fails_one_row() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    dump(root.path());
    for (file, name, value) in [
        ("expected.safetensors", "logits", 0.1),
        ("expected.safetensors", "loss", 0.1),
        ("expected.safetensors", "grad.lm_head.weight", 0.1),
        ("acts.safetensors", "act.block0_out", 0.1),
        ("acts.safetensors", "cos", f64::NAN),
    ] {
        let path = root.path().join(file);
        let whole = fs::read(&path).unwrap();
        let mut tensors = safetensors::read(&path, Device::Cpu).unwrap().tensors;
        let old = &tensors[name];
        let mut numbers = old.to_f64_vec();
        numbers[0] += value;
        let new = Tensor::from_f64(&numbers, old.dims(), DType::F32, Device::Cpu).unwrap();
        tensors.insert(name.into(), new);
        save(&path, tensors);
        let (summary, rows) = compare(root.path(), false);
        assert_eq!(summary.failed, 1, "{name}");
        assert_eq!(rows.iter().find(|r| r.status == Status::Fail).unwrap().name, name);
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_tensor_too_many_or_too_few_fails() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    dump(root.path());
    for file in FILES.into_iter().filter(|f| f.ends_with("safetensors")) {
        let path = root.path().join(file);
        let whole = fs::read(&path).unwrap();
        let tensors = safetensors::read(&path, Device::Cpu).unwrap().tensors;
        let mut more = tensors.clone();
        more.insert("surprise".into(), Tensor::zeros(&[1], DType::F32, Device::Cpu).unwrap());
        // Ids may come with company; everything else has to be understood.
        save(&path, more);
        assert_eq!(compare(root.path(), true).0.passed(), file == "io.safetensors", "{file}");
        for name in tensors.keys() {
            let mut fewer = tensors.clone();
            fewer.remove(name);
            save(&path, fewer);
            assert!(!compare(root.path(), true).0.passed(), "{file} without {name}");
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn missing_truncated_and_garbled_files_fail_and_nothing_panics() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    dump(root.path());
    for file in FILES {
        let path = root.path().join(file);
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!compare(root.path(), true).0.passed(), "without {file}");
        for end in (0..whole.len()).step_by(whole.len() / 23 + 1) {
            fs::write(&path, &whole[..end]).unwrap();
            let (summary, rows) = compare(root.path(), true);
            assert!(!summary.passed(), "{file} cut at {end}");
            assert!(
                rows.iter().any(|r| r.status == Status::Fail && !r.note.is_empty()),
                "{file} cut at {end}"
            );
        }
        // Any verdict will do here: a changed byte may be harmless.
        for at in (0..whole.len().min(600)).step_by(7) {
            for value in [0, b'9', b'{', 0xff] {
                let mut garbled = whole.clone();
                garbled[at] = value;
                fs::write(&path, garbled).unwrap();
                compare(root.path(), true);
            }
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(compare(root.path(), false).0.passed());
}

#[test]
fn ids_outside_the_vocabulary_and_senseless_shapes_fail() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    dump(root.path());
    let path = root.path().join("io.safetensors");
    let t = |data: &[i32], dims: &[usize]| Tensor::ids(data, dims, Device::Cpu).unwrap();
    let good = t(&[1, 2, 3, 4, 5, 6], &[2, 3]);
    for (ids, targets) in [
        (t(&[1, 2, 3, 4, 5, 11], &[2, 3]), good.clone()),
        (t(&[1, 2, 3, 4, 5, -1], &[2, 3]), good.clone()),
        (good.clone(), t(&[1, 2, 3, 4, 5, 11], &[2, 3])),
        (good.clone(), t(&[1, 2, 3, 4, 5, -2], &[2, 3])),
        (good.clone(), t(&[1, 2, 3, 4, 5, 6], &[6])),
        (t(&[], &[0, 3]), t(&[], &[0, 3])),
        (t(&[1; 200], &[1, 200]), t(&[1; 200], &[1, 200])),
        (good.cast(DType::F32).unwrap(), good.clone()),
        (good.clone(), good.cast(DType::F32).unwrap()),
    ] {
        let shown = format!("{ids:?} {targets:?}");
        save(&path, [("input_ids".to_string(), ids), ("targets".to_string(), targets)].into());
        assert!(!compare(root.path(), true).0.passed(), "{shown}");
    }
}

#[test]
fn what_nobody_understands_fails_and_what_lacks_a_file_is_skipped() {
    let _leaks = LeakCheck::default();
    let root = tempfile::tempdir().unwrap();
    assert!(!compare(root.path(), true).0.passed(), "an empty folder");
    assert!(!compare(&root.path().join("nowhere"), true).0.passed());
    fs::write(root.path().join("README.md"), "text").unwrap();
    assert!(!compare(root.path(), true).0.passed(), "text alone");
    fs::write(root.path().join("flat_stream.json"), "[]").unwrap(); // its vocabulary is nowhere
    let (summary, rows) = compare(root.path(), true);
    assert!(summary.passed() && rows[0].status == Status::Skip);
    assert!(!compare(root.path(), false).0.passed());
    fs::write(root.path().join("surprise.json"), "{}").unwrap();
    let (summary, _) = compare(root.path(), true);
    assert_eq!((summary.failed, summary.skipped), (1, 1));
    assert!(parity::run(&[], &Options::default(), &mut |_| {}).is_err());
}
