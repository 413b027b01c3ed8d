//! A network as these tests see it: named weights, and a loss made of them. And what is done with it: gradients, numeric
//! derivatives, comparison of precisions.

use autograd::{Result, Tape, Var};
use kernels::philox::Philox;
use model::RotaryTables;
use std::collections::BTreeMap;
use tensor::{DType, Device, Tensor};
use train::data::Batch;

/// What nanochat adds to the mean square.
pub const EPS: f64 = 1.0 / (1 << 23) as f64;

/// A network over variables.
pub trait Network {
    /// Names and shapes of its weights, in file order.
    fn shapes(&self) -> Vec<(String, Vec<usize>)>;
    /// A number to take the gradient of.
    fn loss(&self, w: &Weights, batch: &Batch) -> Result<Var>;
}

/// The weights of one run.
pub struct Weights {
    vars: BTreeMap<String, Var>,
    /// Dtype of the activations.
    pub compute: DType,
    /// Where it runs.
    pub device: Device,
}

impl Weights {
    /// The weight called `name`.
    pub fn get(&self, name: &str) -> &Var {
        self.vars.get(name).unwrap_or_else(|| panic!("no weight is called {name}"))
    }
    /// The same in the activations' dtype: what is added to or multiplied into activations.
    pub fn cast(&self, name: &str) -> Result<Var> {
        self.get(name).cast(self.compute)
    }
    /// A constant of one element, kept like a weight.
    pub fn number(&self, value: f64) -> Result<Var> {
        Ok(Var::constant(Tensor::full(value, &[1], self.master(), self.device)?))
    }
    fn master(&self) -> DType {
        if self.device == Device::Reference { DType::F64 } else { DType::F32 }
    }
}

/// Numbers of every weight, in the order of [`Network::shapes`].
pub type Values = Vec<Vec<f64>>;

/// A device and the activations' dtype there.
pub type Setting = (Device, DType);

/// The definition.
pub const REFERENCE: Setting = (Device::Reference, DType::F64);

/// Weights with `values`, tracked on `tape` if there is one.
pub fn weights(
    net: &dyn Network,
    values: &Values,
    tape: Option<&Tape>,
    (device, compute): Setting,
) -> Weights {
    let mut w = Weights { vars: BTreeMap::new(), compute, device };
    for ((name, dims), values) in net.shapes().into_iter().zip(values) {
        let value = Tensor::from_f64(values, &dims, w.master(), device).unwrap();
        let var = tape.map_or_else(|| Ok(Var::constant(value.clone())), |tape| tape.watch(value.clone()));
        w.vars.insert(name, var.unwrap());
    }
    w
}

/// Normal numbers that every device holds exactly, with a size and a mean by the weight's name and shape.
pub fn drawn(net: &dyn Network, size: impl Fn(&str, &[usize]) -> (f64, f64)) -> Values {
    let one = |(i, (name, dims)): (usize, (String, Vec<usize>))| {
        let (mut rng, (std, mean)) = (Philox::new(9, i as u64), size(&name, &dims));
        (0..dims.iter().product()).map(|_| f64::from((mean + std * rng.normal()) as f32)).collect()
    };
    net.shapes().into_iter().enumerate().map(one).collect()
}

/// Ids below `vocab` that predict the next one; every seventh target is ignored.
pub fn batch(vocab: u32, [b, t]: [usize; 2], device: Device) -> Batch {
    let mut rng = Philox::new(3, 77);
    let ids: Vec<i32> = (0..=b * t).map(|_| rng.below(vocab) as i32).collect();
    let targets: Vec<i32> = (1..=b * t).map(|i| if i % 7 == 0 { -1 } else { ids[i] }).collect();
    Batch::new(&ids[..b * t], &targets, b, t, device).unwrap()
}

/// Positions (B, T) and rotary tables for them.
pub fn rotary(base: f32, head_dim: usize, [b, t]: [usize; 2], device: Device) -> (Tensor, RotaryTables) {
    let row: Vec<i32> = (0..t as i32).collect();
    let positions = Tensor::ids(&row, &[1, t], device).unwrap().expand(&[b, t]).unwrap();
    let kind = model::RopeTable::F32;
    (positions, RotaryTables::new(base, head_dim, t, kind, device).unwrap())
}

/// The loss, and the gradient of every weight.
pub fn gradients(net: &dyn Network, values: &Values, batch: &Batch, setting: Setting) -> (f64, Values) {
    let tape = Tape::new();
    let w = weights(net, values, Some(&tape), setting);
    let loss = net.loss(&w, batch).unwrap();
    let found = loss.backward(1.0).unwrap();
    let one = |(name, _): (String, Vec<usize>)| {
        let gradient = found.take(w.get(&name)).unwrap_or_else(|| panic!("{name} got no gradient"));
        gradient.to_f64_vec()
    };
    (loss.value().item().unwrap(), net.shapes().into_iter().map(one).collect())
}

/// Every element of every gradient is the slope of the loss, in f64 on the reference.
pub fn assert_slopes(net: &dyn Network, values: &Values, batch: &Batch) {
    let (_, analytic) = gradients(net, values, batch, REFERENCE);
    let h = 1e-5;
    let mut w = weights(net, values, None, REFERENCE);
    for (at, (name, dims)) in net.shapes().into_iter().enumerate() {
        let mut moved = values[at].clone();
        for i in 0..moved.len() {
            let mut loss_at = |x: f64| {
                let original = std::mem::replace(&mut moved[i], x);
                let tensor = Tensor::from_f64(&moved, &dims, DType::F64, Device::Reference).unwrap();
                moved[i] = original;
                w.vars.insert(name.clone(), Var::constant(tensor));
                net.loss(&w, batch).unwrap().value().item().unwrap()
            };
            let x = values[at][i];
            let numeric = (loss_at(x + h) - loss_at(x - h)) / (2.0 * h);
            let error = (numeric - analytic[at][i]).abs();
            assert!(
                error <= 1e-7 + 1e-6 * numeric.abs(),
                "{name}[{i}]: the loss rises by {numeric}, the gradient says {}",
                analytic[at][i]
            );
        }
        let tensor = Tensor::from_f64(&values[at], &dims, DType::F64, Device::Reference).unwrap();
        w.vars.insert(name, Var::constant(tensor));
    }
}

/// The CPU's gradients against the reference's: the norm of the difference of each weight's, over the norm of the gradient.
///
/// The gradient of a single number is one sum over all activations, and may cancel to anything. It is measured against the
/// largest gradient of a vector, which consists of such sums.
pub fn assert_precisions(
    net: &dyn Network,
    values: &Values,
    batch_on: impl Fn(Device) -> Batch,
    tolerances: [(DType, f64); 2],
) {
    let (_, exact) = gradients(net, values, &batch_on(Device::Reference), REFERENCE);
    let size = |gradient: &Vec<f64>| norm(gradient.iter().copied());
    let vectors = net.shapes().into_iter().zip(&exact).filter(|((_, dims), _)| dims.len() == 1);
    let largest = vectors.map(|(_, gradient)| size(gradient)).fold(0.0, f64::max);
    for (compute, tolerance) in tolerances {
        let (_, got) = gradients(net, values, &batch_on(Device::Cpu), (Device::Cpu, compute));
        for ((name, _), (got, want)) in net.shapes().iter().zip(got.iter().zip(&exact)) {
            let against = if want.len() == 1 { largest } else { size(want) };
            let error = norm(got.iter().zip(want).map(|(a, b)| a - b)) / against;
            assert!(error <= tolerance, "{compute} {name}: relative error {error}");
        }
    }
}

/// Root of the sum of squares.
pub fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}
