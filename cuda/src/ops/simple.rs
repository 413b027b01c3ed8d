//! Copies, elementwise functions and AdamW: launches of one loop each.

use super::elementwise::threads;
use crate::Cuda;
use crate::bundle::{ADAMW, BINARY, COPY, RELU_SQUARED};
use crate::call::{count, suffix};
use crate::driver::{Driver, Value};
use kernels::adamw::{AdamW, AdamWParams};
use kernels::binary::{Binary, BinaryOp};
use kernels::copy::CopyCast;
use kernels::relu_squared::ReluSquared;
use kernels::{DType, Result, View, ViewMut};

const FLOATS: [DType; 2] = [DType::F32, DType::Bf16];

impl<D: Driver> CopyCast for Cuda<D> {
    fn copy(&self, x: View, mut y: ViewMut) -> Result<()> {
        if !FLOATS.contains(&x.dtype()) || !FLOATS.contains(&y.dtype()) {
            return self.unsupported("copy of integers or f64");
        }
        let kernel = format!("copy_{}_{}", suffix(x.dtype()), suffix(y.dtype()));
        self.map("copy", &COPY, &kernel, &x, &mut y, None)
    }
    fn fill(&self, value: f64, mut y: ViewMut) -> Result<()> {
        if !FLOATS.contains(&y.dtype()) {
            return self.unsupported("fill of integers or f64");
        }
        let (mut call, n) = (self.call("fill"), count("fill", y.numel())?);
        let out = call.place("y", &y.as_view())?;
        // rounded here, once, into the output's dtype: the kernel's own rounding then changes nothing
        let value = out.dtype.round(value) as f32;
        let args = [Value::F32(value), out.address(), out.strided(0), Value::U32(n)];
        call.launch(&COPY, &format!("fill_{}", suffix(out.dtype)), n, &args)?;
        call.fetch("y", &out, &mut y)
    }
}

impl<D: Driver> Binary for Cuda<D> {
    fn binary(&self, op: BinaryOp, a: View, b: View, mut y: ViewMut) -> Result<()> {
        let choice = match op {
            BinaryOp::Add => 0,
            BinaryOp::Sub => 1,
            BinaryOp::Mul => 2,
            BinaryOp::Div => 3,
            BinaryOp::Max => 4,
            BinaryOp::Min => 5,
        };
        let kernel = format!("binary_{}", suffix(a.dtype()));
        self.zip("binary", (&BINARY, &kernel), [("a", &a), ("b", &b)], ("y", &mut y), false, choice)
    }
}

impl<D: Driver> ReluSquared for Cuda<D> {
    fn relu_squared_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        let kernel = format!("relu_squared_fwd_{}", suffix(x.dtype()));
        self.map("relu_squared_fwd", &RELU_SQUARED, &kernel, &x, &mut y, None)
    }
    fn relu_squared_bwd(&self, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        let kernel = format!("relu_squared_bwd_{}", suffix(x.dtype()));
        let (inputs, dx) = ([("x", &x), ("dy", &dy)], ("dx", &mut dx));
        self.zip("relu_squared_bwd", (&RELU_SQUARED, &kernel), inputs, dx, accumulate, 0)
    }
}

impl<D: Driver> AdamW for Cuda<D> {
    fn adamw(&self, mut p: ViewMut, g: View, mut m: ViewMut, mut v: ViewMut, h: AdamWParams) -> Result<()> {
        let (mut call, n, f) = (self.call("adamw"), count("adamw", g.numel())?, h.factors());
        let arrays = [
            call.place("p", &p.as_view())?,
            call.place("g", &g)?,
            call.place("m", &m.as_view())?,
            call.place("v", &v.as_view())?,
        ];
        let factors = [f.keep, f.step_size, f.unbias, h.eps, h.beta1, h.beta2, 1.0 - h.beta1, 1.0 - h.beta2];
        let mut args: Vec<Value> = arrays.iter().map(|o| o.address()).collect();
        args.push(Value::Bytes(factors.iter().flat_map(|f| (*f as f32).to_le_bytes()).collect()));
        args.push(Value::U32(n));
        let packed = arrays.iter().all(|o| o.is_packed());
        let (kernel, pack) = if packed { ("adamw_packs", 4) } else { ("adamw_single", 1) };
        call.launch(&ADAMW, kernel, threads(n, pack), &args)?;
        call.fetch("p", &arrays[0], &mut p)?;
        call.fetch("m", &arrays[2], &mut m)?;
        call.fetch("v", &arrays[3], &mut v)
    }
}
