//! The checks themselves. Each takes one case and says through [`Report`] what it found. Those with NaN, infinities and
//! denormals are in `extremes.rs`.

use super::case::Case;
use super::place::{Arguments, Kind, layout, may_be_strided};
use super::report::{CheckResult, Worst};
use super::run::{Expected, call, outputs};
use crate::backend::Backend;
use crate::element::DType;
use crate::error::KernelError;
use crate::registry::{Arg, KernelInfo, Layouts, Role, Sample};
use crate::view::Layout;
use std::collections::BTreeMap;

/// One case of one kernel on one device, and where results go.
pub struct Report<'a> {
    /// Device under test.
    pub backend: &'a dyn Backend,
    /// Kernel under test.
    pub info: &'a KernelInfo,
    /// The shapes.
    pub sample: &'a Sample,
    /// The case's dtype.
    pub dtype: DType,
    /// Magnitude of the inputs.
    pub scale: f64,
    /// Which random case.
    pub seed: u64,
    /// Receives every result.
    pub sink: &'a mut dyn FnMut(CheckResult),
}

impl Report<'_> {
    /// Report one result: `detail` is empty when it passed.
    pub fn say(&mut self, check: &'static str, kind: Kind, worst: Option<Worst>, detail: String) {
        (self.sink)(CheckResult {
            name: self.info.name,
            check,
            sample: self.sample.label,
            dtype: self.dtype,
            layout: kind.name(),
            scale: self.scale,
            seed: self.seed,
            ok: detail.is_empty(),
            worst,
            detail,
        });
    }
    pub(super) fn place(&self, case: &Case, kind: Kind) -> crate::Result<Arguments> {
        Arguments::place(self.sample, case, kind, self.info.layouts, false)
    }
    pub(super) fn call(&self, arguments: &mut Arguments, threads: Option<usize>) -> Result<(), String> {
        match call(self.backend, self.info, self.sample, arguments, threads) {
            Ok(answer) => answer.map_err(|e| format!("refused: {e}")),
            Err(panic) => Err(format!("panicked: {panic}")),
        }
    }

    /// `value`: every element within its tolerance. `memory`: inputs and slack keep their bits.
    pub fn value(&mut self, case: &Case, expected: &Expected, kind: Kind) {
        let (before, after) = match self.place(case, kind) {
            Ok(before) => {
                let mut after = before.clone();
                if let Err(what) = self.call(&mut after, None) {
                    return self.say("value", kind, None, what);
                }
                (before, after)
            }
            Err(e) => return self.say("value", kind, None, e.to_string()),
        };
        let worst = expected.worst(self.info, self.sample, case, self.dtype, &after);
        let bad = worst.filter(|w| w.ratio() > 1.0);
        self.say("value", kind, worst, bad.map(|w| w.to_string()).unwrap_or_default());
        let touched = self.sample.args.iter().enumerate().find_map(|(i, arg)| {
            let (before, after) = (&before.placed[i], &after.placed[i]);
            match arg.role {
                Role::In if before.buffer_bits() != after.buffer_bits() => {
                    Some(format!("input {} changed", arg.name))
                }
                Role::Out | Role::InOut if before.slack_bits() != after.slack_bits() => {
                    Some(format!("memory around {} changed", arg.name))
                }
                _ => None,
            }
        });
        self.say("memory", kind, None, touched.unwrap_or_default());
        if kind == Kind::Repeated {
            self.rows_alike(expected, &after);
        }
    }

    /// `rows alike`: inputs that repeat along their first axis give outputs that do, to the bit, wherever the definition's do.
    /// A result that depends on where its row stands (in a full tile or in the rest, on this thread or that) shows here.
    fn rows_alike(&mut self, expected: &Expected, after: &Arguments) {
        let differing = outputs(self.sample).enumerate().find_map(|(o, (i, arg))| {
            let rows = arg.dims.first().copied().filter(|&rows| rows > 1)?;
            let (want, bits) = (&expected.outputs[o], after.placed[i].bits());
            let slice = want.len() / rows;
            let alike = (0..want.len()).all(|j| want[j].to_bits() == want[j % slice].to_bits());
            let odd = |&j: &usize| !expected.is_free(o, j) && bits[j] != bits[j % slice];
            let j = Some(0..want.len()).filter(|_| alike)?.find(odd)?;
            let [first, this] = [j % slice, j].map(|j| after.placed[i].values()[j]);
            Some(format!("{}[{j}] is {this:e}, in the first slice {first:e}", arg.name))
        });
        self.say("rows alike", Kind::Repeated, None, differing.unwrap_or_default());
    }

    /// `same bits`: twice, and on one thread and two.
    pub fn same_bits(&mut self, case: &Case, expected: &Expected, kind: Kind) {
        let runs: Result<Vec<Arguments>, String> = [None, Some(1), Some(2)]
            .into_iter()
            .map(|threads| {
                let mut arguments = self.place(case, kind).map_err(|e| e.to_string())?;
                self.call(&mut arguments, threads)?;
                Ok(arguments)
            })
            .collect();
        let runs = match runs {
            Ok(runs) => runs,
            Err(what) => return self.say("same bits", kind, None, what),
        };
        let mut differing = String::new();
        for (o, (i, arg)) in outputs(self.sample).enumerate() {
            let bits: Vec<Vec<u64>> = runs.iter().map(|run| run.placed[i].bits()).collect();
            let differs = |&j: &usize| {
                !expected.is_free(o, j) && (bits[0][j] != bits[1][j] || bits[1][j] != bits[2][j])
            };
            if let Some(j) = (0..bits[0].len()).find(differs) {
                let [all, one, two] = [0, 1, 2].map(|run| runs[run].placed[i].values()[j]);
                differing =
                    format!("{}[{j}] is {all:e}, with one thread {one:e}, with two {two:e}", arg.name);
            }
        }
        self.say("same bits", kind, None, differing);
    }

    /// `layout refused`: strides that the op does not declare give `NonContiguous`, and nothing is written.
    pub fn refused_layouts(&mut self, case: &Case) {
        let bad = match self.info.layouts {
            Layouts::Any => return,
            Layouts::Rows => Kind::Permuted,
            Layouts::Contiguous => Kind::Padded,
        };
        for (i, arg) in self.sample.args.iter().enumerate() {
            let Ok(strides) = layout(bad, &arg.dims, false, i) else { continue };
            let is_refused = match self.info.layouts {
                Layouts::Rows => !strides.has_unit_last_stride(),
                _ => !strides.is_contiguous(),
            };
            if may_be_strided(&arg.draw, self.info.layouts) && is_refused && strides.numel() > 0 {
                let detail = match self.refusal(case, i, strides) {
                    Err(what) => what,
                    Ok(Some(KernelError::NonContiguous { .. })) => String::new(),
                    Ok(other) => {
                        format!("{} with {strides:?}: expected NonContiguous, got {other:?}", arg.name)
                    }
                };
                self.say("layout refused", bad, None, detail);
            }
        }
    }

    /// `shape refused`: each argument too long or too short along one axis. Some axes no other argument constrains (the number of cache
    /// pages), so acceptance is no failure by itself; `refused` learns for every argument whether any of its axes was refused.
    /// Refusals write nothing.
    pub fn refused_shapes(&mut self, case: &Case, refused: &mut BTreeMap<&'static str, bool>) {
        let asked = |arg: &Arg| !arg.name.starts_with('(') && !arg.any_shape;
        for (i, arg) in self.sample.args.iter().enumerate().filter(|(_, arg)| asked(arg)) {
            let mut shapes = Vec::new();
            (0..arg.dims.len()).for_each(|axis| shapes.extend([self.longer(arg, axis), shorter(arg, axis)]));
            for layout in shapes.iter().filter_map(|dims| Layout::contiguous(dims).ok()) {
                match self.refusal(case, i, layout) {
                    Err(what) => self.say("shape refused", Kind::Contiguous, None, what),
                    Ok(answer) => *refused.entry(arg.name).or_default() |= answer.is_some(),
                }
            }
        }
    }
    /// `arg`'s shape, longer along `axis`, by a length that no argument has.
    fn longer(&self, arg: &Arg, axis: usize) -> Vec<usize> {
        let mut dims = arg.dims.clone();
        let taken = |d: usize| self.sample.args.iter().any(|a| a.dims.contains(&d));
        dims[axis] += 1;
        while taken(dims[axis]) {
            dims[axis] += 1;
        }
        dims
    }
    /// Call with argument `i` under another layout: the error, if any. `Err`: it panicked, or wrote before it refused.
    fn refusal(&self, case: &Case, i: usize, layout: Layout) -> Result<Option<KernelError>, String> {
        let mut before = self.place(case, Kind::Contiguous).map_err(|e| e.to_string())?;
        let values = if layout.numel() == case.values[i].len() { &case.values[i][..] } else { &[] };
        before.replace(i, layout, values);
        let mut after = before.clone();
        let answer = call(self.backend, self.info, self.sample, &mut after, None)
            .map_err(|panic| format!("panicked on {} with {layout:?}: {panic}", self.sample.args[i].name))?;
        let Err(error) = answer else { return Ok(None) };
        let mut pairs = before.placed.iter().zip(&after.placed);
        match pairs.all(|(before, after)| before.buffer_bits() == after.buffer_bits()) {
            true => Ok(Some(error)),
            false => Err(format!("wrote something before refusing: {error}")),
        }
    }
}

/// `arg`'s shape, one shorter along `axis`.
fn shorter(arg: &Arg, axis: usize) -> Vec<usize> {
    let mut dims = arg.dims.clone();
    dims[axis] -= 1; // no sample with an empty argument comes here
    dims
}
