//! Calling a kernel on arguments in memory, and comparing what it wrote with what the reference wrote.

use super::case::Case;
use super::place::{Arguments, Kind};
use super::report::Worst;
use crate::backend::{Backend, Reference};
use crate::element::DType;
use crate::error::Result;
use crate::par;
use crate::registry::{KernelInfo, Role, Sample};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a call came to: the kernel's own answer, or the message of its panic.
pub type Outcome = std::result::Result<Result<()>, String>;

/// Call the kernel on `arguments`, with `threads` threads or as many as there are. A panic is an answer too: one bad kernel
/// must not hide the others.
pub fn call(
    b: &dyn Backend,
    info: &KernelInfo,
    sample: &Sample,
    arguments: &mut Arguments,
    threads: Option<usize>,
) -> Outcome {
    let run = || -> Result<()> {
        let (mut ins, mut outs) = (Vec::new(), Vec::new());
        for (placed, arg) in arguments.placed.iter_mut().zip(&sample.args) {
            match arg.role {
                Role::In => ins.push(placed.view()?),
                Role::Out | Role::InOut => outs.push(placed.view_mut()?),
            }
        }
        match threads {
            Some(n) => par::with_threads(n, || (info.run)(b, &ins, &mut outs, &sample.scalars)),
            None => (info.run)(b, &ins, &mut outs, &sample.scalars),
        }
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()
    })
}

/// The smallest positive f32.
const SMALLEST: f64 = f32::from_bits(1) as f64;

/// What the definition says, in f64.
pub struct Expected {
    /// Elements of every output, in order.
    pub outputs: Vec<Vec<f64>>,
    /// `Σ|terms|` of every one of them.
    magnitude: Vec<Vec<f64>>,
    /// What is noise in any case, for every output: sixteen of the smallest f32 steps, since below the normal range roundings
    /// are not relative.
    pub floor: Vec<f64>,
}

impl Expected {
    /// Run the reference on `case`.
    pub fn new(info: &KernelInfo, sample: &Sample, case: &Case) -> std::result::Result<Expected, String> {
        let outputs = reference(info, sample, case)??;
        let magnitude = match info.magnitude {
            Some(magnitude) => magnitude(&case.inputs(sample), sample),
            // An infinite result is compared like any other: its magnitude must not say that anything is right.
            None => outputs
                .iter()
                .map(|y| y.iter().map(|v| if v.is_infinite() { 0.0 } else { v.abs() }).collect())
                .collect(),
        };
        let lengths = |v: &[Vec<f64>]| v.iter().map(|v| v.len()).collect::<Vec<_>>();
        if lengths(&magnitude) != lengths(&outputs) {
            return Err(format!(
                "magnitude has {:?} values, the outputs {:?}",
                lengths(&magnitude),
                lengths(&outputs)
            ));
        }
        let free = |m: &Vec<f64>| m.iter().filter(|v| **v == f64::INFINITY).count();
        if magnitude.iter().any(|m| free(m) > 0 && free(m) < m.len()) {
            return Err("the magnitude of an output is infinite in part: its formula overflows".into());
        }
        let floor = vec![16.0 * SMALLEST; outputs.len()];
        Ok(Expected { outputs, magnitude, floor })
    }
    /// Is any value right here? Scratch outputs say so with an infinite magnitude.
    pub fn is_free(&self, output: usize, index: usize) -> bool {
        self.magnitude[output][index] == f64::INFINITY
    }
    /// The largest error that element may have.
    ///
    /// `noise = tolerance·2⁻²⁴·magnitude + roundings·u(dtype)·magnitude`, and half an ulp of the result's dtype at the
    /// largest value that the noise can lead to.
    fn allowed(&self, info: &KernelInfo, case: DType, stored: DType, output: usize, index: usize) -> f64 {
        let magnitude = self.magnitude[output][index];
        let unit = info.tolerance * DType::F32.unit_roundoff() + info.roundings * case.unit_roundoff();
        let noise = unit * magnitude + self.floor[output];
        noise + stored.half_ulp(self.outputs[output][index].abs() + noise)
    }
    /// The element of all outputs that is furthest off, in units of what is allowed; `None` when nothing was written.
    pub fn worst(
        &self,
        info: &KernelInfo,
        sample: &Sample,
        case: &Case,
        dtype: DType,
        got: &Arguments,
    ) -> Option<Worst> {
        let mut worst: Option<Worst> = None;
        for (o, (i, arg)) in outputs(sample).enumerate() {
            let stored = case.dtypes[i];
            for (index, got) in got.placed[i].values().into_iter().enumerate() {
                if self.is_free(o, index) {
                    continue;
                }
                let want = self.outputs[o][index];
                let tol = self.allowed(info, dtype, stored, o, index);
                let same = got == stored.round(want) || (got.is_nan() && want.is_nan());
                let err = if same { 0.0 } else { (got - want).abs() };
                let this = Worst { output: arg.name, index, got, want, err, tol };
                if worst.is_none_or(|w| this.ratio() > w.ratio()) {
                    worst = Some(this);
                }
            }
        }
        worst
    }
}

/// The reference's outputs on `case`, all floats in f64: the outer error is a panic, the inner a refusal.
pub fn reference(
    info: &KernelInfo,
    sample: &Sample,
    case: &Case,
) -> std::result::Result<std::result::Result<Vec<Vec<f64>>, String>, String> {
    let refused = |e: crate::KernelError| format!("the reference refuses: {e}");
    let mut arguments =
        Arguments::place(sample, case, Kind::Contiguous, info.layouts, true).map_err(refused)?;
    let answer = call(&Reference, info, sample, &mut arguments, None)
        .map_err(|panic| format!("the reference panicked: {panic}"))?;
    Ok(answer.map_err(refused).map(|()| outputs(sample).map(|(i, _)| arguments.placed[i].values()).collect()))
}

/// Arguments that are written, with their place among all arguments.
pub fn outputs(sample: &Sample) -> impl Iterator<Item = (usize, &crate::registry::Arg)> {
    sample.args.iter().enumerate().filter(|(_, arg)| arg.role != Role::In)
}
