//! The current family, written down from operations: smeared embeddings, blocks that mix in the smeared embedding, gated
//! value embeddings, windows, scaled QK norm, backout. One block with its inputs as weights, then a stack.

use crate::network::{EPS, Network, Weights, assert_precisions, assert_slopes, batch, drawn, rotary};
use autograd::ops::attention::attention;
use autograd::{Result, Var};
use model::RotaryTables;
use tensor::{AttentionParams, DType, Tensor};
use train::data::Batch;

/// Its shape. The original reads 12 channels for a value gate and 24 for the smear gate.
#[derive(Clone)]
pub struct Current {
    pub vocab: usize,
    pub padded_vocab: usize,
    pub width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// How far back each layer sees.
    pub windows: Vec<usize>,
    pub value_channels: usize,
    pub smear_channels: usize,
}

impl Current {
    fn layers(&self) -> usize {
        self.windows.len()
    }
    fn head_dim(&self) -> usize {
        self.width / self.heads
    }
    /// Does the layer have value embeddings? Every other one, and the last.
    fn has_values(&self, layer: usize) -> bool {
        layer % 2 == (self.layers() - 1) % 2
    }
    fn block_shapes(&self, layer: usize) -> Vec<(String, Vec<usize>)> {
        let (c, kv) = (self.width, self.kv_heads * self.head_dim());
        let mut shapes =
            vec![("attn.c_q", [c, c]), ("attn.c_k", [kv, c]), ("attn.c_v", [kv, c]), ("attn.c_proj", [c, c])];
        if self.has_values(layer) {
            shapes.push(("attn.ve_gate", [self.kv_heads, self.value_channels]));
        }
        shapes.extend([("mlp.c_fc", [4 * c, c]), ("mlp.c_proj", [c, 4 * c])]);
        shapes
            .into_iter()
            .map(|(name, dims)| (format!("transformer.h.{layer}.{name}.weight"), dims.to_vec()))
            .collect()
    }

    /// `x` (B, T, C) through one block; `values`: (B, T, Hk·D).
    fn block(
        &self,
        x: &Var,
        values: Option<&Var>,
        w: &Weights,
        layer: usize,
        (positions, tables): &(Tensor, RotaryTables),
    ) -> Result<Var> {
        let weight = |name: &str| w.get(&format!("transformer.h.{layer}.{name}.weight"));
        let (b, t, d) = (x.dims()[0], x.dims()[1], self.head_dim());
        let h = x.rms_norm(EPS)?;
        let project = |name, heads| h.linear(weight(name))?.reshape(&[b, t, heads, d]);
        let (q, k) = (project("attn.c_q", self.heads)?, project("attn.c_k", self.kv_heads)?);
        let mut v = project("attn.c_v", self.kv_heads)?;
        if let Some(values) = values {
            let gate = h.channel_gate(weight("attn.ve_gate"), 3.0)?; // (B, T, Hk)
            v = v.gated_add(&gate, &values.reshape(&[b, t, self.kv_heads, d])?)?;
        }
        let turned = |x: &Var| x.rope(positions, &tables.cos, &tables.sin)?.rms_norm(EPS)?.affine(1.2, 0.0);
        let p = AttentionParams { scale: 1.0 / (d as f32).sqrt(), window: Some(self.windows[layer]) };
        let o = attention(&turned(&q)?, &turned(&k)?, &v, p)?.reshape(&[b, t, self.width])?;
        let x = x.add(&o.linear(weight("attn.c_proj"))?)?;
        let h = x.rms_norm(EPS)?.linear(weight("mlp.c_fc"))?.relu_squared()?;
        x.add(&h.linear(weight("mlp.c_proj"))?)
    }

    /// Hidden states (B, T, C) before the head.
    pub fn hidden(&self, w: &Weights, ids: &Tensor) -> Result<Var> {
        let (b, t) = (ids.dim(0), ids.dim(1));
        let rotary = rotary(100_000.0, self.head_dim(), [b, t], w.device);
        let mut x = w.get("transformer.wte.weight").embedding(ids, w.compute)?.rms_norm(EPS)?;
        let gate = x.channel_gate(w.get("smear_gate.weight"), 1.0)?.mul(&w.cast("smear_lambda")?)?;
        x = x.smear(&gate.reshape(&[b, t])?, None)?;
        let (x0, mut middle) = (x.clone(), x.clone());
        for layer in 0..self.layers() {
            let scalar = |name: &str| w.get(name).narrow(0, layer, 1);
            x = x.mix(&scalar("resid_lambdas")?, &x0, &scalar("x0_lambdas")?)?;
            let values = match self.has_values(layer) {
                true => Some(w.get(&format!("value_embeds.{layer}.weight")).embedding(ids, w.compute)?),
                false => None,
            };
            x = self.block(&x, values.as_ref(), w, layer, &rotary)?;
            if layer == self.layers() / 2 {
                middle = x.clone();
            }
        }
        x.mix(&w.number(1.0)?, &middle, &w.get("backout_lambda").neg()?)?.rms_norm(EPS)
    }
    /// The head without its padding, (V, C).
    pub fn head(&self, w: &Weights) -> Result<Var> {
        w.get("lm_head.weight").narrow(0, 0, self.vocab)
    }
}

impl Network for Current {
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (layers, table) = (self.layers(), vec![self.padded_vocab, self.width]);
        let named = |(name, dims): (&str, Vec<usize>)| (name.to_string(), dims);
        let first =
            [("resid_lambdas", vec![layers]), ("x0_lambdas", vec![layers]), ("smear_lambda", vec![1])];
        let mut shapes: Vec<_> = first.into_iter().map(named).collect();
        shapes.extend([("backout_lambda", vec![1]), ("transformer.wte.weight", table.clone())].map(named));
        shapes.extend((0..layers).flat_map(|layer| self.block_shapes(layer)));
        shapes.extend(
            [("lm_head.weight", table), ("smear_gate.weight", vec![1, self.smear_channels])].map(named),
        );
        let values = [self.padded_vocab, self.kv_heads * self.head_dim()];
        let layers = (0..layers).filter(|&layer| self.has_values(layer));
        shapes.extend(layers.map(|layer| (format!("value_embeds.{layer}.weight"), values.to_vec())));
        shapes
    }
    fn loss(&self, w: &Weights, batch: &Batch) -> Result<Var> {
        let x = self.hidden(w, &batch.ids)?;
        let [loss, _] = x.lm_head_loss(&self.head(w)?, &batch.targets, &batch.weight, 15.0)?;
        Ok(loss)
    }
}

/// Three layers, since with two the middle would be the end, and what is taken back would cancel in the norm.
pub fn small() -> Current {
    let (width, heads, kv_heads) = (8, 2, 1);
    Current {
        vocab: 7,
        padded_vocab: 8,
        width,
        heads,
        kv_heads,
        windows: vec![2, 2, 5],
        value_channels: 3,
        smear_channels: 5,
    }
}

/// Sizes at which every path carries signal.
pub fn shaken(name: &str, dims: &[usize]) -> (f64, f64) {
    match name {
        "resid_lambdas" => (0.1, 1.0),
        "x0_lambdas" | "backout_lambda" => (0.1, 0.3),
        "smear_lambda" => (0.1, 0.5),
        _ if name.contains("wte") || name.contains("value_embeds") || name.contains("gate") => (1.0, 0.0),
        _ => (0.6 / (dims[1] as f64).sqrt(), 0.0),
    }
}

/// One block of [`Current`], whose inputs count as weights.
struct Block(Current);

impl Network for Block {
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (c, kv) = (self.0.width, self.0.kv_heads * self.0.head_dim());
        let inputs = [("wte.x", vec![2, 5, c]), ("value_embeds", vec![2, 5, kv])];
        let mut shapes = inputs.map(|(name, dims)| (name.to_string(), dims)).to_vec();
        shapes.extend(self.0.block_shapes(0));
        shapes
    }
    fn loss(&self, w: &Weights, _: &Batch) -> Result<Var> {
        let tables = rotary(100_000.0, self.0.head_dim(), [2, 5], w.device);
        let y = self.0.block(&w.cast("wte.x")?, Some(&w.cast("value_embeds")?), w, 0, &tables)?;
        // Some linear function of the result that treats no two elements alike, as an f32 loss.
        let pattern: Vec<f64> =
            (0..y.value().numel()).map(|i| f64::from((0.7 * i as f64).sin() as f32)).collect();
        let y = y.cast(y.value().accumulator())?;
        let pattern = Tensor::from_f64(&pattern, y.dims(), y.dtype(), w.device)?;
        y.mul(&Var::constant(pattern))?.sum(&[0, 1, 2])?.reshape(&[])
    }
}

fn one_block() -> Block {
    Block(Current { windows: vec![2], heads: 4, kv_heads: 2, ..small() })
}

#[test]
fn every_gradient_of_one_block_is_the_slope_of_its_result() {
    let net = one_block();
    assert_slopes(&net, &drawn(&net, shaken), &batch(7, [2, 5], tensor::Device::Reference));
}

#[test]
fn every_gradient_of_the_whole_stack_is_the_slope_of_the_loss() {
    let net = small();
    assert_slopes(&net, &drawn(&net, shaken), &batch(7, [2, 5], tensor::Device::Reference));
}

#[test]
// bf16 keeps 8 bits of every activation; through three layers and a softmax a few percent of a gradient remain uncertain.
fn the_cpu_agrees_with_the_reference_in_both_precisions() {
    let tolerances = [(DType::F32, 2e-6), (DType::Bf16, 8e-2)];
    let (block, stack) = (one_block(), small());
    assert_precisions(&block, &drawn(&block, shaken), |device| batch(7, [2, 5], device), tolerances);
    assert_precisions(&stack, &drawn(&stack, shaken), |device| batch(7, [2, 5], device), tolerances);
}
