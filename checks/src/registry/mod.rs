//! The registry of differentiable operations: what a test must know about each one.
//!
//! From an [`OpInfo`] alone the runner in this crate draws shapes, layouts, magnitudes and dtypes and checks value and
//! gradient on a device. Adding an operation's entry to [`OPS`] is all that is needed to have it tested everywhere; a test
//! holds that every file in `ops/` has one.

mod composites;
mod current;
mod hidden;
mod indexing;
mod layers;
mod nn;
mod reductions;
mod tensor_ops;
mod views;

use crate::terms::Terms;
use autograd::{Result, Var};
use kernels::registry::Layouts;
use tensor::DType;

/// One input of a sample.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name in the formula.
    pub name: &'static str,
    /// Shape.
    pub dims: Vec<usize>,
    /// Kept in f32 whatever the case's dtype: a weight.
    pub master: bool,
}

/// One call: shapes of the inputs, and the constants the operation takes besides.
#[derive(Clone, Debug)]
pub struct OpSample {
    /// What makes this shape interesting.
    pub label: &'static str,
    /// Inputs, in the operation's order.
    pub inputs: Vec<Input>,
    /// Constant integers: token ids, positions, targets, axes, dimensions.
    pub ids: Vec<i32>,
    /// Constant numbers: an epsilon, a softcap.
    pub scalars: Vec<f64>,
    /// The activations' dtype of the case at hand (f64 on the reference); set by the runner.
    pub dtype: DType,
}

/// How far a device's result may be from the definition, beyond half an ulp of the result. Both numbers multiply the size of
/// the terms that the result is a sum of (see `terms.rs`).
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// In units of f32 roundoff.
    pub tolerance: f64,
    /// Intermediate roundings to the case's dtype, in units of its roundoff.
    pub roundings: f64,
}

/// The operation on variables: only its differentiable outputs.
pub type Apply = fn(&[Var], &OpSample) -> Result<Vec<Var>>;

/// See [`OpInfo::hidden`].
pub type Hidden = fn(&[Vec<f64>], &[Vec<f64>], &OpSample) -> Terms;

/// Everything the runner knows about one operation.
pub struct OpInfo {
    /// `rms_norm`.
    pub name: &'static str,
    /// The file under `ops/`.
    pub module: &'static str,
    /// The formula and its gradient, in one line.
    pub doc: &'static str,
    /// Shapes to try: odd ones, an empty one, a realistic one. Those of a few hundred elements get finite differences.
    pub samples: fn() -> Vec<OpSample>,
    /// Apply it.
    pub apply: Apply,
    /// The same function from small operations, for a fused one.
    pub composite: Option<Apply>,
    /// Input magnitudes that reach every branch.
    pub scales: &'static [f64],
    /// Dtypes of the case.
    pub dtypes: &'static [DType],
    /// Layouts of the inputs that are accepted; others are refused with `NonContiguous`.
    pub layouts: Layouts,
    /// Bound of the outputs.
    pub forward: Bound,
    /// Bound of the gradients.
    pub gradient: Bound,
    /// Terms inside the formulas that cancel where no derivative by an input shows them, from the inputs' values, the seed
    /// gradients and the sample: one size per element, or nothing for an output or gradient that has none. Added to what
    /// `terms.rs` finds.
    pub hidden: Option<Hidden>,
    /// Inputs never to draw, in units of the magnitude: a kink, a pole, the outside of the domain.
    pub avoid: Option<fn(f64) -> bool>,
}

/// Every differentiable operation.
pub static OPS: &[&OpInfo] = &[
    &nn::RMS_NORM,
    &nn::RELU_SQUARED,
    &nn::ROPE,
    &nn::ATTENTION,
    &nn::LINEAR,
    &layers::LINEARS,
    &nn::EMBEDDING,
    &nn::LM_HEAD_LOSS,
    &nn::CHECKPOINT,
    &layers::LAYER_NORM,
    &layers::GELU,
    &layers::GELU_TANH,
    &layers::GATED_RELU_SQUARED,
    &layers::GATED_SILU,
    &layers::GATED_GELU_TANH,
    &layers::DROPOUT,
    &layers::ADD_RMS_NORM,
    &layers::ROPE_NORM,
    &current::CHANNEL_GATE,
    &current::GATED_ADD,
    &current::SMEAR,
    &current::MIX,
    &tensor_ops::MATMUL,
    &tensor_ops::SUM,
    &tensor_ops::ADD,
    &tensor_ops::SUB,
    &tensor_ops::MUL,
    &tensor_ops::DIV,
    &tensor_ops::NEG,
    &tensor_ops::EXP,
    &tensor_ops::LN,
    &tensor_ops::SQRT,
    &tensor_ops::RSQRT,
    &tensor_ops::RECIPROCAL,
    &tensor_ops::TANH,
    &tensor_ops::SIGMOID,
    &tensor_ops::RELU,
    &tensor_ops::SQUARE,
    &tensor_ops::ABS,
    &tensor_ops::AFFINE,
    &tensor_ops::SIN,
    &tensor_ops::COS,
    &tensor_ops::SILU,
    &reductions::MEAN,
    &reductions::VARIANCE,
    &reductions::MAX,
    &reductions::MIN,
    &reductions::SOFTMAX,
    &reductions::LOGSUMEXP,
    &reductions::LOG_SOFTMAX,
    &indexing::WHERE,
    &indexing::GATHER,
    &indexing::INDEX_SELECT,
    &indexing::CUMSUM,
    &indexing::SORT,
    &indexing::TOP_K,
    &views::CAST,
    &views::RESHAPE,
    &views::PERMUTE,
    &views::EXPAND,
    &views::NARROW,
    &views::CONTIGUOUS,
    &views::CAT,
];

/// Both float dtypes of a device.
const FLOATS: &[DType] = &[DType::F32, DType::Bf16];

/// No arithmetic at all: only the result is rounded.
const EXACT: Bound = bound(0.0, 0.0);

const fn bound(tolerance: f64, roundings: f64) -> Bound {
    Bound { tolerance, roundings }
}

impl Input {
    /// An activation, of the case's dtype.
    pub fn activation(name: &'static str, dims: &[usize]) -> Input {
        Input { name, dims: dims.to_vec(), master: false }
    }
    /// A weight, kept in f32.
    pub fn weight(name: &'static str, dims: &[usize]) -> Input {
        Input { master: true, ..Input::activation(name, dims) }
    }
    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.dims.iter().product()
    }
}

impl OpSample {
    /// A sample without constants.
    pub fn new(label: &'static str, inputs: Vec<Input>) -> OpSample {
        OpSample { label, inputs, ids: Vec::new(), scalars: Vec::new(), dtype: DType::F32 }
    }
    /// One activation called `x`.
    fn x(label: &'static str, dims: &[usize]) -> OpSample {
        OpSample::new(label, vec![Input::activation("x", dims)])
    }
    fn with_ids(mut self, ids: &[i32]) -> OpSample {
        self.ids = ids.to_vec();
        self
    }
    fn with_scalars(mut self, scalars: &[f64]) -> OpSample {
        self.scalars = scalars.to_vec();
        self
    }
    /// The constant integers as sizes or axes.
    fn sizes(&self) -> Vec<usize> {
        self.ids.iter().map(|&i| i as usize).collect()
    }
    /// Elements of all inputs together.
    pub fn numel(&self) -> usize {
        self.inputs.iter().map(Input::numel).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, OPS};

    #[test]
    fn every_file_of_ops_has_an_entry_and_every_entry_a_file() {
        let index = include_str!("../../../autograd/src/ops/mod.rs");
        let files: Vec<&str> =
            index.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        assert!(files.len() >= 15);
        for file in &files {
            assert!(OPS.iter().any(|op| op.module == *file), "ops/{file}.rs has no entry in OPS");
        }
        for op in OPS {
            assert!(
                files.contains(&op.module),
                "{} names the file ops/{}.rs, which is not there",
                op.name,
                op.module
            );
            assert_eq!(
                OPS.iter().filter(|other| other.name == op.name).count(),
                1,
                "two entries {}",
                op.name
            );
        }
    }

    #[test]
    fn every_entry_has_an_odd_an_empty_and_a_small_sample() {
        for op in OPS {
            let samples = (op.samples)();
            let any = |f: &dyn Fn(&Input) -> bool| samples.iter().any(|s| s.inputs.iter().any(f));
            assert!(any(&|i| i.numel() == 0), "{}: no empty sample", op.name);
            assert!(any(&|i| i.dims.iter().any(|&d| d > 1 && d % 2 == 1)), "{}: no odd size", op.name);
            assert!(
                samples.iter().any(|s| (2..=300).contains(&s.numel())),
                "{}: too large for differences",
                op.name
            );
        }
    }
}
