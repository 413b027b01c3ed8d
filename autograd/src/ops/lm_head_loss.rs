//! The language-model head fused with its loss: `z = softcap·tanh(x·Wᵀ/softcap)`, `ℓ_n = −log softmax(z_n)[target_n]`,
//! `L = Σ_n weight_n·ℓ_n`.
//!
//! The logits (N, V) would be the largest tensor of the model. They are made in chunks of rows: each chunk is computed,
//! turned into losses, turned in place into its own gradient, multiplied into `dx` and `dW`, and forgotten. So the gradient for
//! `dL = 1` is ready when forward ends, and backward only scales it:
//! `dz = weight·(softmax(z) − onehot)·(1 − (z/softcap)²)`, `dx = dz·W`, `dW = dzᵀ·x`.
//!
//! A target of −1 is ignored: loss 0, gradient 0. The logits are kept in f32 whatever the activations' dtype.

use super::linear::flat;
use crate::{AutogradError, GradSlot, Op, Result, Var, apply};
use kernels::planted;
use tensor::{DType, Tensor, TensorError};

/// Rows of logits that exist at a time are chosen so that a chunk has about this many elements (16 MiB of f32),
pub const CHUNK_ELEMENTS: usize = 4 << 20;

/// but not fewer rows than this: every chunk reads W twice and adds to all of dW, which takes longer than its products when the
/// rows are few. At V = 32768 a chunk then has 64 MiB.
pub const FEWEST_ROWS: usize = 512;

/// The operation.
pub struct LmHeadLoss {
    /// Target ids (N), −1 = ignored.
    pub targets: Tensor,
    /// What each row's loss counts, f32 (N): 1/(number of targets) for the mean.
    pub weight: Tensor,
    /// Logits are squashed to ±softcap; 0 leaves them alone.
    pub softcap: f32,
    /// Rows per chunk; the result depends on it only in the order in which dW is summed.
    pub chunk_rows: usize,
}

/// Rows per chunk for a vocabulary.
pub fn chunk_rows(vocab: usize) -> usize {
    (CHUNK_ELEMENTS / vocab.max(1)).clamp(FEWEST_ROWS, 4096)
}

impl Op<2, 2> for LmHeadLoss {
    const NAME: &'static str = "lm_head_loss";
    /// `dx` and `dW` for a seed of 1, where needed.
    type Saved = (Option<Tensor>, Option<Tensor>);

    fn forward(&self, [x, w]: [&Tensor; 2], needs: [bool; 2]) -> Result<([Tensor; 2], Self::Saved)> {
        let (x, device, acc) = (flat(x)?, x.device(), x.accumulator());
        let (n, wt) = (x.dim(0), w.cast(x.dtype())?.transpose(0, 1)?);
        for rows in [&self.targets, &self.weight] {
            if rows.dims() != [n] {
                let (lhs, rhs) = (x.dims().to_vec(), rows.dims().to_vec());
                return Err(TensorError::Shape { op: Self::NAME, lhs, rhs }.into());
            }
        }
        let mut losses = Tensor::uninit(&[n], acc, device)?;
        let mut dx = if needs[0] { Some(x.uninit_like()?) } else { None };
        let mut dw = if needs[1] { Some(Tensor::uninit(w.dims(), acc, device)?) } else { None };
        for start in (0..n).step_by(self.chunk_rows.max(1)) {
            let rows = self.chunk_rows.max(1).min(n - start);
            let (xs, targets) = (x.narrow(0, start, rows)?, self.targets.narrow(0, start, rows)?);
            let mut z = xs.matmul_into_dtype(&wt, acc)?; // (rows, V)
            let row = z.cross_entropy_(&targets, self.softcap)?;
            losses.write_narrow(0, start, &row.loss)?;
            if !(needs[0] || needs[1]) {
                continue;
            }
            z.cross_entropy_backward_(
                &targets,
                self.softcap,
                &row.lse,
                &self.weight.narrow(0, start, rows)?,
            )?;
            let dz = z.cast(x.dtype())?;
            drop(z);
            if let Some(dx) = &mut dx {
                dx.write_narrow(0, start, &dz.matmul(&wt.transpose(0, 1)?)?)?;
            }
            if let Some(dw) = &mut dw {
                let later = planted!("lm_head_loss.last_chunk_stands_for_all", 1.0 => 0.0);
                dw.matmul_assign(&dz.transpose(0, 1)?, &xs, 1.0, if start == 0 { 0.0 } else { later })?;
            }
        }
        if let (0, Some(dw)) = (n, &mut dw) {
            dw.fill(0.0)?;
        }
        let loss = losses.mul(&self.weight)?.sum(&[0])?.reshape(&[])?;
        Ok(([loss, losses], (dx, dw)))
    }
    fn vjp(
        &self,
        saved: Self::Saved,
        [dy, d_rows]: [Option<&Tensor>; 2],
        [dx, dw]: [Option<&GradSlot>; 2],
    ) -> Result<()> {
        if d_rows.is_some() {
            return Err(AutogradError::NoGradient { op: "lm_head_loss (per-row losses; use row weights)" });
        }
        let Some(dy) = dy else { return Ok(()) };
        if let (Some(slot), Some(g)) = (dx, saved.0) {
            planted!("lm_head_loss.seed_ignored", slot.add_scaled(dy, &g) => slot.add(g))?;
        }
        if let (Some(slot), Some(g)) = (dw, saved.1) {
            slot.add_scaled(dy, &g)?;
        }
        Ok(())
    }
}

impl Var {
    /// `(Σ weight·loss, losses)` of the head `w` (V, C) on activations (…, C) with `targets` and `weight` of N rows.
    pub fn lm_head_loss(&self, w: &Var, targets: &Tensor, weight: &Tensor, softcap: f32) -> Result<[Var; 2]> {
        let chunk_rows = chunk_rows(w.value().dim(0));
        let op = LmHeadLoss { targets: targets.clone(), weight: weight.clone(), softcap, chunk_rows };
        apply(op, [self, w])
    }
}

/// Weights that make [`Var::lm_head_loss`] the mean over targets ≥ 0, and how many there are. With none, all weights are
/// zero: zero loss, zero gradient, count 0, for the caller to refuse.
pub fn mean_weights(targets: &Tensor, dtype: DType) -> Result<(Tensor, usize)> {
    let ids = targets.to_vec::<i32>()?;
    let count = ids.iter().filter(|&&t| t >= 0).count();
    let each = if count == 0 { 0.0 } else { 1.0 / count as f64 };
    let weight: Vec<f64> = ids.iter().map(|&t| if t >= 0 { each } else { 0.0 }).collect();
    Ok((Tensor::from_f64(&weight, &[ids.len()], dtype, targets.device())?, count))
}
