//! The checks themselves. Each takes one case and says through [`Report`] what it found. Here those that compare
//! numbers with the definition; [`super::conduct`] has those about everything else.

use super::case::{Case, Kind, seed_gradient, stored_as};
use super::run::{Allowance, Outcome, Plan, differences, forward, largest, run, worst, worst_relative};
use crate::registry::{Apply, Bound, OpInfo, OpSample};
use autograd::Result;
use kernels::verify::{CheckResult, Worst};
use tensor::{DType, Device, Tensor};

/// One case of one operation on one device, and where results go.
pub struct Report<'a> {
    /// Device under test.
    pub device: Device,
    /// Operation under test.
    pub info: &'a OpInfo,
    /// Its shapes and constants.
    pub sample: &'a OpSample,
    /// Magnitude of the inputs.
    pub scale: f64,
    /// Which random case.
    pub seed: u64,
    /// Receives every result.
    pub sink: &'a mut dyn FnMut(CheckResult),
}

/// What the reference computed, and how large the terms are that its numbers are sums of.
pub struct Expected {
    /// Values and gradients.
    pub outcome: Outcome,
    y_terms: Vec<f64>,
    dx_terms: Vec<f64>,
}

/// What a check found: the worst element if it compared numbers; the outer error is one in the check's own run.
pub type Found = Result<std::result::Result<Option<Worst>, String>>;

/// A comparison passes when no element is over its tolerance.
fn within(worst: Option<Worst>) -> Found {
    Ok(Ok(worst))
}
pub fn pass_if(ok: bool, otherwise: impl FnOnce() -> String) -> Found {
    Ok(if ok { Ok(None) } else { Err(otherwise()) })
}

/// The worse of two.
fn worse(a: Option<Worst>, b: Option<Worst>) -> Option<Worst> {
    [a, b].into_iter().flatten().max_by(|a, b| a.ratio().total_cmp(&b.ratio()))
}

impl Report<'_> {
    /// Report one result.
    pub fn say(&mut self, check: &'static str, kind: Kind, found: Found) {
        let (worst, detail) = match found {
            Ok(Ok(Some(w))) if w.ratio() > 1.0 => (Some(w), w.to_string()),
            Ok(Ok(worst)) => (worst, String::new()),
            Ok(Err(what)) => (None, what),
            Err(e) => (None, format!("refused: {e}")),
        };
        (self.sink)(CheckResult {
            name: self.info.name,
            check,
            sample: self.sample.label,
            dtype: self.sample.dtype,
            layout: kind.name(),
            scale: self.scale,
            seed: self.seed,
            ok: detail.is_empty(),
            worst,
            detail,
        });
    }
    /// Seed gradients of every output.
    pub fn seeds(&self, case: &Case) -> Result<Vec<Vec<f64>>> {
        let inputs = case.tensors(self.sample, Kind::Dense, self.device)?;
        let outputs = forward(self.info.apply, self.sample, &inputs)?;
        let one =
            |(j, y): (usize, &Tensor)| seed_gradient(self.seed, j, y.numel(), [y.dtype(), self.sample.dtype]);
        Ok(outputs.iter().enumerate().map(one).collect())
    }
    /// What the reference says. `other`: an unrelated case of the same magnitude, whose sizes count as well; repeated inputs
    /// may happen to cancel.
    pub fn expected(&self, case: &Case, dy: &[Vec<f64>], other: Option<&Expected>) -> Result<Expected> {
        let outcome = self.outcome(self.info.apply, case, dy, Kind::Dense, Device::Reference, 1)?;
        let mut y_terms: Vec<f64> = outcome.y.iter().map(|y| largest(y)).collect();
        let mut dx_terms: Vec<f64> = match self.info.terms {
            Some(terms) => terms(&case.values, dy, self.sample),
            None => outcome.dx.iter().map(|dx| dx.as_ref().map_or(0.0, |dx| largest(dx))).collect(),
        };
        if let Some(other) = other {
            y_terms.iter_mut().zip(&other.y_terms).for_each(|(a, b)| *a = a.max(*b));
            dx_terms.iter_mut().zip(&other.dx_terms).for_each(|(a, b)| *a = a.max(*b));
        }
        Ok(Expected { outcome, y_terms, dx_terms })
    }
    /// Value and all gradients, applied `uses` times.
    pub fn outcome(
        &self,
        apply: Apply,
        case: &Case,
        dy: &[Vec<f64>],
        kind: Kind,
        device: Device,
        uses: usize,
    ) -> Result<Outcome> {
        let tracked = vec![true; case.values.len()];
        let plan = Plan { apply, sample: self.sample, dy, tracked: &tracked, uses, aliased: false };
        run(&plan, &case.tensors(self.sample, kind, device)?)
    }
    /// Gradients on the device against those of the reference, times `uses`; `terms` as in [`Expected`].
    fn gradients(&self, got: &Outcome, want: &Expected, uses: f64, bound: Bound) -> Option<Worst> {
        let (mut found, case) = (None, self.sample.dtype);
        for (i, input) in self.sample.inputs.iter().enumerate() {
            let (Some(got), Some(dx)) = (&got.dx[i], &want.outcome.dx[i]) else { continue };
            let dx: Vec<f64> = dx.iter().map(|v| uses * v).collect();
            let stored = stored_as(input.master, case);
            let allow = Allowance { bound, stored, case, terms: uses * want.dx_terms[i], uses };
            found = worse(found, worst(input.name, got, &dx, allow));
        }
        found
    }

    /// `value` and `gradient`: the device against the reference, both in every layout; `inputs unchanged`.
    pub fn agreement(&mut self, case: &Case, dy: &[Vec<f64>], want: &Expected, kind: Kind) {
        let inputs = match case.tensors(self.sample, kind, self.device) {
            Ok(inputs) => inputs,
            Err(e) => return self.say("value", kind, Err(e)),
        };
        let tracked = vec![true; inputs.len()];
        let plan = Plan {
            apply: self.info.apply,
            sample: self.sample,
            dy,
            tracked: &tracked,
            uses: 1,
            aliased: false,
        };
        let got = match (forward(self.info.apply, self.sample, &inputs), run(&plan, &inputs)) {
            (Ok(y), Ok(got)) => {
                let mut found = None;
                for (j, y) in y.iter().enumerate() {
                    let (bound, case, terms) = (self.info.forward, self.sample.dtype, want.y_terms[j]);
                    let allow = Allowance { bound, stored: y.dtype(), case, terms, uses: 1.0 };
                    found = worse(found, worst("y", &got.y[j], &want.outcome.y[j], allow));
                }
                self.say("value", kind, within(found));
                got
            }
            (Err(e), _) | (_, Err(e)) => return self.say("value", kind, Err(e)),
        };
        let found = self.gradients(&got, want, 1.0, self.info.gradient);
        self.say("gradient", kind, within(found));
        let kept = inputs.iter().zip(&case.values).all(|(t, v)| t.to_f64_vec() == *v);
        self.say("inputs unchanged", kind, pass_if(kept, || "an input changed".into()));
    }

    /// `differences`: the reference's gradient against central differences of the reference, every element.
    pub fn differences(&mut self, case: &Case, dy: &[Vec<f64>], want: &Outcome) {
        let found = differences(self.info.apply, self.sample, case, dy, self.scale).map(|numeric| {
            let size: f64 =
                want.y.iter().flatten().zip(dy.iter().flatten()).map(|(y, dy)| (y * dy).abs()).sum();
            let mut found = None;
            for (i, input) in self.sample.inputs.iter().enumerate() {
                let Some(dx) = &want.dx[i] else { continue };
                // The difference itself carries the rounding of a sum of this size, over the width of the step.
                let width = if self.scale == 0.0 { 1e-7 } else { 1e-5 * self.scale };
                let floor = 64.0 * DType::F64.unit_roundoff() * size / width + 1e-300;
                found = worse(found, worst_relative(input.name, dx, &numeric[i], 1e-6, floor));
            }
            Ok(found)
        });
        self.say("differences", Kind::Dense, found);
    }

    /// `used twice`: two uses of every input give twice the gradient.
    pub fn used_twice(&mut self, case: &Case, dy: &[Vec<f64>], want: &Expected) {
        let got = self.outcome(self.info.apply, case, dy, Kind::Dense, self.device, 2);
        // The sum of two gradients is rounded once more.
        let Bound { tolerance, roundings, over } = self.info.gradient;
        let bound = Bound { tolerance: tolerance + 1.0, roundings, over };
        let found = got.map(|got| Ok(self.gradients(&got, want, 2.0, bound)));
        self.say("used twice", Kind::Dense, found);
    }

    /// `same variable`: one variable in every place gets the sum of the places' gradients.
    pub fn same_variable(&mut self, case: &Case, dy: &[Vec<f64>]) {
        let Some(first) = self.sample.inputs.first().filter(|_| self.sample.inputs.len() > 1) else { return };
        if self.sample.inputs.iter().any(|i| i.dims != first.dims || i.master != first.master) {
            return;
        }
        let case = Case { values: vec![case.values[0].clone(); case.values.len()] };
        let found = (|| {
            let apart = self.outcome(self.info.apply, &case, dy, Kind::Dense, Device::Reference, 1)?;
            let tracked = vec![true; case.values.len()];
            let plan = Plan {
                apply: self.info.apply,
                sample: self.sample,
                dy,
                tracked: &tracked,
                uses: 1,
                aliased: true,
            };
            let one = run(&plan, &case.tensors(self.sample, Kind::Dense, Device::Reference)?)?;
            let mut sum = vec![0.0; case.values[0].len()];
            apart.dx.iter().flatten().for_each(|dx| sum.iter_mut().zip(dx).for_each(|(s, g)| *s += g));
            let size = apart.dx.iter().flatten().flatten().fold(0.0f64, |m, g| m.max(g.abs()));
            within(one.dx[0].as_ref().and_then(|dx| worst_relative(first.name, dx, &sum, 0.0, 1e-13 * size)))
        })();
        self.say("same variable", Kind::Dense, found);
    }

    /// `composite`: the fused operation equals the one made of small ones, tightly in f64, loosely in f32.
    pub fn composite(&mut self, case: &Case, dy: &[Vec<f64>], want: &Outcome) {
        let Some(composite) = self.info.composite else { return };
        let device = self.device;
        let precise = [(Device::Reference, 1e-9)];
        let both = [(Device::Reference, 1e-9), (device, 3e-4)];
        for &(device, relative) in if self.sample.dtype == DType::F32 { &both[..] } else { &precise[..] } {
            let found = self.outcome(composite, case, dy, Kind::Dense, device, 1).map(|got| {
                let mut found = None;
                for (y, want) in got.y.iter().zip(&want.y) {
                    found = worse(found, worst_relative("y", y, want, relative, 1e-300));
                }
                for (i, input) in self.sample.inputs.iter().enumerate() {
                    let (Some(dx), Some(want)) = (&got.dx[i], &want.dx[i]) else { continue };
                    found = worse(found, worst_relative(input.name, dx, want, relative, 1e-300));
                }
                Ok(found)
            });
            self.say("composite", Kind::Dense, found);
        }
    }
}
