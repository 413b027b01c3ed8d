//! Decoding on the device `dry-run`: the engine's step for so many rows that have so many tokens behind them, and how many rows,
//! and how long ones, still fit.

use super::operations::{Kernels, launched};
use super::rows::most;
use kernels::profile;
use model::cache::PAGE_LEN;
use model::{Gpt, GptConfig, GptOptions, Quantize};
use tensor::{Device, memory};
use train::engine::Sampling;
use train::engine::forward::{Forward, Seat};
use train::engine::gpt::GptForward;
use train::engine::sampling::{Draw, draw};

/// What a decoding step was found to do.
pub struct Plan {
    /// Rows that get a token each.
    pub rows: usize,
    /// Positions that each of them sees, its own included.
    pub context: usize,
    /// Bytes while the step runs, by what they are for; together the most that exist at a time.
    pub memory: Vec<(&'static str, f64)>,
    /// The most bytes that exist while the weights are rounded and packed, before the first step.
    pub loading: f64,
    /// Per operation: launches, and calls with their work.
    pub kernels: Kernels,
    /// The most rows of this context that fit; 0 if one does not.
    pub most_rows: usize,
    /// The longest context that fits for so many rows, of those that the model has positions for; 0 if one token does not.
    pub most_context: usize,
}

impl Plan {
    /// The most bytes that tensors have at a time.
    pub fn peak(&self) -> f64 {
        self.memory.iter().map(|(_, bytes)| bytes).sum::<f64>().max(self.loading)
    }
}

/// A model that was prepared for drawing tokens.
pub struct Decoder {
    gpt: Gpt,
    loading: f64,
}

/// More rows than this are not tried.
const MOST_ROWS: usize = 1 << 14;

impl Decoder {
    /// With fresh weights, which are packed as those of a checkpoint are.
    pub fn new(
        config: GptConfig,
        quantize: Option<Quantize>,
        seed: u64,
        options: GptOptions,
    ) -> anyhow::Result<Decoder> {
        memory::reset_peak(Device::DryRun);
        let gpt = Gpt::new(config, seed, options)?.for_inference(quantize)?;
        Ok(Decoder { gpt, loading: memory::stats(Device::DryRun).peak_bytes as f64 })
    }
    /// The model's shape.
    pub fn config(&self) -> &GptConfig {
        self.gpt.config()
    }
    /// Positions that the model has: no context is longer.
    pub fn positions(&self) -> usize {
        self.gpt.rotary().positions()
    }
    /// A step of `rows` rows of `context` positions, and what else needs at most `room` bytes.
    pub fn plan(&self, rows: usize, context: usize, room: f64) -> anyhow::Result<Plan> {
        let total = |rows, context| -> anyhow::Result<f64> {
            Ok(self.step(rows, context, &mut |_| ())?.iter().map(|(_, bytes)| bytes).sum())
        };
        let room = if self.loading <= room { room } else { 0.0 };
        let most_rows = most(room, MOST_ROWS, |rows| total(rows, context))?;
        let most_context = most(room, self.positions(), |context| total(rows, context))?;
        let mut kernels = Kernels::new();
        let memory = self.step(rows, context, &mut |begins| match begins {
            true => {
                tensor::dry_launches();
                profile::start();
            }
            false => kernels = launched(profile::stop()),
        })?;
        // how much of the cache is read depends on positions, which are numbers on the device
        for (_, _, totals) in kernels.iter_mut().filter(|(op, ..)| *op == "paged_attention") {
            let (config, size) = (self.config(), self.gpt.options().compute.size());
            totals.cost.flops +=
                (rows as u64 * (config.decode_flops(context) - config.decode_flops(0))) as f64;
            totals.cost.bytes += (rows as u64 * config.cache_read_bytes(context, size)) as f64;
        }
        Ok(Plan { rows, context, memory, loading: self.loading, kernels, most_rows, most_context })
    }
    /// One token more for each row, as the engine makes it; bytes by what they are for. `mark` hears when the step begins, the cache
    /// being there, and when it has ended.
    fn step(
        &self,
        rows: usize,
        context: usize,
        mark: &mut dyn FnMut(bool),
    ) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let there = |label: &str| -> f64 {
            let all = memory::by_label(Device::DryRun);
            all.iter().filter(|(name, _)| *name == label).map(|(_, bytes)| *bytes as f64).sum()
        };
        let still = memory::stats(Device::DryRun).live_bytes as f64;
        let (weights, tables) = (there("weights"), still - there("weights"));
        let mut forward = GptForward::for_rows(&self.gpt, rows, context)?;
        let each = context.div_ceil(PAGE_LEN);
        let pages: Vec<u32> = (0..(rows * each) as u32).collect();
        let before = (context > 1).then_some(0);
        let seat = |pages| Seat { pages, length: context - 1, before };
        let seats: Vec<Seat<'_>> = pages.chunks(each).map(seat).collect();
        memory::reset_peak(Device::DryRun);
        mark(true);
        let logits = forward.feed(&seats, &vec![0; rows])?;
        let sampling = Sampling::default();
        draw(&logits, &vec![Draw { sampling: &sampling, uniform: 0.5, seen: &[], prompt: 0 }; rows])?;
        mark(false);
        let cache = there("kv cache");
        let activations = memory::stats(Device::DryRun).peak_bytes as f64 - still - cache;
        Ok(vec![
            ("weights", weights),
            ("rotary tables", tables),
            ("kv cache", cache),
            ("activations", activations),
        ])
    }
}
