//! NorMuon's launches: sums of squares of the lines, one block that makes factors of them, the weights.

use crate::Cuda;
use crate::bundle::NORMUON;
use crate::call::{Operand, count};
use crate::driver::{Driver, Value};
use kernels::normuon::{NorMuon, NorMuonParams};
use kernels::{Result, View, ViewMut};

impl<D: Driver> NorMuon for Cuda<D> {
    fn normuon(&self, x: View, mut p: ViewMut, mut s: ViewMut, h: NorMuonParams) -> Result<()> {
        const OP: &str = "normuon";
        let (mut call, n) = (self.call(OP), count(OP, x.numel())?);
        let (rows, cols) = (count(OP, x.dims()[0])?, count(OP, x.dims()[1])?);
        let (xs, ps) = (call.place("x", &x)?, call.place("p", &p.as_view())?);
        let moments = call.place("s", &s.as_view())?;
        let lines = call.scratch(rows.max(cols) as usize)?;
        let sizes = [rows, cols].map(Value::U32);
        let args: Vec<Value> = [xs.address(), lines.address()].into_iter().chain(sizes.clone()).collect();
        let blocks = if rows >= cols { rows.div_ceil(8) } else { cols.div_ceil(32) };
        call.launch_blocks(&NORMUON, "normuon_lines", (blocks, 256, 0), &args)?;
        let args = [
            lines.address(),
            moments.address(),
            Value::U32(rows.max(cols)),
            Value::U32(rows.min(cols)),
            Value::F64(1.0 - h.beta2),
        ];
        call.launch_blocks(&NORMUON, "normuon_factors", (1, 256, 0), &args)?;
        let mut args: Vec<Value> = [xs, ps, lines].iter().map(Operand::address).collect();
        args.push(Value::U32(n));
        args.extend(sizes);
        let lr = h.step_size(rows as usize, cols as usize);
        args.extend([Value::F64(lr), Value::F64(h.weight_decay)]);
        call.launch(&NORMUON, "normuon_step", n, &args)?;
        call.fetch("p", &ps, &mut p)?;
        call.fetch("s", &moments, &mut s)
    }
}
