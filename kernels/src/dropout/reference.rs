//! The definition of dropout: one random number per element, compared with p.

use super::{Dropout, DropoutMask};
use crate::check::host;
use crate::philox::{unit_f32, word};
use crate::{Reference, Result, View, ViewMut};

impl Dropout for Reference {
    fn dropout(&self, x: View, mask: DropoutMask, mut y: ViewMut, accumulate: bool) -> Result<()> {
        let DropoutMask { p, seed, stream } = mask;
        let x = host("dropout", "x", x.to_f64())?;
        let mut ys = host("dropout", "y", y.as_view().to_f64())?;
        for i in 0..x.len() {
            let keep = f64::from(unit_f32(word(seed, stream, i as u64))) >= p;
            let value = if keep { x[i] / (1.0 - p) } else { 0.0 };
            ys[i] = if accumulate { ys[i] + value } else { value };
        }
        host("dropout", "y", y.store_f64(&ys).then_some(()))
    }
}
