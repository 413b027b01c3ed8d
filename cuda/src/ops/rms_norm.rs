//! RMSNorm's launches: a warp per row, as many warps to a block as have their rows in 48 KiB of shared memory.

use crate::Cuda;
use crate::bundle::RMS_NORM;
use crate::call::{Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::rms_norm::RmsNorm;
use kernels::{Result, View, ViewMut};

/// Shared memory that every GPU gives a block without being asked.
const SHARED: u32 = 48 << 10;

/// Blocks, threads and shared bytes for rows that keep `arrays` copies of themselves; and whether they do.
fn shape(rows: u32, c: u32, arrays: u32) -> ((u32, u32, u32), u32) {
    let row = u64::from(c) * u64::from(arrays) * 4;
    let fit = u64::from(SHARED) / row.max(1);
    let warps = fit.clamp(1, 8) as u32;
    let keep = u32::from(fit > 0);
    // below the limit whenever it is kept
    let shared = if keep == 1 { warps * row as u32 } else { 0 };
    ((rows.div_ceil(warps), 32 * warps, shared), keep)
}

fn kernel(name: &str, rows: &[Operand]) -> String {
    let form = if rows.iter().all(|o| o.has_packed_rows()) { "packs" } else { "single" };
    format!("{name}_{}_{form}", rows.first().map_or("f32", |o| suffix(o.dtype)))
}

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
