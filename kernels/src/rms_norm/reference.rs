//! The definition of RMSNorm: three loops per row.

use super::RmsNorm;
use crate::{KernelError, Reference, Result, View, ViewMut};

impl RmsNorm for Reference {
    fn rms_norm_fwd(&self, x: View, eps: f64, mut y: ViewMut, mut rstd: ViewMut) -> Result<()> {
        let (rows, c) = x.layout().rows();
        let x = x.to_f64().ok_or(KernelError::WrongSpace { op: "rms_norm_fwd", arg: "x" })?;
        let (mut ys, mut rs) = (vec![0.0; rows * c], vec![0.0; rows]);
        // ANCHOR: forward
        for row in 0..rows {
            let mut mean_square = 0.0;
            for i in 0..c {
                mean_square += x[row * c + i] * x[row * c + i] / c as f64;
            }
            rs[row] = 1.0 / (mean_square + eps).sqrt();
            for i in 0..c {
                ys[row * c + i] = x[row * c + i] * rs[row];
            }
        }
        // ANCHOR_END: forward
        y.store_f64(&ys);
        rstd.store_f64(&rs);
        Ok(())
    }

    fn rms_norm_bwd(&self, dy: View, y: View, rstd: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        let (rows, c) = dy.layout().rows();
        let wrong = |arg| KernelError::WrongSpace { op: "rms_norm_bwd", arg };
        let dy = dy.to_f64().ok_or(wrong("dy"))?;
        let y = y.to_f64().ok_or(wrong("y"))?;
        let rstd = rstd.to_f64().ok_or(wrong("rstd"))?;
        let mut dxs = dx.as_view().to_f64().ok_or(wrong("dx"))?;
        for row in 0..rows {
            let mut mean = 0.0;
            for i in 0..c {
                mean += dy[row * c + i] * y[row * c + i] / c as f64;
            }
            for i in 0..c {
                let at = row * c + i;
                let g = rstd[row] * (dy[at] - y[at] * mean);
                dxs[at] = if accumulate { dxs[at] + g } else { g };
            }
        }
        dx.store_f64(&dxs);
        Ok(())
    }
}
