//! Checks of conduct rather than numbers: nothing needless is recorded, bits repeat, NaN is passed on, layouts that were not
//! declared are refused.

use super::agreement::{Found, Report, pass_if};
use super::case::{Case, Kind, place};
use super::run::{Outcome, Plan, forward, run};
use crate::registry::Input;
use autograd::{AutogradError, Result, Tape, Var};
use kernels::philox;
use kernels::registry::Layouts;
use kernels::verify::tells;
use tensor::{DType, Device, Tensor, TensorError, memory};

impl Report<'_> {
    /// `needs`: with only some inputs tracked, their gradients keep every bit; with none, nothing is recorded.
    pub fn needs(&mut self, case: &Case, dy: &[Vec<f64>], all: &Outcome) {
        let n = case.values.len();
        for set in 1..(1usize << n) - 1 {
            let tracked: Vec<bool> = (0..n).map(|i| set >> i & 1 == 1).collect();
            let found = (|| {
                let inputs = case.tensors(self.sample, Kind::Dense, self.device)?;
                let got = run(&Plan::new(self.info.apply, self.sample, dy, &tracked), &inputs)?;
                let same =
                    (0..n).all(|i| !tracked[i] || same_bits(got.dx[i].as_deref(), all.dx[i].as_deref()));
                let same = same && got.y.iter().zip(&all.y).all(|(a, b)| same_bits(Some(a), Some(b)));
                pass_if(same, || {
                    format!("tracking only inputs {tracked:?} changes values or their gradients")
                })
            })();
            self.say("needs", Kind::Dense, found);
        }
        let found = (|| {
            let tape = Tape::new();
            let bystander = tape.watch(Tensor::zeros(&[1], DType::F32, self.device)?)?;
            let inputs = case.tensors(self.sample, Kind::Dense, self.device)?;
            let vars: Vec<Var> = inputs.into_iter().map(Var::constant).collect();
            let y = (self.info.apply)(&vars, self.sample)?;
            let silent = tape.ops().is_empty() && bystander.is_tracked() && y.iter().all(|y| !y.is_tracked());
            pass_if(silent, || format!("constants were recorded: {:?}", tape.ops()))
        })();
        self.say("constants record nothing", Kind::Dense, found);
    }

    /// `same bits`: a second run, one thread and two.
    pub fn same_bits(&mut self, case: &Case, dy: &[Vec<f64>], all: &Outcome) {
        let again = || self.outcome(self.info.apply, case, dy, Kind::Dense, self.device, 1);
        let found = (|| {
            // Variables stay on their thread, so it is the kernels' pool that changes: `with_threads` moves the whole run.
            let runs = [again()?, on_threads(1, self, case, dy)?, on_threads(2, self, case, dy)?];
            let same = runs.iter().all(|run| {
                let ys = run.y.iter().zip(&all.y).all(|(a, b)| same_bits(Some(a), Some(b)));
                ys && run.dx.iter().zip(&all.dx).all(|(a, b)| same_bits(a.as_deref(), b.as_deref()))
            });
            pass_if(same, || "value or gradient differ between runs or numbers of threads".into())
        })();
        self.say("same bits", Kind::Dense, found);
    }

    /// `nan`: one NaN in one input reaches the outputs and gradients that it reaches on the reference, and no others.
    /// `infinity`: what one infinity makes infinite or NaN there is not finite here either.
    pub fn extremes(&mut self, case: &Case, dy: &[Vec<f64>]) {
        for i in 0..case.values.len() {
            if case.values[i].is_empty() {
                continue;
            }
            for (check, value) in
                [("nan", f64::NAN), ("infinity", f64::INFINITY), ("infinity", f64::NEG_INFINITY)]
            {
                let mut case = case.clone();
                let at = philox::word(self.seed, 1 << 32, i as u64) as usize % case.values[i].len();
                case.values[i][at] = value;
                let outcome = |device| self.outcome(self.info.apply, &case, dy, Kind::Dense, device, 1);
                let found = outcome(self.device).and_then(|got| {
                    let want = outcome(Device::Reference)?;
                    let from = format!("{value} in {}[{at}]", self.sample.inputs[i].name);
                    self.spreads_alike(&got, &want, &from)
                });
                self.say(check, Kind::Dense, found);
            }
        }
    }
    fn spreads_alike(&self, got: &Outcome, want: &Outcome, from: &str) -> Found {
        let alike = |got: &[f64], want: &[f64]| {
            got.iter().zip(want).all(|(got, want)| {
                let want = self.sample.dtype.round(*want);
                if from.starts_with("NaN") { got.is_nan() == want.is_nan() } else { tells(*got, want) }
            })
        };
        if !got.y.iter().zip(&want.y).all(|(a, b)| alike(a, b)) {
            return pass_if(false, || format!("{from} spreads differently into the output"));
        }
        let differs = got.dx.iter().zip(&want.dx).position(|(a, b)| match (a, b) {
            (Some(a), Some(b)) => !alike(a, b),
            _ => a.is_some() != b.is_some(),
        });
        pass_if(differs.is_none(), || {
            let name = differs.map_or("", |g| self.sample.inputs[g].name);
            format!("{from} spreads differently into d{name}")
        })
    }

    /// `leaks`: as many storages are alive as before.
    pub fn leaks(&mut self, before: usize) {
        let now = memory::live_here();
        self.say(
            "leaks",
            Kind::Dense,
            pass_if(now == before, || format!("{now} storages are alive, {before} before")),
        );
    }

    /// `layout refused`: an input without unit last stride is refused by an operation on rows.
    pub fn refused_layouts(&mut self, case: &Case) {
        if self.info.layouts != Layouts::Rows {
            return;
        }
        for (i, input) in self.sample.inputs.iter().enumerate() {
            let strided = |input: &Input, dtype| {
                place(&case.values[i], &input.dims, dtype, self.device, Kind::Permuted)
            };
            let found = (|| {
                let mut inputs = case.tensors(self.sample, Kind::Dense, self.device)?;
                inputs[i] = strided(input, inputs[i].dtype())?;
                if inputs[i].layout().has_unit_last_stride() || inputs[i].numel() == 0 {
                    return Ok(None);
                }
                Ok(Some(forward(self.info.apply, self.sample, &inputs)))
            })();
            match found {
                Ok(None) => continue,
                Ok(Some(Err(AutogradError::Tensor(TensorError::Kernel(
                    kernels::KernelError::NonContiguous { .. },
                ))))) => {
                    self.say("layout refused", Kind::Permuted, Ok(Ok(None)));
                }
                Ok(Some(Err(e))) => self.say("layout refused", Kind::Permuted, Err(e)),
                Ok(Some(Ok(_))) => {
                    let what = format!("{} without unit last stride was accepted", input.name);
                    self.say("layout refused", Kind::Permuted, Ok(Err(what)));
                }
                Err(e) => self.say("layout refused", Kind::Permuted, Err(e)),
            }
        }
    }
}

/// The whole run inside a pool of so many threads.
fn on_threads(threads: usize, report: &Report<'_>, case: &Case, dy: &[Vec<f64>]) -> Result<Outcome> {
    let (info, sample, device) = (report.info, report.sample, report.device);
    kernels::par::with_threads(threads, move || {
        let tracked = vec![true; case.values.len()];
        run(&Plan::new(info.apply, sample, dy, &tracked), &case.tensors(sample, Kind::Dense, device)?)
    })
}

fn same_bits(a: Option<&[f64]>, b: Option<&[f64]>) -> bool {
    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.map(bits) == b.map(bits)
}
