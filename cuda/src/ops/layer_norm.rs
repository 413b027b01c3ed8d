//! LayerNorm's launches: a warp per row; for the weights' gradients a block per 32 packs of columns and chunk of rows.

use super::rows::{form, kernel, shape_with_tables};
use crate::Cuda;
use crate::bundle::LAYER_NORM;
use crate::call::{Operand, count};
use crate::driver::{Driver, Value};
use kernels::layer_norm::LayerNorm;
use kernels::{Result, View, ViewMut};

/// Rows that a block adds: eight warps add at most 32 each in f32. Fewer where there are few, so that there are enough blocks.
fn chunk(rows: usize) -> usize {
    if rows < 1 << 14 { 64 } else { 256 }
}

impl<D: Driver> LayerNorm for Cuda<D> {
    fn layer_norm_fwd(
        &self,
        x: View,
        gain: View,
        bias: Option<View>,
        eps: f64,
        mut y: ViewMut,
        [mut mean, mut rstd]: [ViewMut; 2],
    ) -> Result<()> {
        const OP: &str = "layer_norm_fwd";
        let (mut call, (rows, c)) = (self.call(OP), x.layout().rows());
        let (xs, ys) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        let stats = [call.place("mean", &mean.as_view())?, call.place("rstd", &rstd.as_view())?];
        let gains = call.place("gain", &gain)?;
        let biases = call.place_or_null("bias", bias.as_ref(), gains)?;
        let mut args: Vec<Value> =
            [xs, ys, stats[0], stats[1], gains, biases].iter().map(Operand::address).collect();
        args.extend([xs.strided(1), ys.strided(1), stats[0].strided(0), stats[1].strided(0)]);
        let (rows, c) = (count(OP, rows)?, count(OP, c)?);
        let (blocks, keep) = shape_with_tables(rows, c, 1, 1 + u32::from(bias.is_some()));
        args.extend([Value::U32(rows), Value::U32(c), Value::F32(eps as f32), Value::U32(keep)]);
        call.launch_blocks(&LAYER_NORM, &kernel(OP, &[xs, ys, gains, biases]), blocks, &args)?;
        call.fetch("y", &ys, &mut y)?;
        call.fetch("mean", &stats[0], &mut mean)?;
        call.fetch("rstd", &stats[1], &mut rstd)
    }
    fn layer_norm_bwd(
        &self,
        dy: View,
        x: View,
        gain: View,
        [mean, rstd]: [View; 2],
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "layer_norm_bwd";
        let (mut call, (rows, c)) = (self.call(OP), x.layout().rows());
        let all = [call.place("dy", &dy)?, call.place("x", &x)?, call.place("dx", &dx.as_view())?];
        let stats = [call.place("mean", &mean)?, call.place("rstd", &rstd)?];
        let gains = call.place("gain", &gain)?;
        let mut args: Vec<Value> = all.iter().chain(&stats).chain([&gains]).map(Operand::address).collect();
        args.extend(all.iter().map(|o| o.strided(1)).chain(stats.iter().map(|o| o.strided(0))));
        let (rows, c) = (count(OP, rows)?, count(OP, c)?);
        let (blocks, keep) = shape_with_tables(rows, c, 2, 1);
        args.extend([rows, c, accumulate.into(), keep].map(Value::U32));
        let [dys, xs, dxs] = all;
        call.launch_blocks(&LAYER_NORM, &kernel(OP, &[dys, xs, dxs, gains]), blocks, &args)?;
        call.fetch("dx", &all[2], &mut dx)
    }
    fn layer_norm_bwd_weights(
        &self,
        dy: View,
        x: View,
        [mean, rstd]: [View; 2],
        mut dgain: ViewMut,
        mut dbias: ViewMut,
    ) -> Result<()> {
        const OP: &str = "layer_norm_bwd_weights";
        let (mut call, (rows, c)) = (self.call(OP), x.layout().rows());
        let (ds, xs) = (call.place("dy", &dy)?, call.place("x", &x)?);
        let (ms, rs) = (call.place("mean", &mean)?, call.place("rstd", &rstd)?);
        let outs = [call.place("dgain", &dgain.as_view())?, call.place("dbias", &dbias.as_view())?];
        // columns of a block: a pack for each lane
        let packs = form(&[ds, xs]);
        let wide = if packs == "packs" { 32 * 16 / ds.dtype.size() } else { 32 };
        let (chunks, blocks) = (rows.div_ceil(chunk(rows)), c.div_ceil(wide));
        let parts = call.scratch(chunks * blocks * 2 * wide)?;
        let mut args: Vec<Value> = [ds, xs, ms, rs, parts].iter().map(Operand::address).collect();
        args.extend([ds.strided(1), xs.strided(1), ms.strided(0), rs.strided(0)]);
        args.extend([count(OP, rows)?, count(OP, c)?, count(OP, chunk(rows))?].map(Value::U32));
        call.launch_blocks(
            &LAYER_NORM,
            &kernel(OP, &[ds, xs]),
            (count(OP, chunks * blocks)?, 256, 0),
            &args,
        )?;
        let step = |o: &Operand| Value::U64(o.layout.strides().last().map_or(1, |s| *s as u64));
        let mut args = vec![parts.address(), outs[0].address(), outs[1].address()];
        args.extend([step(&outs[0]), step(&outs[1])]);
        args.extend([count(OP, chunks)?, count(OP, c)?].map(Value::U32));
        let sum = kernel("layer_norm_sum", &[ds, xs]);
        call.launch(&LAYER_NORM, &sum, count(OP, blocks * 2 * wide)?, &args)?;
        call.fetch("dgain", &outs[0], &mut dgain)?;
        call.fetch("dbias", &outs[1], &mut dbias)
    }
}
