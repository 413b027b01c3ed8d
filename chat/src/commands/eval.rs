//! `nanochat eval`: how good is a model? Bits per byte here, CORE in `eval/core.rs`, ChatCORE in `eval/chat.rs`.

mod chat;
mod core;

use super::shared;
use crate::globals::Globals;
use crate::output;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use train::data::Dataset;
use train::stage::base::evaluate_loader;

/// Evaluation commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Bits per byte on held-out documents, and samples
    #[command(after_help = "Example:\n  nanochat eval base --run base --prompt 'Once upon a time'")]
    Base(BaseArgs),
    /// What a pretrained model knows: the tasks of CORE, scored by probabilities
    #[command(
        after_help = "Examples:\n  nanochat eval core --run base\n  nanochat eval core --run base --max-per-task 100 --bundle eval_bundle"
    )]
    Core(core::CoreArgs),
    /// What a chat model can do: ARC, MMLU, GSM8K, HumanEval, SpellingBee
    #[command(
        after_help = "Examples:\n  nanochat eval chat --run sft\n  nanochat eval chat --run rl -a 'GSM8K|MMLU' -x 100"
    )]
    Chat(chat::ChatArgs),
}

/// `eval base`.
#[derive(Args)]
pub struct BaseArgs {
    /// Run to evaluate (default: the most recent)
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Name of the data set (default: the one it was trained on)
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// Tokens to validate on
    #[arg(long, default_value_t = 262_144)]
    eval_tokens: usize,
    /// Rows per batch
    #[arg(long, default_value_t = 8)]
    device_batch_size: usize,
    /// Beginning of a sample; may be repeated
    #[arg(long = "prompt", value_name = "TEXT")]
    prompts: Vec<String>,
    /// Tokens per sample
    #[arg(long, default_value_t = 64)]
    max_tokens: usize,
    #[command(flatten)]
    weights: shared::Weights,
}

/// Run an evaluation command.
pub fn run(command: &Command, globals: &Globals) -> anyhow::Result<ExitCode> {
    let args = match command {
        Command::Base(args) => args,
        Command::Core(args) => return core::run(args, globals),
        Command::Chat(args) => return chat::run(args, globals),
    };
    let loaded =
        shared::load_run(globals, args.run.as_deref(), None)?.for_inference(args.weights.quantize())?;
    let data = args.data.clone().or_else(|| loaded.state.options["data"].as_str().map(String::from));
    let data = Dataset::open(&globals.layout()?.data(data.as_deref().unwrap_or("synth")))?;
    let Some(mut stream) = shared::held_out(&data, &loaded.tokenizer)? else {
        anyhow::bail!("{} has no held-out documents; import a larger corpus", data.dir().display())
    };
    let bytes = loaded.tokenizer.token_bytes();
    let sums =
        evaluate_loader(&loaded.gpt, stream.as_mut(), &bytes, args.device_batch_size, args.eval_tokens)?;
    let mut samples = Vec::new();
    for prompt in &args.prompts {
        let bos = loaded.tokenizer.bos();
        let ids = loaded.tokenizer.encode_between(Some(bos), prompt, None);
        let sampling = model::generate::Sampling::greedy();
        let mut out =
            model::generate::generate(&loaded.gpt, &ids, args.max_tokens, sampling, |id| id != bos)?;
        out.retain(|&id| id != bos);
        samples.push((prompt, loaded.tokenizer.decode(&out)?));
    }
    if globals.json {
        let samples: Vec<_> = samples.iter().map(|(p, t)| json!({"prompt": p, "text": t})).collect();
        output::line(
            &json!({"run": loaded.run, "step": loaded.state.step, "val_bpb": sums.value(), "val_loss": sums.loss(),
                "tokens": sums.targets, "samples": samples})
            .to_string(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("run {:?}, step {}, {} tokens", loaded.run, loaded.state.step, sums.targets))?;
    output::line(&format!("Validation bpb: {:.4}", sums.value()))?;
    output::line(&format!("Loss per token: {:.4} nats", sums.loss()))?;
    for (prompt, text) in samples {
        output::line(&format!("sample | {prompt}{text}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
