//! One optimizer step: micro-batches forward and backward, clipping, update.

use crate::data::Batch;
use crate::error::{Result, TrainError};
use crate::optim::{Optimizer, StepSettings, clip_grad_norm};
use autograd::Tape;
use kernels::planted;
use model::Gpt;

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
    let mut losses = Vec::new();
    for _ in 0..micro_batches {
        let batch = next()?;
        let tape = Tape::new();
        let [loss, _] = gpt.loss(&batch.ids, &batch.targets, &batch.weight, Some(&tape))?;
        losses.push(loss.value().clone());
        result.tokens += batch.tokens();
        result.targets += batch.valid;
        if batch.valid > 0 {
            let share = planted!("trainer.micro_batches_count_in_full", 1.0 / micro_batches as f64 => 1.0);
            loss.backward(share)?;
        }
    }
    // only now: reading a number waits for everything before it
    for loss in losses {
        result.loss = loss.item()?;
        if !result.loss.is_finite() {
            gpt.clear_grads();
            return Err(TrainError::Diverged { step: at, loss: result.loss });
        }
    }
    if result.targets == 0 {
        return Err(TrainError::NoTargets { step: at });
    }
    if clip > 0.0 {
        result.grad_norm = clip_grad_norm(gpt.params(), clip)?;
        if !result.grad_norm.is_finite() {
            gpt.clear_grads();
            return Err(TrainError::Diverged { step: at, loss: f64::NAN });
        }
    }
    optimizer.step(gpt.params_mut(), settings)?;
    Ok(result)
}
