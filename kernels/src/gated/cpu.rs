//! Gated activations on the CPU: elementwise. Backward walks five views together; as in [`crate::elementwise`], dense ones of
//! one dtype are a single loop, and all others go through buffers that stay in the first-level cache. Memory bandwidth
//! bounds ReLU², arithmetic and memory about equally the other two.

use super::{Activation, Gated};
use crate::elementwise::{Operands, Source, Target, zip};
use crate::fast_math::exp_flushed_f32;
use crate::gelu::cpu::{gelu_tanh, gelu_tanh_slope};
use crate::par::SharedPtr;
use crate::runs::{Run, Runs};
use crate::{Cpu, Float, Result, View, ViewMut, planted, simd};

/// `max(a, 0)`, NaN for NaN.
#[inline(always)]
fn relu(a: f32) -> f32 {
    if a < 0.0 { 0.0 } else { a }
}

/// `σ(a)` and `σ(−a)`, each with its relative accuracy: with `E = e^(−|a|)` they are `1/(1+E)` and `E/(1+E)`.
#[inline(always)]
fn sigmoids(a: f32) -> (f32, f32) {
    let e = exp_flushed_f32(-a.abs());
    let large = 1.0 / (1.0 + e);
    let small = e * large;
    if a < 0.0 { (small, large) } else { (large, small) }
}

impl Gated for Cpu {
    fn gated_fwd(&self, act: Activation, a: View, b: View, mut y: ViewMut) -> Result<()> {
        let operands = Operands { op: "gated_fwd", a: ("a", &a), b: Some(("b", &b)), accumulate: false };
        match act {
            Activation::ReluSquared => zip(
                operands,
                ("y", &mut y),
                #[inline(always)]
                |a, b| relu(a) * relu(a) * b,
            ),
            Activation::Silu => zip(
                operands,
                ("y", &mut y),
                #[inline(always)]
                |a, b| a * sigmoids(a).0 * b,
            ),
            Activation::GeluTanh => zip(
                operands,
                ("y", &mut y),
                #[inline(always)]
                |a, b| gelu_tanh(a) * b,
            ),
        }
    }
    fn gated_bwd(&self, act: Activation, a: View, b: View, dy: View, da: ViewMut, db: ViewMut) -> Result<()> {
        match act {
            Activation::ReluSquared => backward(
                &a,
                &b,
                &dy,
                da,
                db,
                #[inline(always)]
                |a| (relu(a) * relu(a), 2.0 * relu(a)),
            ),
            Activation::Silu => backward(
                &a,
                &b,
                &dy,
                da,
                db,
                #[inline(always)]
                |a| {
                    let (plus, minus) = sigmoids(a);
                    (a * plus, plus + a * (plus * minus))
                },
            ),
            Activation::GeluTanh => backward(
                &a,
                &b,
                &dy,
                da,
                db,
                #[inline(always)]
                |a| (gelu_tanh(a), gelu_tanh_slope(a)),
            ),
        }
    }
}

/// Elements per chunk: five buffers of 2 KiB.
const CHUNK: usize = 512;

/// `act` gives the activation and its derivative.
fn backward(
    a: &View,
    b: &View,
    dy: &View,
    mut da: ViewMut,
    mut db: ViewMut,
    act: impl Fn(f32) -> (f32, f32) + Copy + Sync,
) -> Result<()> {
    const OP: &str = "gated_bwd";
    let runs = Runs::new([da.layout(), db.layout(), a.layout(), b.layout(), dy.layout()]);
    let (a, b) = (Source::of(OP, ("a", a))?, Source::of(OP, ("b", b))?);
    let dy = Source::of(OP, ("dy", dy))?;
    let (da, db) = (Target::of(OP, "da", &mut da)?, Target::of(OP, "db", &mut db)?);
    runs.for_each_with(
        || [[0.0; CHUNK]; 5],
        |buffers, run| {
            let Run { at, step, len } = run;
            match (step == [1; 5], da, db, [a, b, dy]) {
                (
                    true,
                    Target::F32(da),
                    Target::F32(db),
                    [Source::F32(a), Source::F32(b), Source::F32(dy)],
                ) => {
                    // SAFETY: both outputs are injective and disjoint (checked), so no two runs share an element of
                    // either; all elements are in bounds, and each run belongs to one task.
                    let (da, db) = unsafe { (piece(da, at[0], len), piece(db, at[1], len)) };
                    gradients([&a[at[2]..], &b[at[3]..], &dy[at[4]..]], da, db, act);
                }
                (
                    true,
                    Target::Bf16(da),
                    Target::Bf16(db),
                    [Source::Bf16(a), Source::Bf16(b), Source::Bf16(dy)],
                ) => {
                    // SAFETY: as above.
                    let (da, db) = unsafe { (piece(da, at[0], len), piece(db, at[1], len)) };
                    gradients([&a[at[2]..], &b[at[3]..], &dy[at[4]..]], da, db, act);
                }
                // SAFETY: as above.
                _ => unsafe { chunks([a, b, dy], [da, db], run, buffers, act) },
            }
        },
    );
    Ok(())
}

/// `len` elements from `at` on.
///
/// # Safety
/// They are in bounds, and nobody else has access to them.
unsafe fn piece<'y, T>(y: SharedPtr<T>, at: usize, len: usize) -> &'y mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(y.get().add(at), len) }
}

/// The loop itself.
fn gradients<T: Float>(
    [a, b, dy]: [&[T]; 3],
    da: &mut [T],
    db: &mut [T],
    act: impl Fn(f32) -> (f32, f32) + Copy,
) {
    let n = da.len();
    let (a, b, dy, db) = (&a[..n], &b[..n], &dy[..n], &mut db[..n]);
    simd::vectorize(
        #[inline(always)]
        || {
            for i in 0..n {
                let ((value, slope), dy) = (act(a[i].to_f32()), dy[i].to_f32());
                da[i] = T::from_f32(dy * b[i].to_f32() * slope);
                db[i] = T::from_f32(dy * planted!("gated.slope_for_value", value => slope));
            }
        },
    );
}

/// A run of any strides and dtypes, chunk by chunk, through buffers.
///
/// # Safety
/// The run's elements of both outputs are in bounds, and nobody else has access to them.
unsafe fn chunks(
    [a, b, dy]: [Source; 3],
    [da, db]: [Target; 2],
    run: Run<5>,
    [buffer_a, buffer_b, buffer_dy, buffer_da, buffer_db]: &mut [[f32; CHUNK]; 5],
    act: impl Fn(f32) -> (f32, f32) + Copy,
) {
    for first in (0..run.len).step_by(CHUNK) {
        let n = CHUNK.min(run.len - first);
        let at: [usize; 5] = std::array::from_fn(|v| run.at[v] + first * run.step[v]);
        let a = a.load(at[2], run.step[2], &mut buffer_a[..n]);
        let b = b.load(at[3], run.step[3], &mut buffer_b[..n]);
        let dy = dy.load(at[4], run.step[4], &mut buffer_dy[..n]);
        let (own_a, own_b) = (&mut buffer_da[..n], &mut buffer_db[..n]);
        gradients([a, b, dy], own_a, own_b, act);
        // SAFETY: the caller's promise.
        unsafe {
            da.store(at[0], run.step[0], own_a);
            db.store(at[1], run.step[1], own_b);
        }
    }
}
