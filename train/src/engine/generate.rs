//! The loop over columns: sample every row, let the tool machine have its say, feed the column back.
//!
//! A *column* is one new token for each row. All rows share the prompt, so it is run once and its cache is
//! copied; from then on the rows differ only by what was sampled. A row that has ended keeps running until
//! all have (the batch is one matrix), and its tokens are marked as finished.
//!
//! The loop knows nothing about models: it drives the trait [`Forward`]. [`Engine::generate`] streams
//! columns, for chat; [`Engine::generate_batch`] collects whole sequences, for evaluation and reinforcement
//! learning. Sampling itself belongs to the model side. Next: `tools.rs`, what happens to one row inside a
//! column.

use super::tools::{RowState, ToolTokens};

/// A model with a cache, as the loop sees it.
pub trait Forward {
    /// What can go wrong in a forward pass.
    type Error: std::error::Error + 'static;

    /// Starts over: runs the prompt once and makes `rows` rows that all continue from it. At most `max_new`
    /// tokens per row will follow; with `None` the model's own sequence length is the only bound.
    fn prefill(&mut self, prompt: &[u32], rows: usize, max_new: Option<usize>) -> Result<(), Self::Error>;

    /// One token per row, drawn from the logits of the last `prefill` or `step`. `draw` counts the columns
    /// from 0; the token of a row may depend on nothing but its logits, `sampling`, `draw` and the row's
    /// number.
    fn sample(&mut self, sampling: &Sampling, draw: u64) -> Result<Vec<u32>, Self::Error>;

    /// Feeds one token to each row.
    fn step(&mut self, column: &[u32]) -> Result<(), Self::Error>;
}

/// How tokens are drawn from logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by this before the softmax; 0 takes the largest, whatever the seed.
    pub temperature: f32,
    /// Only the `k` largest logits take part; `None` or 0: all of them.
    pub top_k: Option<usize>,
    /// Same seed, same tokens.
    pub seed: u64,
}

impl Default for Sampling {
    /// Temperature 1, all tokens, seed 42.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, seed: 42 }
    }
}

/// How much to generate, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GenerateOptions {
    /// Number of rows, all from the same prompt.
    pub num_samples: usize,
    /// Columns to generate at most; `None`: until every row has ended.
    pub max_tokens: Option<usize>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Habits of the original, for comparisons only.
    pub compat: Compat,
}

impl Default for GenerateOptions {
    /// One row, no bound on its length, default sampling.
    fn default() -> Self {
        Self { num_samples: 1, max_tokens: None, sampling: Sampling::default(), compat: Compat::default() }
    }
}

/// Habits of the original that we do not share; `parity` turns them on to compare with its dumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compat {
    /// First generation: the first token is sampled once and copied to all rows, so samples are not
    /// independent.
    pub broadcast_first_token: bool,
    /// Second generation: the last column is fed to the model too, though nobody reads the logits.
    pub forward_after_last: bool,
}

/// Why nothing could be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError<E: std::error::Error + 'static> {
    /// There is nothing to continue.
    #[error("the prompt is empty: start it with the <|bos|> token")]
    EmptyPrompt,
    /// No rows were asked for.
    #[error("num_samples is 0: ask for at least one sample")]
    NoSamples,
    /// Negative or not a number.
    #[error("temperature is {0}: use 0 for the most likely token, or a positive number")]
    Temperature(f32),
    /// The model returned a column of the wrong height.
    #[error("the model sampled {got} tokens for {rows} rows: Forward::sample must return one per row")]
    Rows {
        /// Rows that were asked for.
        rows: usize,
        /// Tokens that came.
        got: usize,
    },
    /// The forward pass failed.
    #[error(transparent)]
    Forward(E),
}

/// One new token for every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The tokens, by row. The token that ends a row is included.
    pub tokens: Vec<u32>,
    /// Was the token sampled (true) or forced by the tool machine (false)?
    pub sampled: Vec<bool>,
    /// Had the row ended before this column? Then its token means nothing.
    pub finished: Vec<bool>,
}

/// Whole sequences, see [`Engine::generate_batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Per row: the prompt and what was generated, without the token that ended it.
    pub sequences: Vec<Vec<u32>>,
    /// Per row and token: was it sampled? False for the prompt and for forced tokens.
    pub sampled: Vec<Vec<bool>>,
}

/// A model and the tokenizer its tools need.
#[derive(Debug)]
pub struct Engine<F, T> {
    /// The model.
    pub model: F,
    /// The tokenizer.
    pub tokens: T,
}

impl<F: Forward, T: ToolTokens> Engine<F, T> {
    /// Puts the two together.
    pub fn new(model: F, tokens: T) -> Self {
        Self { model, tokens }
    }

    /// Runs the prompt and returns the columns as an iterator; each `next` is one forward pass. Dropping it
    /// stops.
    ///
    /// Ends after `max_tokens` columns or once every row has ended. After an error the iterator is exhausted.
    pub fn generate(
        &mut self,
        prompt: &[u32],
        options: &GenerateOptions,
    ) -> Result<Columns<'_, F, T>, GenerateError<F::Error>> {
        if prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        if options.num_samples == 0 {
            return Err(GenerateError::NoSamples);
        }
        let temperature = options.sampling.temperature;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Err(GenerateError::Temperature(temperature));
        }
        self.model
            .prefill(prompt, options.num_samples, options.max_tokens)
            .map_err(GenerateError::Forward)?;
        Ok(Columns {
            engine: self,
            options: *options,
            rows: vec![RowState::new(); options.num_samples],
            emitted: 0,
            not_fed: None,
            failed: false,
        })
    }

    /// Generates all rows to their end and returns prompt and answer together.
    ///
    /// The token that ends a row is not part of its sequence, nor is anything after it.
    pub fn generate_batch(
        &mut self,
        prompt: &[u32],
        options: &GenerateOptions,
    ) -> Result<Batch, GenerateError<F::Error>> {
        let n = options.num_samples;
        let mut batch =
            Batch { sequences: vec![prompt.to_vec(); n], sampled: vec![vec![false; prompt.len()]; n] };
        let mut columns = self.generate(prompt, options)?;
        while let Some(column) = columns.next().transpose()? {
            for row in 0..n {
                // Only a column that ends a row or comes after it finds the row completed here.
                if !columns.completed(row) {
                    batch.sequences[row].push(column.tokens[row]);
                    batch.sampled[row].push(column.sampled[row]);
                }
            }
        }
        Ok(batch)
    }
}

/// The columns of one call of [`Engine::generate`].
#[derive(Debug)]
pub struct Columns<'a, F, T> {
    engine: &'a mut Engine<F, T>,
    options: GenerateOptions,
    rows: Vec<RowState>,
    emitted: usize,
    /// The last column. It is fed to the model only when another one is wanted.
    not_fed: Option<Vec<u32>>,
    failed: bool,
}

impl<F: Forward, T: ToolTokens> Columns<'_, F, T> {
    /// Has this row ended, counting the column returned last?
    pub fn completed(&self, row: usize) -> bool {
        self.rows.get(row).is_none_or(RowState::completed)
    }

    fn advance(&mut self) -> Result<Option<Column>, GenerateError<F::Error>> {
        let ended = self.rows.iter().all(RowState::completed)
            || self.options.max_tokens.is_some_and(|most| self.emitted >= most);
        if let Some(column) = self.not_fed.take_if(|_| !ended || self.options.compat.forward_after_last) {
            self.engine.model.step(&column).map_err(GenerateError::Forward)?;
        }
        if ended {
            return Ok(None);
        }
        let samples = self.sample()?;
        let finished = self.rows.iter().map(RowState::completed).collect();
        let (mut tokens, mut sampled) = (Vec::new(), Vec::new());
        for (row, sample) in self.rows.iter_mut().zip(samples) {
            let (token, was_sampled) = row.choose(sample);
            row.observe(token, &self.engine.tokens);
            tokens.push(token);
            sampled.push(was_sampled);
        }
        self.emitted += 1;
        self.not_fed = Some(tokens.clone());
        Ok(Some(Column { tokens, sampled, finished }))
    }

    fn sample(&mut self) -> Result<Vec<u32>, GenerateError<F::Error>> {
        let draw = self.emitted as u64;
        let mut samples =
            self.engine.model.sample(&self.options.sampling, draw).map_err(GenerateError::Forward)?;
        if samples.len() != self.rows.len() {
            return Err(GenerateError::Rows { rows: self.rows.len(), got: samples.len() });
        }
        if self.emitted == 0 && self.options.compat.broadcast_first_token {
            let first = samples[0];
            samples.fill(first);
        }
        Ok(samples)
    }
}

impl<F: Forward, T: ToolTokens> Iterator for Columns<'_, F, T> {
    type Item = Result<Column, GenerateError<F::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let column = self.advance();
        self.failed = column.is_err();
        column.transpose()
    }
}

#[cfg(test)]
mod tests;
