//! Linear layers whose weight was laid out in advance for being read fast: `y = x·Wᵀ`. What drawing tokens spends its time on.
//!
//! A weight `W` (N, K) is *packed* as `P` (ceil(N/32), K, 32): `P[t][k][c] = W[32t + c][k]`, with zeros for rows that W does
//! not have. So 32 sums are formed side by side from numbers that lie side by side, and all of P is read in one straight
//! line; with the plain weight every product would transpose it first, in registers, from 32 places at a time. The layout is that
//! of a panel in Goto & van de Geijn 2008, kept instead of made anew for every product.
//!
//! - `packed_linear`: `x` (M, K), `P` in the dtype of x, `y` (M, N). The bits are those of [`crate::matmul`].
//! - `packed_linear_int8`: `y = scale ∘ (x·Qᵀ)`, with Q (N, K) int8 and one f32 scale for each of its rows. Four neighbours of
//!   P share an i32, the first one in its lowest byte: (ceil(N/32), K, 8), as [`crate::quantize_int8`] makes it.
//!
//! Sums are kept in f32 over all of K, as in `matmul`; scaled, then rounded once. int8 numbers are exact in f32 and in bf16,
//! so `x·Qᵀ` is the very product that `matmul` would form. A row of y does not depend on the others.
//!
//! Where to read next: `kernels/src/matmul/packed.rs`, the engine.

mod cpu;
mod reference;
mod samples;
#[cfg(test)]
mod tests;

use crate::check::{self, FLOATS};
use crate::registry::Cost;
use crate::{Backend, DType, Result, View, ViewMut, profile};

pub use samples::KERNELS;

/// Rows of W in a tile of its packed form.
pub const WIDTH: usize = crate::matmul::packed::COLS;

/// Products with packed weights.
pub trait PackedLinear {
    /// See [`packed_linear`].
    fn packed_linear(&self, x: View, w: View, y: ViewMut) -> Result<()>;
    /// See [`packed_linear_int8`].
    fn packed_linear_int8(&self, x: View, w: View, scale: View, y: ViewMut) -> Result<()>;
}

/// `y = x·Wᵀ`. `x`: (M, K); `w`: (ceil(N/32), K, 32), in the dtype of x; `y`: (M, N), in the dtype of x or its accumulator.
/// All contiguous.
pub fn packed_linear(b: &dyn Backend, x: View, w: View, y: ViewMut) -> Result<()> {
    const OP: &str = "packed_linear";
    check::dtype(OP, "w", w.dtype(), &[x.dtype()])?;
    checked(OP, &x, &w, WIDTH, &y)?;
    check::output(OP, "y", &y, &[("x", &x), ("w", &w)])?;
    let _timed = profile::call(OP, || cost(&x, w.traffic(), &y));
    b.packed_linear(x, w, y)
}

/// `y = scale ∘ (x·Qᵀ)`. `x`: (M, K); `w`: i32 (ceil(N/32), K, 8), four int8 each; `scale`: f32 (N); `y` as in
/// [`packed_linear`].
pub fn packed_linear_int8(b: &dyn Backend, x: View, w: View, scale: View, y: ViewMut) -> Result<()> {
    const OP: &str = "packed_linear_int8";
    check::dtype(OP, "w", w.dtype(), &[DType::I32])?;
    checked(OP, &x, &w, WIDTH / 4, &y)?;
    check::dtype(OP, "scale", scale.dtype(), &[check::accumulator(x.dtype())])?;
    check::dims(OP, "scale", scale.dims(), &y.dims()[1..])?;
    check::contiguous(OP, "scale", scale.layout())?;
    check::output(OP, "y", &y, &[("x", &x), ("w", &w), ("scale", &scale)])?;
    let _timed = profile::call(OP, || cost(&x, w.traffic() + scale.traffic(), &y));
    b.packed_linear_int8(x, w, scale, y)
}

/// What both layers ask of x, w and y; `last` is the last dimension of w.
fn checked(op: &'static str, x: &View, w: &View, last: usize, y: &ViewMut) -> Result<()> {
    check::dtype(op, "x", x.dtype(), FLOATS)?;
    check::dtype(op, "y", y.dtype(), &[x.dtype(), check::accumulator(x.dtype())])?;
    check::rank(op, "x", x.dims(), 2, "(M, K)")?;
    check::rank(op, "y", y.dims(), 2, "(M, N)")?;
    check::dims(op, "y", y.dims(), &[x.dims()[0], y.dims()[1]])?;
    check::dims(op, "w", w.dims(), &[y.dims()[1].div_ceil(WIDTH), x.dims()[1], last])?;
    check::contiguous(op, "x", x.layout())?;
    check::contiguous(op, "w", w.layout())?;
    check::contiguous(op, "y", y.layout())
}

fn cost(x: &View, weights: f64, y: &ViewMut) -> Cost {
    Cost {
        flops: 2.0 * (y.numel() * x.dims()[1]) as f64,
        bytes: x.traffic() + weights + profile::written(y, false),
    }
}
