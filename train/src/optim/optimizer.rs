//! The classic generation's optimizer: which weight is updated by which rule, at which rate.

use super::adamw::AdamWState;
use super::muon::{MuonState, MuonUpdate, NsDtype, muon_step};
use crate::error::{Result, TrainError};
use autograd::Parameter;
use kernels::planted;
use model::scaling::ClassicLrs;
use std::collections::BTreeMap;
use tensor::{AdamWParams, Tensor, memory};

/// Constants of a run.
#[derive(Clone, Copy, Debug)]
pub struct Hyper {
    /// Learning rates after scaling by width, before the schedule.
    pub lrs: ClassicLrs,
    /// AdamW's β1 and β2.
    pub betas: (f64, f64),
    /// AdamW's ε.
    pub eps: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Precision of Newton–Schulz.
    pub ns: NsDtype,
}

impl Hyper {
    /// nanochat's classic values for a model of width `n_embd`.
    pub fn classic(n_embd: usize) -> Hyper {
        Hyper {
            lrs: ClassicLrs::default().scaled_to(n_embd),
            betas: (0.8, 0.95),
            eps: 1e-10,
            weight_decay: 0.0,
            ns: NsDtype::fastest(),
        }
    }
}

/// What changes from step to step.
#[derive(Clone, Copy, Debug)]
pub struct StepSettings {
    /// Multiplies every learning rate.
    pub lr_multiplier: f64,
    /// Muon's μ.
    pub muon_momentum: f64,
}

enum State {
    AdamW { state: AdamWState, lr: f64 },
    Muon(MuonState),
}

/// States of all weights, in the model's order.
pub struct Optimizer {
    hyper: Hyper,
    states: Vec<State>,
    /// Updates done; AdamW's t.
    pub steps: u32,
}

impl Optimizer {
    /// Fresh states: AdamW for `wte` and `lm_head`, Muon for every matrix of the blocks.
    pub fn new(params: &[Parameter], hyper: Hyper) -> Result<Optimizer> {
        let _label = memory::label("optimizer");
        let states = params
            .iter()
            .map(|p| {
                let adam = |lr| Ok(State::AdamW { state: AdamWState::new(p.value())?, lr });
                match p.name.as_str() {
                    "transformer.wte.weight" => adam(hyper.lrs.wte),
                    "lm_head.weight" => {
                        adam(planted!("optimizer.rate_of_another_group", hyper.lrs.lm_head => hyper.lrs.wte))
                    }
                    _ => Ok(State::Muon(MuonState::new(p.value())?)),
                }
            })
            .collect::<Result<_>>()?;
        Ok(Optimizer { hyper, states, steps: 0 })
    }
    /// Update every weight that has a gradient, and clear the gradients.
    pub fn step(&mut self, params: &mut [Parameter], s: StepSettings) -> Result<()> {
        self.steps += 1;
        let Hyper { betas: (beta1, beta2), eps, weight_decay, ns, lrs } = self.hyper;
        let mut matrices: BTreeMap<Vec<usize>, Vec<MuonUpdate>> = BTreeMap::new();
        for (p, state) in params.iter_mut().zip(&mut self.states) {
            let Some(g) = p.grad().get() else { continue };
            let p = p.value_mut();
            match state {
                State::AdamW { state, lr } => {
                    let lr = *lr * s.lr_multiplier;
                    let step = planted!("optimizer.steps_not_counted", self.steps => 1);
                    let h = AdamWParams { lr, beta1, beta2, eps, weight_decay, step };
                    state.step(p, &g, h)?;
                }
                State::Muon(state) => {
                    matrices.entry(p.dims().to_vec()).or_default().push(MuonUpdate { state, p, g });
                }
            }
        }
        for updates in matrices.into_values() {
            muon_step(updates, lrs.matrices * s.lr_multiplier, s.muon_momentum, ns)?;
        }
        planted!("optimizer.gradients_not_cleared", params.iter().for_each(|p| p.grad().clear()) => ());
        Ok(())
    }
    /// Every state tensor by name (`<weight>.m`, `.v`, `.buf`), for a checkpoint.
    pub fn tensors(&self, params: &[Parameter]) -> BTreeMap<String, Tensor> {
        let mut out = BTreeMap::new();
        for (p, state) in params.iter().zip(&self.states) {
            match state {
                State::AdamW { state, .. } => {
                    out.insert(format!("{}.m", p.name), state.m.clone());
                    out.insert(format!("{}.v", p.name), state.v.clone());
                }
                State::Muon(state) => {
                    out.insert(format!("{}.buf", p.name), state.buf.clone());
                }
            }
        }
        out
    }
    /// Put back what [`Optimizer::tensors`] gave.
    pub fn restore(
        &mut self,
        params: &[Parameter],
        tensors: &BTreeMap<String, Tensor>,
        steps: u32,
    ) -> Result<()> {
        let _label = memory::label("optimizer");
        let fetch = |p: &Parameter, suffix: &str| -> Result<Tensor> {
            let name = format!("{}.{suffix}", p.name);
            let t = tensors.get(&name).filter(|t| t.dims() == p.value().dims());
            Ok(t.ok_or_else(|| {
                TrainError::Config(format!("the optimizer state lacks {name} of the right shape"))
            })?
            .copied()?)
        };
        for (p, state) in params.iter().zip(&mut self.states) {
            match state {
                State::AdamW { state, .. } => *state = AdamWState { m: fetch(p, "m")?, v: fetch(p, "v")? },
                State::Muon(state) => state.buf = fetch(p, "buf")?,
            }
        }
        self.steps = planted!("optimizer.resumes_at_step_zero", steps => 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::Device;

    const SETTINGS: StepSettings = StepSettings { lr_multiplier: 0.5, muon_momentum: 0.9 };

    /// An embedding and a head of four numbers, with their optimizer.
    fn two_tables() -> (Vec<Parameter>, Optimizer) {
        let zeros = || Tensor::from_slice(&[0.0f32; 4], &[2, 2], Device::Cpu).unwrap();
        let params = ["transformer.wte.weight", "lm_head.weight"].map(|name| Parameter::new(name, zeros()));
        let params = Vec::from(params);
        let optimizer = Optimizer::new(&params, Hyper::classic(768)).unwrap();
        (params, optimizer)
    }

    #[test]
    fn equal_gradients_move_every_weight_by_its_rate_at_each_step() {
        let (mut params, mut optimizer) = two_tables();
        for step in 1..=3 {
            for p in &params {
                p.grad()
                    .add(Tensor::from_slice(&[2.0f32, -2.0, 2.0, -2.0], &[2, 2], Device::Cpu).unwrap())
                    .unwrap();
            }
            optimizer.step(&mut params, SETTINGS).unwrap();
            for (p, rate) in params.iter().zip([0.2, 0.004]) {
                let moved = p.value().to_f64_vec().into_iter().zip([-1.0, 1.0, -1.0, 1.0]);
                let want = f64::from(step) * 0.5 * rate;
                assert!(
                    moved.clone().all(|(v, sign)| (v * sign - want).abs() < 1e-6),
                    "{}: {moved:?}",
                    p.name
                );
            }
        }
    }

    #[test]
    fn a_step_leaves_no_gradient_for_the_next() {
        let (mut params, mut optimizer) = two_tables();
        params[1].grad().add(Tensor::from_slice(&[1.0f32; 4], &[2, 2], Device::Cpu).unwrap()).unwrap();
        optimizer.step(&mut params, SETTINGS).unwrap();
        assert!(params.iter().all(|p| !p.grad().is_filled()));
    }
}
