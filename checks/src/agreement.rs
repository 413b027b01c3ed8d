//! The checks themselves. Each takes one case and says through [`Report`] what it found. Here those that compare
//! numbers with the definition; [`super::conduct`] has those about everything else.

use super::case::{Case, Kind, seed_gradient, stored_as};
use super::run::{Allowance, Outcome, Plan, forward, run, worst, worst_relative};
use super::terms::{Definition, Differences, Terms};
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
    terms: Terms,
    /// Central differences, for small samples.
    differences: Option<Differences>,
}

/// What a check found: the worst element if it compared numbers; the outer error is one in the check's own run.
pub type Found = Result<std::result::Result<Option<Worst>, String>>;

/// Samples up to this size get differences: twice as many runs of the definition as they have elements.
const SMALL: usize = 320;

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

impl Expected {
    /// On ordinary inputs a definition is finite; where it is not, nothing else is compared.
    pub fn is_finite(&self) -> bool {
        self.outcome.y.iter().chain(self.outcome.dx.iter().flatten()).flatten().all(|v| v.is_finite())
    }
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
    /// What the reference says. Small samples get all derivatives of the definition, large ones an estimate.
    pub fn expected(&self, case: &Case, dy: &[Vec<f64>]) -> Result<Expected> {
        let outcome = self.outcome(self.info.apply, case, dy, Kind::Dense, Device::Reference, 1)?;
        let definition = Definition { apply: self.info.apply, sample: self.sample, scale: self.scale };
        let (mut terms, differences) = if self.sample.numel() <= SMALL {
            let (terms, differences) = definition.exact(case, dy, &outcome)?;
            (terms, Some(differences))
        } else {
            (definition.probed(case, dy, &outcome, self.seed)?, None)
        };
        if let Some(hidden) = self.info.hidden {
            terms.add(&hidden(&case.values, dy, self.sample));
        }
        Ok(Expected { outcome, terms, differences })
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
        let plan = Plan { uses, ..Plan::new(apply, self.sample, dy, &tracked) };
        run(&plan, &case.tensors(self.sample, kind, device)?)
    }
    /// Gradients on the device against those of the reference, times `uses`.
    fn gradients(
        &self,
        got: &Outcome,
        want: &Outcome,
        terms: &Terms,
        uses: f64,
        bound: Bound,
    ) -> Option<Worst> {
        let (mut found, case) = (None, self.sample.dtype);
        for (i, input) in self.sample.inputs.iter().enumerate() {
            let (Some(got), Some(dx)) = (&got.dx[i], &want.dx[i]) else { continue };
            let dx: Vec<f64> = dx.iter().map(|v| uses * v).collect();
            let stored = stored_as(input.master, case);
            let allow = Allowance { bound, stored, case, uses };
            found = worse(found, worst(input.name, got, &dx, &terms.dx[i], allow));
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
        let plan = Plan::new(self.info.apply, self.sample, dy, &tracked);
        let got = match (forward(self.info.apply, self.sample, &inputs), run(&plan, &inputs)) {
            (Ok(y), Ok(got)) => {
                let mut found = None;
                for (j, y) in y.iter().enumerate() {
                    let (bound, case) = (self.info.forward, self.sample.dtype);
                    let allow = Allowance { bound, stored: y.dtype(), case, uses: 1.0 };
                    // Tracked, and as in inference, where an operation may take a shorter way.
                    for y in [&got.y[j], &y.to_f64_vec()] {
                        found = worse(found, worst("y", y, &want.outcome.y[j], &want.terms.y[j], allow));
                    }
                }
                self.say("value", kind, within(found));
                let inputs = inputs.iter().map(|x| x.dims().to_vec());
                let dims: Vec<Vec<usize>> =
                    want.outcome.dims[..y.len()].iter().cloned().chain(inputs).collect();
                let what =
                    || format!("outputs and gradients have the shapes {:?}, expected {dims:?}", got.dims);
                self.say("shapes", kind, pass_if(got.dims == dims, what));
                got
            }
            (Err(e), _) | (_, Err(e)) => return self.say("value", kind, Err(e)),
        };
        let found = self.gradients(&got, &want.outcome, &want.terms, 1.0, self.info.gradient);
        self.say("gradient", kind, within(found));
        let kept = inputs.iter().zip(&case.values).all(|(t, v)| t.to_f64_vec() == *v);
        self.say("inputs unchanged", kind, pass_if(kept, || "an input changed".into()));
    }

    /// `differences`: the reference's gradient against central differences of the reference, every element.
    pub fn differences(&mut self, dy: &[Vec<f64>], want: &Expected) {
        let Some(numeric) = &want.differences else { return };
        let y = want.outcome.y.iter().flatten().zip(dy.iter().flatten());
        let size: f64 = y.map(|(y, dy)| (y * dy).abs()).sum();
        // The difference itself carries the rounding of numbers of this size, over the width of the step.
        let width = if self.scale == 0.0 { 1e-7 } else { 1e-5 * self.scale };
        let floor = 64.0 * DType::F64.unit_roundoff() * size / width;
        let mut found = None;
        for (i, input) in self.sample.inputs.iter().enumerate() {
            let Some(dx) = &want.outcome.dx[i] else { continue };
            // The error of the formula is h²/6 of the third derivative: with steps of 1e-5 of an input, of the order of 1e-10 of
            // the terms, or of (bend/size)² times that where the slope grows like an exponential. The floor is for slopes
            // that vanish.
            let all = numeric.sizes[i].iter().zip(&numeric.bends[i]);
            let terms: Vec<f64> = all
                .map(|(&size, &bend)| {
                    let curved = if size > 0.0 { 1e-3 * bend * (bend / size) } else { 0.0 };
                    size + curved + floor * 1e7
                })
                .collect();
            found = worse(found, worst_relative(input.name, dx, &numeric.slopes[i], &terms, 1e-7));
        }
        self.say("differences", Kind::Dense, within(found));
    }

    /// `used twice`: two uses of every input give twice the gradient.
    pub fn used_twice(&mut self, case: &Case, dy: &[Vec<f64>], want: &Expected) {
        let got = self.outcome(self.info.apply, case, dy, Kind::Dense, self.device, 2);
        // The sum of two gradients is rounded once more.
        let Bound { tolerance, roundings } = self.info.gradient;
        let bound = Bound { tolerance: tolerance + 1.0, roundings };
        let found = got.map(|got| Ok(self.gradients(&got, &want.outcome, &want.terms, 2.0, bound)));
        self.say("used twice", Kind::Dense, found);
    }

    /// `one output`: each of several outputs seeded alone, against the reference doing the same.
    pub fn one_output(&mut self, case: &Case, dy: &[Vec<f64>], want: &Expected) {
        let tracked = vec![true; case.values.len()];
        for only in (0..dy.len()).filter(|_| dy.len() > 1) {
            let alone = |device| {
                let plan = Plan { only: Some(only), ..Plan::new(self.info.apply, self.sample, dy, &tracked) };
                run(&plan, &case.tensors(self.sample, Kind::Dense, device)?)
            };
            let found = alone(Device::Reference).and_then(|only| {
                within(self.gradients(&alone(self.device)?, &only, &want.terms, 1.0, self.info.gradient))
            });
            self.say("one output", Kind::Dense, found);
        }
    }

    /// `same variable`: one variable in every place gets the sum of the places' gradients.
    pub fn same_variable(&mut self, case: &Case, dy: &[Vec<f64>]) {
        let Some(first) = self.sample.inputs.first().filter(|_| self.sample.inputs.len() > 1) else { return };
        if self.sample.inputs.iter().any(|i| i.dims != first.dims || i.master != first.master) {
            return;
        }
        let case = Case { values: vec![case.values[0].clone(); case.values.len()] };
        let tracked = vec![true; case.values.len()];
        let found = (|| {
            let want = self.expected(&case, dy)?;
            let [mut sum, mut terms] = [vec![0.0; case.values[0].len()], vec![0.0; case.values[0].len()]];
            let add = |to: &mut [f64], v: &[f64]| to.iter_mut().zip(v).for_each(|(to, v)| *to += v);
            want.outcome.dx.iter().flatten().for_each(|dx| add(&mut sum, dx));
            want.terms.dx.iter().for_each(|dx| add(&mut terms, dx));
            let one = |device| {
                let plan = Plan { aliased: true, ..Plan::new(self.info.apply, self.sample, dy, &tracked) };
                run(&plan, &case.tensors(self.sample, Kind::Dense, device)?)
            };
            let (precise, here) = (one(Device::Reference)?, one(self.device)?);
            let found =
                precise.dx[0].as_ref().and_then(|dx| worst_relative(first.name, dx, &sum, &terms, 1e-13));
            let case = self.sample.dtype;
            // Every place's gradient is rounded before the next is added.
            let Bound { tolerance, roundings } = self.info.gradient;
            let bound = Bound { tolerance: tolerance + 1.0, roundings: roundings + 1.0 };
            let allow = Allowance { bound, stored: stored_as(first.master, case), case, uses: 1.0 };
            within(worse(
                found,
                here.dx[0].as_ref().and_then(|dx| worst(first.name, dx, &sum, &terms, allow)),
            ))
        })();
        self.say("same variable", Kind::Dense, found);
    }

    /// `composite`: the fused operation equals the one made of small ones, tightly in f64, loosely in f32.
    pub fn composite(&mut self, case: &Case, dy: &[Vec<f64>], want: &Expected) {
        let Some(composite) = self.info.composite else { return };
        let device = self.device;
        let precise = [(Device::Reference, 1e-11)];
        let both = [(Device::Reference, 1e-11), (device, 2e-5)];
        for &(device, relative) in if self.sample.dtype == DType::F32 { &both[..] } else { &precise[..] } {
            let found = self.outcome(composite, case, dy, Kind::Dense, device, 1).map(|got| {
                let (mut found, terms) = (None, &want.terms);
                for ((got, want), terms) in got.y.iter().zip(&want.outcome.y).zip(&terms.y) {
                    found = worse(found, worst_relative("y", got, want, terms, relative));
                }
                for (i, input) in self.sample.inputs.iter().enumerate() {
                    let (Some(got), Some(want)) = (&got.dx[i], &want.outcome.dx[i]) else { continue };
                    found = worse(found, worst_relative(input.name, got, want, &terms.dx[i], relative));
                }
                Ok(found)
            });
            self.say("composite", Kind::Dense, found);
        }
    }
}
