//! Random numbers: a thread per block of the stream, four numbers.

use crate::Cuda;
use crate::bundle::RANDOM;
use crate::call::count;
use crate::driver::{Driver, Value};
use kernels::random::Random;
use kernels::{Result, ViewMut};

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
