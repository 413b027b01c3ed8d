//! `nanochat train`: fine-tuning here, pretraining in `train/base.rs`, midtraining and packed fine-tuning in `train/talk.rs`,
//! reinforcement learning in `train/rl.rs`; many runs side by side in `train/compare.rs` and `train/sweep.rs`.

mod base;
mod compare;
mod compare_report;
mod pace;
pub mod parts;
mod rl;
mod sweep;
mod sweep_report;
mod talk;
mod trial;

use super::shared::{self, NsArg, stop_flag};
use crate::globals::{Globals, Usage};
use crate::output::{self, Progress};
use anyhow::bail;
use base::BaseArgs;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use train::report::collect;
use train::run::Layout;
use train::stage::sft::{Sft, SftOptions};
use train::stage::{RunOptions, Stage, StageSummary, run_stage};

/// Training commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Pretrain on documents
    #[command(
        after_help = "Examples:\n  nanochat train base --depth 4 --num-iterations 500\n  nanochat train base --depth 4 --num-iterations 500 --resume    continue after an interruption\n  nanochat train base --n-layer 3 --n-embd 192 --n-head 3 --max-seq-len 256 --device-batch-size 16"
    )]
    Base(Box<BaseArgs>),
    /// Fine-tune a pretrained model on conversations
    #[command(
        after_help = "Examples:\n  nanochat train sft --from base --run chat --num-iterations 300\n  nanochat train sft --from sft --run control --flops-of rl    what would as much fine-tuning have done?"
    )]
    Sft(Box<SftArgs>),
    /// Go on with conversations as one stream, between pretraining and fine-tuning
    #[command(
        after_help = "Examples:\n  nanochat train mid --from base --run mid\n  nanochat train mid --from base --mixture classic-mid    the mixture of public tasks"
    )]
    Mid(Box<talk::MidArgs>),
    /// Learn from the model's own answers to problems, by reinforcement
    #[command(
        after_help = "Examples:\n  nanochat train rl --from sft --run rl --num-iterations 60\n  nanochat train rl --from sft --task SpellingBee --num-samples 8 --device-batch-size 8\n  nanochat train rl --from sft --updates 4 --clip 0.2 --kl 0.02    PPO's clipped ratios and a penalty, as in GRPO"
    )]
    Rl(Box<rl::RlArgs>),
    /// Kinds of pretraining side by side, with the same data and seeds
    Compare(Box<compare::CompareArgs>),
    /// A grid of pretraining runs, and its optimum
    Sweep(Box<sweep::SweepArgs>),
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
    /// Go on for the floating-point operations that this run spent, instead of a number of steps: a control for it. If --from is
    /// itself fine-tuned like this, its conversations go on where they were
    #[arg(long, alias = "flops_of", value_name = "RUN", conflicts_with_all = ["num_iterations", "num_epochs", "packed"])]
    flops_of: Option<String>,
    /// Learning rates as a share of the pretraining ones (default: 0.02; packed: 0.8)
    #[arg(long, alias = "init_lr_frac")]
    init_lr_frac: Option<f64>,
    /// Share of steps with rising learning rate; packed only (default: 0)
    #[arg(long, alias = "warmup_ratio", requires = "packed")]
    warmup_ratio: Option<f64>,
    /// Share of steps with falling learning rate; packed only (default: 0.5, elsewhere it falls from the first step to the last)
    #[arg(long, alias = "warmdown_ratio", requires = "packed")]
    warmdown_ratio: Option<f64>,
    /// Where the learning rate ends, as a share of its peak; packed only (default: 0)
    #[arg(long, alias = "final_lr_frac", requires = "packed")]
    final_lr_frac: Option<f64>,
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
        Command::Base(args) => base::base(args, globals)?,
        Command::Sft(args) if args.packed => talk::sft(args, globals)?,
        Command::Sft(args) => sft(args, globals)?,
        Command::Mid(args) => talk::mid(args, globals)?,
        Command::Rl(args) => rl::rl(args, globals)?,
        Command::Compare(args) => return compare::run(args, globals).map(|()| ExitCode::SUCCESS),
        Command::Sweep(args) => return sweep::run(args, globals).map(|()| ExitCode::SUCCESS),
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
    let mut options = SftOptions {
        device_batch_size: args.device_batch_size,
        target_examples_per_step: args.target_examples_per_step,
        num_iterations: args.num_iterations.unwrap_or(per_epoch * args.num_epochs),
        init_lr_frac: args.init_lr_frac.unwrap_or(0.02),
        max_tokens: gpt.config().sequence_len + 1,
        eval_conversations: args.eval_conversations,
        seed: globals.seed,
    };
    let gpt_options = globals.gpt_options();
    let mut stage = Sft::new(options.clone(), &conversations, &validation, &tokenizer, gpt_options.device)?;
    let base = &loaded.state.options;
    if let Some(other) = &args.flops_of {
        if loaded.state.stage == stage.name() && base["training"].get("target_examples_per_step").is_some() {
            stage.seek(&loaded.state.loader)?;
        }
        options = stage.last_for(spent(&layout, other)? / gpt.config().flops_per_token() as f64)?.clone();
    }
    let talk::Inherited { lrs, hyper, .. } =
        talk::inherited(base, gpt.config(), args.stage.ns_dtype.chosen());
    let mut run = RunOptions {
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
    // Absent for what there always was.
    if let Some(other) = &args.flops_of {
        run.options["flops_of"] = json!(other);
    }
    let mut progress = Progress::new(globals.quiet || globals.json, (run.steps / 50).max(1));
    Ok(run_stage(&mut gpt, &mut stage, hyper, &run, &mut progress, &stop_flag())?)
}

/// The floating-point operations that a run spent.
fn spent(layout: &Layout, run: &str) -> anyhow::Result<f64> {
    let dir = layout.run(run).dir;
    match collect::read(&dir, run).flops {
        flops if flops > 0.0 => Ok(flops),
        _ => bail!("{}: no run {run:?} that says how many operations it took; train it first", dir.display()),
    }
}
