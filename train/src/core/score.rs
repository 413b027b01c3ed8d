//! The forward passes: many sequences at once, of similar length, and logits only where a token counts.
//!
//! A sequence is padded on its right with `<|bos|>`, which changes nothing, since attention looks back only. Of the hidden
//! states (B, T, C) only the rows before counted tokens meet the head, in chunks, so the largest tensor is (256, V) whatever the
//! length of the prompts. Losses are f64 sums over f32 logits.

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
}

/// Rows that meet the head at once.
const HEAD_ROWS: usize = 256;

impl<'a> Scorer<'a> {
    /// With as long sequences as the model has positions for.
    pub fn new(gpt: &'a Gpt, bos: u32) -> Scorer<'a> {
        Scorer { gpt, bos, batch_tokens: 4096, max_len: gpt.rotary().positions() }
    }
    /// The score of each sequence. Those of similar length go together; the order of the result is that of the input, and
    /// nobody's score depends on who else was in the batch. `progress(done)` stops the work by returning `false`; then the
    /// rest has no score.
    pub fn score(
        &self,
        mut sequences: Vec<Sequence>,
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Vec<Option<SpanScore>>> {
        sequences.iter_mut().for_each(|s| s.cut_to(self.max_len));
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|&i| sequences[i].ids.len());
        let mut scores = vec![None; sequences.len()];
        let mut done = 0;
        while done < order.len() {
            // The longest of the batch decides its width; they are sorted, so that is the last one.
            let fits = |n: usize| {
                order
                    .get(done + n - 1)
                    .is_some_and(|&i| n * sequences[i].ids.len().max(1) <= self.batch_tokens)
            };
            let n = (1..).take_while(|&n| n == 1 || fits(n)).last().unwrap_or(1);
            let batch = &order[done..(done + n).min(order.len())];
            let picked: Vec<&Sequence> = batch.iter().map(|&i| &sequences[i]).collect();
            for (&i, score) in batch.iter().zip(self.batch(&picked)?) {
                scores[i] = Some(score);
            }
            done += batch.len();
            if !progress(done) {
                break;
            }
        }
        Ok(scores)
    }
    fn batch(&self, sequences: &[&Sequence]) -> Result<Vec<SpanScore>> {
        let (b, t) = (sequences.len(), sequences.iter().map(|s| s.ids.len()).max().unwrap_or(0));
        let mut ids = vec![self.bos as i32; b * t];
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (row, s) in sequences.iter().enumerate() {
            for (i, &id) in s.ids.iter().enumerate() {
                ids[row * t + i] = id as i32;
            }
            for i in s.start.max(1)..s.end {
                rows.push((row * t + i - 1) as i32);
                targets.push(s.ids[i]);
            }
        }
        let found = if rows.is_empty() { Vec::new() } else { self.losses(&ids, [b, t], &rows, &targets)? };
        let mut found = found.into_iter();
        let score = |s: &&Sequence| {
            let span: Vec<(f64, u32)> = found.by_ref().take(s.end.saturating_sub(s.start.max(1))).collect();
            let predicted: Vec<u32> = span.iter().map(|&(_, id)| id).collect();
            let mean_loss = span.iter().map(|&(loss, _)| loss).sum::<f64>() / span.len() as f64;
            let exact = !span.is_empty() && predicted[..] == s.ids[s.end - span.len()..s.end];
            SpanScore { mean_loss, predicted, exact }
        };
        Ok(sequences.iter().map(score).collect())
    }
    /// Loss of each target, and the likeliest id, after the hidden states in `rows` of the (B·T, C) ones.
    fn losses(
        &self,
        ids: &[i32],
        [b, t]: [usize; 2],
        rows: &[i32],
        targets: &[u32],
    ) -> Result<Vec<(f64, u32)>> {
        let device = self.gpt.options().device;
        let hidden = self.gpt.hidden(&Tensor::ids(ids, &[b, t], device)?, None, &mut Blind)?;
        let c = hidden.value().dim(2);
        let hidden = hidden.value().reshape(&[b * t, c])?;
        let mut out = Vec::with_capacity(rows.len());
        for (rows, targets) in rows.chunks(HEAD_ROWS).zip(targets.chunks(HEAD_ROWS)) {
            let picked = hidden.index_select(0, &Tensor::ids(rows, &[rows.len()], device)?)?; // (n, C)
            let logits = self.gpt.logits(&picked)?.to_f64_vec(); // (n, V)
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
