//! The GPT-2 family, written down from operations: learned positions, LayerNorm with gain and bias, one matrix for queries,
//! keys and values, GELU, and a head that is the embedding.

use crate::network::{Network, Weights, assert_precisions, assert_slopes, batch, drawn};
use autograd::ops::attention::attention;
use autograd::{Result, Var};
use kernels::gelu::GeluForm;
use tensor::{AttentionParams, DType, Device};
use train::data::Batch;

/// Its shape.
#[derive(Clone)]
pub struct Gpt2 {
    pub vocab: usize,
    pub block_size: usize,
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
    /// Linear layers and norms add a bias.
    pub bias: bool,
}

impl Gpt2 {
    fn norm(&self, x: &Var, w: &Weights, name: &str) -> Result<Var> {
        let bias = format!("{name}.bias");
        let bias = if self.bias { Some(w.get(&bias)) } else { None };
        x.layer_norm(w.get(&format!("{name}.weight")), bias, 1e-5)
    }
    fn linear(&self, x: &Var, w: &Weights, name: &str) -> Result<Var> {
        let y = x.linear(w.get(&format!("{name}.weight")))?;
        if self.bias { y.add(&w.cast(&format!("{name}.bias"))?) } else { Ok(y) }
    }
    /// `x` (B, T, C) through block `layer`.
    fn block(&self, x: &Var, w: &Weights, layer: usize) -> Result<Var> {
        let name = |part: &str| format!("transformer.h.{layer}.{part}");
        let (b, t, c) = (x.dims()[0], x.dims()[1], self.width);
        let d = c / self.heads;
        let qkv = self.linear(&self.norm(x, w, &name("ln_1"))?, w, &name("attn.c_attn"))?; // (B, T, 3C)
        let part = |i: usize| qkv.narrow(2, i * c, c)?.reshape(&[b, t, self.heads, d]);
        let p = AttentionParams { scale: 1.0 / (d as f32).sqrt(), window: None };
        let o = attention(&part(0)?, &part(1)?, &part(2)?, p)?.reshape(&[b, t, c])?;
        let x = x.add(&self.linear(&o, w, &name("attn.c_proj"))?)?;
        let h = self.linear(&self.norm(&x, w, &name("ln_2"))?, w, &name("mlp.c_fc"))?.gelu(GeluForm::Tanh)?;
        x.add(&self.linear(&h, w, &name("mlp.c_proj"))?)
    }
}

impl Network for Gpt2 {
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let c = self.width;
        let mut shapes = vec![
            ("transformer.wte.weight".to_string(), vec![self.vocab, c]),
            ("transformer.wpe.weight".to_string(), vec![self.block_size, c]),
        ];
        let mut add = |name: String, dims: Vec<usize>| {
            let out = dims[0];
            shapes.push((format!("{name}.weight"), dims));
            if self.bias {
                shapes.push((format!("{name}.bias"), vec![out]));
            }
        };
        for layer in 0..self.layers {
            let name = |part: &str| format!("transformer.h.{layer}.{part}");
            add(name("ln_1"), vec![c]);
            add(name("attn.c_attn"), vec![3 * c, c]);
            add(name("attn.c_proj"), vec![c, c]);
            add(name("ln_2"), vec![c]);
            add(name("mlp.c_fc"), vec![4 * c, c]);
            add(name("mlp.c_proj"), vec![c, 4 * c]);
        }
        add("transformer.ln_f".into(), vec![c]);
        shapes
    }
    fn loss(&self, w: &Weights, batch: &Batch) -> Result<Var> {
        let (wte, t) = (w.get("transformer.wte.weight"), batch.ids.dim(1));
        let positions = w.get("transformer.wpe.weight").narrow(0, 0, t)?.cast(w.compute)?; // (T, C)
        let mut x = wte.embedding(&batch.ids, w.compute)?.add(&positions)?;
        for layer in 0..self.layers {
            x = self.block(&x, w, layer)?;
        }
        let x = self.norm(&x, w, "transformer.ln_f")?;
        let [loss, _] = x.lm_head_loss(wte, &batch.targets, &batch.weight, 0.0)?;
        Ok(loss)
    }
}

/// A network whose every weight can be tried.
pub fn small(bias: bool) -> Gpt2 {
    Gpt2 { vocab: 7, block_size: 6, width: 8, heads: 2, layers: 2, bias }
}

/// Sizes at which every path carries signal; gains around one.
pub fn shaken(name: &str, dims: &[usize]) -> (f64, f64) {
    match dims {
        _ if name.ends_with(".bias") => (0.3, 0.0),
        [_] => (0.2, 1.0),
        _ if name.contains("wte") || name.contains("wpe") => (0.7, 0.0),
        [_, input, ..] => (0.6 / (*input as f64).sqrt(), 0.0),
        [] => (1.0, 0.0),
    }
}

#[test]
fn every_gradient_is_the_slope_of_the_loss() {
    let net = small(true);
    assert_slopes(&net, &drawn(&net, shaken), &batch(7, [2, 5], Device::Reference));
}

#[test]
// The composed norm rounds to bf16 after every small operation, five times where a fused one would once.
fn the_cpu_agrees_with_the_reference_in_both_precisions() {
    for bias in [true, false] {
        let net = small(bias);
        let tolerances = [(DType::F32, 2e-6), (DType::Bf16, 8e-2)];
        assert_precisions(&net, &drawn(&net, shaken), |device| batch(7, [2, 5], device), tolerances);
    }
}
