//! From the final hidden states to the loss, and back to the gradients of the two big matrices.
//!
//! The logits of a whole row would be the largest tensor of the model, (T, V). They are made, measured and forgotten in
//! chunks of rows, as the training loss does it.

use super::document::{Document, Facts};
use super::numbers::{Stats, tuple};
use autograd::ops::lm_head_loss::chunk_rows;
use model::Gpt;
use tensor::Tensor;
use train::data::Batch;

/// Section 5: logits of the hidden states `x` (B, T, C), before and after the softcap.
pub fn logits(doc: &mut Document, gpt: &Gpt, x: &Tensor, targets: &Tensor) -> anyhow::Result<()> {
    let config = gpt.config();
    let (b, t, c, v) = (x.dim(0), x.dim(1), config.n_embd, config.vocab_size);
    doc.heading(3, "5. Language-model head");
    doc.text(&format!(
        "Every hidden state is multiplied with each row of `lm_head`, of shape {}: {} → {}.",
        tuple(&[v, c]),
        tuple(&[b, t, c]),
        tuple(&[b, t, v])
    ));
    doc.text("The head is **untied**: `lm_head` and the embedding `wte` are two matrices, each with its own gradient.");
    let weight = gpt.params().last().map(|p| p.value().cast(x.dtype())).transpose()?;
    let Some(weight) = weight else { return Ok(()) };
    let (wt, flat) = (weight.transpose(0, 1)?, x.reshape(&[b * t, c])?);
    let (mut raw, mut capped) = (Stats::default(), Stats::default());
    let mut facts = None;
    for start in (0..b * t).step_by(chunk_rows(v)) {
        let rows = chunk_rows(v).min(b * t - start);
        let mut z = flat.narrow(0, start, rows)?.matmul_into_dtype(&wt, x.accumulator())?;
        raw.merge(&Stats::of(&z)?);
        z.cross_entropy_(&targets.narrow(0, start, rows)?, config.softcap)?; // leaves the capped logits in z
        capped.merge(&Stats::of(&z)?);
        facts.get_or_insert_with(|| (Facts::of(&z), Facts::of(&z)));
    }
    let Some((before, after)) = facts else { return Ok(()) };
    let note = if raw.is_zero() { "lm_head starts at zero: every token is equally likely" } else { "" };
    doc.measured("logits_raw", "Logits, before the softcap", before.shaped(&[b, t, v]), raw, note);
    let cap = config.softcap;
    doc.text(&format!("    softcap(z) = {cap}·tanh(z/{cap}), smoothly between −{cap} and {cap}"));
    doc.measured("logits", "Logits, after the softcap", after.shaped(&[b, t, v]), capped, "");
    Ok(())
}

/// Section 6: the loss.
pub fn loss(doc: &mut Document, loss: &Tensor, vocab: usize, targets: usize) -> tensor::Result<()> {
    doc.heading(3, "6. Loss");
    doc.text(&format!(
        "Cross-entropy −ln softmax(z)[target] in nats, reduced by the mean over {targets} targets. A model that knows \
         nothing has ln {vocab} = {:.6}.",
        (vocab as f64).ln()
    ));
    doc.item("loss", "Loss", &loss.reshape(&[1])?, "a single number has no standard deviation");
    Ok(())
}

/// The gradients of embedding and head, after the backward pass.
pub fn gradients(doc: &mut Document, gpt: &Gpt) {
    doc.heading(2, "BACKWARD PASS");
    doc.text("The tape is walked in reverse; every operation adds its share to the gradients of its inputs.");
    for (param, name, why_zero) in [
        (
            gpt.params().first(),
            "wte",
            "exactly zero: the gradient of the hidden states is dz·lm_head, and lm_head is still zero. Only the head \
             learns in the first step",
        ),
        (gpt.params().last(), "lm_head", "exactly zero"),
    ] {
        let Some(param) = param else { continue };
        match param.grad().get() {
            Some(grad) => {
                let stats = doc.item(&format!("{name}_grad"), &format!("Gradient of {name}"), &grad, "");
                if stats.is_zero() {
                    doc.note(why_zero);
                }
            }
            None => doc.note(&format!("no gradient reached {name}")),
        }
    }
}

/// The input of a forward pass.
pub fn input(doc: &mut Document, batch: &Batch, origin: &str) -> tensor::Result<()> {
    let (b, t) = (batch.ids.dim(0), batch.ids.dim(1));
    doc.heading(2, "FORWARD PASS #0");
    doc.item("idx", "Input token ids (idx)", &batch.ids, "");
    doc.item("targets", "Targets", &batch.targets.reshape(&[b, t])?, "the input, one position further");
    doc.note(&format!("batch size {b}, sequence length {t}; {origin}"));
    Ok(())
}
