//! RMSNorm's launches, alone and with the residual sum before it: a warp per row.

use super::rows::{kernel, shape};
use crate::Cuda;
use crate::bundle::{ADD_RMS_NORM, RMS_NORM};
use crate::call::count;
use crate::driver::{Driver, Value};
use kernels::add_rms_norm::AddRmsNorm;
use kernels::rms_norm::RmsNorm;
use kernels::{Result, View, ViewMut};

impl<D: Driver> RmsNorm for Cuda<D> {
    fn rms_norm_fwd(&self, x: View, eps: f64, mut y: ViewMut, mut rstd: ViewMut) -> Result<()> {
        const OP: &str = "rms_norm_fwd";
        let (rows, c) = x.layout().rows();
        let (rows, c, mut call) = (count(OP, rows)?, count(OP, c)?, self.call(OP));
        let (xs, ys) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        let rs = call.place("rstd", &rstd.as_view())?;
        let (blocks, keep) = shape(rows, c, 1);
        let mut args = vec![xs.address(), ys.address(), rs.address(), xs.strided(1), ys.strided(1)];
        args.extend([
            rs.strided(0),
            Value::U32(rows),
            Value::U32(c),
            Value::F32(eps as f32),
            Value::U32(keep),
        ]);
        call.launch_blocks(&RMS_NORM, &kernel(OP, &[xs, ys]), blocks, &args)?;
        call.fetch("y", &ys, &mut y)?;
        call.fetch("rstd", &rs, &mut rstd)
    }
    fn rms_norm_bwd(&self, dy: View, y: View, rstd: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "rms_norm_bwd";
        let (rows, c) = dy.layout().rows();
        let (rows, c, mut call) = (count(OP, rows)?, count(OP, c)?, self.call(OP));
        let (gs, ys) = (call.place("dy", &dy)?, call.place("y", &y)?);
        let (rs, out) = (call.place("rstd", &rstd)?, call.place("dx", &dx.as_view())?);
        let (blocks, keep) = shape(rows, c, 2);
        let mut args: Vec<Value> = [gs, ys, rs, out].iter().map(|o| o.address()).collect();
        args.extend([gs.strided(1), ys.strided(1), rs.strided(0), out.strided(1)]);
        args.extend([rows, c, accumulate.into(), keep].map(Value::U32));
        call.launch_blocks(&RMS_NORM, &kernel(OP, &[gs, ys, out]), blocks, &args)?;
        call.fetch("dx", &out, &mut dx)
    }
}

impl<D: Driver> AddRmsNorm for Cuda<D> {
    fn add_rms_norm_fwd(
        &self,
        x: View,
        r: View,
        eps: f64,
        mut h: ViewMut,
        mut y: ViewMut,
        mut rstd: ViewMut,
    ) -> Result<()> {
        const OP: &str = "add_rms_norm_fwd";
        let (rows, c) = x.layout().rows();
        let (rows, c, mut call) = (count(OP, rows)?, count(OP, c)?, self.call(OP));
        let (xs, rs) = (call.place("x", &x)?, call.place("r", &r)?);
        let (hs, ys) = (call.place("h", &h.as_view())?, call.place("y", &y.as_view())?);
        let stats = call.place("rstd", &rstd.as_view())?;
        let (blocks, keep) = shape(rows, c, 1);
        let mut args: Vec<Value> = [xs, rs, hs, ys, stats].iter().map(|o| o.address()).collect();
        args.extend([xs, rs, hs, ys].iter().map(|o| o.strided(1)));
        args.extend([stats.strided(0), Value::U32(rows), Value::U32(c)]);
        args.extend([Value::F32(eps as f32), Value::U32(keep)]);
        call.launch_blocks(&ADD_RMS_NORM, &kernel(OP, &[xs, rs, hs, ys]), blocks, &args)?;
        call.fetch("h", &hs, &mut h)?;
        call.fetch("y", &ys, &mut y)?;
        call.fetch("rstd", &stats, &mut rstd)
    }
    fn add_rms_norm_bwd(&self, dh: View, dy: View, y: View, rstd: View, mut dx: ViewMut) -> Result<()> {
        const OP: &str = "add_rms_norm_bwd";
        let (rows, c) = dy.layout().rows();
        let (rows, c, mut call) = (count(OP, rows)?, count(OP, c)?, self.call(OP));
        let (hs, gs, ys) = (call.place("dh", &dh)?, call.place("dy", &dy)?, call.place("y", &y)?);
        let (stats, out) = (call.place("rstd", &rstd)?, call.place("dx", &dx.as_view())?);
        let (blocks, keep) = shape(rows, c, 2);
        let mut args: Vec<Value> = [hs, gs, ys, stats, out].iter().map(|o| o.address()).collect();
        args.extend([hs, gs, ys].iter().map(|o| o.strided(1)));
        args.extend([stats.strided(0), out.strided(1)]);
        args.extend([rows, c, keep].map(Value::U32));
        call.launch_blocks(&ADD_RMS_NORM, &kernel(OP, &[hs, gs, ys, out]), blocks, &args)?;
        call.fetch("dx", &out, &mut dx)
    }
}
