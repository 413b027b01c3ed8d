//! The definition of the matrix product: three loops per leading index.

use super::{Matmul, sizes};
use crate::{KernelError, Reference, Result, View, ViewMut};

impl Matmul for Reference {
    fn matmul(&self, a: View, b: View, mut c: ViewMut, alpha: f32, beta: f32) -> Result<()> {
        let (m, k, n) = sizes(&a, &b);
        let wrong = |arg| KernelError::WrongSpace { op: "matmul", arg };
        let a = a.to_f64().ok_or(wrong("a"))?;
        let b = b.to_f64().ok_or(wrong("b"))?;
        let mut cs = c.as_view().to_f64().ok_or(wrong("c"))?;
        let batches: usize = c.dims()[..c.dims().len() - 2].iter().product();
        // ANCHOR: loops
        for batch in 0..batches {
            for i in 0..m {
                for j in 0..n {
                    let mut sum = 0.0;
                    for l in 0..k {
                        sum += a[(batch * m + i) * k + l] * b[(batch * k + l) * n + j];
                    }
                    let old = &mut cs[(batch * m + i) * n + j];
                    *old = alpha as f64 * sum + if beta == 0.0 { 0.0 } else { beta as f64 * *old };
                }
            }
        }
        // ANCHOR_END: loops
        c.store_f64(&cs);
        Ok(())
    }
}
