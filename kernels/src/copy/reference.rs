//! The definition of a copy: element by element in logical order.

use super::CopyCast;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl CopyCast for Reference {
    fn copy(&self, x: View, mut y: ViewMut) -> Result<()> {
        let x = host("copy", "x", x.to_f64())?;
        host("copy", "y", y.store_f64(&x).then_some(()))
    }

    fn fill(&self, value: f64, mut y: ViewMut) -> Result<()> {
        let values = vec![value; y.numel()];
        host("fill", "y", y.store_f64(&values).then_some(()))
    }
}
