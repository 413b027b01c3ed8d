//! Questions with letters: of the logits after the prompt, only those of the letters compete. The first of equals wins.
//!
//! That a model could write something else does not count against it; the score is what it would choose if it had to. Prompts go
//! through the model in batches of similar length, padded on the right, which changes nothing.

use super::TaskScore;
use crate::core::score::argmax;
use crate::error::{Result, TrainError};
use crate::tasks::{Example, Task};
use model::Gpt;
use model::observe::Blind;
use tensor::Tensor;
use tokenizer::Tokenizer;

/// A prompt and the ids that compete.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Ids up to where the answer begins.
    pub ids: Vec<u32>,
    /// The letters as ids.
    pub letters: Vec<u32>,
}

/// The prompt of an example. Each letter has to be one token.
pub fn prompt(example: &Example, tokenizer: &Tokenizer) -> Result<Prompt> {
    let mut letters = Vec::with_capacity(example.letters.len());
    for letter in &example.letters {
        match tokenizer.encode(letter)[..] {
            [id] => letters.push(id),
            ref ids => {
                return Err(TrainError::Config(format!(
                    "the letter {letter:?} is {} tokens and has to be one; use another tokenizer",
                    ids.len()
                )));
            }
        }
    }
    Ok(Prompt { ids: tokenizer.render_for_completion(&example.conversation)?, letters })
}

/// Logits of the letters of each prompt, `b` prompts at a time. `progress(done)` stops by `false`; prompts that were not
/// reached have none.
pub fn letter_logits(
    gpt: &Gpt,
    prompts: &[Prompt],
    b: usize,
    pad: u32,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<Vec<f64>>> {
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|&i| prompts[i].ids.len());
    let mut out = vec![Vec::new(); prompts.len()];
    let mut done = 0;
    for batch in order.chunks(b.max(1)) {
        let picked: Vec<&Prompt> = batch.iter().map(|&i| &prompts[i]).collect();
        for (&i, logits) in batch.iter().zip(last_logits(gpt, &picked, pad)?) {
            let of = |&id: &u32| logits.get(id as usize).copied().unwrap_or(f64::NEG_INFINITY);
            out[i] = prompts[i].letters.iter().map(of).collect();
        }
        done += batch.len();
        if !progress(done) {
            break;
        }
    }
    Ok(out)
}

/// Logits after the last id of each prompt.
fn last_logits(gpt: &Gpt, prompts: &[&Prompt], pad: u32) -> Result<Vec<Vec<f64>>> {
    let (b, device) = (prompts.len(), gpt.options().device);
    let t = prompts.iter().map(|p| p.ids.len()).max().unwrap_or(0);
    let mut ids = vec![pad as i32; b * t];
    let mut rows = Vec::with_capacity(b);
    for (row, p) in prompts.iter().enumerate() {
        for (i, &id) in p.ids.iter().enumerate() {
            ids[row * t + i] = id as i32;
        }
        rows.push((row * t + p.ids.len() - 1) as i32);
    }
    let hidden = gpt.hidden(&Tensor::ids(&ids, &[b, t], device)?, None, &mut Blind)?;
    let c = hidden.value().dim(2);
    let last = hidden.value().reshape(&[b * t, c])?.index_select(0, &Tensor::ids(&rows, &[b], device)?)?; // (B, C)
    let logits = gpt.logits(&last)?.to_f64_vec();
    let vocab = logits.len() / b.max(1);
    Ok(logits.chunks(vocab.max(1)).map(<[f64]>::to_vec).collect())
}

/// Ask the first `most` problems of a task (0 = all).
pub fn evaluate(
    gpt: &Gpt,
    tokenizer: &Tokenizer,
    task: &dyn Task,
    b: usize,
    most: usize,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<TaskScore> {
    let n = if most == 0 { task.len() } else { most.min(task.len()) };
    let examples = (0..n).map(|i| task.example(i)).collect::<Result<Vec<_>>>()?;
    let prompts = examples.iter().map(|e| prompt(e, tokenizer)).collect::<Result<Vec<_>>>()?;
    let logits = letter_logits(gpt, &prompts, b, tokenizer.bos(), &mut |done| progress(done, n))?;
    let mut right = 0;
    for (example, logits) in examples.iter().zip(&logits).filter(|(_, l)| !l.is_empty()) {
        right += usize::from(task.is_right(example, &example.letters[argmax(logits)])?);
    }
    let asked = logits.iter().filter(|l| !l.is_empty()).count();
    Ok(TaskScore { task: task.name(), asked, right, baseline: task.baseline() })
}
