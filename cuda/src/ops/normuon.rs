//! NorMuon's launches: sums of squares of the lines, one block that makes factors of them, the weights.

use crate::Cuda;
use crate::bundle::NORMUON;
use crate::call::{Operand, count};
use crate::driver::{Driver, Value};
use kernels::normuon::NorMuon;
use kernels::{Result, View, ViewMut};

impl<D: Driver> NorMuon for Cuda<D> {
    fn normuon(&self, x: View, mut p: ViewMut, mut s: ViewMut, factors: View) -> Result<()> {
        const OP: &str = "normuon";
        let (mut call, n) = (self.call(OP), count(OP, x.numel())?);
        let (rows, cols) = (count(OP, x.dims()[0])?, count(OP, x.dims()[1])?);
        let (xs, ps) = (call.place("x", &x)?, call.place("p", &p.as_view())?);
        let (moments, step) = (call.place("s", &s.as_view())?, call.place("factors", &factors)?);
        let lines = call.scratch(rows.max(cols) as usize)?;
        let sizes = [rows, cols].map(Value::U32);
        let args: Vec<Value> = [xs.address(), lines.address()].into_iter().chain(sizes.clone()).collect();
        let blocks = if rows >= cols { rows.div_ceil(8) } else { cols.div_ceil(32) };
        call.launch_blocks(&NORMUON, "normuon_lines", (blocks, 256, 0), &args)?;
        let args = [
            lines.address(),
            moments.address(),
            step.address(),
            Value::U32(rows.max(cols)),
            Value::U32(rows.min(cols)),
        ];
        call.launch_blocks(&NORMUON, "normuon_factors", (1, 256, 0), &args)?;
        let mut args: Vec<Value> = [xs, ps, lines, step].iter().map(Operand::address).collect();
        args.push(Value::U32(n));
        args.extend(sizes);
        call.launch(&NORMUON, "normuon_step", n, &args)?;
        call.fetch("p", &ps, &mut p)?;
        call.fetch("s", &moments, &mut s)
    }
}
