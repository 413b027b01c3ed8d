//! `nanochat train`: pretraining and fine-tuning here, midtraining and packed fine-tuning in `train/talk.rs`, reinforcement
//! learning in `train/rl.rs`.

mod rl;
mod talk;

use super::shared::{self, load_tokenizer, stop_flag};
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use crate::profile;
use anyhow::bail;
use clap::Args;
use model::scaling::{Horizon, HorizonRequest};
use model::{Gpt, GptConfig};
use serde_json::json;
use std::process::ExitCode;
use tensor::DType;
use train::data::Dataset;
use train::optim::{Hyper, NsDtype};
use train::stage::base::{Base, BaseOptions};
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

/// Precision of Newton–Schulz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum NsArg {
    /// 32-bit floats
    #[default]
    F32,
    /// bf16, as the original
    Bf16,
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
    /// Tokens per optimizer step (default: one micro-batch)
    #[arg(long, alias = "total_batch_size")]
    total_batch_size: Option<usize>,
    /// Optimizer steps
    #[arg(long, alias = "num_iterations")]
    num_iterations: Option<u64>,
    /// Compute budget that decides the steps
    #[arg(long, alias = "target_flops")]
    target_flops: Option<f64>,
    /// Tokens per parameter that decide the steps
    #[arg(long, alias = "target_param_data_ratio", default_value_t = 20.0)]
    target_param_data_ratio: f64,
    /// Learning rate of the embedding
    #[arg(long, alias = "embedding_lr", default_value_t = 0.2)]
    embedding_lr: f64,
    /// Learning rate of the head
    #[arg(long, alias = "unembedding_lr", default_value_t = 0.004)]
    unembedding_lr: f64,
    /// Learning rate of the matrices
    #[arg(long, alias = "matrix_lr", default_value_t = 0.02)]
    matrix_lr: f64,
    /// Weight decay of embedding and head
    #[arg(long, alias = "weight_decay", default_value_t = 0.0)]
    weight_decay: f64,
    /// Largest gradient norm (0 = no clipping)
    #[arg(long, alias = "grad_clip", default_value_t = 1.0)]
    grad_clip: f64,
    /// Share of steps with rising learning rate
    #[arg(long, alias = "warmup_ratio", default_value_t = 0.0)]
    warmup_ratio: f64,
    /// Share of steps with falling learning rate
    #[arg(long, alias = "warmdown_ratio", default_value_t = 0.2)]
    warmdown_ratio: f64,
    /// Where the learning rate ends, as a share of its peak
    #[arg(long, alias = "final_lr_frac", default_value_t = 0.0)]
    final_lr_frac: f64,
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
    fn config(&self, vocab_size: usize) -> anyhow::Result<GptConfig> {
        let mut config = match self.n_embd {
            None => GptConfig::classic_from_depth(self.depth, vocab_size, self.max_seq_len)?,
            Some(n_embd) => {
                let n_head = self.n_head.unwrap_or((n_embd / 128).max(1));
                GptConfig {
                    sequence_len: self.max_seq_len,
                    vocab_size,
                    n_layer: self.n_layer.unwrap_or(self.depth),
                    n_head,
                    n_kv_head: n_head,
                    n_embd,
                    ..GptConfig::default()
                }
            }
        };
        config.n_head = self.n_head.unwrap_or(config.n_head);
        config.n_kv_head = self.n_kv_head.unwrap_or(config.n_head);
        config.validate()?;
        Ok(config)
    }
    fn hyper(&self, n_embd: usize) -> Hyper {
        let lrs = model::scaling::ClassicLrs {
            wte: self.embedding_lr,
            lm_head: self.unembedding_lr,
            matrices: self.matrix_lr,
        };
        let ns = ns(self.stage.ns_dtype);
        Hyper { lrs: lrs.scaled_to(n_embd), weight_decay: self.weight_decay, ns, ..Hyper::classic(n_embd) }
    }
}

fn ns(arg: NsArg) -> NsDtype {
    match arg {
        NsArg::F32 => NsDtype::F32,
        NsArg::Bf16 => NsDtype::Bf16,
    }
}

fn base(args: &BaseArgs, globals: &Globals) -> anyhow::Result<StageSummary> {
    let layout = globals.layout()?;
    let data = Dataset::open(&layout.data(&args.stage.data))?;
    let tokenizer = load_tokenizer(&layout, &args.tokenizer)?;
    let config = args.config(tokenizer.vocab_size())?;
    let total_batch = args.total_batch_size.unwrap_or(args.device_batch_size * args.max_seq_len);
    let request = HorizonRequest {
        num_iterations: args.num_iterations,
        target_flops: args.target_flops,
        param_data_ratio: Some(args.target_param_data_ratio),
    };
    let horizon = Horizon::classic(&config, &request, total_batch as u64)?;
    let options = BaseOptions {
        device_batch_size: args.device_batch_size,
        total_batch_size: total_batch,
        num_iterations: horizon.iterations as usize,
        warmup_ratio: args.warmup_ratio,
        warmdown_ratio: args.warmdown_ratio,
        final_lr_frac: args.final_lr_frac,
        eval_tokens: args.eval_tokens,
        seed: globals.seed,
    };
    let hyper = args.hyper(config.n_embd);
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
        grad_clip: args.grad_clip,
        eval_every: args.stage.eval_every,
        save_every: args.stage.save_every,
        keep: args.stage.keep,
        sample_every: args.sample_every,
        resume: args.stage.resume,
        seed: globals.seed,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options: json!({
            "stage": "base", "tokenizer": args.tokenizer, "data": args.stage.data, "model": config, "training": options,
            "embedding_lr": args.embedding_lr, "unembedding_lr": args.unembedding_lr, "matrix_lr": args.matrix_lr,
            "weight_decay": args.weight_decay, "grad_clip": args.grad_clip, "seed": globals.seed,
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
    let lr = |name: &str, default: f64| base[name].as_f64().unwrap_or(default);
    let lrs = model::scaling::ClassicLrs {
        wte: lr("embedding_lr", 0.2),
        lm_head: lr("unembedding_lr", 0.004),
        matrices: lr("matrix_lr", 0.02),
    };
    let n_embd = gpt.config().n_embd;
    let hyper = Hyper { lrs: lrs.scaled_to(n_embd), ns: ns(args.stage.ns_dtype), ..Hyper::classic(n_embd) };
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
