//! The model as the scheduler sees it: rows that lie in pages, some new tokens for each, logits behind them.

use tensor::Tensor;

pub use model::cache::Seat;

/// A model with a pool of cache pages.
pub trait Forward {
    /// What can go wrong in a forward pass.
    type Error: std::error::Error + From<tensor::TensorError> + 'static;

    /// Pages of the pool.
    fn pages(&self) -> usize;
    /// Positions of a page.
    fn page_len(&self) -> usize;
    /// Ids that the model knows.
    fn vocab_size(&self) -> usize;
    /// Most positions of a row.
    fn context(&self) -> usize;
    /// Feeds the next tokens to the rows, equally many to each, row after row in `tokens`. Their keys and values go
    /// behind what is filled of the rows' pages. Returns the logits (rows, V) behind the last token of each row.
    ///
    /// A row's logits have the same bits whatever the other rows are, and however its tokens were split into calls.
    fn feed(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<Tensor, Self::Error>;
    /// As [`feed`](Self::feed), where nobody asks for the logits: the beginning of a prompt.
    fn fill(&mut self, rows: &[Seat<'_>], tokens: &[u32]) -> Result<(), Self::Error>;
    /// As [`feed`](Self::feed) for one row, with the logits (tokens, V) behind each of its new tokens.
    fn score(&mut self, row: &Seat<'_>, tokens: &[u32]) -> Result<Tensor, Self::Error>;
    /// Page `to` becomes what page `from` is.
    fn copy_page(&mut self, from: u32, to: u32) -> Result<(), Self::Error>;
}
