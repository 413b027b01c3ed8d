//! Copies, elementwise functions and AdamW: launches of one loop each.

use super::elementwise::threads;
use crate::Cuda;
use crate::bundle::{ADAMW, BINARY, COMPARE, COPY, RELU_SQUARED, SELECT};
use crate::call::{Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::adamw::AdamW;
use kernels::binary::{Binary, BinaryOp};
use kernels::compare::{Compare, CompareOp};
use kernels::copy::CopyCast;
use kernels::relu_squared::ReluSquared;
use kernels::select::Select;
use kernels::{DType, Result, View, ViewMut};

impl<D: Driver> CopyCast for Cuda<D> {
    fn copy(&self, x: View, mut y: ViewMut) -> Result<()> {
        if x.dtype() == DType::F64 || y.dtype() == DType::F64 {
            return self.unsupported("copy of f64");
        }
        let mut call = self.call("copy");
        let (from, to) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        call.copy(&from, &to)?;
        call.fetch("y", &to, &mut y)
    }
    fn fill(&self, value: f64, mut y: ViewMut) -> Result<()> {
        if y.dtype() == DType::F64 {
            return self.unsupported("fill of f64");
        }
        let (mut call, n) = (self.call("fill"), count("fill", y.numel())?);
        let out = call.place("y", &y.as_view())?;
        // rounded here, once, into the output's dtype: the kernel's own rounding then changes nothing
        let value = match out.dtype.round(value) {
            whole if out.dtype == DType::I32 => Value::U32(whole as i32 as u32),
            value => Value::F32(value as f32),
        };
        let args = [value, out.address(), out.strided(0), Value::U32(n)];
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
    fn adamw(
        &self,
        mut p: ViewMut,
        mut rounded: Option<ViewMut>,
        g: View,
        mut m: ViewMut,
        mut v: ViewMut,
        factors: View,
    ) -> Result<()> {
        let (mut call, n) = (self.call("adamw"), count("adamw", g.numel())?);
        let ps = call.place("p", &p.as_view())?;
        let copy = rounded.as_ref().map(ViewMut::as_view);
        let copy = call.place_or_null("rounded", copy.as_ref(), ps)?;
        let (gs, ms, vs) =
            (call.place("g", &g)?, call.place("m", &m.as_view())?, call.place("v", &v.as_view())?);
        let factors = call.place("factors", &factors)?;
        let mut args: Vec<Value> = [ps, copy, gs, ms, vs, factors].iter().map(Operand::address).collect();
        args.push(Value::U32(n));
        let packed = [ps, copy, gs, ms, vs].iter().all(Operand::is_packed);
        let (kernel, pack) = if packed { ("adamw_packs", 4) } else { ("adamw_single", 1) };
        call.launch(&ADAMW, kernel, threads(n, pack), &args)?;
        call.fetch("p", &ps, &mut p)?;
        if let Some(rounded) = &mut rounded {
            call.fetch("rounded", &copy, rounded)?;
        }
        call.fetch("m", &ms, &mut m)?;
        call.fetch("v", &vs, &mut v)
    }
}

impl<D: Driver> Compare for Cuda<D> {
    fn compare(&self, op: CompareOp, a: View, b: View, mut y: ViewMut) -> Result<()> {
        let choice = match op {
            CompareOp::Lt => 0,
            CompareOp::Le => 1,
            CompareOp::Gt => 2,
            CompareOp::Ge => 3,
            CompareOp::Eq => 4,
            CompareOp::Ne => 5,
        };
        let mut call = self.call("compare");
        let out = call.place("y", &y.as_view())?;
        let all = [call.place("a", &a)?, call.place("b", &b)?, out];
        let kernel = format!("compare_{}", suffix(a.dtype()));
        call.each(&COMPARE, &kernel, &all, &[Value::U32(choice)])?;
        call.fetch("y", &out, &mut y)
    }
}

impl<D: Driver> Select for Cuda<D> {
    fn select(&self, cond: View, a: View, b: View, mut y: ViewMut) -> Result<()> {
        let mut call = self.call("select");
        let out = call.place("y", &y.as_view())?;
        let all = [call.place("cond", &cond)?, call.place("a", &a)?, call.place("b", &b)?, out];
        call.each(&SELECT, &format!("select_{}", suffix(a.dtype())), &all, &[])?;
        call.fetch("y", &out, &mut y)
    }
}
