//! The model: its weights and its forward pass.
//!
//! `x = norm(wte[ids])`, L blocks, `norm`, then the untied head: logits `15·tanh(x·Wᵀ/15)`.

use crate::block::{BlockContext, BlockWeights, block};
use crate::cache::KvCache;
use crate::config::GptConfig;
use crate::error::{ModelError, Result};
use crate::inference::Prepared;
use crate::init;
use crate::linear::{Linear, Projections};
use crate::observe::{Blind, Observer};
use crate::rotary::{RopeTable, RotaryTables};
use autograd::{Parameter, Tape, Var};
use kernels::planted;
use tensor::{DType, Device, Tensor};

/// What is not part of a model's shape: where and in which precision it runs.
#[derive(Clone, Copy, Debug)]
pub struct GptOptions {
    /// Where the weights live.
    pub device: Device,
    /// Dtype of the activations: f32 or bf16 (f64 on the reference device).
    pub compute: DType,
    /// Precision of the rotary tables.
    pub rope_table: RopeTable,
}

impl Default for GptOptions {
    fn default() -> Self {
        GptOptions { device: Device::Cpu, compute: DType::F32, rope_table: RopeTable::F32 }
    }
}

/// Positions in the rotary tables, as a multiple of the training length.
const ROTARY_MARGIN: usize = 10;

/// A GPT of the classic family.
pub struct Gpt {
    config: GptConfig,
    options: GptOptions,
    params: Vec<Parameter>,
    rotary: RotaryTables,
    /// All matrices but the embedding, if this model was prepared for inference; they are not in `params` then.
    prepared: Option<Prepared>,
}

impl Gpt {
    /// A model with initial weights drawn from `seed`.
    pub fn new(config: GptConfig, seed: u64, options: GptOptions) -> Result<Gpt> {
        config.validate()?;
        let weights = init::weights(&config, seed, options.device)?;
        Gpt::from_weights(config, weights, options)
    }
    /// A model with given weights, in the order of [`GptConfig::param_shapes`].
    pub fn from_weights(
        config: GptConfig,
        weights: Vec<(String, Tensor)>,
        options: GptOptions,
    ) -> Result<Gpt> {
        config.validate()?;
        let positions = ROTARY_MARGIN * config.sequence_len;
        let (base, d) = (config.rope_base, config.head_dim());
        let rotary = RotaryTables::new(base, d, positions, options.rope_table, options.device)?;
        let params = weights.into_iter().map(|(name, w)| Parameter::new(name, w)).collect();
        Ok(Gpt { config, options, params, rotary, prepared: None })
    }
    /// Shapes.
    pub fn config(&self) -> &GptConfig {
        &self.config
    }
    /// Device and precision.
    pub fn options(&self) -> GptOptions {
        self.options
    }
    /// All weights, in file order; of a model that was prepared for inference the embedding alone.
    pub fn params(&self) -> &[Parameter] {
        &self.params
    }
    /// All weights, for an optimizer.
    pub fn params_mut(&mut self) -> &mut [Parameter] {
        &mut self.params
    }
    /// The same model with all matrices but the embedding as `prepared`.
    pub(crate) fn with_prepared(mut self, prepared: Prepared) -> Gpt {
        self.prepared = Some(prepared);
        self
    }
    /// Take all weights but the embedding out.
    pub(crate) fn take_matrices(&mut self) -> Vec<Parameter> {
        self.params.split_off(self.params.len().min(1))
    }
    /// Matrices prepared for inference.
    pub(crate) fn prepared(&self) -> Option<&Prepared> {
        self.prepared.as_ref()
    }
    /// The rotary tables.
    pub fn rotary(&self) -> &RotaryTables {
        &self.rotary
    }
    /// Forget all gradients, keep their memory.
    pub fn clear_grads(&self) {
        self.params.iter().for_each(|p| p.grad().clear());
    }

    fn block_weights(&self, layer: usize, tape: Option<&Tape>) -> Result<BlockWeights> {
        if let Some(prepared) = &self.prepared {
            return Ok(prepared.block(layer));
        }
        let at = |i: usize| self.params[1 + 6 * layer + i].var(tape);
        Ok(BlockWeights {
            qkv: Projections::Plain([at(0)?, at(1)?, at(2)?]),
            attn_proj: Linear::Plain(at(3)?),
            c_fc: Linear::Plain(at(4)?),
            mlp_proj: Linear::Plain(at(5)?),
        })
    }
    fn lm_head(&self, tape: Option<&Tape>) -> Result<Var> {
        Ok(self.params[self.params.len() - 1].var(tape)?)
    }

    /// Final hidden states (B, T, C) of token ids (B, T).
    pub fn hidden(&self, ids: &Tensor, tape: Option<&Tape>, observer: &mut dyn Observer) -> Result<Var> {
        let (b, t) = (ids.dim(0), ids.dim(1));
        let one_row: Vec<i32> = (0..t as i32).collect();
        let positions = Tensor::ids(&one_row, &[1, t], self.options.device)?.expand(&[b, t])?;
        self.run(ids, &positions, tape, None, observer)
    }
    /// Final hidden states of the next tokens (rows, T) of every row of `cache`, which grows by them.
    pub fn hidden_cached(&self, ids: &Tensor, cache: &mut KvCache) -> Result<Var> {
        let positions = cache.next_positions(ids.dim(1))?;
        let x = self.run(ids, &positions, None, Some(cache), &mut Blind)?;
        cache.advance(ids.dim(1));
        Ok(x)
    }

    fn run(
        &self,
        ids: &Tensor,
        positions: &Tensor,
        tape: Option<&Tape>,
        mut cache: Option<&mut KvCache>,
        observer: &mut dyn Observer,
    ) -> Result<Var> {
        let end = match &cache {
            Some(c) => c.lengths().iter().max().copied().unwrap_or(0) + ids.dim(1),
            None => ids.dim(1),
        };
        let capacity = self.rotary.positions();
        if end > capacity {
            return Err(ModelError::TooLong { position: capacity, what: "rotary table", capacity });
        }
        let eps = f64::from(self.config.norm_eps);
        let embedded = self.params[0].var(tape)?.embedding(ids, self.options.compute)?; // (B, T, C)
        observer.see("wte_out", &embedded);
        let mut x = embedded.rms_norm(eps)?;
        drop(embedded);
        observer.see("embed_norm", &x);
        for layer in 0..self.config.n_layer {
            let ctx = BlockContext { config: &self.config, rotary: &self.rotary, positions, layer };
            let weights = self.block_weights(layer, tape)?;
            x = block(x, &weights, &ctx, cache.as_deref_mut(), observer)?;
        }
        x = planted!("gpt.final_norm_missing", x.rms_norm(eps)? => x);
        observer.see("final_norm", &x);
        Ok(x)
    }

    /// `(Σ weight·loss, per-row losses)` of predicting `targets` (B·T, −1 = ignored) from `ids` (B, T).
    pub fn loss(
        &self,
        ids: &Tensor,
        targets: &Tensor,
        weight: &Tensor,
        tape: Option<&Tape>,
    ) -> Result<[Var; 2]> {
        let x = self.hidden(ids, tape, &mut Blind)?;
        if let Some(prepared) = &self.prepared {
            return prepared.loss(x.value(), targets, weight, self.config.softcap);
        }
        let w = self.lm_head(tape)?;
        Ok(x.lm_head_loss(&w, targets, weight, self.config.softcap)?)
    }
    /// Softcapped logits in f32, (rows, V), of hidden states (rows, C).
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let c = self.config.n_embd;
        let x = hidden.contiguous()?.reshape(&[hidden.numel() / c, c])?;
        let z = match &self.prepared {
            Some(prepared) => prepared.head(&x)?,
            None => {
                let w = self.params[self.params.len() - 1].value().cast(x.dtype())?;
                x.matmul_into_dtype(&w.transpose(0, 1)?, x.accumulator())?
            }
        };
        let cap = f64::from(self.config.softcap);
        Ok(z.affine(1.0 / cap, 0.0)?.unary(kernels::unary::UnaryOp::Tanh)?.affine(cap, 0.0)?)
    }
    /// Softcapped logits (B·T, V) of token ids (B, T): the whole matrix, for small inputs.
    pub fn all_logits(&self, ids: &Tensor) -> Result<Tensor> {
        let x = self.hidden(ids, None, &mut Blind)?;
        self.logits(x.value())
    }
    /// Softcapped logits (rows, V) after the last of the new tokens (rows, T) of every row of `cache`.
    pub fn logits_cached(&self, ids: &Tensor, cache: &mut KvCache) -> Result<Tensor> {
        let x = self.hidden_cached(ids, cache)?;
        let last = x.value().narrow(1, ids.dim(1) - 1, 1)?;
        self.logits(&last)
    }
    /// An empty cache for this model.
    pub fn cache(&self, rows: usize, capacity: usize) -> Result<KvCache> {
        KvCache::new(&self.config, rows, capacity, self.options.compute, self.options.device)
    }
}
