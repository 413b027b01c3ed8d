//! Gated activations on the CPU: elementwise. Backward walks five views together, a chunk at a time: load three, compute two
//! in buffers that stay in the first-level cache, store two. Memory bandwidth bounds ReLU², arithmetic and memory about
//! equally the other two.

use super::{Activation, Gated};
use crate::elementwise::{Operands, Source, Target, zip};
use crate::fast_math::exp_flushed_f32;
use crate::gelu::cpu::{gelu_tanh, gelu_tanh_slope};
use crate::runs::Runs;
use crate::{Cpu, Result, View, ViewMut, planted, simd};

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
        let operands = Operands { op: "gated_fwd", a: ("a", &a), b: Some(("b", &b)), update: false };
        match act {
            Activation::ReluSquared => zip(
                operands,
                &mut y,
                #[inline(always)]
                |a, b| relu(a) * relu(a) * b,
            ),
            Activation::Silu => zip(
                operands,
                &mut y,
                #[inline(always)]
                |a, b| a * sigmoids(a).0 * b,
            ),
            Activation::GeluTanh => zip(
                operands,
                &mut y,
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

/// Elements per chunk: five buffers of 4 KiB.
const CHUNK: usize = 1024;

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
        |[buffer_a, buffer_b, buffer_dy, buffer_da, buffer_db], run| {
            for first in (0..run.len).step_by(CHUNK) {
                let n = CHUNK.min(run.len - first);
                let at: [usize; 5] = std::array::from_fn(|v| run.at[v] + first * run.step[v]);
                let a = a.load(at[2], run.step[2], &mut buffer_a[..n]);
                let b = b.load(at[3], run.step[3], &mut buffer_b[..n]);
                let dy = dy.load(at[4], run.step[4], &mut buffer_dy[..n]);
                let (own_a, own_b) = (&mut buffer_da[..n], &mut buffer_db[..n]);
                simd::vectorize(
                    #[inline(always)]
                    || {
                        for i in 0..n {
                            let (value, slope) = act(a[i]);
                            own_a[i] = dy[i] * b[i] * slope;
                            own_b[i] = dy[i] * planted!("gated.slope_for_value", value => slope);
                        }
                    },
                );
                // SAFETY: both outputs are injective and disjoint (checked), so no two runs share an element of either;
                // all elements are in bounds, and each run belongs to one task.
                unsafe {
                    da.store(at[0], run.step[0], own_a);
                    db.store(at[1], run.step[1], own_b);
                }
            }
        },
    );
    Ok(())
}
