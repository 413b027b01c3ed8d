//! Clipping's launches: one warp that makes the factor, and one pass over each gradient.

use super::elementwise::threads;
use crate::Cuda;
use crate::bundle::CLIP;
use crate::call::{count, suffix};
use crate::driver::{Driver, Value};
use kernels::clip::Clip;
use kernels::{Result, View, ViewMut};

impl<D: Driver> Clip for Cuda<D> {
    fn clip_factor(&self, sums: View, max: f64, mut out: ViewMut) -> Result<()> {
        const OP: &str = "clip_factor";
        let (mut call, n) = (self.call(OP), count(OP, sums.numel())?);
        let (from, to) = (call.place("sums", &sums)?, call.place("out", &out.as_view())?);
        let args = [from.address(), to.address(), Value::U32(n), Value::F64(max)];
        call.launch_blocks(&CLIP, OP, (1, 32, 0), &args)?;
        call.fetch("out", &to, &mut out)
    }
    fn scale_by(&self, factor: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "scale_by";
        let (mut call, n) = (self.call(OP), count(OP, y.numel())?);
        let (factor, ys) = (call.place("factor", &factor)?, call.place("y", &y.as_view())?);
        let args = [factor.address(), ys.address(), Value::U32(n)];
        let (form, pack) =
            if ys.is_packed() { ("packs", 16 / ys.dtype.size() as u32) } else { ("single", 1) };
        let kernel = format!("scale_by_{}_{form}", suffix(ys.dtype));
        call.launch(&CLIP, &kernel, threads(n, pack), &args)?;
        call.fetch("y", &ys, &mut y)
    }
}
