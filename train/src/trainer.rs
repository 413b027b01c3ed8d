//! One optimizer step: micro-batches forward and backward, clipping, update.

use crate::data::Batch;
use crate::error::{Result, TrainError};
use crate::optim::{Optimizer, StepSettings, clip_grad_norm};
use autograd::Tape;
use kernels::planted;
use model::Gpt;
use tensor::{DType, Tensor};

/// What a step found.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepResult {
    /// Mean loss of the last micro-batch, in nats per target.
    pub loss: f64,
    /// Global L2 norm of the gradient before clipping (0 where it was not measured).
    pub grad_norm: f64,
    /// Input positions processed.
    pub tokens: usize,
    /// Targets that counted.
    pub targets: usize,
}

/// Run `micro_batches` batches from `next`, each counting 1/`micro_batches`, and update the weights once.
/// `clip` is the largest gradient norm allowed; 0 = neither clip nor measure.
///
/// The host reads losses and norm once, when the whole step is launched. So a loss or norm that is not finite is found after the
/// weights have moved by it: on [`TrainError::Diverged`] the model is lost, and the last checkpoint is what is left.
pub fn step(
    gpt: &mut Gpt,
    optimizer: &mut Optimizer,
    micro_batches: usize,
    mut next: impl FnMut() -> Result<Batch>,
    settings: StepSettings,
    clip: f64,
) -> Result<StepResult> {
    let at = optimizer.steps as usize;
    let mut result = StepResult::default();
    let mut read = Vec::new();
    for _ in 0..micro_batches {
        let batch = next()?;
        let tape = Tape::new();
        let [loss, _] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape))?;
        read.push(loss.value().reshape(&[1])?);
        result.tokens += batch.tokens();
        result.targets += batch.valid;
        if batch.valid > 0 {
            let share = planted!("trainer.micro_batches_count_in_full", 1.0 / micro_batches as f64 => 1.0);
            loss.backward(share)?;
        }
    }
    if result.targets == 0 {
        return Err(TrainError::NoTargets { step: at });
    }
    if clip > 0.0 {
        read.push(clip_grad_norm(gpt.params(), clip)?);
    }
    optimizer.step(gpt.params_mut(), settings)?;
    // only now, and all at once: reading a number waits for everything before it
    let dtype = read.first().map_or(DType::F32, Tensor::dtype);
    let read = Tensor::joined(&read.iter().collect::<Vec<_>>(), 0, dtype)?.to_f64_vec();
    let losses = &read[..micro_batches];
    if let Some(loss) = losses.iter().find(|loss| !loss.is_finite()) {
        return Err(TrainError::Diverged { step: at, loss: *loss });
    }
    result.loss = losses.last().copied().unwrap_or_default();
    if let Some(norm) = read.get(micro_batches) {
        result.grad_norm = *norm;
        if !norm.is_finite() {
            return Err(TrainError::Diverged { step: at, loss: f64::NAN });
        }
    }
    Ok(result)
}
