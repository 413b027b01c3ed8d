//! `nanochat plan --decode` as a user runs it: what is counted agrees with the formulas, and the most that fits is the last.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::process::{Command, Output};

fn run(args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nanochat")).args(args.split_whitespace()).output().unwrap()
}

/// Layers of width 64, two heads, 100 ids.
const SHAPE: &str = "--n-embd 64 --n-head 2 --vocab 100 --seq-len 256";

fn plan(args: &str) -> Value {
    let out = run(&format!("plan --decode --json {SHAPE} {args}"));
    assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn number(plan: &Value, at: &str) -> f64 {
    plan.pointer(at).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {at} in {plan}"))
}

fn operation<'a>(plan: &'a Value, name: &str) -> &'a Value {
    let all = plan["operations"].as_array().unwrap();
    all.iter().find(|op| op["operation"] == name).unwrap_or_else(|| panic!("no {name} in {plan}"))
}

#[test]
fn each_layer_adds_the_same_launches() {
    let launches = |depth: usize| number(&plan(&format!("--depth {depth} --batch 3")), "/launches");
    let [two, three, six] = [2, 3, 6].map(launches);
    assert_eq!((three - two, six - three), (14.0, 42.0), "{two}");
}

#[test]
fn memory_and_work_are_those_of_the_formulas() {
    let (layers, heads, d, batch, context) = (2.0, 2.0, 32.0, 3.0, 192.0);
    for (dtype, size) in [("bf16", 2.0), ("f32", 4.0)] {
        let plan = plan(&format!("--depth 2 --n-kv-head 1 --batch 3 --context 192 --dtype {dtype}"));
        assert_eq!(number(&plan, "/memory/kv cache"), 2.0 * layers * d * context * batch * size);
        // queries and the projection back, keys and values, the MLP; the head in whole tiles of 32 rows; the embedding stays f32
        let block = 2.0 * 64.0 * 64.0 + 2.0 * 32.0 * 64.0 + 8.0 * 64.0 * 64.0;
        let (packed, table) = (layers * block + 128.0 * 64.0, 100.0 * 64.0);
        assert_eq!(number(&plan, "/memory/weights"), size * packed + 4.0 * table);
        let products = number(operation(&plan, "packed_linear"), "/flops");
        assert_eq!(products, 2.0 * batch * (layers * block + 100.0 * 64.0));
        let attention = operation(&plan, "paged_attention");
        assert_eq!(number(attention, "/flops"), 4.0 * layers * heads * d * context * batch);
        let cache = 2.0 * layers * d * context * batch * size;
        assert_eq!(number(attention, "/bytes"), cache + 2.0 * layers * heads * d * batch * size);
        let seconds = 1e-3 * number(&plan, "/lower_bound_ms");
        assert!((number(&plan, "/tokens_per_s_at_most") * seconds - batch).abs() < 1e-6);
    }
}

#[test]
fn int8_matrices_take_fewer_bytes() {
    let weights = |more: &str| number(&plan(&format!("--depth 2 {more}")), "/memory/weights");
    assert!(weights("--quantize int8") < 0.8 * weights("") && weights("") < 0.8 * weights("--dtype f32"));
}

#[test]
fn the_most_that_fits_is_the_last_that_fits() {
    // room for 6 MB
    let small = "--depth 2 --gpu l4 --reserve 23.994";
    let of = |batch: f64, context: f64| plan(&format!("{small} --batch {batch} --context {context}"));
    let first = of(1.0, 256.0);
    let rows = number(&first, "/most_rows");
    assert!(rows > 5.0, "{first}");
    assert_eq!(of(rows, 256.0)["fits"], true);
    assert_eq!(of(rows + 1.0, 256.0)["fits"], false);
    let context = number(&of(20.0, 1.0), "/most_context");
    assert!(context > 256.0 && context < 2560.0, "{context}");
    assert_eq!(of(20.0, context)["fits"], true);
    assert_eq!(of(20.0, context + 1.0)["fits"], false);
    // where all positions fit, they are the limit
    assert_eq!(number(&plan("--depth 2"), "/most_context"), 2560.0);
}

#[test]
fn a_cache_of_more_numbers_than_a_launch_counts_is_planned() {
    let plan = plan("--depth 4 --n-kv-head 2 --batch 8192 --context 1024");
    let numbers = 2.0 * 4.0 * 64.0 * 1024.0 * 8192.0;
    assert!(numbers > 4_294_967_296.0 - 1024.0);
    assert_eq!(number(&plan, "/memory/kv cache"), 2.0 * numbers);
    assert_eq!(plan["fits"], true);
}

#[test]
fn what_cannot_be_planned_says_what_can() {
    for (args, message) in [
        ("--context 2561", "use --context 2560 or less, or --sequence-len 257 or more"),
        ("--context 0", "--context must be at least 1"),
        ("--batch 0", "must be at least 1"),
        ("--gpu abacus", "known: h100"),
        ("--n-head 3", "n_head"),
    ] {
        let out = run(&format!("plan --decode --depth 2 --vocab 100 --seq-len 256 {args}"));
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && stderr.contains(message), "{args}: {stderr}");
    }
    let out = run("plan --quantize int8");
    assert!(String::from_utf8_lossy(&out.stderr).contains("add --decode"), "{out:?}");
}
