//! `nanochat eval`: how good is a model? Bits per byte here, CORE in `eval/core.rs`, ChatCORE in `eval/chat.rs`.

mod chat;
mod core;

use super::shared;
use crate::globals::Globals;
use crate::output;
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use train::bpb::BitsPerByte;
use train::data::{Dataset, Loader};
use train::stage::base::{evaluate_loader, held_out_rows};
use train::trigram::learn_from;

/// Evaluation commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Bits per byte on held-out documents, and samples
    #[command(
        after_help = "Example:\n  nanochat eval base --run base --prompt 'Once upon a time'\n  nanochat eval base --run base --trigram"
    )]
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
    /// Count trigrams of the training tokens, too, and say how well those predict the same text
    #[arg(long)]
    trigram: bool,
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
    let counted =
        if args.trigram { Some(trigram(args, &loaded, &data, stream.as_mut(), globals)?) } else { None };
    if let Some([trigram_bpb, _]) = counted {
        let step = loaded.state.step;
        let path = globals.layout()?.run(&loaded.run).dir.join(format!("trigram_{step:06}.json"));
        let result = json!({"step": step, "val_bpb": sums.value(), "trigram_bpb": trigram_bpb});
        std::fs::write(&path, format!("{result}\n")).with_context(|| path.display().to_string())?;
    }
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
                "tokens": sums.targets, "trigram_bpb": counted.map(|[bpb, _]| bpb), "samples": samples})
            .to_string(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("run {:?}, step {}, {} tokens", loaded.run, loaded.state.step, sums.targets))?;
    output::line(&format!("Validation bpb: {:.4}", sums.value()))?;
    if let Some([bpb, tokens]) = counted {
        output::line(&format!(
            "Trigram bpb: {bpb:.4} (interpolated Kneser–Ney, counted in {tokens} tokens)"
        ))?;
    }
    output::line(&format!("Loss per token: {:.4} nats", sums.loss()))?;
    for (prompt, text) in samples {
        output::line(&format!("sample | {prompt}{text}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Most tokens that trigrams are counted in: they take about 100 bytes each.
const COUNTED: u64 = 20_000_000;

/// Bits per byte of a trigram that learnt from what the model was trained on, of the text that the model was evaluated on;
/// and the number of tokens it learnt from.
fn trigram(
    args: &BaseArgs,
    loaded: &shared::Loaded,
    data: &Dataset,
    held_out: &mut dyn Loader,
    globals: &Globals,
) -> anyhow::Result<[f64; 2]> {
    let (mut train, _, _) = shared::document_loaders(data, None, &loaded.tokenizer, globals.seed)?;
    let t = loaded.gpt.config().sequence_len;
    let per_step = loaded.state.options["training"]["total_batch_size"].as_u64();
    let seen = per_step.map_or(COUNTED, |n| n * loaded.state.step as u64).min(COUNTED);
    let (trigram, tokens) = learn_from(train.as_mut(), t, seen, loaded.tokenizer.vocab_size())?;
    let (bytes, mut sums) = (loaded.tokenizer.token_bytes(), BitsPerByte::default());
    held_out_rows(held_out, args.device_batch_size, t, args.eval_tokens, &mut |rows| {
        trigram.score(&rows, &bytes, &mut sums);
        Ok(())
    })?;
    Ok([sums.value(), tokens as f64])
}
