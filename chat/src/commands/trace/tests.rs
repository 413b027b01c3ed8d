//! The document of a tiny model: its order, and the numbers that follow from mathematics alone.

use super::document::Item;
use super::*;
use crate::globals::parsed;
use kernels::DType;
use model::RotaryTables;
use numbers::{Stats, six};
use tensor::Device;

/// The document of `nanochat trace --depth 1 --vocab-size 300 --sequence-len 16` and more options.
fn traced(more: &[&str]) -> Document {
    let line = ["--depth", "1", "--vocab-size", "300", "--sequence-len", "16", "--quiet"];
    let (args, globals) = parsed::<Args>(&[&line, more].concat());
    let (config, tokens) = input(&args, &globals).unwrap();
    let mut doc = Document::default();
    trace(&mut doc, config, &tokens, &args, &globals).unwrap();
    doc.finish().unwrap();
    doc
}

fn item<'d>(doc: &'d Document, iteration: usize, id: &str) -> &'d Item {
    doc.items
        .iter()
        .find(|i| i.id == id && i.iteration == iteration)
        .unwrap_or_else(|| panic!("no item {id}"))
}

#[test]
fn the_document_has_its_parts_in_order() {
    let doc = traced(&["--iterations", "2"]);
    let parts = [
        "# nanochat: training steps, traced",
        "Generated: ",
        "depth=1, d_model=64, n_heads=1",
        "cpu (cpu)",
        "MODEL SCALING ANALYSIS",
        "STARTING TRAINING WITH INSTRUMENTATION",
        "ITERATION 1/2",
        "FORWARD PASS #0",
        "Input token ids",
        "Targets",
        "batch size 1, sequence length 16",
        "1. Token embeddings",
        "Embeddings, before the norm",
        "Embeddings, after RMSNorm",
        "2. Rotary position embeddings",
        "[q1·cos + q2·sin, −q1·sin + q2·cos]",
        "3. Transformer blocks",
        "Input to block 0",
        "**1a.**",
        "[1b.i]",
        "[1b.ii]",
        "Q, before RoPE",
        "Q, after RoPE",
        "K, after RoPE",
        "[1b.iii]",
        "Q, after QK norm",
        "K, after QK norm",
        "Q, transposed",
        "K, transposed",
        "V, transposed",
        "causal mask",
        "Attention output",
        "Heads joined",
        "Attention output, after c_proj",
        "**1c.**",
        "**2a.**",
        "[2b.i]",
        "Input to the MLP",
        "After c_fc",
        "ReLU, before squaring",
        "ReLU²",
        "Sparsity",
        "[2b.iii]",
        "[2c]",
        "4. Final norm",
        "5. Language-model head",
        "untied",
        "Logits, before the softcap",
        "Logits, after the softcap",
        "6. Loss",
        "BACKWARD PASS",
        "Gradient of wte",
        "Gradient of lm_head",
        "**Iteration 1 complete.**",
        "ITERATION 2/2",
        "**Iteration 2 complete.**",
        "TRAINING COMPLETE",
        "\n6. ",
    ];
    let mut at = 0;
    for part in parts {
        let found = doc.text[at..].find(part);
        at += found.unwrap_or_else(|| {
            panic!("{part:?} does not follow after\n{}", &doc.text[at.saturating_sub(300)..at])
        });
    }
    assert!(doc.text.contains(&"#".repeat(80)));
    assert!(doc.items.iter().all(|i| i.iteration == 1), "the second iteration prints its banner only");
}

#[test]
fn items_come_in_the_order_of_the_computation_with_their_shapes() {
    let doc = traced(&["--iterations", "1"]);
    let got: Vec<String> =
        doc.items.iter().map(|i| format!("{}{}", i.id, numbers::tuple(&i.shape))).collect();
    let heads = "(1, 1, 16, 64)"; // (B, H, T, D)
    let want = [
        "idx(1, 16)",
        "targets(1, 16)",
        "wte_out(1, 16, 64)",
        "embed_norm(1, 16, 64)",
        "cos(1, 16, 1, 32)",
        "sin(1, 16, 1, 32)",
        "block0.in(1, 16, 64)",
        "block0.attn_norm(1, 16, 64)",
        "block0.q(1, 16, 1, 64)",
        "block0.k(1, 16, 1, 64)",
        "block0.v(1, 16, 1, 64)",
        "block0.q_before_rope(1, 16, 1, 64)",
        "block0.q_rope(1, 16, 1, 64)",
        "block0.k_rope(1, 16, 1, 64)",
        "block0.q_norm(1, 16, 1, 64)",
        "block0.k_norm(1, 16, 1, 64)",
        &format!("block0.q_heads{heads}"),
        &format!("block0.k_heads{heads}"),
        &format!("block0.v_heads{heads}"),
        &format!("block0.attn{heads}"),
        "block0.attn_joined(1, 16, 64)",
        "block0.attn_proj(1, 16, 64)",
        "block0.after_attn(1, 16, 64)",
        "block0.mlp_norm(1, 16, 64)",
        "block0.mlp_in(1, 16, 64)",
        "block0.fc(1, 16, 256)",
        "block0.relu(1, 16, 256)",
        "block0.relu2(1, 16, 256)",
        "block0.mlp_proj(1, 16, 64)",
        "block0.residual(1, 16, 64)",
        "block0.mlp_out(1, 16, 64)",
        "block0.out(1, 16, 64)",
        "final_norm_in(1, 16, 64)",
        "final_norm(1, 16, 64)",
        "logits_raw(1, 16, 300)",
        "logits(1, 16, 300)",
        "loss(1,)",
        "wte_grad(300, 64)",
        "lm_head_grad(300, 64)",
    ];
    assert_eq!(got, want);
}

#[test]
fn a_fresh_model_shows_what_mathematics_says() {
    let doc = traced(&["--iterations", "1"]);
    let get = |id: &str| item(&doc, 1, id);
    for id in ["block0.attn_proj", "block0.mlp_proj", "logits_raw", "logits", "wte_grad"] {
        let i = get(id);
        assert_eq!([i.mean, i.std, i.min, i.max], [0.0; 4], "{id}");
    }
    let stream = get("embed_norm");
    for id in ["block0.in", "block0.after_attn", "block0.out", "final_norm_in"] {
        let i = get(id);
        assert_eq!([i.mean, i.std, i.min, i.max], [stream.mean, stream.std, stream.min, stream.max], "{id}");
    }
    assert!((get("loss").mean - 300f64.ln()).abs() < 5e-6 && get("loss").std.is_nan());
    for id in ["block0.q_norm", "block0.k_norm"] {
        let i = get(id);
        let square = i.mean * i.mean + i.std * i.std * 1023.0 / 1024.0;
        assert!((square - 1.0).abs() < 1e-5, "{id}: a mean square of {square}");
    }
    assert!((get("block0.q_before_rope").std - get("block0.q_rope").std).abs() < 1e-3);
    let (fc, relu, relu2) = (get("block0.fc"), get("block0.relu"), get("block0.relu2"));
    assert_eq!((relu.max, relu.min), (fc.max, 0.0));
    assert!((relu2.max - fc.max * fc.max).abs() < 1e-4);
    assert!(doc.text.contains("the two agree"));
    assert!(get("lm_head_grad").std > 0.0);
}

#[test]
fn the_rotary_tables_of_the_original_have_their_known_statistics() {
    let tables = RotaryTables::new(10_000.0, 128, 1024, RopeTable::Bf16, Device::Cpu).unwrap();
    let numbers = |t: &tensor::Tensor| {
        let s = Stats::of(&t.cast(DType::Bf16).unwrap()).unwrap();
        [s.mean(), s.std(), s.min, s.max].map(six)
    };
    assert_eq!(numbers(&tables.cos), ["0.286139", "0.723427", "-1.000000", "1.000000"]);
    assert_eq!(numbers(&tables.sin), ["0.163450", "0.606759", "-1.000000", "1.000000"]);
}

#[test]
fn an_optimizer_step_wakes_the_blocks_up() {
    let still = traced(&["--iterations", "2", "--every-iteration"]);
    let loss = |doc: &Document, i| item(doc, i, "loss").mean;
    assert_eq!(loss(&still, 1), loss(&still, 2));
    let trained = traced(&["--iterations", "3", "--every-iteration", "--optimizer-step"]);
    assert!(loss(&trained, 3) < loss(&trained, 2) && loss(&trained, 2) < loss(&trained, 1));
    assert_eq!(item(&trained, 1, "wte_grad").std, 0.0);
    assert!(item(&trained, 2, "wte_grad").std > 0.0 && item(&trained, 3, "block0.attn_proj").std > 0.0);
}

#[test]
fn tracing_twice_gives_the_same_numbers() {
    let (a, b) = (traced(&["--iterations", "1"]), traced(&["--iterations", "1"]));
    assert!(compare::compare(&a.items, &b.items, 0.0).iter().all(|row| row.difference.is_none()));
    let other = traced(&["--iterations", "1", "--seed", "43"]);
    assert!(compare::compare(&a.items, &other.items, 1e-5).iter().any(|row| row.difference.is_some()));
}
