//! Random numbers, and dropout, which uses them: a thread per block of the stream, four numbers.

use super::rows::kernel;
use crate::Cuda;
use crate::bundle::{DROPOUT, RANDOM};
use crate::call::{arguments, count};
use crate::driver::{Driver, Value};
use kernels::dropout::{Dropout, DropoutMask};
use kernels::random::Random;
use kernels::{Result, View, ViewMut};

impl<D: Driver> Random for Cuda<D> {
    fn uniform(&self, seed: u64, stream: u64, first: u64, mut y: ViewMut) -> Result<()> {
        const OP: &str = "uniform";
        let (mut call, n) = (self.call(OP), count(OP, y.numel())?);
        let ys = call.place("y", &y.as_view())?;
        // up to three words before the first one are made, and dropped
        let blocks = if n == 0 { 0 } else { ((first % 4) as u32 + n).div_ceil(4) };
        let mut args = vec![ys.address()];
        args.extend([seed, stream, first].map(Value::U64));
        args.extend([blocks, n].map(Value::U32));
        call.launch(&RANDOM, OP, blocks, &args)?;
        call.fetch("y", &ys, &mut y)
    }
}

impl<D: Driver> Dropout for Cuda<D> {
    fn dropout(&self, x: View, mask: DropoutMask, mut y: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "dropout";
        let (mut call, (_, c)) = (self.call(OP), x.layout().rows());
        let (n, c) = (count(OP, x.numel())?, count(OP, c)?);
        let (xs, ys) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        // numbers are multiples of 2⁻²⁴: this decides as p itself does
        let least = (mask.p * 16_777_216.0).ceil() as u32;
        let mut args = arguments(&[(xs, 1), (ys, 1)]);
        args.extend([n, c].map(Value::U32));
        args.extend([mask.seed, mask.stream].map(Value::U64));
        let scale = (1.0 / (1.0 - mask.p)) as f32;
        args.extend([Value::U32(least), Value::F32(scale), Value::U32(accumulate.into())]);
        call.launch(&DROPOUT, &kernel(OP, &[xs, ys]), n.div_ceil(4), &args)?;
        call.fetch("y", &ys, &mut y)
    }
}
