//! A model prepared for drawing tokens, and what drawing costs by formula. How its matrices lie in memory: `linear.rs`.
//!
//! With `P` parameters in matrices that multiply (all but the embedding), L layers, H heads of width D, and c positions in
//! the cache, one token takes `2·P + 4·L·H·D·c` operations, and reads every such parameter and `2·L·Hk·D·c` numbers of the
//! cache. A prompt of n tokens takes `2·(P − V·C)·n + 2·V·C + 4·L·H·D·n(n+1)/2`: only its last token needs logits. A layer
//! with a window of w positions sees at most w.

use crate::block::BlockWeights;
use crate::config::GptConfig;
use crate::error::Result;
use crate::gpt::Gpt;
use crate::linear::{Linear, Packed, Projections, Quantize};
use autograd::ops::lm_head_loss::chunk_rows;
use autograd::{Parameter, Var};
use std::collections::BTreeMap;
use tensor::{Tensor, memory};

/// The matrices of a model, laid out for being read.
pub(crate) struct Prepared {
    blocks: Vec<Block>,
    head: Packed,
}

/// Those of one block.
struct Block {
    qkv: (Packed, [usize; 3]),
    attn_proj: Packed,
    c_fc: Packed,
    c_up: Option<Packed>,
    mlp_proj: Packed,
}

impl Prepared {
    /// The weights of a block, with what it needs of value embeddings.
    pub fn block(&self, layer: usize, values: Option<(Var, Var)>) -> BlockWeights {
        let block = &self.blocks[layer];
        let linear = |w: &Packed| Linear::Packed(w.clone());
        BlockWeights {
            qkv: Projections::Packed(block.qkv.0.clone(), block.qkv.1),
            attn_proj: linear(&block.attn_proj),
            c_fc: linear(&block.c_fc),
            c_up: block.c_up.as_ref().map(linear),
            mlp_proj: linear(&block.mlp_proj),
            values,
        }
    }
    /// Logits before the softcap, kept as accumulated, of `x` (rows, C).
    pub fn head(&self, x: &Tensor) -> Result<Tensor> {
        self.head.apply(x, x.accumulator())
    }
    /// As [`Gpt::loss`], of final hidden states (…, C), without a gradient.
    pub fn loss(&self, x: &Tensor, targets: &Tensor, weight: &Tensor, softcap: f32) -> Result<[Var; 2]> {
        let (n, c) = (targets.numel(), x.dim(x.rank() - 1));
        let x = x.reshape(&[x.numel() / c.max(1), c])?;
        let mut losses = Tensor::uninit(&[n], x.accumulator(), x.device())?;
        let step = chunk_rows(self.head.rows());
        for first in (0..n).step_by(step) {
            let rows = step.min(n - first);
            let mut z = self.head(&x.narrow(0, first, rows)?)?;
            let chunk = z.cross_entropy_(&targets.narrow(0, first, rows)?, softcap)?;
            losses.write_narrow(0, first, &chunk.loss)?;
        }
        let loss = losses.mul(weight)?.sum(&[0])?.reshape(&[])?;
        Ok([Var::constant(loss), Var::constant(losses)])
    }
    fn bytes(&self) -> usize {
        let block = |b: &Block| {
            let always = [&b.qkv.0, &b.attn_proj, &b.c_fc, &b.mlp_proj].map(Packed::bytes);
            always.iter().sum::<usize>() + b.c_up.as_ref().map_or(0, Packed::bytes)
        };
        self.blocks.iter().map(block).sum::<usize>() + self.head.bytes()
    }
}

impl Gpt {
    /// The same model for inference alone: its matrices are rounded to the activations' dtype now, instead of once more at every
    /// product, and laid out so that they are read fast. The same bits, in a fraction of the time and memory. Or with
    /// matrices of int8: then a little less exact, and faster still. The plain matrices are given up one by one.
    pub fn for_inference(mut self, quantize: Option<Quantize>) -> Result<Gpt> {
        if self.prepared().is_some() {
            return Ok(self);
        }
        let _label = memory::label("weights");
        let (options, layers) = (self.options(), self.config().n_layer);
        let gated = self.config().parts.gated_mlp;
        let head = Packed::new(&[self.lm_head(None)?.value()], options.compute, quantize)?;
        let matrices = self.take_params(multiplies);
        let mut matrices: BTreeMap<String, Parameter> =
            matrices.into_iter().map(|p| (p.name.clone(), p)).collect();
        let mut pack = |names: &[String]| -> Result<(Packed, Vec<usize>)> {
            let weights: Vec<Parameter> = names.iter().filter_map(|name| matrices.remove(name)).collect();
            let weights: Vec<&Tensor> = weights.iter().map(Parameter::value).collect();
            let rows = weights.iter().map(|w| w.dim(0)).collect();
            Ok((Packed::new(&weights, options.compute, quantize)?, rows))
        };
        let mut blocks = Vec::with_capacity(layers);
        for layer in 0..layers {
            let named = |part: &str| format!("transformer.h.{layer}.{part}.weight");
            let (qkv, rows) = pack(&["attn.c_q", "attn.c_k", "attn.c_v"].map(named))?;
            blocks.push(Block {
                qkv: (qkv, [rows[0], rows[1], rows[2]]),
                attn_proj: pack(&[named("attn.c_proj")])?.0,
                c_fc: pack(&[named("mlp.c_fc")])?.0,
                c_up: if gated { Some(pack(&[named("mlp.c_up")])?.0) } else { None },
                mlp_proj: pack(&[named("mlp.c_proj")])?.0,
            });
        }
        Ok(self.with_prepared(Prepared { blocks, head }))
    }
    /// Bytes of all matrices that multiply: what one token must read.
    pub fn matrix_bytes(&self) -> usize {
        let tied = self.config().parts.tied_head;
        let read = |name: &str| multiplies(name) || tied && name == EMBEDDING;
        let plain = self.params().iter().filter(|p| read(&p.name)).map(|p| p.value().bytes()).sum();
        self.prepared().map_or(plain, Prepared::bytes)
    }
}

/// Name of the embedding, which may be the head, too.
const EMBEDDING: &str = "transformer.wte.weight";

/// Is it a matrix of a product? Gates are too small to matter, and are read in f32.
fn multiplies(name: &str) -> bool {
    name == "lm_head.weight" || name.starts_with("transformer.h.") && !name.ends_with("gate.weight")
}

impl GptConfig {
    /// Operations of attention in one layer, for one query that sees one position.
    fn attention_flops(&self) -> u64 {
        4 * (self.n_head * self.head_dim()) as u64
    }
    /// Operations of one new token that sees `context` positions.
    pub fn decode_flops(&self, context: usize) -> u64 {
        2 * self.matrix_params() + self.attention_flops() * self.attended(context)
    }
    /// Operations of reading a prompt of `n` tokens.
    pub fn prefill_flops(&self, n: usize) -> u64 {
        let head = self.head_params();
        let seen = |layer| {
            let w = self.window(layer).map_or(n, |w| w.min(n)) as u64;
            w * (w + 1) / 2 + (n as u64 - w) * w
        };
        let seen: u64 = (0..self.n_layer).map(seen).sum();
        2 * ((self.matrix_params() - head) * n as u64 + head) + self.attention_flops() * seen
    }
    /// Bytes of the cache that one token reads which sees `context` positions, with numbers of `size` bytes.
    pub fn cache_read_bytes(&self, context: usize, size: usize) -> u64 {
        (2 * self.n_kv_head * self.head_dim() * size) as u64 * self.attended(context)
    }
    /// Bytes that one position takes in the cache, with numbers of `size` bytes.
    pub fn cache_bytes_per_token(&self, size: usize) -> u64 {
        (self.n_layer * 2 * self.n_kv_head * self.head_dim() * size) as u64
    }
}

#[cfg(test)]
mod tests {
    use crate::{Gpt, GptConfig, GptOptions, Quantize};
    use tensor::{DType, Device, Tensor};

    fn config() -> GptConfig {
        GptConfig {
            sequence_len: 8,
            vocab_size: 50,
            n_layer: 2,
            n_head: 2,
            n_kv_head: 1,
            n_embd: 32,
            ..GptConfig::default()
        }
    }

    /// A model without zeros anywhere.
    fn model(options: GptOptions) -> Gpt {
        let mut gpt = Gpt::new(config(), 3, options).unwrap();
        for (i, p) in gpt.params_mut().iter_mut().enumerate() {
            let (stream, dims) = (100 + i as u64, p.value().dims().to_vec());
            p.set(crate::init::normal(3, stream, 0.1, &dims, options.device).unwrap());
        }
        gpt
    }

    #[test]
    fn a_prepared_model_has_the_bits_of_the_original() {
        for compute in [DType::F32, DType::Bf16] {
            let options = GptOptions { compute, ..GptOptions::default() };
            let gpt = model(options);
            let ids = Tensor::ids(&[1, 7, 49], &[1, 3], options.device).unwrap();
            let logits = |gpt: &Gpt| {
                let mut cache = gpt.cache(1, 8).unwrap();
                let logits = gpt.logits_cached(&ids, &mut cache).unwrap();
                logits.to_vec::<f32>().unwrap().iter().map(|z| z.to_bits()).collect::<Vec<_>>()
            };
            let (want, bytes) = (logits(&gpt), gpt.matrix_bytes());
            let gpt = gpt.for_inference(None).unwrap();
            assert_eq!(logits(&gpt), want);
            assert_eq!(gpt.matrix_bytes() * if compute == DType::F32 { 1 } else { 2 }, bytes);
        }
    }

    #[test]
    fn a_prepared_model_has_the_loss_of_the_original() {
        let options = GptOptions::default();
        let gpt = || model(options);
        let ids = Tensor::ids(&[1, 7, 49], &[1, 3], options.device).unwrap();
        let targets = Tensor::ids(&[7, -1, 2], &[3], options.device).unwrap();
        let weight = Tensor::from_slice(&[0.5f32, 0.0, 0.25], &[3], options.device).unwrap();
        let loss = |gpt: Gpt| {
            let [loss, rows] = gpt.loss(&ids, &targets, &weight, None).unwrap();
            [loss.value().to_f64_vec(), rows.value().to_f64_vec()]
        };
        assert_eq!(loss(gpt().for_inference(None).unwrap()), loss(gpt()));
    }

    #[test]
    fn int8_weights_are_a_quarter_of_the_bytes_and_change_logits_a_little() {
        for device in [Device::Cpu, Device::Reference] {
            let compute = if device == Device::Cpu { DType::F32 } else { DType::F64 };
            let options = GptOptions { device, compute, ..GptOptions::default() };
            let ids = Tensor::ids(&[1, 7, 49], &[1, 3], device).unwrap();
            let prepared = |quantize| model(options).for_inference(quantize).unwrap();
            let (plain, int8) = (prepared(None), prepared(Some(Quantize::Int8)));
            let logits = |gpt: &Gpt| gpt.all_logits(&ids).unwrap().to_f64_vec();
            let (want, got) = (logits(&plain), logits(&int8));
            let largest = want.iter().fold(0.0, |m: f64, z| m.max(z.abs()));
            let furthest = want.iter().zip(&got).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
            assert!(furthest > 0.0 && furthest <= 0.05 * largest, "{furthest} of {largest}");
            let scales = 50 + 2 * (32 + 2 * 16 + 32 + 4 * 32 + 32);
            let size = compute.size();
            assert_eq!(int8.matrix_bytes(), plain.matrix_bytes() / size + scales * size);
        }
    }

    #[test]
    fn costs_follow_the_formulas() {
        let c = config();
        let matrices = 50 * 32 + 2 * (32 * 32 + 2 * 16 * 32 + 32 * 32 + 2 * 4 * 32 * 32);
        assert_eq!(c.decode_flops(5), 2 * matrices + 4 * 2 * 32 * 5);
        assert_eq!(c.prefill_flops(3), 2 * (3 * matrices - 2 * 50 * 32) + 4 * 2 * 32 * (1 + 2 + 3));
        assert_eq!(c.cache_bytes_per_token(2), 2 * 2 * 16 * 2);
    }
}
