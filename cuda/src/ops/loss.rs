//! Cross entropy's launches: a block per row of logits.

use crate::Cuda;
use crate::bundle::CROSS_ENTROPY;
use crate::call::count;
use crate::driver::{Driver, Value};
use kernels::cross_entropy::CrossEntropy;
use kernels::{Result, View, ViewMut};

impl<D: Driver> CrossEntropy for Cuda<D> {
    fn softcap_cross_entropy_fwd(
        &self,
        mut z: ViewMut,
        targets: View,
        softcap: f32,
        mut loss: ViewMut,
        mut lse: ViewMut,
    ) -> Result<()> {
        const OP: &str = "softcap_cross_entropy_fwd";
        let (rows, vocab, mut call) = (count(OP, z.dims()[0])?, count(OP, z.dims()[1])?, self.call(OP));
        let (zs, ts) = (call.place("z", &z.as_view())?, call.place("targets", &targets)?);
        let (losses, lses) = (call.place("loss", &loss.as_view())?, call.place("lse", &lse.as_view())?);
        let mut args: Vec<Value> = [zs, ts, losses, lses].iter().map(|o| o.address()).collect();
        args.extend([zs.strided(1), ts.strided(0), Value::U32(vocab), Value::F32(softcap)]);
        call.launch_blocks(&CROSS_ENTROPY, OP, (rows, 256, 0), &args)?;
        call.fetch("z", &zs, &mut z)?;
        call.fetch("loss", &losses, &mut loss)?;
        call.fetch("lse", &lses, &mut lse)
    }
    fn softcap_cross_entropy_bwd(
        &self,
        mut z: ViewMut,
        targets: View,
        softcap: f32,
        lse: View,
        weight: View,
    ) -> Result<()> {
        const OP: &str = "softcap_cross_entropy_bwd";
        let (rows, vocab, mut call) = (count(OP, z.dims()[0])?, count(OP, z.dims()[1])?, self.call(OP));
        let (zs, ts) = (call.place("z", &z.as_view())?, call.place("targets", &targets)?);
        let (lses, ws) = (call.place("lse", &lse)?, call.place("weight", &weight)?);
        let mut args: Vec<Value> = [zs, ts, lses, ws].iter().map(|o| o.address()).collect();
        args.extend([zs.strided(1), ts.strided(0), ws.strided(0), Value::U32(vocab), Value::F32(softcap)]);
        call.launch_blocks(&CROSS_ENTROPY, OP, (rows, 256, 0), &args)?;
        call.fetch("z", &zs, &mut z)
    }
}
