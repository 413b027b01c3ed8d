//! Elementwise launches: packs of 16 bytes where all arguments are contiguous and aligned, a thread per element elsewhere.

use crate::Cuda;
use crate::bundle::{Bundled, COPY};
use crate::call::{Call, Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::{DType, Result, View, ViewMut};

/// Threads for `n` elements in packs of `pack`, and the rest one by one.
pub fn threads(n: u32, pack: u32) -> u32 {
    n / pack + n % pack
}

impl<D: Driver> Call<'_, D> {
    /// `y = f(x)` by the kernels that `MAP(kernel, …)` made.
    pub(super) fn map(
        &self,
        module: &'static Bundled,
        kernel: &str,
        x: &Operand,
        y: &Operand,
        function: Option<Value>,
    ) -> Result<()> {
        let n = self.count(x.layout.numel())?;
        let mut args = vec![x.address(), y.address()];
        if x.is_packed() && y.is_packed() {
            let pack = 16 / x.dtype.size().max(y.dtype.size()) as u32;
            args.push(Value::U32(n));
            args.extend(function);
            return self.launch(module, &format!("{kernel}_packs"), threads(n, pack), &args);
        }
        args.extend([x.strided(0), y.strided(0), Value::U32(n)]);
        args.extend(function);
        self.launch(module, &format!("{kernel}_strided"), n, &args)
    }

    /// `y = x` in another layout or dtype.
    pub(super) fn copy(&self, x: &Operand, y: &Operand) -> Result<()> {
        let kernel = format!("copy_{}_{}", suffix(x.dtype), suffix(y.dtype));
        if x.dtype != DType::I32 && y.dtype != DType::I32 {
            return self.map(&COPY, &kernel, x, y, None);
        }
        self.each(&COPY, &format!("{kernel}_strided"), &[*x, *y], &[])
    }

    /// A kernel with a thread per element of `all`, whose addresses, layouts and number it is told first.
    pub(super) fn each(
        &self,
        module: &'static Bundled,
        kernel: &str,
        all: &[Operand],
        more: &[Value],
    ) -> Result<()> {
        let n = self.count(all.first().map_or(0, |o| o.layout.numel()))?;
        let mut args: Vec<Value> = all.iter().map(Operand::address).collect();
        args.extend(all.iter().map(|o| o.strided(0)));
        args.push(Value::U32(n));
        args.extend_from_slice(more);
        self.launch(module, kernel, n, &args)
    }
}

impl<D: Driver> Cuda<D> {
    /// `y = f(x)` by the kernels that `MAP(kernel, …)` made; `function` is for those that choose f by an argument.
    pub(super) fn map(
        &self,
        op: &'static str,
        module: &'static Bundled,
        kernel: &str,
        x: &View<'_>,
        y: &mut ViewMut<'_>,
        function: Option<Value>,
    ) -> Result<()> {
        let mut call = self.call(op);
        let (a, out) = (call.place("x", x)?, call.place("y", &y.as_view())?);
        call.map(module, kernel, &a, &out, function)?;
        call.fetch("y", &out, y)
    }

    /// `y = f(a, b)`, or `y += f(a, b)`, by the kernels that `ZIP(kernel, …)` made; `choice` is their `op`.
    pub(super) fn zip(
        &self,
        op: &'static str,
        (module, kernel): (&'static Bundled, &str),
        [a, b]: [(&'static str, &View<'_>); 2],
        y: (&'static str, &mut ViewMut<'_>),
        accumulate: bool,
        choice: u32,
    ) -> Result<()> {
        let (mut call, n) = (self.call(op), count(op, a.1.numel())?);
        let (left, right) = (call.place(a.0, a.1)?, call.place(b.0, b.1)?);
        let out = call.place(y.0, &y.1.as_view())?;
        let all = [left, right, out];
        let mut args: Vec<Value> = all.iter().map(|o| o.address()).collect();
        let rest = [Value::U32(n), Value::U32(accumulate.into()), Value::U32(choice)];
        if all.iter().all(|o| o.is_packed()) {
            args.extend(rest);
            let pack = 16 / out.dtype.size() as u32;
            call.launch(module, &format!("{kernel}_packs"), threads(n, pack), &args)?;
        } else {
            args.extend(all.iter().map(|o| o.strided(0)));
            args.extend(rest);
            call.launch(module, &format!("{kernel}_strided"), n, &args)?;
        }
        call.fetch(y.0, &out, y.1)
    }
}
