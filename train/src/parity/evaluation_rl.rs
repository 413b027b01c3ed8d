//! Reinforcement learning: rewards, advantages, losses and gradients of a step over given answers.

use super::evaluation::tokenizer;
use super::evaluation_model::model;
use super::input::{Tensors, json};
use super::report::{Checked, Reporter, Tolerance, fail};
use super::tokenizer::{same, some};
use crate::engine::tools::ToolTokens;
use crate::rl::{advantages, passes};
use crate::tasks::{Example, gsm8k};
use ::tokenizer::conversation::{Conversation, Rendered};
use autograd::Tape;
use serde::Deserialize;
use std::path::Path;
use tensor::{DType, Device, Tensor};

#[derive(Deserialize)]
struct Dump {
    prompt: Vec<u32>,
    conversation: Conversation,
    cases: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    case: String,
    device_batch_size: usize,
    examples_per_rank: usize,
    sequences: Vec<Vec<u32>>,
    masks: Vec<Vec<u8>>,
    rewards: Vec<f64>,
    advantages: Vec<f64>,
    loss_per_pass: Vec<f64>,
    num_valid_per_pass: Vec<usize>,
}

pub(super) fn check(file: &Path, goldens: Option<&Path>, report: &mut Reporter<'_>) -> Checked {
    let dump: Dump = json(file)?;
    let tokenizer = tokenizer(file.parent().unwrap_or(Path::new(".")), goldens)?;
    let stored = Tensors::read(&file.with_file_name("rl.safetensors"))?;
    let prompt = tokenizer.render_for_completion(&dump.conversation)?;
    report.exact("rl: prompt", same("ids", &prompt, &dump.prompt).and_then(|()| some(prompt.len(), "ids")));
    let example = Example { conversation: dump.conversation.clone(), letters: Vec::new() };
    let pad = tokenizer.special(::tokenizer::Special::AssistantEnd);
    for step in &dump.cases {
        let name = format!("rl {}", step.case);
        let texts = step
            .sequences
            .iter()
            .map(|ids| ToolTokens::decode(&tokenizer, &ids[prompt.len().min(ids.len())..]));
        let rewards: Vec<f64> =
            texts.map(|text| f64::from(u8::from(gsm8k::agrees(&example, &text)))).collect();
        report.exact(
            &format!("{name}: rewards"),
            same("rewards", &rewards, &step.rewards).and_then(|()| some(rewards.len(), "rewards")),
        );
        let advantages = advantages(&rewards);
        report.numbers(
            &format!("{name}: advantages"),
            &advantages,
            &step.advantages,
            Tolerance::MaxAbs(1e-6),
        );
        if step.masks.len() != step.sequences.len() {
            return fail(format!("{}: as many masks as sequences are needed", step.case));
        }
        let rows: Vec<Rendered> = step
            .sequences
            .iter()
            .zip(&step.masks)
            .map(|(ids, mask)| Rendered { ids: ids.clone(), mask: mask.clone() })
            .collect();
        gradients(step, &name, &rows, &advantages, pad, file, &stored, report)?;
    }
    some(dump.cases.len(), "cases").map(|_| ())
}

fn gradients(
    step: &Step,
    name: &str,
    rows: &[Rendered],
    advantages: &[f64],
    pad: u32,
    file: &Path,
    stored: &Tensors,
    report: &mut Reporter<'_>,
) -> Checked {
    let gpt = model(file)?;
    let (mut losses, mut valid, mut logp) = (Vec::new(), Vec::new(), Vec::new());
    // The dump's step repeats one example as often as a rank has examples; each adds its share of the gradient once.
    for pass in passes(rows, advantages, step.device_batch_size, step.examples_per_rank, pad) {
        let batch = pass.on(Device::Cpu, 1.0)?;
        let tape = Tape::new();
        let [loss, row_losses] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape))?;
        losses.push(loss.value().item()?);
        logp.extend(row_losses.value().to_f64_vec().into_iter().map(|l| -l));
        valid.push(pass.valid);
        loss.backward(1.0)?;
    }
    report.numbers(&format!("{name}: losses"), &losses, &step.loss_per_pass, Tolerance::MaxAbs(1e-5));
    report.exact(
        &format!("{name}: counted tokens"),
        same("tokens", &valid, &step.num_valid_per_pass).and_then(|()| some(valid.len(), "passes")),
    );
    if let Ok(theirs) = stored.get(&format!("{}.logp", step.case)) {
        report.numbers(
            &format!("{name}: log-probabilities"),
            &logp,
            &theirs.to_f64_vec(),
            Tolerance::MaxAbs(1e-4),
        );
    }
    for p in gpt.params() {
        let theirs = stored.get(&format!("{}.grad.{}", step.case, p.name))?;
        let ours = match p.grad().get() {
            Some(grad) => grad,
            None => Tensor::from_f64(&vec![0.0; theirs.numel()], theirs.dims(), DType::F32, Device::Cpu)?,
        };
        report.tensors(&format!("{name}: grad {}", p.name), &ours, theirs, Tolerance::RelL2(1e-4));
    }
    Ok(())
}
