//! What a loader gives: rows of ids with what each position should predict, on the host; and the trait of all loaders.

use super::batch::Batch;
use crate::error::{Result, TrainError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tensor::Device;

/// `b` rows of `t` ids and targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Token ids (b·t), row after row.
    pub ids: Vec<i32>,
    /// The id each position should predict (b·t); −1 = not counted.
    pub targets: Vec<i32>,
    /// Rows.
    pub b: usize,
    /// Columns.
    pub t: usize,
}

impl Rows {
    /// As tensors.
    pub fn on(&self, device: Device) -> Result<Batch> {
        Batch::new(&self.ids, &self.targets, self.b, self.t, device)
    }
    /// From rows of t + 1 ids: the first t are inputs, the last t are targets.
    pub(super) fn shifted(rows: &[i32], b: usize, t: usize) -> Rows {
        let (mut ids, mut targets) = (Vec::with_capacity(b * t), Vec::with_capacity(b * t));
        for row in rows.chunks(t + 1) {
            ids.extend(&row[..t]);
            targets.extend(&row[1..]);
        }
        Rows { ids, targets, b, t }
    }
    /// From one stream of b·t + 1 ids.
    pub(super) fn stream(ids: &[i32], b: usize, t: usize) -> Rows {
        Rows { ids: ids[..b * t].to_vec(), targets: ids[1..].to_vec(), b, t }
    }
}

/// A loader of rows for ever.
pub trait Loader: Send {
    /// The next `b` rows of `t`.
    fn rows(&mut self, b: usize, t: usize) -> Result<Rows>;
    /// Where it is: with [`Loader::seek`] enough to go on with the very next row.
    fn position(&self) -> Value;
    /// Continue from a saved position.
    fn seek(&mut self, position: &Value) -> Result<()>;
    /// Back to the beginning.
    fn restart(&mut self) -> Result<()>;
    /// Full passes over the data that are done.
    fn epochs_done(&self) -> u64;
    /// Tokens of a pass, where that is known without reading all.
    fn tokens_per_epoch(&self) -> Option<usize> {
        None
    }
}

/// A saved position of a loader of this kind.
pub(super) fn saved<T: DeserializeOwned>(position: &Value) -> Result<T> {
    serde_json::from_value(position.clone()).map_err(|e| {
        TrainError::Config(format!(
            "the saved position is of another loader ({e}); resume with the loader of the first start"
        ))
    })
}
