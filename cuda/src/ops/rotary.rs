//! Rotary embedding's launches: a thread per pack of pairs alone, a warp per head vector together with the norm.

use super::rows::{kernel, shape};
use crate::Cuda;
use crate::bundle::{ROPE, ROPE_NORM};
use crate::call::{Call, Operand, count};
use crate::driver::{Driver, Value};
use kernels::rope::Rope;
use kernels::rope_norm::{RopeNorm, Rotation};
use kernels::{Result, View, ViewMut};

/// Positions and tables on the device.
fn tables<D: Driver>(
    call: &mut Call<'_, D>,
    positions: &View,
    cos: &View,
    sin: &View,
) -> Result<[Operand; 3]> {
    Ok([call.place("positions", positions)?, call.place("cos", cos)?, call.place("sin", sin)?])
}

impl<D: Driver> Rope for Cuda<D> {
    fn rope(
        &self,
        x: View,
        positions: View,
        cos: View,
        sin: View,
        mut y: ViewMut,
        inverse: bool,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "rope";
        let (vectors, d) = x.layout().rows();
        let (vectors, half, heads) = (count(OP, vectors)?, count(OP, d / 2)?, count(OP, x.dims()[2])?);
        let mut call = self.call(OP);
        let xs = call.place("x", &x)?;
        let [ps, cs, ss] = tables(&mut call, &positions, &cos, &sin)?;
        let ys = call.place("y", &y.as_view())?;
        let packs = [xs, ys, cs, ss].iter().all(Operand::has_packed_rows);
        let threads = count(OP, x.numel() / 2)? / if packs { 4 } else { 1 };
        let mut args: Vec<Value> = [xs, ps, cs, ss, ys].iter().map(|o| o.address()).collect();
        args.extend([xs.strided(1), ps.strided(0), cs.strided(1), ss.strided(1), ys.strided(1)]);
        args.extend([vectors, heads, half, inverse.into(), accumulate.into()].map(Value::U32));
        call.launch(&ROPE, &kernel(OP, &[xs, ys, cs, ss]), threads, &args)?;
        call.fetch("y", &ys, &mut y)
    }
}

impl<D: Driver> RopeNorm for Cuda<D> {
    fn rope_norm_fwd(
        &self,
        x: View,
        r: Rotation,
        gain: f64,
        eps: f64,
        mut y: ViewMut,
        mut rstd: ViewMut,
    ) -> Result<()> {
        const OP: &str = "rope_norm_fwd";
        let (vectors, d) = x.layout().rows();
        let (vectors, d, heads) = (count(OP, vectors)?, count(OP, d)?, count(OP, x.dims()[2])?);
        let mut call = self.call(OP);
        let xs = call.place("x", &x)?;
        let [ps, cs, ss] = tables(&mut call, &r.positions, &r.cos, &r.sin)?;
        let (ys, rs) = (call.place("y", &y.as_view())?, call.place("rstd", &rstd.as_view())?);
        let (blocks, keep) = shape(vectors, d, 1);
        let mut args: Vec<Value> = [xs, ps, cs, ss, ys, rs].iter().map(|o| o.address()).collect();
        args.extend([
            xs.strided(1),
            ps.strided(0),
            cs.strided(1),
            ss.strided(1),
            ys.strided(1),
            rs.strided(0),
        ]);
        args.extend([vectors, heads, d].map(Value::U32));
        args.extend([Value::F32(gain as f32), Value::F32(eps as f32), Value::U32(keep)]);
        call.launch_blocks(&ROPE_NORM, &kernel(OP, &[xs, ys, cs, ss]), blocks, &args)?;
        call.fetch("y", &ys, &mut y)?;
        call.fetch("rstd", &rs, &mut rstd)
    }
    fn rope_norm_bwd(
        &self,
        dy: View,
        y: View,
        rstd: View,
        r: Rotation,
        gain: f64,
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "rope_norm_bwd";
        let (vectors, d) = dy.layout().rows();
        let (vectors, d, heads) = (count(OP, vectors)?, count(OP, d)?, count(OP, dy.dims()[2])?);
        let mut call = self.call(OP);
        let (gs, ys, rs) = (call.place("dy", &dy)?, call.place("y", &y)?, call.place("rstd", &rstd)?);
        let [ps, cs, ss] = tables(&mut call, &r.positions, &r.cos, &r.sin)?;
        let out = call.place("dx", &dx.as_view())?;
        let (blocks, keep) = shape(vectors, d, 2);
        let mut args: Vec<Value> = [gs, ys, rs, ps, cs, ss, out].iter().map(|o| o.address()).collect();
        args.extend([gs.strided(1), ys.strided(1), rs.strided(0), ps.strided(0)]);
        args.extend([cs.strided(1), ss.strided(1), out.strided(1)]);
        args.extend([vectors, heads, d].map(Value::U32));
        args.extend([Value::F32(gain as f32), Value::U32(accumulate.into()), Value::U32(keep)]);
        call.launch_blocks(&ROPE_NORM, &kernel(OP, &[gs, ys, out, cs, ss]), blocks, &args)?;
        call.fetch("dx", &out, &mut dx)
    }
}
