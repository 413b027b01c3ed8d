//! The definition of clipping by global norm.

use super::{Clip, NORM_EPS};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl Clip for Reference {
    fn clip_factor(&self, sums: View, max: f64, mut out: ViewMut) -> Result<()> {
        const OP: &str = "clip_factor";
        let norm = host(OP, "sums", sums.to_f64())?.iter().sum::<f64>().sqrt();
        let factor = max / (norm + NORM_EPS);
        let factor = if max > 0.0 && factor < 1.0 { factor } else { 1.0 };
        host(OP, "out", out.store_f64(&[norm, factor]).then_some(()))
    }
    fn scale_by(&self, factor: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "scale_by";
        let factor = host(OP, "factor", factor.to_f64())?[0];
        let ys: Vec<f64> = host(OP, "y", y.as_view().to_f64())?.iter().map(|y| factor * y).collect();
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }
}
