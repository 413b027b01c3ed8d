//! The demo's stages. Each is done once: a finished one is recognised by what it saved.

use super::heading;
use super::recipe::Recipe;
use crate::commands::shared::{self, Loaded, stop_flag};
use crate::commands::tok::train_tokenizer;
use crate::globals::Globals;
use crate::output::{self, Progress};
use model::Gpt;
use model::generate::{Sampling, generate};
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use tokenizer::{Tokenizer, TrainOptions};
use train::checkpoint;
use train::data::Dataset;
use train::run::{Layout, RunDir};
use train::stage::base::Base;
use train::stage::sft::Sft;
use train::stage::{RunOptions, Stage, run_stage};

/// Make the folder `dir` unless the file that is written last is there.
pub fn once(dir: &Path, last: &str, make: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    if !dir.join(last).is_file() {
        make()?;
    }
    Ok(dir.to_owned())
}

/// Learn a vocabulary.
pub fn tokenizer(
    layout: &Layout,
    name: &str,
    data: &Dataset,
    recipe: &Recipe,
    globals: &Globals,
) -> anyhow::Result<Tokenizer> {
    heading("2  A vocabulary, learnt by merging the commonest pairs")?;
    let dir = layout.tokenizer(name);
    let documents = data.documents()?;
    once(&dir, "meta.json", || {
        let options = TrainOptions { vocab_size: recipe.vocab_size, ..TrainOptions::default() };
        let (tokenizer, report) = train_tokenizer(&documents, &options, globals.quiet)?;
        if let Some(warning) = report.warning() {
            output::line(&format!("note: {warning}"))?;
        }
        Ok(tokenizer.save(&dir)?)
    })?;
    let tokenizer = Tokenizer::load(&dir)?;
    let sample = documents.first().map_or("", |d| d.lines().next().unwrap_or(""));
    let ids = tokenizer.encode(sample);
    let pieces: Vec<String> = ids.iter().map(|&id| tokenizer.decode(&[id])).collect::<Result<_, _>>()?;
    output::line(&format!(
        "{} entries; the first line in pieces: {}",
        tokenizer.vocab_size(),
        pieces.join("·")
    ))?;
    Ok(tokenizer)
}

/// Learn to continue documents.
pub fn pretrain(
    layout: &Layout,
    name: &str,
    data: &Dataset,
    tokenizer: &Tokenizer,
    recipe: &Recipe,
    globals: &Globals,
    prompts: &[String],
) -> anyhow::Result<()> {
    heading("3  Pretraining: predict the next token")?;
    let config = recipe.config(tokenizer.vocab_size());
    let gpt = Gpt::new(config.clone(), globals.seed, globals.gpt_options())?;
    output::line(&format!(
        "{} blocks of width {}, {} heads, context {}, {:.2} M parameters; {} steps of {} tokens",
        config.n_layer,
        config.n_embd,
        config.n_head,
        config.sequence_len,
        config.num_params() as f64 / 1e6,
        recipe.base_steps,
        recipe.batch * recipe.sequence_len
    ))?;
    let (documents, held_out) = (data.documents()?, data.validation_documents()?);
    let device = globals.gpt_options().device;
    let mut stage =
        Base::new(recipe.base(globals.seed), &documents, &held_out, tokenizer, config.sequence_len, device)?;
    stage.prompts = prompts.to_vec();
    let run = layout.run(&format!("{name}-base"));
    let options = recipe.describe("base", name, globals.seed);
    go(gpt, &mut stage, recipe, run, recipe.base_steps, recipe.grad_clip(), tokenizer, options, globals)
}

/// Learn to answer.
pub fn finetune(
    layout: &Layout,
    name: &str,
    data: &Dataset,
    tokenizer: &Tokenizer,
    recipe: &Recipe,
    globals: &Globals,
) -> anyhow::Result<()> {
    heading("4  Fine-tuning: answer questions, use the calculator")?;
    let loaded = shared::load_run(globals, Some(&format!("{name}-base")), None)?;
    let (train, held_out) = (data.conversations()?, data.validation_conversations()?);
    let device = globals.gpt_options().device;
    let mut stage = Sft::new(recipe.sft(globals.seed), &train, &held_out, tokenizer, device)?;
    let run = layout.run(&format!("{name}-sft"));
    let options = recipe.describe("sft", name, globals.seed);
    go(loaded.gpt, &mut stage, recipe, run, recipe.sft_steps, 0.0, tokenizer, options, globals)
}

fn go(
    mut gpt: Gpt,
    stage: &mut dyn Stage,
    recipe: &Recipe,
    run: RunDir,
    steps: usize,
    grad_clip: f64,
    tokenizer: &Tokenizer,
    options: serde_json::Value,
    globals: &Globals,
) -> anyhow::Result<()> {
    let begun = run.checkpoints().latest()?;
    if let Some(folder) = &begun {
        let state = checkpoint::load_state(folder)?;
        if state.step == steps && state.options == options {
            output::line(&format!("done already ({}); --fresh starts over", folder.display()))?;
            return Ok(());
        }
    }
    let run = RunOptions {
        run,
        steps,
        grad_clip,
        eval_every: 0,
        save_every: 100,
        keep: 1,
        sample_every: 0,
        resume: begun.is_some(),
        seed: globals.seed,
        tokenizer_fingerprint: tokenizer.fingerprint(),
        options,
    };
    let mut progress = Progress::new(globals.quiet, (steps / 20).max(1));
    run_stage(&mut gpt, stage, recipe.hyper(), &run, &mut progress, &stop_flag())?;
    shared::go_on()?;
    Ok(())
}

/// Continue what is typed; with standard input closed, the samples.
pub fn continue_text(loaded: &Loaded, samples: &[String], globals: &Globals) -> anyhow::Result<()> {
    heading("4  Type a beginning, the model continues")?;
    let continue_one = |text: &str| -> anyhow::Result<()> {
        let bos = loaded.tokenizer.bos();
        let ids = loaded.tokenizer.encode_between(Some(bos), text, None);
        let sampling = Sampling { temperature: 0.8, top_k: Some(50), seed: globals.seed };
        let mut decoder = loaded.tokenizer.stream_decoder();
        output::text(&format!("{text}…"))?;
        let mut failed = None;
        let room = loaded.gpt.config().sequence_len.saturating_sub(ids.len()).clamp(1, 100);
        generate(&loaded.gpt, &ids, room, sampling, |id| {
            let shown = match id == bos {
                true => return false,
                false => decoder.push(id).map_err(anyhow::Error::from),
            };
            failed = shown.and_then(|piece| Ok(output::text(&piece)?)).err();
            failed.is_none()
        })?;
        output::line("\n")?;
        failed.map_or(Ok(()), Err)
    };
    let stdin = std::io::stdin();
    let interactive = stdin.is_terminal();
    let mut any = false;
    for line in stdin.lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            any = true;
            continue_one(line.trim())?;
        }
    }
    if !any && !interactive {
        samples.iter().try_for_each(|s| continue_one(s))?;
    }
    Ok(())
}
