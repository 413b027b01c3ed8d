//! The forward pass, told as it happens: an observer that turns every named value into an item with its explanation.
//!
//! The names come from `model::observe`. Some items of the document are not values of their own in the engine (heads
//! moved to the front, ReLU before squaring); they are made here from the ones that are.

use super::document::{Document, Facts};
use super::numbers::{Stats, tuple};
use autograd::Var;
use model::observe::Observer;
use model::{Gpt, RopeTable};
use tensor::{DType, Result, Tensor};

/// Writes the sections 1 to 3 of a forward pass.
pub struct Narrator<'a> {
    doc: &'a mut Document,
    gpt: &'a Gpt,
    seen: Seen,
}

/// Values needed again after they went by.
#[derive(Default)]
struct Seen {
    q: Option<Tensor>,
    q_norm: Option<Tensor>,
    k_norm: Option<Tensor>,
    v: Option<Tensor>,
    after_attn: Option<Tensor>,
    fc: Option<Tensor>,
    mlp: Option<Tensor>,
    /// The residual stream as the last block left it.
    out: Option<Tensor>,
}

impl<'a> Narrator<'a> {
    /// Writes to `doc` what `gpt` computes.
    pub fn new(doc: &'a mut Document, gpt: &'a Gpt) -> Self {
        Narrator { doc, gpt, seen: Seen::default() }
    }
}

impl Observer for Narrator<'_> {
    fn see(&mut self, name: &str, value: &Var) {
        let value = value.value();
        let written = match name.strip_prefix("block").and_then(|rest| rest.split_once('.')) {
            Some((layer, what)) => self.in_block(name, layer, what, value),
            None => self.outside(name, value),
        };
        if let Err(error) = written {
            self.doc.fail(error);
        }
    }
}

impl Narrator<'_> {
    /// Embedding, rotary tables, final norm.
    fn outside(&mut self, name: &str, x: &Tensor) -> Result<()> {
        let config = self.gpt.config();
        let doc = &mut *self.doc;
        match name {
            "wte_out" => {
                doc.heading(3, "1. Token embeddings");
                doc.text(&format!(
                    "Each token id picks one row of the embedding matrix `wte`, of shape {}: a vector of {} numbers, \
                     drawn from N(0, 1) at the start. There are no position embeddings; positions enter in section 2.",
                    tuple(&[config.vocab_size, config.n_embd]),
                    config.n_embd
                ));
                doc.item(name, "Embeddings, before the norm", x, "");
            }
            "embed_norm" => {
                doc.item(name, "Embeddings, after RMSNorm", x, "every row now has a root mean square of 1");
                self.rotary(x.dim(1))?;
                let title = format!("3. Transformer blocks (0 to {})", config.n_layer - 1);
                self.doc.heading(3, &title);
            }
            "final_norm" => {
                doc.heading(3, "4. Final norm");
                doc.text("rms(x) = x / √(mean(x²) + ε) over the last axis, without learned weights.");
                if let Some(before) = self.seen.out.take() {
                    doc.item("final_norm_in", "Before the final norm", &before, "");
                }
                doc.item(name, "After the final norm", x, "");
            }
            _ => {}
        }
        Ok(())
    }

    /// Section 2: the first T rows of cos and sin.
    fn rotary(&mut self, t: usize) -> Result<()> {
        let (doc, tables, d) = (&mut *self.doc, self.gpt.rotary(), self.gpt.config().head_dim());
        let bf16 = self.gpt.options().rope_table == RopeTable::Bf16;
        doc.heading(3, "2. Rotary position embeddings (RoPE)");
        doc.text(&format!(
            "A head vector of {d} numbers is cut into halves q1 and q2; each pair (q1[j], q2[j]) is turned by the angle \
             position · {}^(−2j/{d}). Scores then depend on the distance between two positions only.",
            self.gpt.config().rope_base
        ));
        doc.text("    RoPE(q) = [q1·cos + q2·sin, −q1·sin + q2·cos]");
        for (name, table) in [("cos", &tables.cos), ("sin", &tables.sin)] {
            let rows = table.narrow(0, 0, t)?.reshape(&[1, t, 1, d / 2])?;
            // Values rounded to bf16 are kept in wider numbers by the engine; going back loses nothing.
            let rows = if bf16 { rows.cast(DType::Bf16)? } else { rows };
            doc.item(name, &format!("{name} table, {t} positions"), &rows, "");
        }
        Ok(())
    }

    fn in_block(&mut self, id: &str, layer: &str, what: &str, x: &Tensor) -> Result<()> {
        match what {
            "in" | "attn_norm" => self.enter(id, layer, what, x),
            "q" | "k" | "v" | "q_rope" | "k_rope" | "q_norm" | "k_norm" => self.head_vectors(id, what, x)?,
            "attn" => self.attended(id, x)?,
            "attn_proj" => {
                let note = zero_note(
                    x,
                    "c_proj starts at zero, so at first a block adds nothing: it is the identity",
                );
                self.doc.item(id, "Attention output, after c_proj", x, note?);
            }
            "after_attn" => {
                self.doc.text("**1c.** Residual connection: x = x + Attention(norm(x)).");
                self.doc.item(id, "x + attention", x, "");
                self.seen.after_attn = Some(x.clone());
            }
            _ => self.mlp(id, what, x)?,
        }
        Ok(())
    }

    /// The block's input and its first norm.
    fn enter(&mut self, id: &str, layer: &str, what: &str, x: &Tensor) {
        let doc = &mut *self.doc;
        if what == "in" {
            doc.heading(4, &format!("Block {layer}"));
            doc.text("    x = x + Attention(norm(x))\n    x = x + MLP(norm(x))");
            doc.item(id, &format!("Input to block {layer}"), x, "");
            return;
        }
        let shape = tuple(x.dims());
        doc.text(&format!("**1a.** RMSNorm before attention: {shape} → {shape}, same shape."));
        doc.item(id, "After the norm before attention", x, "");
        doc.text(
            "**1b.** Attention: project to Q, K, V → split into heads → RoPE on Q, K → norm of Q, K → heads to the front → \
             causal attention → join the heads → project out.",
        );
    }

    /// Queries, keys, values on their way to attention.
    fn head_vectors(&mut self, id: &str, what: &str, x: &Tensor) -> Result<()> {
        let doc = &mut *self.doc;
        match what {
            "q" => {
                doc.text("**[1b.i]** Queries, keys, values, each a linear map of the same normed input.");
                doc.item(id, "Q", x, "");
                self.seen.q = Some(x.clone());
            }
            "k" => {
                doc.item(id, "K", x, "");
            }
            "v" => {
                doc.item(id, "V", x, "");
                self.seen.v = Some(x.clone());
            }
            "q_rope" => {
                doc.text("**[1b.ii]** Rotary embedding of Q and K.");
                if let Some(q) = self.seen.q.take() {
                    doc.item(&id.replace("q_rope", "q_before_rope"), "Q, before RoPE", &q, "");
                }
                let note = "a rotation: elements move, so extremes change; lengths, and with them the deviation, do not";
                doc.item(id, "Q, after RoPE", x, note);
            }
            "k_rope" => {
                doc.item(id, "K, after RoPE", x, "");
            }
            "q_norm" => {
                doc.text("**[1b.iii]** QK norm: every head vector of Q and K gets a root mean square of 1.");
                doc.item(id, "Q, after QK norm", x, "");
                self.seen.q_norm = Some(x.clone());
            }
            _ => {
                doc.item(id, "K, after QK norm", x, "");
                self.seen.k_norm = Some(x.clone());
                self.transposed(id)?;
            }
        }
        Ok(())
    }

    /// Q, K, V with heads before positions: views, nothing moves.
    fn transposed(&mut self, id: &str) -> Result<()> {
        self.doc.text(
            "Attention works on each head by itself, so heads come before positions: (B, T, H, D) → (B, H, T, D). This \
             changes strides, no memory is moved.",
        );
        let seen =
            [("Q", self.seen.q_norm.take()), ("K", self.seen.k_norm.take()), ("V", self.seen.v.take())];
        for (letter, x) in seen {
            let Some(x) = x else { continue };
            let id = id.replace("k_norm", &format!("{}_heads", letter.to_lowercase()));
            self.doc.item(&id, &format!("{letter}, transposed"), &x.transpose(1, 2)?, "");
        }
        Ok(())
    }

    /// What attention makes of them; its heads side by side.
    fn attended(&mut self, id: &str, o: &Tensor) -> Result<()> {
        let (b, t, c, d) = (o.dim(0), o.dim(1), o.dim(2) * o.dim(3), o.dim(3));
        self.doc.text(&format!("    Attention(Q, K, V) = softmax(Q·Kᵀ / √{d} + mask)·V"));
        self.doc.note(
            "causal mask: 0 where the key is at or before the query, −∞ after it, so a position sees itself and its past. \
             Every output is a weighted mean of values, which makes its deviation smaller than that of V",
        );
        self.doc.item(id, "Attention output", &o.transpose(1, 2)?, "");
        let joined = o.reshape(&[b, t, c])?;
        self.doc.item(&format!("{id}_joined"), "Heads joined", &joined, "");
        Ok(())
    }

    /// The second half of a block.
    fn mlp(&mut self, id: &str, what: &str, x: &Tensor) -> Result<()> {
        let doc = &mut *self.doc;
        match what {
            "mlp_norm" => {
                doc.text("**2a.** RMSNorm before the MLP.");
                doc.item(id, "After the norm before the MLP", x, "");
                let c = x.dim(2);
                let wide = 4 * c;
                doc.text(&format!(
                    "**2b.** MLP: {c} → {wide}, ReLU², {wide} → {c}, for every position by itself."
                ));
                doc.text("**[2b.i]** Widening.");
                doc.item(&id.replace("mlp_norm", "mlp_in"), "Input to the MLP", x, "");
            }
            "fc" => {
                doc.item(id, "After c_fc", x, "");
                self.seen.fc = Some(x.clone());
            }
            "relu2" => self.activation(id, x)?,
            "mlp_proj" => {
                doc.text("**[2b.iii]** Back to the width of the residual stream.");
                let note = zero_note(x, "c_proj starts at zero here, too")?;
                doc.item(id, "MLP output, after c_proj", x, note);
                self.seen.mlp = Some(x.clone());
            }
            "out" => {
                doc.text("**[2c]** Residual connection: x = x + MLP(norm(x)).");
                for (part, name, t) in [
                    ("residual", "State after the attention residual", self.seen.after_attn.take()),
                    ("mlp_out", "MLP output", self.seen.mlp.take()),
                ] {
                    if let Some(t) = t {
                        doc.item(&id.replace("out", part), name, &t, "");
                    }
                }
                doc.item(id, "Sum: output of the block", x, "");
                self.seen.out = Some(x.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// ReLU, its square, and how much of it is zero.
    fn activation(&mut self, id: &str, y: &Tensor) -> Result<()> {
        let doc = &mut *self.doc;
        doc.text("**[2b.ii]** Activation: ReLU²(x) = max(0, x)².");
        let mut negative = 0;
        if let Some(x) = self.seen.fc.take() {
            negative = Stats::of(&x)?.negative;
            let relu = Stats::of_mapped(&x, |v| if v < 0.0 { 0.0 } else { v })?; // keeps NaN, as f64::max would not
            doc.measured(&id.replace("relu2", "relu"), "ReLU, before squaring", Facts::of(&x), relu, "");
        }
        let stats = doc.item(id, "ReLU²", y, "");
        let (zeros, total) = (stats.zeros, stats.count());
        let percent = 100.0 * zeros as f64 / total.max(1) as f64;
        doc.fact("Sparsity: zeros after ReLU²", &format!("{zeros}/{total} ({percent:.1}%)"));
        doc.fact("Negative pre-activations", &negative.to_string());
        doc.end_facts();
        if zeros == negative {
            doc.note(
                "the two agree: ReLU switches off exactly the negative ones, about half of them at the start",
            );
        }
        Ok(())
    }
}

/// `note` where all of `x` is 0, nothing elsewhere.
fn zero_note<'n>(x: &Tensor, note: &'n str) -> Result<&'n str> {
    Ok(if Stats::of(x)?.is_zero() { note } else { "" })
}
