//! `nanochat train base`: pretraining. Options become a configuration, a horizon, learning rates and a stage; what is not given
//! follows from the generation and the depth.

use super::StageArgs;
use super::parts::{MuonArg, PartArg, PartArgs};
use crate::commands::shared::{self, Generation, load_tokenizer, stop_flag};
use crate::commands::{doctor, plan};
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use crate::profile;
use anyhow::bail;
use clap::Args;
use model::scaling::{
    CLASSIC_PARAM_DATA_RATIO, CURRENT_PARAM_DATA_RATIO, ClassicLrs, CurrentLrs, Dial, Horizon, HorizonRequest,
};
use model::{Gpt, GptConfig, Part};
use serde_json::json;
use tensor::DType;
use train::checkpoint;
use train::data::Dataset;
use train::optim::{Hyper, MuonParts};
use train::run::RunDir;
use train::stage::base::{Base, BaseOptions, CurrentOptions};
use train::stage::{RunOptions, StageSummary, run_stage};

/// Rows of a classic step, if nothing is said about it.
const CLASSIC_ROWS: usize = 8;
/// More rows at a time bring no speed.
const MOST_ROWS: usize = 32;
/// Free memory where the system does not tell.
const UNKNOWN_MEMORY: u64 = 4 << 30;

/// `train base`.
#[derive(Args, Clone)]
pub struct BaseArgs {
    /// Name of the run
    #[arg(long, default_value = "base", value_name = "NAME")]
    pub(super) run: String,
    /// Name of the tokenizer
    #[arg(long, default_value = "default", value_name = "NAME")]
    tokenizer: String,
    /// Architecture, optimizer and defaults: classic (autumn 2025) or current (2026)
    #[arg(long, value_enum, default_value_t)]
    pub(super) generation: Generation,
    /// One letter per layer, repeated: S (short window) or L (long)
    #[arg(long, alias = "window_pattern", value_name = "SSSL")]
    window_pattern: Option<String>,
    #[command(flatten)]
    pub(super) parts: PartArgs,
    /// Base of the rotary frequencies (default: 10000; current: 100000)
    #[arg(long, alias = "rope_base")]
    rope_base: Option<f32>,
    /// Blocks; width, heads and horizon follow from it
    #[arg(long, default_value_t = 4)]
    depth: usize,
    /// Blocks, without deriving the width
    #[arg(long, requires = "n_embd")]
    n_layer: Option<usize>,
    /// Width of the residual stream
    #[arg(long, alias = "n_embd")]
    n_embd: Option<usize>,
    /// Query heads (default: width / 128, at least 1)
    #[arg(long, alias = "n_head")]
    n_head: Option<usize>,
    /// Key and value heads (default: as many as query heads)
    #[arg(long, alias = "n_kv_head")]
    n_kv_head: Option<usize>,
    /// Tokens of context, T
    #[arg(long, alias = "max_seq_len", default_value_t = 512)]
    max_seq_len: usize,
    /// Rows per micro-batch, B (default: as many as memory holds, at most 32)
    #[arg(long, alias = "device_batch_size")]
    device_batch_size: Option<usize>,
    /// Tokens per optimizer step (default: one micro-batch, or 8 rows; current: what the depth asks for)
    #[arg(long, alias = "total_batch_size")]
    total_batch_size: Option<usize>,
    /// Optimizer steps
    #[arg(long, alias = "num_iterations")]
    pub(super) num_iterations: Option<u64>,
    /// Compute budget that decides the steps
    #[arg(long, alias = "target_flops")]
    target_flops: Option<f64>,
    /// Tokens per parameter that decide the steps (default: 20; current: 12, of the parameters that scale)
    #[arg(long, alias = "target_param_data_ratio")]
    target_param_data_ratio: Option<f64>,
    /// Learning rate of the embedding (default: 0.2; current: 0.3)
    #[arg(long, alias = "embedding_lr")]
    embedding_lr: Option<f64>,
    /// Learning rate of the head (default: 0.004; current: 0.008)
    #[arg(long, alias = "unembedding_lr")]
    unembedding_lr: Option<f64>,
    /// Learning rate of the matrices
    #[arg(long, alias = "matrix_lr", default_value_t = 0.02)]
    matrix_lr: f64,
    /// Weight decay of embedding and head (default: 0; current: 0.28, of the matrices)
    #[arg(long, alias = "weight_decay")]
    weight_decay: Option<f64>,
    /// Largest gradient norm (0 = no clipping) (default: 1; current: 0)
    #[arg(long, alias = "grad_clip")]
    grad_clip: Option<f64>,
    /// Learning rate of the numbers that mix; current only (default: 0.5)
    #[arg(long, alias = "scalar_lr")]
    scalar_lr: Option<f64>,
    /// Take learning rates and weight decay as they are given: no factors from batch and horizon; current only
    #[arg(long)]
    unscaled: bool,
    /// Leave a part of today's Muon out; may be repeated; current only
    #[arg(long, value_enum, value_name = "PART")]
    muon_without: Vec<MuonArg>,
    /// Steps with rising learning rate; current only (default: 40)
    #[arg(long, alias = "warmup_steps")]
    warmup_steps: Option<u64>,
    /// Share of steps with rising learning rate; classic only (default: 0)
    #[arg(long, alias = "warmup_ratio")]
    warmup_ratio: Option<f64>,
    /// Share of steps with falling learning rate (default: 0.2; current: 0.65)
    #[arg(long, alias = "warmdown_ratio")]
    warmdown_ratio: Option<f64>,
    /// Where the learning rate ends, as a share of its peak (default: 0; current: 0.05)
    #[arg(long, alias = "final_lr_frac")]
    final_lr_frac: Option<f64>,
    /// Tokens validated per evaluation
    #[arg(long, alias = "eval_tokens", default_value_t = 65_536)]
    pub(super) eval_tokens: usize,
    /// How rows are made of documents (default: shuffled, or flat where the data are shards)
    #[arg(long, value_enum)]
    loader: Option<shared::LoaderArg>,
    /// Show samples every so many steps (0 = only at the end)
    #[arg(long, alias = "sample_every", default_value_t = 0)]
    sample_every: usize,
    /// Beginning of a sample; may be repeated
    #[arg(long = "prompt", value_name = "TEXT")]
    prompts: Vec<String>,
    #[command(flatten)]
    pub(super) stage: StageArgs,
}

impl BaseArgs {
    fn is_current(&self) -> bool {
        self.generation == Generation::Current
    }
    /// An option's value, or its generation's.
    fn or(&self, given: Option<f64>, classic: f64, current: f64) -> f64 {
        given.unwrap_or(if self.is_current() { current } else { classic })
    }
    /// Options that mean nothing for a generation are refused.
    fn check(&self) -> anyhow::Result<()> {
        let others: &[(&str, bool)] = match self.is_current() {
            true => &[("--warmup-ratio", self.warmup_ratio.is_some())],
            false => &[
                ("--scalar-lr", self.scalar_lr.is_some()),
                ("--warmup-steps", self.warmup_steps.is_some()),
                ("--unscaled", self.unscaled),
                ("--muon-without", !self.muon_without.is_empty()),
            ],
        };
        let other = if self.is_current() { "classic" } else { "current" };
        if let Some((option, _)) = others.iter().find(|(_, given)| *given) {
            bail!(Usage(format!("{option} belongs to --generation {other}")));
        }
        Ok(())
    }
    fn config(&self, vocab_size: usize) -> anyhow::Result<GptConfig> {
        let mut config = match self.n_embd {
            None => self.generation.of_depth(self.depth, vocab_size, self.max_seq_len)?,
            Some(n_embd) => {
                let n_head = self.n_head.unwrap_or((n_embd / 128).max(1));
                GptConfig {
                    sequence_len: self.max_seq_len,
                    vocab_size,
                    n_layer: self.n_layer.unwrap_or(self.depth),
                    n_head,
                    n_kv_head: n_head,
                    n_embd,
                    ..GptConfig::of(self.generation.family())
                }
            }
        };
        config.n_head = self.n_head.unwrap_or(config.n_head);
        config.n_kv_head = self.n_kv_head.unwrap_or(config.n_head);
        if let Some(base) = self.rope_base {
            config.rope_base = base;
        }
        config = self.parts.applied_to(config)?;
        if let Some(pattern) = &self.window_pattern {
            let windows = |list: &[PartArg]| list.contains(&PartArg(Part::Windows));
            if windows(&self.parts.with) || windows(&self.parts.without) {
                bail!(Usage(
                    "--window-pattern says it all: leave --with windows and --without windows out".into()
                ));
            }
            config.window_pattern.clone_from(pattern);
        }
        config.validate()?;
        Ok(config)
    }
    /// How long to train, on how many tokens a step, and what the dial says of the rest.
    fn plan(&self, config: &GptConfig) -> anyhow::Result<(Horizon, usize, Option<Dial>)> {
        let ratio = self.or(self.target_param_data_ratio, CLASSIC_PARAM_DATA_RATIO, CURRENT_PARAM_DATA_RATIO);
        let request = HorizonRequest {
            num_iterations: self.num_iterations,
            target_flops: self.target_flops,
            param_data_ratio: Some(ratio),
        };
        if self.is_current() {
            let mut dial = Dial::new(config, ratio, self.total_batch_size.map(|n| n as u64))?;
            if self.unscaled {
                (dial.batch_lr_scale, dial.weight_decay_scale) = (1.0, 1.0);
            }
            return Ok((dial.horizon(config, &request)?, dial.batch_tokens as usize, Some(dial)));
        }
        let rows = self.device_batch_size.unwrap_or(CLASSIC_ROWS);
        let batch = self.total_batch_size.unwrap_or(rows * self.max_seq_len);
        Ok((Horizon::classic(config, &request, batch as u64)?, batch, None))
    }
    fn scalar_lr(&self) -> f64 {
        self.scalar_lr.unwrap_or(0.5)
    }
    fn hyper(&self, n_embd: usize, dial: Option<&Dial>) -> anyhow::Result<Hyper> {
        let (embedding, head) =
            (self.or(self.embedding_lr, 0.2, 0.3), self.or(self.unembedding_lr, 0.004, 0.008));
        let ns = self.stage.ns_dtype.chosen();
        if let Some(dial) = dial {
            let lrs = CurrentLrs::tuned(embedding, head, self.scalar_lr(), self.matrix_lr);
            let left_out: Vec<_> = self.muon_without.iter().map(|MuonArg(part)| *part).collect();
            let muon = MuonParts::without(&left_out)?;
            return Ok(Hyper { ns, muon, ..Hyper::current(lrs.scaled_to(n_embd, dial.batch_lr_scale)) });
        }
        let lrs = ClassicLrs { wte: embedding, lm_head: head, matrices: self.matrix_lr };
        let weight_decay = self.weight_decay.unwrap_or(0.0);
        Ok(Hyper { lrs: lrs.scaled_to(n_embd), weight_decay, ns, ..Hyper::classic(n_embd) })
    }
    /// Rows per micro-batch: as given, as at the first start of a run that goes on, or as many as half of the free memory holds.
    fn rows(&self, config: &GptConfig, total_batch: usize, run: &RunDir) -> anyhow::Result<usize> {
        if let Some(rows) = self.device_batch_size {
            return Ok(rows);
        }
        if let Some(folder) = run.checkpoints().latest()?.filter(|_| self.stage.resume) {
            let state = checkpoint::load_state(&folder)?;
            if let Some(rows) = state.options["training"]["device_batch_size"].as_u64() {
                return Ok(rows as usize);
            }
        }
        let free = doctor::available_memory().unwrap_or(UNKNOWN_MEMORY);
        Ok(config.rows_that_fit(total_batch / config.sequence_len, MOST_ROWS, free / 2))
    }
}

/// A pretraining run, ready to begin or to go on.
pub struct Ready {
    /// Fresh weights.
    pub gpt: Gpt,
    /// Data and schedule.
    pub stage: Base,
    /// Rates.
    pub hyper: Hyper,
    /// Where it goes, and how long it is.
    pub run: RunOptions,
    /// Tokens of a step.
    pub total_batch: usize,
    /// Rows of a micro-batch.
    pub rows: usize,
}

/// Everything that a run needs, from its options.
pub fn prepare(args: &BaseArgs, globals: &Globals) -> anyhow::Result<Ready> {
    args.check()?;
    let layout = globals.layout()?;
    let data = Dataset::open(&layout.data(&args.stage.data))?;
    let tokenizer = load_tokenizer(&layout, &args.tokenizer)?;
    let config = args.config(tokenizer.vocab_size())?;
    let (horizon, total_batch, dial) = args.plan(&config)?;
    let run_dir = layout.run(&args.run);
    let rows = args.rows(&config, total_batch, &run_dir)?;
    let weight_decay = args.or(args.weight_decay, 0.0, 0.28);
    let current = dial.map(|dial| CurrentOptions {
        warmup_steps: args.warmup_steps.unwrap_or(40),
        weight_decay: weight_decay * dial.weight_decay_scale,
    });
    let options = BaseOptions {
        device_batch_size: rows,
        total_batch_size: total_batch,
        num_iterations: horizon.iterations as usize,
        warmup_ratio: args.warmup_ratio.unwrap_or(0.0),
        warmdown_ratio: args.or(args.warmdown_ratio, 0.2, 0.65),
        final_lr_frac: args.or(args.final_lr_frac, 0.0, 0.05),
        current,
        eval_tokens: args.eval_tokens,
        seed: globals.seed,
    };
    let hyper = args.hyper(config.n_embd, dial.as_ref())?;
    let grad_clip = args.or(args.grad_clip, 1.0, 0.0);
    let gpt_options = globals.gpt_options();
    if gpt_options.compute == DType::F32 {
        profile::expect(config.memory_plan(rows, config.sequence_len));
    }
    let (train, validation, loader) = shared::document_loaders(&data, args.loader, &tokenizer, globals.seed)?;
    let (t, device) = (config.sequence_len, gpt_options.device);
    let mut stage = Base::with_loaders(options.clone(), train, validation, &tokenizer, t, device)?;
    stage.prompts = args.prompts.clone();
    let gpt = Gpt::new(config.clone(), globals.seed, gpt_options)?;
    let mut run = RunOptions {
        run: run_dir,
        steps: options.num_iterations,
        grad_clip,
        eval_every: args.stage.eval_every,
        save_every: args.stage.save_every,
        keep: args.stage.keep,
        sample_every: args.sample_every,
        resume: args.stage.resume,
        seed: globals.seed,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options: json!({
            "stage": "base", "tokenizer": args.tokenizer, "data": args.stage.data, "model": config, "training": options,
            "embedding_lr": args.or(args.embedding_lr, 0.2, 0.3), "unembedding_lr": args.or(args.unembedding_lr, 0.004, 0.008),
            "matrix_lr": args.matrix_lr, "scalar_lr": args.scalar_lr(), "weight_decay": weight_decay, "grad_clip": grad_clip,
            "seed": globals.seed, "dtype": gpt_options.compute.to_string(),
            "rope_table": format!("{:?}", gpt_options.rope_table), "ns_dtype": format!("{:?}", hyper.ns),
        }),
    };
    // Absent for what there always was.
    if let Some(loader) = loader {
        run.options["loader"] = json!(loader);
    }
    if args.unscaled {
        run.options["unscaled"] = json!(true);
    }
    if !args.muon_without.is_empty() {
        let names: Vec<&str> = hyper.muon.missing().map(|part| part.name()).collect();
        run.options["muon_without"] = json!(names);
    }
    Ok(Ready { gpt, stage, hyper, run, total_batch, rows })
}

/// `train base`.
pub fn base(args: &BaseArgs, globals: &Globals) -> anyhow::Result<StageSummary> {
    let ready = prepare(args, globals)?;
    if !globals.quiet && !globals.json {
        let config = ready.gpt.config();
        let groups = config.params_by_group();
        let mut counts = vec![
            ("wte", groups.wte),
            ("lm_head", groups.lm_head),
            ("transformer_matrices", groups.transformer_matrices),
        ];
        if args.is_current() {
            counts.extend([("value_embeds", groups.value_embeds), ("scalars", groups.scalars)]);
        }
        counts.push(("total", config.num_params()));
        for (name, count) in counts {
            output::line(&format!("{name:<22}: {count}"))?;
        }
        output::line(&format!("Total batch size: {} tokens", ready.total_batch))?;
        output::line(&format!("Calculated number of iterations: {}", ready.run.steps))?;
    }
    finish(ready, globals)
}

/// Run it to its end.
pub fn finish(ready: Ready, globals: &Globals) -> anyhow::Result<StageSummary> {
    let Ready { mut gpt, mut stage, hyper, run, rows, .. } = ready;
    let mut progress = Progress::new(globals.quiet || globals.json, (run.steps / 50).max(1));
    let (config, ns) = (gpt.config().clone(), hyper.ns);
    let ended = run_stage(&mut gpt, &mut stage, hyper, &run, &mut progress, &stop_flag());
    ended.map_err(|error| plan::full::explained(error, &config, rows, ns, globals))
}
