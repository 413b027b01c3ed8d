//! `nanochat train rl`: reinforcement learning on problems with a known answer.

use super::talk::{Inherited, inherited};
use crate::commands::shared::{self, Loaded, NsArg, stop_flag};
use crate::globals::{Globals, Usage};
use crate::output::Progress;
use anyhow::bail;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use train::report::answers;
use train::stage::rl::{Rl, RlOptions};
use train::stage::{RunOptions, StageSummary, run_stage};
use train::tasks::gsm8k::Gsm8k;
use train::tasks::mixtures::WORDS;
use train::tasks::spelling::{self, SpellingBee};
use train::tasks::{Slice, Task};

/// Problems that can be learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TaskArg {
    /// Word problems
    #[value(name = "GSM8K", alias = "gsm8k")]
    Gsm8k,
    /// Letters in words
    #[value(name = "SpellingBee", alias = "spelling-bee")]
    SpellingBee,
}

/// `train rl`.
#[derive(Args)]
pub struct RlArgs {
    /// Name of the run
    #[arg(long, default_value = "rl", value_name = "NAME")]
    run: String,
    /// Fine-tuned run to start from
    #[arg(long, alias = "source", default_value = "sft", value_name = "RUN")]
    from: String,
    /// Problems to learn from
    #[arg(long, value_enum, default_value_t = TaskArg::Gsm8k)]
    task: TaskArg,
    /// Leave out so many problems from the beginning, such as those whose solutions were learnt (--gsm8k-solved)
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip_problems: usize,
    /// Learn from so many problems (default: all that there are)
    #[arg(long, value_name = "N")]
    problems: Option<usize>,
    /// Name of the data set (default: that of the run it starts from)
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// Folder of task data (default: that of the data set, or the shared one)
    #[arg(long, value_name = "DIR")]
    tasks: Option<PathBuf>,
    /// Answers drawn and learnt at once; divides --num-samples
    #[arg(long, alias = "device_batch_size", default_value_t = 8)]
    device_batch_size: usize,
    /// Problems per step
    #[arg(long, alias = "examples_per_step", default_value_t = 16)]
    examples_per_step: usize,
    /// Answers to each problem
    #[arg(long, alias = "num_samples", default_value_t = 16)]
    num_samples: usize,
    /// Most tokens of an answer
    #[arg(long, alias = "max_new_tokens", default_value_t = 256)]
    max_new_tokens: usize,
    /// Temperature of the draws
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// Draw from so many of the likeliest tokens (0 = all)
    #[arg(long, alias = "top_k", default_value_t = 50)]
    top_k: usize,
    /// Passes over the problems, when --num-iterations is absent
    #[arg(long, alias = "num_epochs", default_value_t = 1)]
    num_epochs: usize,
    /// Optimizer steps
    #[arg(long, alias = "num_iterations")]
    num_iterations: Option<usize>,
    /// Learning rates as a share of the pretraining ones
    #[arg(long, alias = "init_lr_frac", default_value_t = 0.05)]
    init_lr_frac: f64,
    /// Optimizer steps that learn from the same answers, with ratios of new to old probabilities
    #[arg(long, default_value_t = 1, value_name = "N")]
    updates: usize,
    /// With --updates: a token whose ratio is beyond 1 ± this teaches nothing more, as in PPO (0 = no clipping)
    #[arg(long, default_value_t = 0.0, value_name = "EPSILON")]
    clip: f64,
    /// Weight of a penalty for leaving the run it starts from: β times the k3 estimate of KL, per token (0 = none)
    #[arg(long, default_value_t = 0.0, value_name = "BETA")]
    kl: f64,
    /// Learn to stop, too; the original leaves the token out that ends an answer
    #[arg(long)]
    train_stop: bool,
    /// Held-out problems per evaluation
    #[arg(long, alias = "eval_examples", default_value_t = 400)]
    eval_examples: usize,
    /// Evaluate every so many steps (0 = only at the end)
    #[arg(long, alias = "eval_every", default_value_t = 60)]
    eval_every: usize,
    /// Write a checkpoint every so many steps (0 = only at the end)
    #[arg(long, alias = "save_every", default_value_t = 60)]
    save_every: usize,
    /// Checkpoints kept
    #[arg(long, default_value_t = 2)]
    keep: usize,
    /// Continue the newest checkpoint of this run
    #[arg(long)]
    resume: bool,
    /// Precision of Muon's Newton-Schulz iteration
    #[arg(long, value_enum, default_value_t)]
    ns_dtype: NsArg,
}

/// Problems of SpellingBee to learn from, and held-out ones.
const SPELLING: (usize, usize) = (8000, 256);

/// `train rl`.
pub fn rl(args: &RlArgs, globals: &Globals) -> anyhow::Result<StageSummary> {
    let layout = globals.layout()?;
    if args.run == args.from {
        bail!(Usage(format!("--run and --from are both {:?}: give the new run its own name", args.run)));
    }
    let Loaded { mut gpt, tokenizer, state, .. } = shared::load_run(globals, Some(&args.from), None)?;
    let data = args.data.clone().or_else(|| state.options["data"].as_str().map(String::from));
    let data = data.unwrap_or_else(|| "synth".into());
    let dir = args.tasks.clone().unwrap_or_else(|| layout.tasks(&data));
    let (task, test): (Box<dyn Task>, Box<dyn Task>) = match args.task {
        TaskArg::Gsm8k => {
            (Box::new(Gsm8k::open(&dir, "main", "train")?), Box::new(Gsm8k::open(&dir, "main", "test")?))
        }
        TaskArg::SpellingBee => {
            let words = spelling::words(&dir.join(WORDS))?;
            (
                Box::new(SpellingBee::new(words.clone(), SPELLING.0, false)),
                Box::new(SpellingBee::new(words, SPELLING.1, true)),
            )
        }
    };
    let stop = args.problems.map(|n| args.skip_problems.saturating_add(n));
    let task = Slice::new(task, args.skip_problems, stop, 1);
    if task.is_empty() {
        let (skip, n) = (args.skip_problems, args.problems.map_or("all".into(), |n| n.to_string()));
        bail!(Usage(format!("--skip-problems {skip} --problems {n}: that leaves no problem to learn from")));
    }
    let per_epoch = Rl::steps_per_epoch(task.len(), args.examples_per_step) * args.updates;
    let options = RlOptions {
        device_batch_size: args.device_batch_size,
        examples_per_step: args.examples_per_step,
        num_samples: args.num_samples,
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_k: args.top_k,
        num_iterations: args.num_iterations.unwrap_or(per_epoch * args.num_epochs),
        init_lr_frac: args.init_lr_frac,
        eval_examples: args.eval_examples,
        train_stop: args.train_stop,
        seed: globals.seed,
        updates: args.updates,
        clip: args.clip,
        kl: args.kl,
    };
    let run_dir = layout.run(&args.run);
    let log = run_dir.dir.join(answers::LOG);
    let device = globals.gpt_options().device;
    let mut stage = Rl::new(options.clone(), Box::new(task), Some(test), &tokenizer, device, Some(log))?;
    if args.kl > 0.0 {
        stage = stage.with_reference(shared::load_run(globals, Some(&args.from), None)?.gpt);
    }
    let Inherited { lrs, scalar_lr, hyper } = inherited(&state.options, gpt.config(), args.ns_dtype.chosen());
    let mut run = RunOptions {
        run: run_dir,
        steps: options.num_iterations,
        grad_clip: 0.0,
        eval_every: args.eval_every,
        save_every: args.save_every,
        keep: args.keep,
        sample_every: 0,
        resume: args.resume,
        seed: globals.seed,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options: json!({
            "stage": "rl", "from": args.from, "from_step": state.step, "tokenizer": state.options["tokenizer"],
            "data": data, "task": format!("{:?}", args.task), "training": options, "embedding_lr": lrs.wte,
            "unembedding_lr": lrs.lm_head, "matrix_lr": lrs.matrices, "scalar_lr": scalar_lr, "seed": globals.seed,
            "dtype": globals.gpt_options().compute.to_string(), "ns_dtype": format!("{:?}", hyper.ns),
        }),
    };
    // Absent for what there always was.
    if args.skip_problems > 0 {
        run.options["skip_problems"] = json!(args.skip_problems);
    }
    if let Some(n) = args.problems {
        run.options["problems"] = json!(n);
    }
    let mut progress = Progress::new(globals.quiet || globals.json, (run.steps / 50).max(1));
    Ok(run_stage(&mut gpt, &mut stage, hyper, &run, &mut progress, &stop_flag())?)
}
