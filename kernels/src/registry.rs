//! The registry of kernels: what a test or benchmark must know about each one.
//!
//! Every op folder has a `KERNELS` table of [`KernelInfo`]. From it alone the check runner draws shapes, layouts,
//! magnitudes and dtypes, runs the kernel on a device and on [`crate::Reference`] in f64, and compares; benchmarks read
//! `cost`; the book prints `doc`. Adding a kernel to its table is all that is needed to be tested everywhere.

use crate::backend::Backend;
use crate::element::DType;
use crate::error::Result;
use crate::view::{Layout, View, ViewMut};

/// How an argument is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Read.
    In,
    /// Written whatever it held (it is filled with NaN before the call, to prove that).
    Out,
    /// Read and written.
    InOut,
}

/// What values an argument is drawn from.
#[derive(Clone, Debug)]
pub enum Draw {
    /// Normal, times the magnitude under test, plus an offset now and then (means far from zero); the case's dtype.
    Normal,
    /// As `Normal`, but kept in f32 (f64 on the reference) whatever the case's dtype: statistics, states, tables.
    NormalF32,
    /// Uniform in `[lo, hi)`, never scaled; kept in f32.
    Uniform(f64, f64),
    /// Integers in `0..n`; negative `lo` allows an ignore index of −1.
    Ids {
        /// Smallest value.
        lo: i32,
        /// One past the largest.
        hi: i32,
    },
    /// Exactly these integers (page tables, positions).
    Exact(Vec<i32>),
    /// The output named by this function of the inputs before it: statistics that another kernel would have saved.
    Derived(fn(&[Vec<f64>], &[f64]) -> Vec<f64>),
    /// As `Derived`, rounded to the case's dtype instead of kept in f32.
    DerivedRounded(fn(&[Vec<f64>], &[f64]) -> Vec<f64>),
}

/// One argument of a sample.
#[derive(Clone, Debug)]
pub struct Arg {
    /// Its name in the kernel's signature; in parentheses if the kernel does not get it and others are derived from it.
    pub name: &'static str,
    /// Read, written or both.
    pub role: Role,
    /// Shape.
    pub dims: Vec<usize>,
    /// Values (for `Out`: only whether it is f32-kept or of the case's dtype matters).
    pub draw: Draw,
    /// May it have any length, whatever the others have?
    pub any_shape: bool,
}

/// One call: arguments in the kernel's order, inputs and outputs mixed as they come, and scalar parameters.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What makes this shape interesting.
    pub label: &'static str,
    /// Arguments.
    pub args: Vec<Arg>,
    /// Scalar parameters, as `run` expects them.
    pub scalars: Vec<f64>,
}

/// Work done by one call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// The fewest floating-point operations that give the result; a function like `exp` counts as one.
    pub flops: f64,
    /// Bytes that must be read and written, each once, if nothing is kept from one call to the next.
    pub bytes: f64,
}

/// Arguments as `run` gets them: `ins` are the `In` arguments in order, `outs` the `Out` and `InOut` ones in order.
pub type Run = fn(&dyn Backend, &[View<'_>], &mut [ViewMut<'_>], &[f64]) -> Result<()>;

/// `Σ|terms|` of every output element, outputs in order, from all non-output inputs in order (`InOut` included, as the
/// values before the call), each as f64 in logical order, and the sample.
pub type Magnitude = fn(&[Vec<f64>], &Sample) -> Vec<Vec<f64>>;

/// The last two axes of a view swapped: how a `run` function makes the strided arguments that a bench sample's scalars ask for.
pub(crate) fn transposed<'a>(x: &View<'a>) -> Result<View<'a>> {
    let (mut dims, mut strides) = (x.dims().to_vec(), x.strides().to_vec());
    if let Some(last) = dims.len().checked_sub(2) {
        dims.swap(last, last + 1);
        strides.swap(last, last + 1);
    }
    x.with_layout(Layout::strided(&dims, &strides, x.layout().offset())?)
}

/// `f` of numbers that a kernel reads from memory, in the dtype in which it keeps such numbers beside values of `dtype`.
pub(crate) fn with_numbers(
    numbers: &[f64],
    dtype: DType,
    f: impl FnOnce(View<'_>) -> Result<()>,
) -> Result<()> {
    let dims = [numbers.len()];
    if dtype == DType::F64 {
        return f(View::from_slice(numbers, &dims)?);
    }
    let single: Vec<f32> = numbers.iter().map(|&n| n as f32).collect();
    f(View::from_slice(&single, &dims)?)
}

/// Everything the harness knows about one kernel.
pub struct KernelInfo {
    /// `rms_norm_fwd`.
    pub name: &'static str,
    /// The formula, in one line.
    pub doc: &'static str,
    /// Shapes to try: at least one odd, one with a single row, one empty, one real.
    pub samples: fn() -> Vec<Sample>,
    /// Shapes of real models to measure, named after where they occur (`d12.hidden`): large enough to leave the caches.
    pub bench: fn() -> Vec<Sample>,
    /// Call it.
    pub run: Run,
    /// Input magnitudes that reach every branch.
    pub scales: &'static [f64],
    /// Dtypes of the case (f32 and bf16 for most).
    pub dtypes: &'static [DType],
    /// Are inputs with permuted and padded strides accepted everywhere (`Any`), with a unit last stride (`Rows`), or not?
    pub layouts: Layouts,
    /// Allowed error, in units of f32 roundoff of `Σ|terms|`, beyond half an ulp of the result's dtype.
    pub tolerance: f64,
    /// Intermediate roundings to the case's dtype that the definition allows, in units of its roundoff of `Σ|terms|`.
    pub roundings: f64,
    /// `Σ|terms|`; `None` means the magnitude of the value itself.
    pub magnitude: Option<Magnitude>,
    /// Floating-point operations and bytes of a sample, floats of the case's dtype being so many bytes wide.
    pub cost: fn(&Sample, f64) -> Cost,
}

/// Layouts an op accepts for its case-dtype arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layouts {
    /// Any strides.
    Any,
    /// Any leading strides, unit last stride; others are refused with `NonContiguous`.
    Rows,
    /// Contiguous only; others are refused with `NonContiguous`.
    Contiguous,
}

impl Arg {
    /// An input.
    pub fn input(name: &'static str, dims: &[usize], draw: Draw) -> Arg {
        Arg { name, role: Role::In, dims: dims.to_vec(), draw, any_shape: false }
    }
    /// An output of the case's dtype.
    pub fn out(name: &'static str, dims: &[usize]) -> Arg {
        Arg { name, role: Role::Out, dims: dims.to_vec(), draw: Draw::Normal, any_shape: false }
    }
    /// An output kept in f32.
    pub fn out_f32(name: &'static str, dims: &[usize]) -> Arg {
        Arg { name, role: Role::Out, dims: dims.to_vec(), draw: Draw::NormalF32, any_shape: false }
    }
    /// An argument that is updated.
    pub fn inout(name: &'static str, dims: &[usize], draw: Draw) -> Arg {
        Arg { name, role: Role::InOut, dims: dims.to_vec(), draw, any_shape: false }
    }
    /// The same argument, of which no length is wrong.
    pub fn of_any_shape(self) -> Arg {
        Arg { any_shape: true, ..self }
    }
    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.dims.iter().product()
    }
    /// Bytes: `bytes` per element of the case's dtype, four for what is kept in f32 and for integers.
    pub fn bytes(&self, bytes: f64) -> f64 {
        let width = match self.draw {
            Draw::Normal | Draw::DerivedRounded(_) => bytes,
            _ => 4.0,
        };
        self.numel() as f64 * width
    }
}

impl Sample {
    /// A sample without scalars.
    pub fn new(label: &'static str, args: Vec<Arg>) -> Sample {
        Sample { label, args, scalars: Vec::new() }
    }
    /// With scalar parameters.
    pub fn with(mut self, scalars: &[f64]) -> Sample {
        self.scalars = scalars.to_vec();
        self
    }
    /// Shape of argument `name`; empty if there is none.
    pub fn dims(&self, name: &str) -> &[usize] {
        self.args.iter().find(|a| a.name == name).map_or(&[], |a| &a.dims)
    }
    /// Bytes of argument `name`, floats of the case's dtype being `bytes` wide; 0 if there is none.
    pub fn bytes_of(&self, name: &str, bytes: f64) -> f64 {
        self.args.iter().find(|a| a.name == name).map_or(0.0, |a| a.bytes(bytes))
    }
    /// Bytes that all arguments together take up.
    pub fn footprint(&self, bytes: f64) -> f64 {
        self.args.iter().map(|a| a.bytes(bytes)).sum()
    }
    /// Bytes moved when every input is read once, every output written once, and what is updated both: the least there is
    /// for a kernel that needs all of its arguments.
    pub fn moved(&self, bytes: f64) -> f64 {
        let times = |role| if role == Role::InOut { 2.0 } else { 1.0 };
        self.args.iter().map(|a| times(a.role) * a.bytes(bytes)).sum()
    }
    /// Elements of argument `name`, as a count of work; 1 if there is none of that name, as a scalar has.
    pub fn numel(&self, name: &str) -> f64 {
        self.dims(name).iter().product::<usize>() as f64
    }
    /// Elements of all arguments together.
    pub fn elements(&self) -> f64 {
        self.args.iter().map(|a| a.numel() as f64).sum()
    }
}
