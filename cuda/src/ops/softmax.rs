//! Softmax's and log-sum-exp's launches: a warp per row.

use super::rows::{kernel, shape};
use crate::Cuda;
use crate::bundle::SOFTMAX;
use crate::call::count;
use crate::driver::{Driver, Value};
use kernels::softmax::Softmax;
use kernels::{Result, View, ViewMut};

impl<D: Driver> Softmax for Cuda<D> {
    fn softmax_fwd(&self, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "softmax_fwd";
        let (rows, c) = x.layout().rows();
        let (rows, c, mut call) = (count(OP, rows)?, count(OP, c)?, self.call(OP));
        let (xs, ys) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        let (blocks, keep) = shape(rows, c, 1);
        let mut args = vec![xs.address(), ys.address(), xs.strided(1), ys.strided(1)];
        args.extend([rows, c, keep].map(Value::U32));
        call.launch_blocks(&SOFTMAX, &kernel(OP, &[xs, ys]), blocks, &args)?;
        call.fetch("y", &ys, &mut y)
    }
    fn softmax_bwd(&self, dy: View, y: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "softmax_bwd";
        let (rows, c) = dy.layout().rows();
        let (rows, c, mut call) = (count(OP, rows)?, count(OP, c)?, self.call(OP));
        let all = [call.place("dy", &dy)?, call.place("y", &y)?, call.place("dx", &dx.as_view())?];
        let (blocks, keep) = shape(rows, c, 2);
        let mut args: Vec<Value> = all.iter().map(|o| o.address()).collect();
        args.extend(all.iter().map(|o| o.strided(1)));
        args.extend([rows, c, accumulate.into(), keep].map(Value::U32));
        call.launch_blocks(&SOFTMAX, &kernel(OP, &all), blocks, &args)?;
        call.fetch("dx", &all[2], &mut dx)
    }
    fn logsumexp_fwd(&self, x: View, mut lse: ViewMut) -> Result<()> {
        const OP: &str = "logsumexp_fwd";
        let (rows, c) = x.layout().rows();
        let (rows, c, mut call) = (count(OP, rows)?, count(OP, c)?, self.call(OP));
        let (xs, ls) = (call.place("x", &x)?, call.place("lse", &lse.as_view())?);
        let (blocks, keep) = shape(rows, c, 1);
        let mut args = vec![xs.address(), ls.address(), xs.strided(1), ls.strided(0)];
        args.extend([rows, c, keep].map(Value::U32));
        call.launch_blocks(&SOFTMAX, &kernel(OP, &[xs]), blocks, &args)?;
        call.fetch("lse", &ls, &mut lse)
    }
    fn logsumexp_bwd(&self, x: View, lse: View, dl: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "logsumexp_bwd";
        let (rows, c) = x.layout().rows();
        let (rows, c, mut call) = (count(OP, rows)?, count(OP, c)?, self.call(OP));
        let (xs, ls) = (call.place("x", &x)?, call.place("lse", &lse)?);
        let (ds, out) = (call.place("dl", &dl)?, call.place("dx", &dx.as_view())?);
        let mut args: Vec<Value> = [xs, ls, ds, out].iter().map(|o| o.address()).collect();
        args.extend([xs.strided(1), ls.strided(0), ds.strided(0), out.strided(1)]);
        args.extend([rows, c, accumulate.into()].map(Value::U32));
        let blocks = (rows.div_ceil(8), 256, 0);
        call.launch_blocks(&SOFTMAX, &kernel(OP, &[xs, out]), blocks, &args)?;
        call.fetch("dx", &out, &mut dx)
    }
}
