//! Elementwise functions of one argument, adding into an array, Muon's momentum.

use super::elementwise::threads;
use super::orthogonal::Orthogonal;
use crate::Cuda;
use crate::bundle::{ACCUMULATE, MUON, UNARY};
use crate::call::{Call, Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::accumulate::Accumulate;
use kernels::muon::Muon;
use kernels::unary::{Unary, UnaryOp};
use kernels::{Result, View, ViewMut};

/// The kernel's `Function`: which one, and the numbers of `Affine`.
fn function(op: UnaryOp) -> Value {
    let (choice, scale, shift) = match op {
        UnaryOp::Neg => (0, 0.0, 0.0),
        UnaryOp::Exp => (1, 0.0, 0.0),
        UnaryOp::Ln => (2, 0.0, 0.0),
        UnaryOp::Sqrt => (3, 0.0, 0.0),
        UnaryOp::Rsqrt => (4, 0.0, 0.0),
        UnaryOp::Reciprocal => (5, 0.0, 0.0),
        UnaryOp::Tanh => (6, 0.0, 0.0),
        UnaryOp::Sigmoid => (7, 0.0, 0.0),
        UnaryOp::Relu => (8, 0.0, 0.0),
        UnaryOp::Square => (9, 0.0, 0.0),
        UnaryOp::Abs => (10, 0.0, 0.0),
        UnaryOp::Sin => (11, 0.0, 0.0),
        UnaryOp::Cos => (12, 0.0, 0.0),
        UnaryOp::Silu => (13, 0.0, 0.0),
        UnaryOp::SiluSlope => (14, 0.0, 0.0),
        UnaryOp::Affine { scale, shift } => (15_u32, scale as f32, shift as f32),
    };
    let floats = [scale, shift].into_iter().flat_map(f32::to_le_bytes);
    Value::Bytes(choice.to_le_bytes().into_iter().chain(floats).collect())
}

impl<D: Driver> Unary for Cuda<D> {
    fn unary(&self, op: UnaryOp, x: View, mut y: ViewMut) -> Result<()> {
        let kernel = format!("unary_{}", suffix(x.dtype()));
        self.map("unary", &UNARY, &kernel, &x, &mut y, Some(function(op)))
    }
}

/// `y += alpha·x`, alpha in the form that `kernel` takes.
fn add<D: Driver>(
    call: &Call<'_, D>,
    kernel: &str,
    alpha: Value,
    n: u32,
    [x, y]: [Operand; 2],
) -> Result<()> {
    let kernel = format!("{kernel}_{}_{}", suffix(x.dtype), suffix(y.dtype));
    let mut args = vec![alpha, x.address(), y.address()];
    if x.is_packed() && y.is_packed() {
        let pack = 16 / x.dtype.size().max(y.dtype.size()) as u32;
        args.push(Value::U32(n));
        return call.launch(&ACCUMULATE, &format!("{kernel}_packs"), threads(n, pack), &args);
    }
    args.extend([x.strided(0), y.strided(0), Value::U32(n)]);
    call.launch(&ACCUMULATE, &format!("{kernel}_strided"), n, &args)
}

impl<D: Driver> Accumulate for Cuda<D> {
    fn accumulate(&self, alpha: f64, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "accumulate";
        let (mut call, n) = (self.call(OP), count(OP, x.numel())?);
        let both = [call.place("x", &x)?, call.place("y", &y.as_view())?];
        add(&call, OP, Value::F32(alpha as f32), n, both)?;
        call.fetch("y", &both[1], &mut y)
    }
    fn accumulate_scaled(&self, alpha: View, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "accumulate_scaled";
        let (mut call, n) = (self.call(OP), count(OP, x.numel())?);
        let alpha = call.place("alpha", &alpha)?;
        let both = [call.place("x", &x)?, call.place("y", &y.as_view())?];
        add(&call, OP, alpha.address(), n, both)?;
        call.fetch("y", &both[1], &mut y)
    }
}

impl<D: Driver> Muon for Cuda<D> {
    fn muon_momentum(&self, mut buf: ViewMut, g: View, mut u: ViewMut, factors: View) -> Result<()> {
        const OP: &str = "muon_momentum";
        let (mut call, n) = (self.call(OP), count(OP, g.numel())?);
        let arrays =
            [call.place("buf", &buf.as_view())?, call.place("g", &g)?, call.place("u", &u.as_view())?];
        let factors = call.place("factors", &factors)?;
        let mut args: Vec<Value> = arrays.iter().chain([&factors]).map(|o| o.address()).collect();
        args.push(Value::U32(n));
        let packed = arrays.iter().all(|o| o.is_packed());
        let (form, pack) = if packed { ("packs", 4) } else { ("single", 1) };
        call.launch(&MUON, &format!("{OP}_{form}"), threads(n, pack), &args)?;
        call.fetch("buf", &arrays[0], &mut buf)?;
        call.fetch("u", &arrays[2], &mut u)
    }
    fn newton_schulz(&self, g: View, o: ViewMut, _: ViewMut, steps: usize, bf16: bool) -> Result<()> {
        self.orthogonal(Orthogonal::newton_schulz(steps, bf16), g, o)
    }
}
