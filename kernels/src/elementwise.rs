//! Elementwise kernels: load as f32, compute, round once.
//!
//! Each operation is one loop over f32 slices. Everything else (bf16, strides, repeated elements) is a matter of loading
//! a chunk into a buffer that stays in the first-level cache and storing it from there; dense f32 memory is used in place.
//! So there is one loop per operation and one conversion per dtype, not one of each for every combination.
//! Read next: `unary/cpu.rs`, [`crate::runs`] for how views are walked.

use crate::check::host;
use crate::par::SharedPtr;
use crate::runs::Runs;
use crate::{Bf16, DType, Float, Result, View, ViewMut, planted, simd};

/// Elements per chunk: three buffers of 4 KiB.
const CHUNK: usize = 1024;

/// `y[i] = g(a[i], b[i], y[i])` for slices of one length.
pub(crate) type Loop<'f> = &'f (dyn Fn(&[f32], &[f32], &mut [f32]) + Sync);

/// What an operation reads and writes besides `a`.
pub(crate) struct Operands<'o, 'v> {
    /// Name of the operation and of its first argument, for errors.
    pub op: &'static str,
    /// First argument.
    pub a: (&'static str, &'o View<'v>),
    /// Second argument; the loop gets an empty slice if there is none.
    pub b: Option<(&'static str, &'o View<'v>)>,
    /// Does the loop use what the output holds?
    pub update: bool,
}

/// Run `f` over all elements of the operands and `y`, which have the same dims.
pub(crate) fn run(operands: Operands, y_name: &'static str, y: &mut ViewMut, f: Loop) -> Result<()> {
    let Operands { op, a, b, update } = operands;
    let runs = Runs::new([y.layout(), a.1.layout(), b.unwrap_or(a).1.layout()]);
    let (source_a, source_b) = (Source::of(op, a)?, b.map(|b| Source::of(op, b)).transpose()?);
    let target = Target::of(op, y_name, y)?;
    runs.for_each_with(
        || [[0.0; CHUNK]; 3],
        |[buffer_a, buffer_b, buffer_y], run| {
            for first in (0..run.len).step_by(CHUNK) {
                let n = CHUNK.min(run.len - first);
                let [at, at_a, at_b] = std::array::from_fn(|v| run.at[v] + first * run.step[v]);
                let a = source_a.load(at_a, run.step[1], &mut buffer_a[..n]);
                let b = source_b.map_or(&[][..], |b| b.load(at_b, run.step[2], &mut buffer_b[..n]));
                // SAFETY: runs of an output are disjoint (it is injective, checked), in bounds, and each belongs to
                // one task.
                unsafe { target.with(at, run.step[0], &mut buffer_y[..n], update, |y| f(a, b, y)) };
            }
        },
    );
    Ok(())
}

// ANCHOR: map
/// `y[i] = f(x[i])`. An `f` of more than a few operations must be a closure marked `#[inline(always)]` (a function's name is
/// called through a shim that is not): what is not inlined here is not vectorised. So it is for [`zip`], too.
pub(crate) fn map(
    op: &'static str,
    x: &View,
    y: &mut ViewMut,
    f: impl Fn(f32) -> f32 + Copy + Sync,
) -> Result<()> {
    run(Operands { op, a: ("x", x), b: None, update: false }, "y", y, &move |x, _, y| {
        simd::vectorize(
            #[inline(always)]
            move || {
                for (y, x) in y.iter_mut().zip(x) {
                    *y = f(*x);
                }
            },
        );
    })
}
// ANCHOR_END: map

/// `y[i] = f(a[i], b[i])`.
pub(crate) fn zip(
    operands: Operands,
    y: &mut ViewMut,
    f: impl Fn(f32, f32) -> f32 + Copy + Sync,
) -> Result<()> {
    run(operands, "y", y, &move |a, b, y| {
        simd::vectorize(
            #[inline(always)]
            move || {
                for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                    *y = f(*a, *b);
                }
            },
        );
    })
}

/// Memory to read.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    F32(&'a [f32]),
    Bf16(&'a [Bf16]),
}

impl<'a> Source<'a> {
    /// The buffer of a view, from its first element.
    pub fn of(op: &'static str, (arg, view): (&'static str, &View<'a>)) -> Result<Self> {
        match view.dtype() {
            DType::Bf16 => Ok(Source::Bf16(host(op, arg, view.base())?)),
            _ => Ok(Source::F32(host(op, arg, view.base())?)),
        }
    }
    /// `buffer.len()` elements from `at` on, `step` apart: in place if they are dense f32, else in the buffer.
    pub fn load<'b>(&self, at: usize, step: usize, buffer: &'b mut [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        match *self {
            Source::F32(x) if step == 1 => &x[at..][..buffer.len()],
            _ => {
                self.load_into(at, step, buffer);
                buffer
            }
        }
    }
    /// The same, always into the buffer.
    pub fn load_into(&self, at: usize, step: usize, buffer: &mut [f32]) {
        match *self {
            Source::F32(x) => gather(&x[at..], step, buffer),
            Source::Bf16(x) => gather(&x[at..], step, buffer),
        }
    }
}

/// `to[i] = from[i·step]`.
fn gather<T: Float>(from: &[T], step: usize, to: &mut [f32]) {
    match step {
        0 => to.fill(from[0].to_f32()),
        1 => simd::vectorize(
            #[inline(always)]
            move || to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32()),
        ),
        _ => to.iter_mut().enumerate().for_each(|(i, to)| *to = from[i * step].to_f32()),
    }
}

/// Memory to write.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    F32(SharedPtr<f32>),
    Bf16(SharedPtr<Bf16>),
}

impl Target {
    /// The buffer of a view, from its first element.
    pub fn of(op: &'static str, arg: &'static str, view: &mut ViewMut) -> Result<Self> {
        match view.dtype() {
            DType::Bf16 => Ok(Target::Bf16(SharedPtr::new(host(op, arg, view.base_mut())?))),
            _ => Ok(Target::F32(SharedPtr::new(host(op, arg, view.base_mut())?))),
        }
    }
    /// Write `values` from `at` on, `step` apart: for an output beside the one whose memory the runs follow.
    ///
    /// # Safety
    /// These elements are in bounds, and nobody else has access to them.
    pub unsafe fn store(self, at: usize, step: usize, values: &[f32]) {
        match self {
            // SAFETY: the caller's promise.
            Target::F32(y) => unsafe { scatter(y, at, step, values) },
            // SAFETY: the caller's promise.
            Target::Bf16(y) => unsafe { scatter(y, at, step, values) },
        }
    }
    /// Let `f` write `buffer.len()` elements from `at` on, `step` apart; it finds what they hold if `update`.
    ///
    /// # Safety
    /// They are in bounds, and nobody else has access to the range they span.
    unsafe fn with(
        self,
        at: usize,
        step: usize,
        buffer: &mut [f32],
        update: bool,
        f: impl FnOnce(&mut [f32]),
    ) {
        let span = (buffer.len() - 1) * step + 1;
        match self {
            Target::F32(y) => {
                // SAFETY: the caller's promise.
                let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(at), span) };
                if step == 1 { f(y) } else { through(y, step, buffer, update, f) }
            }
            Target::Bf16(y) => {
                // SAFETY: the caller's promise.
                let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(at), span) };
                through(y, step, buffer, update, f)
            }
        }
    }
}

/// `y[at + i·step] = values[i]`, rounded, touching nothing in between.
///
/// # Safety
/// The elements are in bounds, and nobody else has access to them.
unsafe fn scatter<T: Float>(y: SharedPtr<T>, at: usize, step: usize, values: &[f32]) {
    if step == 1 {
        // SAFETY: the caller's promise.
        let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(at), values.len()) };
        return simd::vectorize(
            #[inline(always)]
            move || y.iter_mut().zip(values).for_each(|(y, v)| *y = T::from_f32(*v)),
        );
    }
    for (i, v) in values.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { *y.get().add(at + i * step) = T::from_f32(*v) };
    }
}

/// Load if `update`, let `f` compute in the buffer, round and store.
fn through<T: Float>(y: &mut [T], step: usize, buffer: &mut [f32], update: bool, f: impl FnOnce(&mut [f32])) {
    if update {
        gather(y, step, buffer);
    }
    f(buffer);
    let cut = |v: &mut f32| *v = f32::from_bits(v.to_bits() >> 16 << 16);
    planted!("elementwise.truncates", () => buffer.iter_mut().for_each(cut));
    match step {
        1 => simd::vectorize(
            #[inline(always)]
            move || y.iter_mut().zip(buffer).for_each(|(y, v)| *y = T::from_f32(*v)),
        ),
        _ => y.iter_mut().step_by(step).zip(buffer).for_each(|(y, v)| *y = T::from_f32(*v)),
    }
}

#[cfg(test)]
mod tests {
    use crate::accumulate::accumulate;
    use crate::{Bf16, Cpu, Layout, View, ViewMut};

    #[test]
    fn every_pair_of_layouts_and_dtypes_gives_the_same_sums() {
        let (rows, columns) = (5, 2100); // more than two chunks
        let layouts = [
            Layout::strided(&[rows, columns], &[columns, 1], 0).unwrap(),
            Layout::strided(&[rows, columns], &[1, rows], 0).unwrap(),
            Layout::strided(&[rows, columns], &[3 * columns, 3], 1).unwrap(),
        ];
        let repeated = Layout::strided(&[rows, columns], &[0, 1], 0).unwrap();
        let x: Vec<f32> = (0..3 * rows * columns).map(|i| (i % 97) as f32).collect(); // exact in bf16
        let x16: Vec<Bf16> = x.iter().map(|&v| Bf16::from_f32(v)).collect();
        for x_layout in layouts.iter().chain([&repeated]) {
            for y_layout in &layouts {
                let (mut y, mut y16) = (vec![1.0f32; x.len()], vec![Bf16::from_f32(1.0); x.len()]);
                let source = View::from_slice_strided(&x, *x_layout).unwrap();
                let source16 = View::from_slice_strided(&x16, *x_layout).unwrap();
                accumulate(&Cpu, 2.0, source16, ViewMut::from_slice_strided(&mut y, *y_layout).unwrap())
                    .unwrap();
                accumulate(&Cpu, 2.0, source, ViewMut::from_slice_strided(&mut y16, *y_layout).unwrap())
                    .unwrap();
                let mut want = vec![1.0f32; x.len()];
                (0..rows * columns).for_each(|i| want[y_layout.position(i)] += 2.0 * x[x_layout.position(i)]);
                assert_eq!(y, want);
                assert!(y16.iter().zip(&want).all(|(y, want)| y.to_f32() == *want));
            }
        }
    }
}
