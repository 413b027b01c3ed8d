//! What goes along one axis: picking, places of extremes, cumulative sums, sorting.

use crate::Cuda;
use crate::bundle::{ARG_REDUCE, CUMSUM, GATHER, SORT};
use crate::call::{Operand, arguments, count, suffix};
use crate::driver::{Driver, Value};
use kernels::arg_reduce::{ArgOp, ArgReduce};
use kernels::cumsum::CumSum;
use kernels::gather::Gather;
use kernels::sort::Sort;
use kernels::{Layout, Result, View, ViewMut};

/// The operand with the lengths `dims` and no stride along `axis`; and the stride that it has there.
fn across(o: &Operand, dims: &[usize], axis: usize) -> Result<(Operand, Value)> {
    let mut strides = o.layout.strides().to_vec();
    let step = std::mem::take(&mut strides[axis]);
    let layout = Layout::strided(dims, &strides, o.layout.offset())?;
    Ok((o.holding(o.dtype, layout), Value::U64(step as u64)))
}

impl<D: Driver> Gather for Cuda<D> {
    fn gather_fwd(&self, axis: usize, x: View, index: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "gather_fwd";
        let (mut call, n) = (self.call(OP), count(OP, y.numel())?);
        let (xs, is) = (call.place("x", &x)?, call.place("index", &index)?);
        let ys = call.place("y", &y.as_view())?;
        let (xs, step) = across(&xs, y.dims(), axis)?;
        let mut args = arguments(&[(xs, 0), (is, 0), (ys, 0)]);
        args.extend([Value::U32(n), step]);
        call.launch(&GATHER, &format!("{OP}_{}", suffix(xs.dtype)), n, &args)?;
        call.fetch("y", &ys, &mut y)
    }
    fn gather_bwd(&self, axis: usize, dy: View, index: View, mut dx: ViewMut) -> Result<()> {
        const OP: &str = "gather_bwd";
        let (mut call, n) = (self.call(OP), count(OP, dx.numel())?);
        let (ds, is) = (call.place("dy", &dy)?, call.place("index", &index)?);
        let out = call.place("dx", &dx.as_view())?;
        let kernel = format!("{OP}_{}_{}", suffix(ds.dtype), suffix(out.dtype));
        let (dims, picks) = (dx.dims(), count(OP, dy.dims()[axis])?);
        let inner = count(OP, dims[axis + 1..].iter().product())?;
        let length = count(OP, dims[axis])?;
        let ((ds, dy_step), (is, index_step)) = (across(&ds, dims, axis)?, across(&is, dims, axis)?);
        let mut args = arguments(&[(ds, 0), (is, 0), (out, 0)]);
        args.extend([n, inner, length, picks].map(Value::U32));
        args.extend([dy_step, index_step]);
        call.launch(&GATHER, &kernel, n, &args)?;
        call.fetch("dx", &out, &mut dx)
    }
}

impl<D: Driver> ArgReduce for Cuda<D> {
    fn arg_reduce(&self, op: ArgOp, axis: usize, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "arg_reduce";
        let (mut call, length) = (self.call(OP), count(OP, x.dims()[axis])?);
        let (results, threads) = (count(OP, y.numel())?, count(OP, y.numel() * 32)?);
        let (xs, ys) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        let (xs, step) = across(&xs, y.dims(), axis)?;
        let mut args = arguments(&[(xs, 0), (ys, 0)]);
        args.extend([Value::U32(results), Value::U32(length), step, Value::U32((op == ArgOp::Min).into())]);
        call.launch(&ARG_REDUCE, &format!("{OP}_{}", suffix(xs.dtype)), threads, &args)?;
        call.fetch("y", &ys, &mut y)
    }
}

impl<D: Driver> CumSum for Cuda<D> {
    fn cumsum(&self, axis: usize, reverse: bool, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "cumsum";
        let (mut call, mut dims) = (self.call(OP), x.dims().to_vec());
        let length = std::mem::replace(&mut dims[axis], 1);
        let lines = dims.iter().product::<usize>();
        let (xs, ys) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        let ((xs, x_step), (out, y_step)) = (across(&xs, &dims, axis)?, across(&ys, &dims, axis)?);
        let mut args = arguments(&[(xs, 0), (out, 0)]);
        args.extend([count(OP, lines)?, count(OP, length)?].map(Value::U32));
        args.extend([x_step, y_step, Value::U32(reverse.into())]);
        call.launch(&CUMSUM, &format!("{OP}_{}", suffix(xs.dtype)), count(OP, lines * 32)?, &args)?;
        call.fetch("y", &ys, &mut y)
    }
}

impl<D: Driver> Sort for Cuda<D> {
    fn sort(&self, descending: bool, x: View, mut values: ViewMut, mut indices: ViewMut) -> Result<()> {
        const OP: &str = "sort";
        let (mut call, (rows, c)) = (self.call(OP), x.layout().rows());
        let padded = c.next_power_of_two();
        let xs = call.place("x", &x)?;
        let outs = [call.place("values", &values.as_view())?, call.place("indices", &indices.as_view())?];
        let list = call.scratch(rows * padded)?;
        let mut args: Vec<Value> = [xs, outs[0], outs[1], list].iter().map(Operand::address).collect();
        args.extend([xs, outs[0], outs[1]].iter().map(|o| o.strided(1)));
        args.extend([count(OP, c)?, count(OP, padded)?, descending.into()].map(Value::U32));
        let kernel = format!("{OP}_{}", suffix(xs.dtype));
        call.launch_blocks(&SORT, &kernel, (count(OP, rows)?, 256, 0), &args)?;
        call.fetch("values", &outs[0], &mut values)?;
        call.fetch("indices", &outs[1], &mut indices)
    }
}
