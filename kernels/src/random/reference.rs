//! The definition of the uniform numbers: one block of Philox per number, of which one word is used.

use super::Random;
use crate::check::host;
use crate::philox::{unit_f32, word};
use crate::{Reference, Result, ViewMut};

impl Random for Reference {
    fn uniform(&self, seed: u64, stream: u64, first: u64, mut y: ViewMut) -> Result<()> {
        let n = y.numel() as u64;
        let values: Vec<f64> = (0..n).map(|i| unit_f32(word(seed, stream, first + i)) as f64).collect();
        host("uniform", "y", y.store_f64(&values).then_some(()))
    }
}
