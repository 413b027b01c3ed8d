//! `nanochat train`: pretraining and fine-tuning here, midtraining and packed fine-tuning in `train/talk.rs`, reinforcement
//! learning in `train/rl.rs`.

mod rl;
mod talk;

use super::shared::{self, Generation, NsArg, load_tokenizer, stop_flag};
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use crate::profile;
use anyhow::bail;
use clap::Args;
use model::scaling::{
    CLASSIC_PARAM_DATA_RATIO, CURRENT_PARAM_DATA_RATIO, ClassicLrs, CurrentLrs, Dial, Horizon, HorizonRequest,
};
use model::{Gpt, GptConfig};
use serde_json::json;
use std::process::ExitCode;
use tensor::DType;
use train::data::Dataset;
use train::optim::Hyper;
use train::stage::base::{Base, BaseOptions, CurrentOptions};
use train::stage::sft::{Sft, SftOptions};
use train::stage::{RunOptions, StageSummary, run_stage};

/// Training commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Pretrain on documents
    #[command(
        after_help = "Examples:\n  nanochat train base --depth 4 --num-iterations 500\n  nanochat train base --depth 4 --num-iterations 500 --resume    continue after an interruption\n  nanochat train base --n-layer 3 --n-embd 192 --n-head 3 --max-seq-len 256 --device-batch-size 16"
    )]
    Base(Box<BaseArgs>),
    /// Fine-tune a pretrained model on conversations
    #[command(after_help = "Example:\n  nanochat train sft --from base --run chat --num-iterations 300")]
    Sft(Box<SftArgs>),
    /// Go on with conversations as one stream, between pretraining and fine-tuning
    #[command(
        after_help = "Examples:\n  nanochat train mid --from base --run mid\n  nanochat train mid --from base --mixture classic-mid    the mixture of public tasks"
    )]
    Mid(Box<talk::MidArgs>),
    /// Learn from the model's own answers to problems, by reinforcement
    #[command(
        after_help = "Examples:\n  nanochat train rl --from sft --run rl --num-iterations 60\n  nanochat train rl --from sft --task SpellingBee --num-samples 8 --device-batch-size 8"
    )]
    Rl(Box<rl::RlArgs>),
}

/// Options of every stage.
#[derive(Args, Clone)]
pub struct StageArgs {
    /// Name of the data set
    #[arg(long, default_value = "synth", value_name = "NAME")]
    data: String,
    /// Continue the newest checkpoint of this run
    #[arg(long)]
    resume: bool,
    /// Validate every so many steps (0 = only at the end)
    #[arg(long, alias = "eval_every", default_value_t = 250)]
    eval_every: usize,
    /// Write a checkpoint every so many steps (0 = only at the end)
    #[arg(long, alias = "save_every", default_value_t = 250)]
    save_every: usize,
    /// Checkpoints kept
    #[arg(long, default_value_t = 2)]
    keep: usize,
    /// Precision of Muon's Newton-Schulz iteration
    #[arg(long, value_enum, default_value_t)]
    ns_dtype: NsArg,
}

/// A part of the current generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Second embeddings of tokens, added to values
    ValueEmbeds,
    /// Shares of the stream and the embedding before each block
    Mixing,
    /// A look at the token before
    Smear,
    /// Taking back the middle
    Backout,
    /// Longer queries and keys
    QkGain,
    /// Windows
    Windows,
}

/// `train base`.
#[derive(Args)]
pub struct BaseArgs {
    /// Name of the run
    #[arg(long, default_value = "base", value_name = "NAME")]
    run: String,
    /// Name of the tokenizer
    #[arg(long, default_value = "default", value_name = "NAME")]
    tokenizer: String,
    /// Architecture, optimizer and defaults: classic (autumn 2025) or current (2026)
    #[arg(long, value_enum, default_value_t)]
    generation: Generation,
    /// One letter per layer, repeated: S (short window) or L (long); current only
    #[arg(long, alias = "window_pattern", value_name = "SSSL")]
    window_pattern: Option<String>,
    /// Leave a part of the current generation out; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    without: Vec<Part>,
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
    /// Rows per micro-batch, B
    #[arg(long, alias = "device_batch_size", default_value_t = 8)]
    device_batch_size: usize,
    /// Tokens per optimizer step (default: one micro-batch; current: what the depth asks for)
    #[arg(long, alias = "total_batch_size")]
    total_batch_size: Option<usize>,
    /// Optimizer steps
    #[arg(long, alias = "num_iterations")]
    num_iterations: Option<u64>,
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
    /// Learning rate of the numbers that mix; current only
    #[arg(long, alias = "scalar_lr", default_value_t = 0.5)]
    scalar_lr: f64,
    /// Steps with rising learning rate; current only
    #[arg(long, alias = "warmup_steps", default_value_t = 40)]
    warmup_steps: u64,
    /// Share of steps with rising learning rate; classic only
    #[arg(long, alias = "warmup_ratio", default_value_t = 0.0)]
    warmup_ratio: f64,
    /// Share of steps with falling learning rate (default: 0.2; current: 0.65)
    #[arg(long, alias = "warmdown_ratio")]
    warmdown_ratio: Option<f64>,
    /// Where the learning rate ends, as a share of its peak (default: 0; current: 0.05)
    #[arg(long, alias = "final_lr_frac")]
    final_lr_frac: Option<f64>,
    /// Tokens validated per evaluation
    #[arg(long, alias = "eval_tokens", default_value_t = 65_536)]
    eval_tokens: usize,
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
    stage: StageArgs,
}

/// `train sft`.
#[derive(Args)]
pub struct SftArgs {
    /// Name of the run
    #[arg(long, default_value = "sft", value_name = "NAME")]
    run: String,
    /// Pretrained run to start from
    #[arg(long, default_value = "base", value_name = "RUN")]
    from: String,
    /// Conversations per micro-batch
    #[arg(long, alias = "device_batch_size", default_value_t = 4)]
    device_batch_size: usize,
    /// Conversations per optimizer step
    #[arg(long, alias = "target_examples_per_step", default_value_t = 32)]
    target_examples_per_step: usize,
    /// Passes over the conversations, when --num-iterations is absent
    #[arg(long, alias = "num_epochs", default_value_t = 1)]
    num_epochs: usize,
    /// Optimizer steps
    #[arg(long, alias = "num_iterations")]
    num_iterations: Option<usize>,
    /// Learning rates as a share of the pretraining ones
    #[arg(long, alias = "init_lr_frac", default_value_t = 0.02)]
    init_lr_frac: f64,
    /// Held-out conversations validated per evaluation
    #[arg(long, default_value_t = 400)]
    eval_conversations: usize,
    /// Several conversations in each row of the model's length, as the current generation does
    #[arg(long)]
    packed: bool,
    #[command(flatten)]
    rows: talk::RowArgs,
    #[command(flatten)]
    stage: StageArgs,
}

/// Run a training command.
pub fn run(command: &Command, globals: &Globals) -> anyhow::Result<ExitCode> {
    let summary = match command {
        Command::Base(args) => base(args, globals)?,
        Command::Sft(args) if args.packed => talk::sft(args, globals)?,
        Command::Sft(args) => sft(args, globals)?,
        Command::Mid(args) => talk::mid(args, globals)?,
        Command::Rl(args) => rl::rl(args, globals)?,
    };
    print_summary(&summary, globals)?;
    Ok(ExitCode::SUCCESS)
}

fn print_summary(s: &StageSummary, globals: &Globals) -> anyhow::Result<()> {
    if globals.json {
        output::line(
            &json!({"steps": s.steps, "loss": s.loss, "val_bpb": s.val_bpb, "seconds": s.seconds, "peak_tensor_bytes": s.peak_bytes})
                .to_string(),
        )?;
    } else if !globals.quiet {
        output::line(&format!(
            "done: {} steps in {}, peak tensor memory {:.1} MiB",
            s.steps,
            train::stage::report::duration(s.seconds),
            s.peak_bytes as f64 / (1 << 20) as f64
        ))?;
    }
    Ok(())
}

impl BaseArgs {
    fn is_current(&self) -> bool {
        self.generation == Generation::Current
    }
    /// An option's value, or its generation's.
    fn or(&self, given: Option<f64>, classic: f64, current: f64) -> f64 {
        given.unwrap_or(if self.is_current() { current } else { classic })
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
        if !self.is_current() && (self.window_pattern.is_some() || !self.without.is_empty()) {
            bail!(Usage("--window-pattern and --without belong to --generation current".into()));
        }
        if let Some(pattern) = &self.window_pattern {
            config.window_pattern.clone_from(pattern);
        }
        for part in &self.without {
            match part {
                Part::ValueEmbeds => config.parts.value_embeds = false,
                Part::Mixing => config.parts.mixing = false,
                Part::Smear => config.parts.smear = false,
                Part::Backout => config.parts.backout = false,
                Part::QkGain => config.qk_gain = 1.0,
                Part::Windows => config.window_pattern = "L".into(),
            }
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
            let dial = Dial::new(config, ratio, self.total_batch_size.map(|n| n as u64))?;
            return Ok((dial.horizon(config, &request)?, dial.batch_tokens as usize, Some(dial)));
        }
        let batch = self.total_batch_size.unwrap_or(self.device_batch_size * self.max_seq_len);
        Ok((Horizon::classic(config, &request, batch as u64)?, batch, None))
    }
    fn hyper(&self, n_embd: usize, dial: Option<&Dial>) -> Hyper {
        let (embedding, head) =
            (self.or(self.embedding_lr, 0.2, 0.3), self.or(self.unembedding_lr, 0.004, 0.008));
        let ns = self.stage.ns_dtype.chosen();
        if let Some(dial) = dial {
            let lrs = CurrentLrs::tuned(embedding, head, self.scalar_lr, self.matrix_lr);
            return Hyper { ns, ..Hyper::current(lrs.scaled_to(n_embd, dial.batch_lr_scale)) };
        }
        let lrs = ClassicLrs { wte: embedding, lm_head: head, matrices: self.matrix_lr };
        let weight_decay = self.weight_decay.unwrap_or(0.0);
        Hyper { lrs: lrs.scaled_to(n_embd), weight_decay, ns, ..Hyper::classic(n_embd) }
    }
}

fn base(args: &BaseArgs, globals: &Globals) -> anyhow::Result<StageSummary> {
    let layout = globals.layout()?;
    let data = Dataset::open(&layout.data(&args.stage.data))?;
    let tokenizer = load_tokenizer(&layout, &args.tokenizer)?;
    let config = args.config(tokenizer.vocab_size())?;
    let (horizon, total_batch, dial) = args.plan(&config)?;
    let weight_decay = args.or(args.weight_decay, 0.0, 0.28);
    let current = dial.map(|dial| CurrentOptions {
        warmup_steps: args.warmup_steps,
        weight_decay: weight_decay * dial.weight_decay_scale,
    });
    let options = BaseOptions {
        device_batch_size: args.device_batch_size,
        total_batch_size: total_batch,
        num_iterations: horizon.iterations as usize,
        warmup_ratio: args.warmup_ratio,
        warmdown_ratio: args.or(args.warmdown_ratio, 0.2, 0.65),
        final_lr_frac: args.or(args.final_lr_frac, 0.0, 0.05),
        current,
        eval_tokens: args.eval_tokens,
        seed: globals.seed,
    };
    let hyper = args.hyper(config.n_embd, dial.as_ref());
    let grad_clip = args.or(args.grad_clip, 1.0, 0.0);
    let gpt_options = globals.gpt_options();
    if gpt_options.compute == DType::F32 {
        profile::expect(config.memory_plan(args.device_batch_size, config.sequence_len));
    }
    let (train, validation, loader) = shared::document_loaders(&data, args.loader, &tokenizer, globals.seed)?;
    let mut stage = Base::with_loaders(
        options.clone(),
        train,
        validation,
        &tokenizer,
        config.sequence_len,
        gpt_options.device,
    )?;
    stage.prompts = args.prompts.clone();
    let mut gpt = Gpt::new(config.clone(), globals.seed, gpt_options)?;
    let mut run = RunOptions {
        run: layout.run(&args.run),
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
            "matrix_lr": args.matrix_lr, "scalar_lr": args.scalar_lr, "weight_decay": weight_decay, "grad_clip": grad_clip, "seed": globals.seed,
            "dtype": gpt_options.compute.to_string(), "rope_table": format!("{:?}", gpt_options.rope_table),
            "ns_dtype": format!("{:?}", hyper.ns),
        }),
    };
    if let Some(loader) = loader {
        run.options["loader"] = json!(loader); // absent for the loader there always was
    }
    let mut progress = Progress::new(globals.quiet || globals.json, (run.steps / 50).max(1));
    if !globals.quiet && !globals.json {
        let groups = config.params_by_group();
        output::line(&format!("{:<22}: {}", "wte", groups.wte))?;
        output::line(&format!("{:<22}: {}", "lm_head", groups.lm_head))?;
        output::line(&format!("{:<22}: {}", "transformer_matrices", groups.transformer_matrices))?;
        if args.is_current() {
            output::line(&format!("{:<22}: {}", "value_embeds", groups.value_embeds))?;
            output::line(&format!("{:<22}: {}", "scalars", groups.scalars))?;
        }
        output::line(&format!("{:<22}: {}", "total", config.num_params()))?;
        output::line(&format!("Total batch size: {total_batch} tokens"))?;
        output::line(&format!("Calculated number of iterations: {}", run.steps))?;
    }
    Ok(run_stage(&mut gpt, &mut stage, hyper, &run, &mut progress, stop_flag())?)
}

fn sft(args: &SftArgs, globals: &Globals) -> anyhow::Result<StageSummary> {
    let layout = globals.layout()?;
    if args.run == args.from {
        bail!(Usage(format!(
            "--run and --from are both {:?}: give the fine-tuned run its own name",
            args.run
        )));
    }
    let loaded = shared::load_run(globals, Some(&args.from), None)?;
    let (conversations, validation) = args.rows.conversations(&layout, &args.stage.data)?;
    let (mut gpt, tokenizer) = (loaded.gpt, loaded.tokenizer);
    let per_epoch = Sft::steps_per_epoch(conversations.len(), args.target_examples_per_step);
    let options = SftOptions {
        device_batch_size: args.device_batch_size,
        target_examples_per_step: args.target_examples_per_step,
        num_iterations: args.num_iterations.unwrap_or(per_epoch * args.num_epochs),
        init_lr_frac: args.init_lr_frac,
        max_tokens: gpt.config().sequence_len + 1,
        eval_conversations: args.eval_conversations,
        seed: globals.seed,
    };
    let gpt_options = globals.gpt_options();
    let mut stage = Sft::new(options.clone(), &conversations, &validation, &tokenizer, gpt_options.device)?;
    let base = &loaded.state.options;
    let talk::Inherited { lrs, hyper, .. } =
        talk::inherited(base, gpt.config(), args.stage.ns_dtype.chosen());
    let run = RunOptions {
        run: layout.run(&args.run),
        steps: options.num_iterations,
        grad_clip: 0.0,
        eval_every: args.stage.eval_every,
        save_every: args.stage.save_every,
        keep: args.stage.keep,
        sample_every: 0,
        resume: args.stage.resume,
        seed: globals.seed,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options: json!({
            "stage": "sft", "from": args.from, "from_step": loaded.state.step, "tokenizer": base["tokenizer"],
            "data": args.stage.data, "training": options, "embedding_lr": lrs.wte, "unembedding_lr": lrs.lm_head,
            "matrix_lr": lrs.matrices, "seed": globals.seed, "dtype": gpt_options.compute.to_string(),
            "rope_table": format!("{:?}", gpt_options.rope_table), "ns_dtype": format!("{:?}", hyper.ns),
        }),
    };
    let mut progress = Progress::new(globals.quiet || globals.json, (run.steps / 50).max(1));
    Ok(run_stage(&mut gpt, &mut stage, hyper, &run, &mut progress, stop_flag())?)
}
