//! The definition of Muon's normalised, cautious update.

use super::{NorMuon, SMALLEST_NORM, SMALLEST_SQUARE};
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl NorMuon for Reference {
    fn normuon(&self, x: View, mut p: ViewMut, mut s: ViewMut, factors: View) -> Result<()> {
        const OP: &str = "normuon";
        let (rows, cols) = (x.dims()[0], x.dims()[1]);
        let mut x = host(OP, "x", x.to_f64())?;
        let mut ps = host(OP, "p", p.as_view().to_f64())?;
        let mut ss = host(OP, "s", s.as_view().to_f64())?;
        let factors = host(OP, "factors", factors.to_f64())?;
        let &[lr, decay, take] = &factors[..] else { return Ok(()) };
        let (short, long) = (rows.min(cols), rows.max(cols));
        // The row of a tall matrix, the column of a wide one, that element i lies in.
        let line = |i: usize| if rows >= cols { i / cols } else { i % cols };
        let at_least = |v: f64, least: f64| if v < least { least } else { v };
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();

        let scale = (short as f64).sqrt() / at_least(norm(&x), SMALLEST_NORM);
        x.iter_mut().for_each(|x| *x *= scale);

        let mut mean_square = vec![0.0; long];
        for i in 0..x.len() {
            mean_square[line(i)] += x[i] * x[i] / short as f64;
        }
        for k in 0..long {
            ss[k] += take * (mean_square[k] - ss[k]);
        }
        let before = norm(&x);
        for i in 0..x.len() {
            x[i] /= at_least(ss[line(i)], SMALLEST_SQUARE).sqrt();
        }
        let back = before / at_least(norm(&x), SMALLEST_SQUARE);
        x.iter_mut().for_each(|x| *x *= back);

        for i in 0..x.len() {
            ps[i] -= lr * x[i] + if x[i] * ps[i] >= 0.0 { decay * ps[i] } else { 0.0 };
        }
        host(OP, "p", (p.store_f64(&ps) && s.store_f64(&ss)).then_some(()))
    }
}
