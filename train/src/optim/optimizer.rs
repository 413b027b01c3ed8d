//! The optimizer of a whole model, of either generation: which weight is updated by which rule, at which rate.

use super::adamw::AdamWState;
use super::ingredients::MuonParts;
use super::muon::{MuonState, MuonUpdate, NsDtype, muon_numbers, muon_step};
use super::normuon::{NorMuonState, NorMuonUpdate, normuon_numbers, normuon_step};
use super::numbers::Numbers;
use crate::error::{Result, TrainError};
use autograd::Parameter;
use kernels::planted;
use model::scaling::{ClassicLrs, CurrentLrs};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use tensor::{AdamWParams, DType, Device, Tensor, TensorError, memory};

/// Name of the head.
const HEAD: &str = "lm_head.weight";
/// Name of the token embedding.
const EMBEDDING: &str = "transformer.wte.weight";

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
    /// Precision of Newton–Schulz, or Polar Express.
    pub ns: NsDtype,
    /// The rates of the current generation, after scaling. With them every group has its own β1, β2 and decay, matrices are
    /// updated by today's Muon, and `lrs`, `betas` and `weight_decay` are not used.
    pub current: Option<CurrentLrs>,
    /// What today's Muon is made of.
    pub muon: MuonParts,
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
            current: None,
            muon: MuonParts::default(),
        }
    }
    /// The current generation, with these rates.
    pub fn current(lrs: CurrentLrs) -> Hyper {
        Hyper { current: Some(lrs), ..Hyper::classic(1) }
    }
    /// The rate of a part of the current family in a classic recipe.
    fn added(&self, name: &str) -> f64 {
        let like = CurrentLrs::default();
        match name {
            "resid_lambdas" => like.resid_lambdas,
            "x0_lambdas" => like.x0_lambdas,
            _ if name.starts_with("value_embeds.") => 0.5 * self.lrs.wte,
            _ => like.smear,
        }
    }
    /// How the weight called `name` is updated.
    pub fn rule(&self, name: &str) -> Rule {
        let Some(lrs) = &self.current else {
            let adamw = |lr| Rule::AdamW { lr, betas: self.betas, weight_decay: self.weight_decay };
            return match name {
                EMBEDDING => adamw(self.lrs.wte),
                HEAD => adamw(planted!("optimizer.rate_of_another_group", self.lrs.lm_head => self.lrs.wte)),
                _ if name.starts_with("transformer.h.") => Rule::Muon { lr: self.lrs.matrices },
                _ => adamw(self.added(name)),
            };
        };
        let (lr, betas, weight_decay) = match name {
            HEAD => (lrs.lm_head, (0.8, 0.96), 0.01),
            EMBEDDING => (lrs.wte, (0.8, 0.995), 0.001),
            "resid_lambdas" => (lrs.resid_lambdas, (0.8, 0.95), 0.05),
            "x0_lambdas" => (lrs.x0_lambdas, (0.96, 0.95), 0.0),
            "smear_gate.weight" | "smear_lambda" | "backout_lambda" => (lrs.smear, (0.8, 0.95), 0.0),
            _ if name.starts_with("value_embeds.") => (lrs.value_embeds, (0.8, 0.995), 0.01),
            _ => return Rule::NorMuon { lr: lrs.matrices },
        };
        Rule::AdamW { lr, betas, weight_decay }
    }
}

/// How one weight is updated, before the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// AdamW; the decay is constant.
    AdamW {
        /// Learning rate.
        lr: f64,
        /// β1 and β2.
        betas: (f64, f64),
        /// Decay per step, in units of the learning rate.
        weight_decay: f64,
    },
    /// Muon in its classic form, without decay.
    Muon {
        /// Learning rate.
        lr: f64,
    },
    /// Muon as it is today; the decay is scheduled.
    NorMuon {
        /// Learning rate.
        lr: f64,
    },
}

/// What changes from step to step.
#[derive(Clone, Copy, Debug)]
pub struct StepSettings {
    /// Multiplies every learning rate.
    pub lr_multiplier: f64,
    /// Muon's μ.
    pub muon_momentum: f64,
    /// Decay of the matrices by today's Muon.
    pub muon_weight_decay: f64,
}

enum State {
    AdamW { state: AdamWState, lr: f64, betas: (f64, f64), weight_decay: f64 },
    Muon(MuonState, f64),
    NorMuon(NorMuonState, f64),
}

/// States of all weights, in the model's order.
pub struct Optimizer {
    hyper: Hyper,
    states: Vec<State>,
    numbers: Numbers,
    /// Updates done; AdamW's t.
    pub steps: u32,
}

/// Updates of matrices of one shape, which have one rate, and where its numbers are.
type Groups<U> = BTreeMap<Vec<usize>, (Range<usize>, Vec<U>)>;

/// One more update of matrices of shape `dims`; the first of them says what all are `told`, and where that is.
fn join<U>(
    groups: &mut Groups<U>,
    dims: Vec<usize>,
    update: U,
    told: impl FnOnce(&[usize]) -> Result<Range<usize>>,
) -> Result<()> {
    let (_, updates) = match groups.entry(dims) {
        Entry::Occupied(group) => group.into_mut(),
        Entry::Vacant(group) => {
            let place = told(group.key())?;
            group.insert((place, Vec::new()))
        }
    };
    updates.push(update);
    Ok(())
}

impl Optimizer {
    /// Fresh states, by [`Hyper::rule`].
    pub fn new(params: &[Parameter], hyper: Hyper) -> Result<Optimizer> {
        let _label = memory::label("optimizer");
        // An embedding that is the head, too, moves as slowly as a head.
        let tied = !params.iter().any(|p| p.name == HEAD);
        let state = |p: &Parameter| {
            let tied = planted!("optimizer.tied_head_moves_as_embedding", tied => false);
            let name = if tied && p.name == EMBEDDING { HEAD } else { &p.name };
            Ok(match hyper.rule(name) {
                Rule::AdamW { lr, betas, weight_decay } => {
                    State::AdamW { state: AdamWState::new(p.value())?, lr, betas, weight_decay }
                }
                Rule::Muon { lr } => State::Muon(MuonState::new(p.value())?, lr),
                Rule::NorMuon { lr } => State::NorMuon(NorMuonState::new(p.value(), hyper.muon)?, lr),
            })
        };
        let states: Vec<State> = params.iter().map(state).collect::<Result<_>>()?;
        let (dtype, device) = params
            .first()
            .map_or((DType::F32, Device::Cpu), |p| (p.value().accumulator(), p.value().device()));
        // no weight is told more than AdamW's
        let numbers = Numbers::new(states.len() * kernels::adamw::FACTORS, dtype, device)?;
        Ok(Optimizer { hyper, states, numbers, steps: 0 })
    }
    /// Update every weight that has a gradient, and clear the gradients. First what all updates are told goes to the device, then
    /// they are launched.
    pub fn step(&mut self, params: &mut [Parameter], s: StepSettings) -> Result<()> {
        self.steps += 1;
        let Hyper { eps, ns, muon: parts, .. } = self.hyper;
        let numbers = &mut self.numbers;
        numbers.begin();
        let mut adamw = Vec::new();
        let (mut muon, mut normuon) = (Groups::<MuonUpdate>::new(), Groups::<NorMuonUpdate>::new());
        for (p, state) in params.iter_mut().zip(&mut self.states) {
            let Some(g) = p.grad().get() else { continue };
            let group = p.value().dims().to_vec();
            match state {
                State::AdamW { state, lr, betas: (beta1, beta2), weight_decay } => {
                    let (lr, beta1, beta2) = (*lr * s.lr_multiplier, *beta1, *beta2);
                    let step = planted!("optimizer.steps_not_counted", self.steps => 1);
                    let h = AdamWParams { lr, beta1, beta2, eps, weight_decay: *weight_decay, step };
                    let place = numbers.push(&h.factors().map_err(TensorError::from)?);
                    adamw.push((place, state, p, g));
                }
                State::Muon(state, lr) => {
                    let lr = *lr * s.lr_multiplier;
                    join(&mut muon, group, MuonUpdate { state, p: p.value_mut(), g }, |dims| {
                        Ok(numbers.push(&muon_numbers(dims, lr, s.muon_momentum)?))
                    })?;
                }
                State::NorMuon(state, lr) => {
                    let decay = planted!("optimizer.decay_not_scheduled", s.muon_weight_decay => 0.28);
                    let lr = *lr * s.lr_multiplier;
                    join(&mut normuon, group, NorMuonUpdate { state, p: p.value_mut(), g }, |dims| {
                        Ok(numbers.push(&normuon_numbers(dims, lr, s.muon_momentum, decay, parts)?))
                    })?;
                }
            }
        }
        numbers.upload()?;
        for (place, state, p, g) in adamw {
            let (p, rounded) = p.value_and_rounded_mut();
            state.step(p, rounded, &g, &numbers.at(&place)?)?;
        }
        for (place, updates) in muon.into_values() {
            muon_step(updates, &numbers.at(&place)?, ns)?;
        }
        for (place, updates) in normuon.into_values() {
            normuon_step(updates, &numbers.at(&place)?, ns, parts)?;
        }
        planted!("optimizer.gradients_not_cleared", params.iter().for_each(|p| p.grad().clear()) => ());
        Ok(())
    }
    /// Every state tensor by name (`<weight>.m`, `.v`, `.buf`, `.second`), for a checkpoint.
    pub fn tensors(&self, params: &[Parameter]) -> BTreeMap<String, Tensor> {
        let mut out = BTreeMap::new();
        for (p, state) in params.iter().zip(&self.states) {
            match state {
                State::AdamW { state, .. } => {
                    out.insert(format!("{}.m", p.name), state.m.clone());
                    out.insert(format!("{}.v", p.name), state.v.clone());
                }
                State::Muon(state, _) => {
                    out.insert(format!("{}.buf", p.name), state.buf.clone());
                }
                State::NorMuon(state, _) => {
                    out.insert(format!("{}.buf", p.name), state.buf.clone());
                    out.insert(format!("{}.second", p.name), state.second.clone());
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
        let fetch = |p: &Parameter, suffix: &str, dims: &[usize]| -> Result<Tensor> {
            let name = format!("{}.{suffix}", p.name);
            let t = tensors.get(&name).filter(|t| t.dims() == dims);
            Ok(t.ok_or_else(|| {
                TrainError::Config(format!("the optimizer state lacks {name} of the right shape"))
            })?
            .copied()?)
        };
        for (p, state) in params.iter().zip(&mut self.states) {
            match state {
                State::AdamW { state, .. } => {
                    *state = AdamWState {
                        m: fetch(p, "m", p.value().dims())?,
                        v: fetch(p, "v", p.value().dims())?,
                    };
                }
                State::Muon(state, _) => state.buf = fetch(p, "buf", p.value().dims())?,
                State::NorMuon(state, _) => {
                    state.second = fetch(p, "second", state.second.dims())?;
                    state.buf = fetch(p, "buf", p.value().dims())?;
                }
            }
        }
        self.steps = planted!("optimizer.resumes_at_step_zero", steps => 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: StepSettings =
        StepSettings { lr_multiplier: 0.5, muon_momentum: 0.9, muon_weight_decay: 0.0 };

    /// An embedding and a head of four numbers, with their optimizer.
    fn two_tables() -> (Vec<Parameter>, Optimizer) {
        let zeros = || Tensor::from_slice(&[0.0f32; 4], &[2, 2], Device::Cpu).unwrap();
        let params = ["transformer.wte.weight", "lm_head.weight"].map(|name| Parameter::new(name, zeros()));
        let params = Vec::from(params);
        let optimizer = Optimizer::new(&params, Hyper::classic(768)).unwrap();
        (params, optimizer)
    }

    #[test]
    fn footgun_value_gates_are_matrices_of_muon_and_the_smear_gate_is_adamws() {
        let hyper = Hyper::current(model::scaling::CurrentLrs::default());
        assert!(matches!(hyper.rule("transformer.h.1.attn.ve_gate.weight"), Rule::NorMuon { .. }));
        assert!(matches!(hyper.rule("smear_gate.weight"), Rule::AdamW { .. }));
        let rate = |name: &str| match hyper.rule(name) {
            Rule::AdamW { lr, betas, .. } => (lr, betas.0),
            other => panic!("{name}: {other:?}"),
        };
        let ((of_residual, _), (of_first, beta)) = (rate("resid_lambdas"), rate("x0_lambdas"));
        assert!(
            (of_first / of_residual - 100.0).abs() < 1e-9 && beta < 0.97,
            "{of_residual} {of_first} {beta}"
        );
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
    fn the_decay_of_matrices_is_that_of_the_step() {
        let full = |v: f32| Tensor::from_slice(&[v; 4], &[2, 2], Device::Cpu).unwrap();
        let mut params = vec![Parameter::new("transformer.h.0.attn.c_q.weight", full(1.0))];
        let mut optimizer = Optimizer::new(&params, Hyper::current(CurrentLrs::default())).unwrap();
        for muon_weight_decay in [0.5, 0.0] {
            params[0].grad().add(full(0.0)).unwrap();
            let before = params[0].value().to_f64_vec()[0];
            optimizer.step(&mut params, StepSettings { muon_weight_decay, ..SETTINGS }).unwrap();
            // No gradient, so no update: lr 0.02, halved by the multiplier.
            let want = before * (1.0 - 0.5 * 0.02 * muon_weight_decay);
            assert!((params[0].value().to_f64_vec()[0] - want).abs() < 1e-7);
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
