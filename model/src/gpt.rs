//! The model: its weights and its forward pass.
//!
//! `x = norm(wte[ids])`, L blocks, `norm`, then the untied head: logits `15·tanh(x·Wᵀ/15)`.
//!
//! The current family puts four things around the blocks, each with numbers that are learned:
//! - smear: `x_t ← x_t + λ·σ(gate(x_t))·x_{t−1}`, a look at the neighbour before any attention;
//! - mixing: block i reads `resid_i·x + x0_i·x₀`, with the smeared embedding x₀ at hand in every layer;
//! - value embeddings: in every other layer a second embedding of the token (`block.rs`);
//! - backout: `x ← x − b·x_mid` before the last norm, x_mid being what block ⌊L/2⌋ left.

use crate::block::{BlockContext, BlockWeights, block};
use crate::cache::KvCache;
use crate::config::{ConfigError, GptConfig};
use crate::error::{ModelError, Result};
use crate::inference::Prepared;
use crate::init;
use crate::linear::{Linear, Projections};
use crate::observe::{Blind, Observer};
use crate::places::Places;
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

/// A GPT of either family.
pub struct Gpt {
    config: GptConfig,
    options: GptOptions,
    params: Vec<Parameter>,
    places: Places,
    rotary: RotaryTables,
    /// All matrices that multiply, if this model was prepared for inference; they are not in `params` then.
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
        agree(&config.param_shapes(), &weights)?;
        let positions = ROTARY_MARGIN * config.sequence_len;
        let (base, d) = (config.rope_base, config.head_dim());
        let rotary = RotaryTables::new(base, d, positions, options.rope_table, options.device)?;
        let params: Vec<_> = weights.into_iter().map(|(name, w)| Parameter::new(name, w)).collect();
        let places = Places::new(params_names(&params), &config);
        Ok(Gpt { config, options, params, places, rotary, prepared: None })
    }
    /// Shapes.
    pub fn config(&self) -> &GptConfig {
        &self.config
    }
    /// Device and precision.
    pub fn options(&self) -> GptOptions {
        self.options
    }
    /// All weights, in file order; of a model that was prepared for inference those that are not in its packed matrices.
    pub fn params(&self) -> &[Parameter] {
        &self.params
    }
    /// All weights, for an optimizer.
    pub fn params_mut(&mut self) -> &mut [Parameter] {
        &mut self.params
    }
    /// The same model with all matrices that multiply as `prepared`.
    pub(crate) fn with_prepared(mut self, prepared: Prepared) -> Gpt {
        self.prepared = Some(prepared);
        self
    }
    /// Take the weights out whose names are chosen.
    pub(crate) fn take_params(&mut self, chosen: impl Fn(&str) -> bool) -> Vec<Parameter> {
        let (taken, left) = std::mem::take(&mut self.params).into_iter().partition(|p| chosen(&p.name));
        self.params = left;
        self.places = Places::new(params_names(&self.params), &self.config);
        taken
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

    /// The weight at a place; those of absent parts have none.
    fn var(&self, place: usize, tape: Option<&Tape>) -> Result<Var> {
        Ok(self.params[place].var(tape)?)
    }
    /// The same for a product with activations.
    fn matrix(&self, place: usize, tape: Option<&Tape>) -> Result<Var> {
        Ok(self.params[place].var_for(self.options.compute, tape)?)
    }
    fn block_weights(&self, layer: usize, ids: &Tensor, tape: Option<&Tape>) -> Result<BlockWeights> {
        let places = &self.places.blocks[layer];
        let values = match places.values {
            Some((gate, table)) => {
                Some((self.var(gate, tape)?, self.var(table, tape)?.embedding(ids, self.options.compute)?))
            }
            None => None,
        };
        if let Some(prepared) = &self.prepared {
            return Ok(prepared.block(layer, values));
        }
        let at = |i: usize| self.matrix(places.matrices[i], tape);
        Ok(BlockWeights {
            qkv: Projections::Plain(Parameter::vars_for(
                [0, 1, 2].map(|i| &self.params[places.matrices[i]]),
                self.options.compute,
                tape,
            )?),
            attn_proj: Linear::Plain(at(3)?),
            c_fc: Linear::Plain(at(4)?),
            c_up: places.mlp_up.map(|up| self.matrix(up, tape)).transpose()?.map(Linear::Plain),
            mlp_proj: Linear::Plain(at(5)?),
            values,
        })
    }
    /// The head without the rows that pad it, (V, C).
    pub(crate) fn lm_head(&self, tape: Option<&Tape>) -> Result<Var> {
        let v = self.config.vocab_size;
        if self.params[self.places.lm_head].value().dim(0) == v {
            return self.matrix(self.places.lm_head, tape);
        }
        // of the f32 weight: the gradient of a part has the dtype of the whole, and is rounded no more than once
        Ok(self.var(self.places.lm_head, tape)?.narrow(0, 0, v)?)
    }
    /// Each position with a share of the one before it; before the first is what the cache remembers.
    fn smeared(&self, x: Var, tape: Option<&Tape>, cache: Option<&mut KvCache>) -> Result<Var> {
        let (Some(gate), Some(lambda)) = (self.places.smear_gate, self.places.smear_lambda) else {
            return Ok(x);
        };
        let (b, t) = (x.dims()[0], x.dims()[1]);
        let lambda = self.var(lambda, tape)?.cast(self.options.compute)?;
        let gate = x.channel_gate(&self.var(gate, tape)?, 1.0)?.mul(&lambda)?.reshape(&[b, t])?;
        let Some(cache) = cache else { return Ok(x.smear(&gate, None)?) };
        let last = x.value().narrow(1, t - 1, 1)?.reshape(&[b, x.dims()[2]])?.contiguous()?;
        let previous = cache.remember(planted!("gpt.smear_forgets_the_chunk_before", Some(last) => None));
        Ok(x.smear(&gate, previous.as_ref())?)
    }
    /// Give `cache` back what smearing needs of its rows: the token before the next ones, `None` where there is none.
    pub fn recall(&self, cache: &mut KvCache, before: &[Option<u32>]) -> Result<()> {
        if !self.config.parts.smear || before.iter().all(Option::is_none) {
            cache.remember(None);
            return Ok(());
        }
        let (rows, c, compute) = (before.len(), self.config.n_embd, self.options.compute);
        let ids: Vec<i32> = before.iter().map(|id| id.unwrap_or(0) as i32).collect();
        let there: Vec<f32> = before.iter().map(|id| f32::from(u8::from(id.is_some()))).collect();
        let ids = Tensor::ids(&ids, &[rows, 1], self.options.device)?;
        let there = Tensor::from_slice(&there, &[rows, 1], self.options.device)?.cast(compute)?;
        let x = self.var(self.places.wte, None)?.embedding(&ids, compute)?;
        let x = x.rms_norm(f64::from(self.config.norm_eps))?.value().reshape(&[rows, c])?;
        cache.remember(Some(x.mul(&there)?));
        Ok(())
    }
    /// What block `layer` reads: the stream, and the smeared embedding `x0`.
    fn mixed(&self, x: Var, x0: &Var, layer: usize, tape: Option<&Tape>) -> Result<Var> {
        let (Some(resid), Some(first)) = (self.places.resid_lambdas, self.places.x0_lambdas) else {
            return Ok(x);
        };
        Ok(x.mix_at(layer, &self.var(resid, tape)?, x0, &self.var(first, tape)?)?)
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
        let embedded = self.var(self.places.wte, tape)?.embedding(ids, self.options.compute)?; // (B, T, C)
        observer.see("wte_out", &embedded);
        let mut x = embedded.rms_norm(eps)?;
        drop(embedded);
        observer.see("embed_norm", &x);
        x = self.smeared(x, tape, cache.as_deref_mut())?;
        let x0 = self.config.parts.mixing.then(|| x.clone());
        let mut middle = None;
        for layer in 0..self.config.n_layer {
            if let Some(x0) = &x0 {
                x = self.mixed(x, x0, layer, tape)?;
            }
            let ctx = BlockContext { config: &self.config, rotary: &self.rotary, positions, layer };
            let weights = self.block_weights(layer, ids, tape)?;
            x = block(x, &weights, &ctx, cache.as_deref_mut(), observer)?;
            if self.config.parts.backout && layer == self.config.n_layer / 2 {
                middle = Some(x.clone());
            }
        }
        if let (Some(middle), Some(share)) = (middle, self.places.backout_lambda) {
            let share = self.var(share, tape)?;
            let one = Var::constant(Tensor::full(1.0, &[1], share.value().dtype(), self.options.device)?);
            x = x.mix(&one, &middle, &planted!("gpt.backout_adds", share.neg()? => share))?;
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
        if self.config.parts.smear && ids.dim(1) < 2 {
            return Err(ConfigError::ShortSequence(ids.dim(1)).into());
        }
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
                let w = self.lm_head(None)?.value().cast(x.dtype())?;
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

fn params_names(params: &[Parameter]) -> impl Iterator<Item = &str> {
    params.iter().map(|p| p.name.as_str())
}

/// Are these the weights of the configuration, in its order?
fn agree(shapes: &[(String, Vec<usize>)], weights: &[(String, Tensor)]) -> Result<()> {
    let wrong = |name: &str, what: String| Err(ModelError::Contradiction { name: name.into(), what });
    for (i, (name, shape)) in shapes.iter().enumerate() {
        match weights.get(i) {
            None => return wrong(name, "it is missing".into()),
            Some((found, _)) if found != name => return wrong(name, format!("{found} is in its place")),
            Some((_, w)) if w.dims() != shape => {
                return wrong(name, format!("its shape is {:?}, not {shape:?}", w.dims()));
            }
            Some(_) => {}
        }
    }
    match weights.get(shapes.len()) {
        Some((name, _)) => wrong(name, "it is not part of the model".into()),
        None => Ok(()),
    }
}
