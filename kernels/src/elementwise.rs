//! Elementwise kernels: widen to f32, compute, round once.
//!
//! Each operation is a function of numbers. Where all operands are dense and of one dtype it is compiled into one loop that
//! widens, computes and rounds in registers. Everything else (mixed dtypes, strides, repeated elements) is a matter of
//! loading a chunk into buffers that stay in the first-level cache, running the same loop on them, and storing the result.
//! Read next: `unary/cpu.rs`, [`crate::runs`] for how views are walked.

use crate::check::host;
use crate::par::SharedPtr;
use crate::runs::{Run, Runs};
use crate::{Bf16, DType, Float, Result, View, ViewMut, planted, simd};

/// Elements per chunk: three buffers of 2 KiB.
const CHUNK: usize = 512;
/// Where a chunk is widened.
type Buffers = [[f32; CHUNK]; 3];

/// What an operation reads besides its output.
pub(crate) struct Operands<'o, 'v> {
    /// Name of the operation, for errors.
    pub op: &'static str,
    /// First argument and its name.
    pub a: (&'static str, &'o View<'v>),
    /// Second argument; the function gets the first one twice if there is none.
    pub b: Option<(&'static str, &'o View<'v>)>,
    /// Is the result added to what the output holds?
    pub accumulate: bool,
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
    let operands = Operands { op, a: ("x", x), b: None, accumulate: false };
    zip(
        operands,
        ("y", y),
        #[inline(always)]
        move |x, _| f(x),
    )
}
// ANCHOR_END: map

/// What is computed instead, one element at a time, for arguments that `f` does not hold for: those beyond `limit`, and NaN.
#[derive(Clone, Copy)]
pub(crate) struct Rare {
    pub limit: f32,
    pub f: fn(f32) -> f32,
}

/// As [`map`], with another function for rare arguments.
pub(crate) fn map_ordinary(
    op: &'static str,
    x: &View,
    y: &mut ViewMut,
    f: impl Fn(f32) -> f32 + Copy + Sync,
    rare: Rare,
) -> Result<()> {
    let operands = Operands { op, a: ("x", x), b: None, accumulate: false };
    walk(
        operands,
        ("y", y),
        #[inline(always)]
        move |x, _, _| f(x),
        Some(rare),
    )
}

/// `y[i] = f(a[i], b[i])`, or `y[i] += f(a[i], b[i])`, with one rounding either way.
pub(crate) fn zip(
    operands: Operands,
    y: (&'static str, &mut ViewMut),
    f: impl Fn(f32, f32) -> f32 + Copy + Sync,
) -> Result<()> {
    match operands.accumulate {
        true => walk(
            operands,
            y,
            #[inline(always)]
            move |a, b, old| old + f(a, b),
            None,
        ),
        false => walk(
            operands,
            y,
            #[inline(always)]
            move |a, b, _| f(a, b),
            None,
        ),
    }
}

/// `y[i] = f(a[i], b[i], y[i])`.
fn walk(
    operands: Operands,
    (y_name, y): (&'static str, &mut ViewMut),
    f: impl Fn(f32, f32, f32) -> f32 + Copy + Sync,
    rare: Option<Rare>,
) -> Result<()> {
    let Operands { op, a, b, accumulate } = operands;
    let runs = Runs::new([y.layout(), a.1.layout(), b.unwrap_or(a).1.layout()]);
    let (a, b) = (Source::of(op, a)?, b.map(|b| Source::of(op, b)).transpose()?);
    let y = Target::of(op, y_name, y)?;
    let dense = |run: &Run<3>| run.step == [1; 3];
    runs.for_each_with(
        || [[0.0; CHUNK]; 3],
        |buffers, run| match (y, a, b.unwrap_or(a)) {
            // SAFETY: runs of an output are disjoint (it is injective, checked), in bounds, and each belongs to one task.
            (Target::F32(y), Source::F32(a), Source::F32(b)) if dense(&run) => unsafe {
                whole([a, b], y, run, f, rare)
            },
            // SAFETY: as above.
            (Target::Bf16(y), Source::Bf16(a), Source::Bf16(b)) if dense(&run) => unsafe {
                whole([a, b], y, run, f, rare)
            },
            // SAFETY: as above.
            _ => unsafe { chunks(y, a, b, accumulate, run, buffers, f, rare) },
        },
    );
    Ok(())
}

/// A run of dense elements of one dtype.
///
/// # Safety
/// The run's elements of `y` are in bounds, and nobody else has access to them.
unsafe fn whole<T: Float>(
    [a, b]: [&[T]; 2],
    y: SharedPtr<T>,
    Run { at, len, .. }: Run<3>,
    f: impl Fn(f32, f32, f32) -> f32 + Copy,
    rare: Option<Rare>,
) {
    // SAFETY: the caller's promise.
    let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(at[0]), len) };
    let (a, b) = (&a[at[1]..][..len], &b[at[2]..][..len]);
    simd::vectorize(
        #[inline(always)]
        move || all(y, a, b, f, rare),
    );
}

/// The loop itself.
#[inline(always)]
fn all<T: Float>(y: &mut [T], a: &[T], b: &[T], f: impl Fn(f32, f32, f32) -> f32, rare: Option<Rare>) {
    let cut = |v: f32| f32::from_bits(v.to_bits() >> 16 << 16);
    T::each(
        y,
        a,
        b,
        #[inline(always)]
        |a, b, old| {
            let value = f(a, b, old);
            planted!("elementwise.truncates", value => cut(value))
        },
    );
    let Some(Rare { limit, f }) = rare else { return };
    let is_rare = |a: &T| a.to_f32().is_nan() | (a.to_f32().abs() > limit);
    if a.iter().fold(0, |any, a| any | u32::from(is_rare(a))) != 0 {
        let all = y.iter_mut().zip(a).filter(|(_, a)| is_rare(a));
        all.for_each(|(y, a)| *y = T::from_f32(f(a.to_f32())));
    }
}

/// Any run, chunk by chunk, through buffers.
///
/// # Safety
/// The run's elements of `y` are in bounds, and nobody else has access to the range they span.
#[expect(clippy::too_many_arguments, reason = "what is walked, and what is done there")]
unsafe fn chunks(
    y: Target,
    a: Source,
    b: Option<Source>,
    accumulate: bool,
    run: Run<3>,
    [buffer_a, buffer_b, buffer_y]: &mut Buffers,
    f: impl Fn(f32, f32, f32) -> f32 + Copy,
    rare: Option<Rare>,
) {
    for first in (0..run.len).step_by(CHUNK) {
        let n = CHUNK.min(run.len - first);
        let [at, at_a, at_b] = std::array::from_fn(|v| run.at[v] + first * run.step[v]);
        let a = a.load(at_a, run.step[1], &mut buffer_a[..n]);
        let b = b.map_or(a, |b| b.load(at_b, run.step[2], &mut buffer_b[..n]));
        let compute = |y: &mut [f32]| {
            simd::vectorize(
                #[inline(always)]
                move || all(y, a, b, f, rare),
            );
        };
        // SAFETY: the caller's promise.
        unsafe { y.with(at, run.step[0], &mut buffer_y[..n], accumulate, compute) };
    }
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
