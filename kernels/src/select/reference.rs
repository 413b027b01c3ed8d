//! The definition of the choice between two tensors.

use super::Select;
use crate::check::host;
use crate::{Reference, Result, View, ViewMut};

impl Select for Reference {
    fn select(&self, cond: View, a: View, b: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "select";
        let cond = host(OP, "cond", cond.to_f64())?;
        let (a, b) = (host(OP, "a", a.to_f64())?, host(OP, "b", b.to_f64())?);
        let mut ys = Vec::new();
        for i in 0..cond.len() {
            ys.push(if cond[i] != 0.0 { a[i] } else { b[i] });
        }
        host(OP, "y", y.store_f64(&ys).then_some(()))
    }
}
