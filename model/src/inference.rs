//! A model prepared for drawing tokens, and what drawing costs by formula.
//!
//! With `P` parameters in matrices that multiply (all but the embedding), L layers, H heads of width D, and c positions in
//! the cache, one token takes `2·P + 4·L·H·D·c` operations, and reads every such parameter and `2·L·Hk·D·c` numbers of the
//! cache. A prompt of n tokens takes `2·(P − V·C)·n + 2·V·C + 4·L·H·D·n(n+1)/2`: only its last token needs logits. A layer
//! with a window of w positions sees at most w.

use crate::config::GptConfig;
use crate::error::Result;
use crate::gpt::Gpt;
use autograd::Parameter;
use tensor::memory;

impl Gpt {
    /// The same model with its matrices rounded to the activations' dtype now, instead of once more at every product: the
    /// same bits, in a fraction of the time and memory. Training would go on from the rounded weights, so keep this one for
    /// inference.
    pub fn for_inference(self) -> Result<Gpt> {
        let options = self.options();
        let _label = memory::label("weights");
        self.map_params(|parameter| {
            if !multiplies(&parameter.name) {
                return Ok(parameter); // an embedding is looked up, and its rows are rounded then
            }
            Ok(Parameter::new(parameter.name.clone(), parameter.value().cast(options.compute)?))
        })
    }
    /// Bytes of all matrices that multiply: what one token must read.
    pub fn matrix_bytes(&self) -> usize {
        self.params().iter().filter(|p| multiplies(&p.name)).map(|p| p.value().bytes()).sum()
    }
}

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
        let head = self.params_by_group().lm_head;
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
    use crate::{Gpt, GptConfig, GptOptions};
    use tensor::{DType, Tensor};

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

    #[test]
    fn a_prepared_model_has_the_bits_of_the_original() {
        for compute in [DType::F32, DType::Bf16] {
            let options = GptOptions { compute, ..GptOptions::default() };
            let mut gpt = Gpt::new(config(), 3, options).unwrap();
            for (i, p) in gpt.params_mut().iter_mut().enumerate() {
                let (stream, dims) = (100 + i as u64, p.value().dims().to_vec()); // no zeros anywhere
                p.set(crate::init::normal(3, stream, 0.1, &dims, options.device).unwrap());
            }
            let ids = Tensor::ids(&[1, 7, 49], &[1, 3], options.device).unwrap();
            let logits = |gpt: &Gpt| {
                let mut cache = gpt.cache(1, 8).unwrap();
                let logits = gpt.logits_cached(&ids, &mut cache).unwrap();
                logits.to_vec::<f32>().unwrap().iter().map(|z| z.to_bits()).collect::<Vec<_>>()
            };
            let (want, bytes) = (logits(&gpt), gpt.matrix_bytes());
            let gpt = gpt.for_inference().unwrap();
            assert_eq!(logits(&gpt), want);
            assert_eq!(gpt.matrix_bytes() * if compute == DType::F32 { 1 } else { 2 }, bytes);
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
