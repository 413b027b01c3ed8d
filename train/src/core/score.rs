//! The forward passes: many sequences at once, of similar length, and logits only where a token counts.
//!
//! The sequences of an item mostly begin alike: the same examples, the same question. Such a beginning is read once
//! (`prefix.rs`). The others are padded on their right with `<|bos|>`, which changes nothing, since attention looks back only. Of
//! the hidden states (B, T, C) only the rows before counted tokens meet the head, in chunks, so the largest tensor is (256, V)
//! whatever the length of the prompts. Losses are f64 sums over f32 logits.

use super::prefix::{self, Shared};
use crate::error::Result;
use model::Gpt;
use model::observe::Blind;
use tensor::Tensor;

/// Ids, and the span of them that counts: `start..end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The ids.
    pub ids: Vec<u32>,
    /// First counted one, at least 1.
    pub start: usize,
    /// One past the last.
    pub end: usize,
}

impl Sequence {
    /// The last `most` ids, with the span moved along; what it loses of its span is gone.
    pub fn cut_to(&mut self, most: usize) {
        let drop = self.ids.len().saturating_sub(most);
        self.ids.drain(..drop);
        self.start = self.start.saturating_sub(drop);
        self.end = self.end.saturating_sub(drop);
    }
    /// Ids that a model must read: all before the last counted one.
    pub fn read(&self) -> usize {
        self.end.saturating_sub(1)
    }
}

/// What the model thinks of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanScore {
    /// Mean loss of the counted tokens in nats; NaN if there are none.
    pub mean_loss: f64,
    /// The likeliest token in the place of each counted one, the first of equals.
    pub predicted: Vec<u32>,
    /// Is every counted token the likeliest?
    pub exact: bool,
}

/// Scores sequences with a model.
#[derive(Clone, Copy)]
pub struct Scorer<'a> {
    /// The model.
    pub gpt: &'a Gpt,
    /// Padding.
    pub bos: u32,
    /// Positions in a forward pass.
    pub batch_tokens: usize,
    /// Longer sequences lose their beginning.
    pub max_len: usize,
    /// Each sequence by itself, whole, with logits at every position, as the original does it: to compare with.
    pub one_by_one: bool,
}

/// Rows that meet the head at once.
const HEAD_ROWS: usize = 256;

impl<'a> Scorer<'a> {
    /// With as long sequences as the model has positions for.
    pub fn new(gpt: &'a Gpt, bos: u32) -> Scorer<'a> {
        // Beyond that a processor's caches overflow; a GPU wants to be filled.
        let batch_tokens = if gpt.options().device.memory().is_some() { 16_384 } else { 512 };
        Scorer { gpt, bos, batch_tokens, max_len: gpt.rotary().positions(), one_by_one: false }
    }
    /// The score of each sequence of each item. Those that begin alike are read together, the others with others of
    /// similar length; the order of the result is that of the input. `progress(done)` stops the work by returning `false`; then
    /// the rest has no score.
    pub fn score(
        &self,
        items: &[Vec<Sequence>],
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Vec<Option<SpanScore>>> {
        let mut sequences: Vec<Sequence> = items.iter().flatten().cloned().collect();
        sequences.iter_mut().for_each(|s| s.cut_to(self.max_len));
        let (mut alone, mut shared, mut first) = (Vec::new(), Vec::new(), 0);
        for item in items {
            let all = first..first + item.len();
            first = all.end;
            match prefix::of(&sequences[all.clone()]).filter(|_| !self.one_by_one) {
                Some(len) => shared.push(Shared { all, len }),
                None => alone.extend(all),
            }
        }
        let mut work: Vec<Vec<usize>> = self.batches(alone, &sequences);
        let plain = work.len();
        let shared = prefix::batches(shared, &sequences, self.batch_tokens);
        work.extend(shared.iter().map(|items| items.iter().flat_map(|s| s.all.clone()).collect()));
        let mut scores = vec![None; sequences.len()];
        let mut done = 0;
        for (i, batch) in work.iter().enumerate() {
            let picked: Vec<&Sequence> = batch.iter().map(|&i| &sequences[i]).collect();
            let found = match i.checked_sub(plain) {
                None => self.batch(&picked)?,
                Some(i) => self.after_prefixes(&shared[i], &picked)?,
            };
            for (&i, score) in batch.iter().zip(found) {
                scores[i] = Some(score);
            }
            done += batch.len();
            if !progress(done) {
                break;
            }
        }
        Ok(scores)
    }
    /// Sequences of similar length, as many as fit a pass: sorted, so the last of a batch decides its width.
    fn batches(&self, mut order: Vec<usize>, sequences: &[Sequence]) -> Vec<Vec<usize>> {
        order.sort_by_key(|&i| sequences[i].ids.len());
        let mut out: Vec<Vec<usize>> = Vec::new();
        for i in order {
            let width = sequences[i].ids.len().max(1);
            match out.last_mut() {
                Some(batch) if !self.one_by_one && (batch.len() + 1) * width <= self.batch_tokens => {
                    batch.push(i);
                }
                _ => out.push(vec![i]),
            }
        }
        out
    }
    fn batch(&self, sequences: &[&Sequence]) -> Result<Vec<SpanScore>> {
        let (b, t) = (sequences.len(), sequences.iter().map(|s| s.ids.len()).max().unwrap_or(0));
        let mut ids = vec![self.bos as i32; b * t];
        for (row, s) in sequences.iter().enumerate() {
            for (i, &id) in s.ids.iter().enumerate() {
                ids[row * t + i] = id as i32;
            }
        }
        if b * t == 0 {
            return Ok(vec![SpanScore { mean_loss: f64::NAN, predicted: Vec::new(), exact: false }; b]);
        }
        let ids = Tensor::ids(&ids, &[b, t], self.gpt.options().device)?;
        self.spans(self.gpt.hidden(&ids, None, &mut Blind)?.value(), 0, sequences)
    }
    /// The scores after hidden states (B, T, C), a row for each sequence, whose first position is the sequences' `from`.
    pub(super) fn spans(
        &self,
        hidden: &Tensor,
        from: usize,
        sequences: &[&Sequence],
    ) -> Result<Vec<SpanScore>> {
        let (t, c) = (hidden.dim(1), hidden.dim(2));
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        let first = |s: &Sequence| if self.one_by_one { 1 } else { s.start.max(1) };
        for (row, s) in sequences.iter().enumerate() {
            for i in first(s)..s.end {
                rows.push((row * t + i - 1 - from) as i32);
                targets.push(s.ids[i]);
            }
        }
        let hidden = hidden.reshape(&[sequences.len() * t, c])?;
        let mut found = self.losses(&hidden, &rows, &targets)?.into_iter();
        let score = |s: &&Sequence| {
            let all: Vec<(f64, u32)> = found.by_ref().take(s.end.saturating_sub(first(s))).collect();
            let span = &all[(s.start.max(1) - first(s)).min(all.len())..];
            let predicted: Vec<u32> = span.iter().map(|&(_, id)| id).collect();
            let mean_loss = span.iter().map(|&(loss, _)| loss).sum::<f64>() / span.len() as f64;
            let exact = !span.is_empty() && predicted[..] == s.ids[s.end - span.len()..s.end];
            SpanScore { mean_loss, predicted, exact }
        };
        Ok(sequences.iter().map(score).collect())
    }
    /// Loss of each target, and the likeliest id, after the hidden states in `rows` of the (N, C) ones.
    fn losses(&self, hidden: &Tensor, rows: &[i32], targets: &[u32]) -> Result<Vec<(f64, u32)>> {
        let mut out = Vec::with_capacity(rows.len());
        for (rows, targets) in rows.chunks(HEAD_ROWS).zip(targets.chunks(HEAD_ROWS)) {
            let picked = Tensor::ids(rows, &[rows.len()], hidden.device())?;
            let logits = self.gpt.logits(&hidden.index_select(0, &picked)?)?.to_f64_vec(); // (n, V)
            let vocab = logits.len() / rows.len();
            for (row, &target) in logits.chunks(vocab).zip(targets) {
                let best = argmax(row);
                let sum: f64 = row.iter().map(|z| (z - row[best]).exp()).sum();
                let target = row.get(target as usize).copied().unwrap_or(f64::NEG_INFINITY);
                out.push((row[best] + sum.ln() - target, best as u32));
            }
        }
        Ok(out)
    }
}

/// The first of the largest.
pub fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sequence_keeps_its_end_and_the_span_moves_along() {
        let mut s = Sequence { ids: (0..10).collect(), start: 7, end: 9 };
        s.cut_to(4);
        assert_eq!(s, Sequence { ids: vec![6, 7, 8, 9], start: 1, end: 3 });
        s.cut_to(1);
        assert_eq!((s.start, s.end), (0, 0));
    }
}
