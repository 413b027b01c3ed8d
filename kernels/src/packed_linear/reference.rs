//! The definition of the layers with packed weights: find each number of W where packing has put it.

use super::PackedLinear;
use crate::{KernelError, Reference, Result, View, ViewMut};

impl PackedLinear for Reference {
    fn packed_linear(&self, x: View, w: View, mut y: ViewMut) -> Result<()> {
        let wrong = |arg| KernelError::WrongSpace { op: "packed_linear", arg };
        let (rows, n, k) = (y.dims()[0], y.dims()[1], x.dims()[1]);
        let x = x.to_f64().ok_or(wrong("x"))?;
        let w = w.to_f64().ok_or(wrong("w"))?;
        let weight = |j: usize, l: usize| w[(j / 32 * k + l) * 32 + j % 32];
        let sum = |i: usize, j: usize| (0..k).map(|l| x[i * k + l] * weight(j, l)).sum();
        y.store_f64(&(0..rows * n).map(|at| sum(at / n, at % n)).collect::<Vec<f64>>());
        Ok(())
    }
    fn packed_linear_int8(&self, x: View, w: View, scale: View, mut y: ViewMut) -> Result<()> {
        let wrong = |arg| KernelError::WrongSpace { op: "packed_linear_int8", arg };
        let (rows, n, k) = (y.dims()[0], y.dims()[1], x.dims()[1]);
        let x = x.to_f64().ok_or(wrong("x"))?;
        let w = w.to_f64().ok_or(wrong("w"))?;
        let scale = scale.to_f64().ok_or(wrong("scale"))?;
        let four = |j: usize, l: usize| w[(j / 32 * k + l) * 8 + j % 32 / 4] as i32;
        let weight = |j: usize, l: usize| f64::from((four(j, l) >> (8 * (j % 4))) as i8);
        let sum = |i: usize, j: usize| scale[j] * (0..k).map(|l| x[i * k + l] * weight(j, l)).sum::<f64>();
        y.store_f64(&(0..rows * n).map(|at| sum(at / n, at % n)).collect::<Vec<f64>>());
        Ok(())
    }
}
