//! `nanochat train mid`, and `nanochat train sft --packed`: conversations in full rows.
//!
//! What is not given is inherited from the run they start from: rows, tokens per step and learning rates.

use super::StageArgs;
use crate::commands::shared::{self, Loaded, stop_flag};
use crate::globals::{Globals, Usage};
use crate::output::Progress;
use anyhow::bail;
use clap::Args;
use model::scaling::{ClassicLrs, CurrentLrs};
use model::{Family, GptConfig};
use serde_json::{Value, json};
use std::path::PathBuf;
use tokenizer::conversation::Conversation;
use train::data::packer::{self, Overlong, Packer};
use train::data::source::Rank;
use train::data::talk_stream::TalkStream;
use train::data::{Dataset, Loader};
use train::optim::{Hyper, NsDtype};
use train::run::Layout;
use train::stage::talk::{Schedule, Talk, TalkOptions, micro_batches};
use train::stage::{RunOptions, StageSummary, run_stage};
use train::tasks::mixtures::{self, Recipe, Sizes};
use train::tasks::{Task, conversations};

/// Where conversations come from, and how many are in a step.
#[derive(Args, Clone)]
pub struct RowArgs {
    /// Conversations of public tasks instead of the data set's own
    #[arg(long, value_enum)]
    mixture: Option<MixtureArg>,
    /// Folder of task data (default: that of the data set, or the shared one)
    #[arg(long, value_name = "DIR")]
    tasks: Option<PathBuf>,
    /// Tokens per optimizer step, in full rows (default: as the run it starts from)
    #[arg(long, alias = "total_batch_size")]
    total_batch_size: Option<usize>,
    /// Tokens validated per evaluation, in full rows
    #[arg(long, alias = "eval_tokens", default_value_t = 65_536)]
    eval_tokens: usize,
    /// Examples of SimpleSpelling in a mixture
    #[arg(long, default_value_t = Sizes::default().simple_spelling)]
    simple_spelling: usize,
    /// Examples of SpellingBee in a mixture
    #[arg(long, default_value_t = Sizes::default().spelling_bee)]
    spelling_bee: usize,
    /// Passes over MMLU in the current mixture
    #[arg(long, alias = "mmlu_epochs", default_value_t = Sizes::default().mmlu_epochs)]
    mmlu_epochs: usize,
    /// Passes over GSM8K in the current mixture
    #[arg(long, alias = "gsm8k_epochs", default_value_t = Sizes::default().gsm8k_epochs)]
    gsm8k_epochs: usize,
    /// Solved problems of GSM8K in a mixture (default: all); `train rl` may learn from all of them, by their answers alone
    #[arg(long, value_name = "N")]
    gsm8k_solved: Option<usize>,
}

/// Mixtures of public tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MixtureArg {
    /// Classic midtraining
    ClassicMid,
    /// Classic fine-tuning
    ClassicSft,
    /// Current fine-tuning
    CurrentSft,
}

/// `train mid`.
#[derive(Args)]
pub struct MidArgs {
    /// Name of the run
    #[arg(long, default_value = "mid", value_name = "NAME")]
    run: String,
    /// Pretrained run to start from
    #[arg(long, default_value = "base", value_name = "RUN")]
    from: String,
    /// Rows per micro-batch (default: as the run it starts from)
    #[arg(long, alias = "device_batch_size")]
    device_batch_size: Option<usize>,
    /// Optimizer steps (default: one pass)
    #[arg(long, alias = "num_iterations")]
    num_iterations: Option<usize>,
    /// Learning rates as a share of the pretraining ones
    #[arg(long, alias = "init_lr_frac", default_value_t = 1.0)]
    init_lr_frac: f64,
    #[command(flatten)]
    rows: RowArgs,
    #[command(flatten)]
    stage: StageArgs,
}

type Talks = (Vec<Conversation>, Vec<Conversation>);

impl RowArgs {
    /// Training and held-out conversations.
    pub fn conversations(&self, layout: &Layout, data: &str) -> anyhow::Result<Talks> {
        let Some(mixture) = self.mixture else {
            let data = Dataset::open(&layout.data(data))?;
            return Ok((data.conversations()?, data.validation_conversations()?));
        };
        let recipe = match mixture {
            MixtureArg::ClassicMid => Recipe::ClassicMid,
            MixtureArg::ClassicSft => Recipe::ClassicSft,
            MixtureArg::CurrentSft => Recipe::CurrentSft,
        };
        let sizes = Sizes {
            simple_spelling: self.simple_spelling,
            spelling_bee: self.spelling_bee,
            mmlu_epochs: self.mmlu_epochs,
            gsm8k_epochs: self.gsm8k_epochs,
            gsm8k_solved: self.gsm8k_solved.unwrap_or(usize::MAX),
        };
        let dir = self.tasks.clone().unwrap_or_else(|| layout.tasks(data));
        let (train, validation) = mixtures::open(&dir, recipe, &sizes)?;
        Ok((conversations(&train as &dyn Task)?, conversations(&validation as &dyn Task)?))
    }
}

/// What a stage inherits.
struct Plan<'a> {
    name: &'static str,
    run: &'a str,
    from: &'a str,
    device_batch_size: Option<usize>,
    num_iterations: Option<usize>,
    init_lr_frac: f64,
    schedule: Schedule,
    rows: &'a RowArgs,
    stage: &'a StageArgs,
}

/// `train mid`.
pub fn mid(args: &MidArgs, globals: &Globals) -> anyhow::Result<StageSummary> {
    let plan = Plan {
        name: "mid",
        run: &args.run,
        from: &args.from,
        device_batch_size: args.device_batch_size,
        num_iterations: args.num_iterations,
        init_lr_frac: args.init_lr_frac,
        schedule: Schedule::Mid,
        rows: &args.rows,
        stage: &args.stage,
    };
    train(&plan, globals)
}

/// `train sft --packed`.
pub fn sft(args: &super::SftArgs, globals: &Globals) -> anyhow::Result<StageSummary> {
    let plan = Plan {
        name: "sft",
        run: &args.run,
        from: &args.from,
        device_batch_size: None,
        num_iterations: args.num_iterations,
        init_lr_frac: args.init_lr_frac.unwrap_or(0.8),
        schedule: Schedule::Sft {
            warmup_ratio: args.warmup_ratio.unwrap_or(0.0),
            warmdown_ratio: args.warmdown_ratio.unwrap_or(0.5),
            final_lr_frac: args.final_lr_frac.unwrap_or(0.0),
        },
        rows: &args.rows,
        stage: &args.stage,
    };
    train(&plan, globals)
}

/// Learning rates as the first run of the line had them, and as the optimizer wants them.
pub struct Inherited {
    /// For the embedding, the head and the matrices.
    pub lrs: ClassicLrs,
    /// For the scalars of the current generation.
    pub scalar_lr: f64,
    /// All of it.
    pub hyper: Hyper,
}

/// What a stage takes over from the run it starts from.
pub fn inherited(options: &Value, config: &GptConfig, ns: NsDtype) -> Inherited {
    let lr = |name: &str, default: f64| options[name].as_f64().unwrap_or(default);
    let lrs = ClassicLrs {
        wte: lr("embedding_lr", 0.2),
        lm_head: lr("unembedding_lr", 0.004),
        matrices: lr("matrix_lr", 0.02),
    };
    let scalar_lr = lr("scalar_lr", 0.5);
    let hyper = if config.family == Family::Current {
        let rates = CurrentLrs::tuned(lrs.wte, lrs.lm_head, scalar_lr, lrs.matrices);
        Hyper { ns, ..Hyper::current(rates.scaled_to(config.n_embd, 1.0)) }
    } else {
        Hyper { lrs: lrs.scaled_to(config.n_embd), ns, ..Hyper::classic(config.n_embd) }
    };
    Inherited { lrs, scalar_lr, hyper }
}

fn train(plan: &Plan<'_>, globals: &Globals) -> anyhow::Result<StageSummary> {
    let layout = globals.layout()?;
    if plan.run == plan.from {
        bail!(Usage(format!("--run and --from are both {:?}: give the new run its own name", plan.run)));
    }
    let Loaded { mut gpt, tokenizer, state, .. } = shared::load_run(globals, Some(plan.from), None)?;
    let (train, held_out) = plan.rows.conversations(&layout, &plan.stage.data)?;
    let (t, device) = (gpt.config().sequence_len, globals.gpt_options().device);
    let base = &state.options["training"];
    let inherit = |given: Option<usize>, name: &str, default: usize| {
        given.or_else(|| base[name].as_u64().map(|n| n as usize)).unwrap_or(default)
    };
    let device_batch_size = inherit(plan.device_batch_size, "device_batch_size", 32);
    let total_batch_size = inherit(plan.rows.total_batch_size, "total_batch_size", 524_288);
    let per_step = micro_batches(device_batch_size, total_batch_size, t)? * device_batch_size;
    let (rank, hold) = (Rank::default(), packer::HELD);
    let (loader, validation, rows): (Box<dyn Loader>, Option<Box<dyn Loader>>, usize) = match plan.schedule {
        Schedule::Mid => {
            let loader = TalkStream::new(&train, &tokenizer, rank)?;
            let rows = loader.tokens() / t;
            let validation = TalkStream::new(&held_out, &tokenizer, rank).ok();
            (Box::new(loader), validation.map(|v| Box::new(v) as Box<dyn Loader>), rows)
        }
        Schedule::Sft { .. } => {
            let mut loader = Packer::new(&train, &tokenizer, rank, hold, Overlong::Cut)?;
            let rows = loader.rows_per_epoch(t);
            let validation = Packer::new(&held_out, &tokenizer, rank, hold, Overlong::Cut).ok();
            (Box::new(loader), validation.map(|v| Box::new(v) as Box<dyn Loader>), rows)
        }
    };
    let options = TalkOptions {
        device_batch_size,
        total_batch_size,
        num_iterations: plan.num_iterations.unwrap_or((rows / per_step).max(1)),
        init_lr_frac: plan.init_lr_frac,
        schedule: plan.schedule,
        eval_tokens: plan.rows.eval_tokens,
    };
    let bytes = tokenizer.token_bytes();
    let mut stage = Talk::new(plan.name, options.clone(), loader, validation, bytes, t, device)?;
    let Inherited { lrs, scalar_lr, hyper } =
        inherited(&state.options, gpt.config(), plan.stage.ns_dtype.chosen());
    let run = RunOptions {
        run: layout.run(plan.run),
        steps: options.num_iterations,
        grad_clip: 0.0,
        eval_every: plan.stage.eval_every,
        save_every: plan.stage.save_every,
        keep: plan.stage.keep,
        sample_every: 0,
        resume: plan.stage.resume,
        seed: globals.seed,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options: json!({
            "stage": plan.name, "from": plan.from, "from_step": state.step, "tokenizer": state.options["tokenizer"],
            "data": plan.stage.data, "mixture": plan.rows.mixture.map_or("own".to_string(), |m| format!("{m:?}")),
            "training": options, "embedding_lr": lrs.wte, "unembedding_lr": lrs.lm_head, "matrix_lr": lrs.matrices,
            "scalar_lr": scalar_lr,
            "seed": globals.seed, "dtype": globals.gpt_options().compute.to_string(), "ns_dtype": format!("{:?}", hyper.ns),
        }),
    };
    let mut progress = Progress::new(globals.quiet || globals.json, (run.steps / 50).max(1));
    Ok(run_stage(&mut gpt, &mut stage, hyper, &run, &mut progress, &stop_flag())?)
}
