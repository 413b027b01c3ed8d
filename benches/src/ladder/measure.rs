//! Climbing: every rung timed in turn, round after round, and then the engine's own product.

use super::{RUNGS, Sizes};
use crate::rounds::{Side, alternate};
use kernels::measure::roofline::{self, Roofline};
use kernels::{Bf16, Cpu, DType, Float, View, ViewMut, par};

/// One rung, timed.
#[derive(Clone, Debug)]
pub struct Rung {
    /// What is new on it.
    pub name: &'static str,
    /// Of the operands.
    pub dtype: DType,
    /// How many worked.
    pub threads: usize,
    /// Median seconds of one product.
    pub seconds: f64,
    /// Operations per second over those of as many threads that do nothing but multiply and add in this dtype.
    pub of_peak: f64,
}

/// Numbers between -1 and 1, drawn from a linear congruence.
fn numbers<T: Float>(len: usize) -> Vec<T> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        T::from_f32((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// `C = A·B` by the kernel of the engine.
fn engine<T: Float>(Sizes { m, k, n }: Sizes, a: &[T], b: &[T], c: &mut [T]) -> kernels::Result<()> {
    let (a, b, c) =
        (View::from_slice(a, &[m, k])?, View::from_slice(b, &[k, n])?, ViewMut::from_slice(c, &[m, n])?);
    kernels::matmul::matmul(&Cpu, a, b, c, 1.0, 0.0)
}

/// Time the rungs from number `first` on, on one product; each is called for about `seconds` in each of the rounds.
pub fn climb(sizes: Sizes, first: usize, rounds: usize, seconds: f64) -> Result<Vec<Rung>, String> {
    let Sizes { m, k, n } = sizes;
    let (a, b) = (&numbers::<f32>(m * k), &numbers::<f32>(k * n));
    let (narrow_a, narrow_b) = (&numbers::<Bf16>(m * k), &numbers::<Bf16>(k * n));
    let threads = par::threads();
    // A refusal comes here, and not while the kernel is timed.
    engine(sizes, a, b, &mut vec![0.0; m * n]).map_err(|e| e.to_string())?;
    let mut sides: Vec<Side<'_>> = Vec::new();
    let mut kinds = Vec::new();
    for (name, product) in RUNGS.into_iter().skip(first) {
        let mut c = vec![0.0; m * n];
        sides.push(Side { name, call: Box::new(move || product(sizes, a, b, &mut c)) });
        kinds.push((DType::F32, 1));
    }
    let mut c = vec![0.0; m * n];
    let call = move || drop(par::with_threads(1, || engine(sizes, a, b, &mut c)));
    sides.push(Side { name: "the engine's kernel, on one thread", call: Box::new(call) });
    kinds.push((DType::F32, 1));
    if threads > 1 {
        let mut c = vec![0.0; m * n];
        sides.push(Side {
            name: "the engine's kernel, on all threads",
            call: Box::new(move || drop(engine(sizes, a, b, &mut c))),
        });
        kinds.push((DType::F32, threads));
    }
    let mut c = vec![Bf16::from_f32(0.0); m * n];
    sides.push(Side {
        name: "the same in bf16",
        call: Box::new(move || drop(engine(sizes, narrow_a, narrow_b, &mut c))),
    });
    kinds.push((DType::Bf16, threads));
    let roof = |threads| par::with_threads(threads, || Roofline::measure(roofline::USUAL));
    let (one, all) = (roof(1), roof(threads));
    let rung = |(round, (dtype, threads)): (crate::rounds::Result, (DType, usize))| Rung {
        name: round.name,
        dtype,
        threads,
        seconds: round.seconds,
        of_peak: 2.0 * (m * k) as f64 * n as f64
            / round.seconds
            / if threads == 1 { &one } else { &all }.peak(dtype),
    };
    Ok(alternate(&mut sides, rounds, seconds).into_iter().zip(kinds).map(rung).collect())
}
