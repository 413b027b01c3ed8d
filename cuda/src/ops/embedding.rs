//! Table lookup's launches: a thread per element; in the gradient a block per token and 256 columns.

use crate::Cuda;
use crate::bundle::EMBEDDING;
use crate::call::{count, suffix};
use crate::driver::{Driver, Value};
use kernels::embedding::Embedding;
use kernels::{Result, View, ViewMut};

impl<D: Driver> Embedding for Cuda<D> {
    fn embedding_fwd(&self, w: View, ids: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "embedding_fwd";
        let (n, c) = y.layout().rows();
        let (n, c, elements, mut call) = (count(OP, n)?, count(OP, c)?, count(OP, n * c)?, self.call(OP));
        let (ws, is) = (call.place("w", &w)?, call.place("ids", &ids)?);
        let ys = call.place("y", &y.as_view())?;
        let mut args: Vec<Value> = [ws, is, ys].iter().map(|o| o.address()).collect();
        args.extend([ws.strided(1), is.strided(0), ys.strided(1), Value::U32(n), Value::U32(c)]);
        let kernel = format!("{OP}_{}_{}", suffix(ws.dtype), suffix(ys.dtype));
        call.launch(&EMBEDDING, &kernel, elements, &args)?;
        call.fetch("y", &ys, &mut y)
    }
    fn embedding_bwd(&self, dy: View, ids: View, mut dw: ViewMut) -> Result<()> {
        const OP: &str = "embedding_bwd";
        let (n, c) = dy.layout().rows();
        let blocks = count(OP, n * c.div_ceil(256))?;
        let (n, c, mut call) = (count(OP, n)?, count(OP, c)?, self.call(OP));
        let (gs, is) = (call.place("dy", &dy)?, call.place("ids", &ids)?);
        let ws = call.place("dw", &dw.as_view())?;
        let mut args: Vec<Value> = [gs, is, ws].iter().map(|o| o.address()).collect();
        args.extend([gs.strided(1), is.strided(0), ws.strided(1), Value::U32(n), Value::U32(c)]);
        let kernel = format!("{OP}_{}_{}", suffix(gs.dtype), suffix(ws.dtype));
        call.launch_blocks(&EMBEDDING, &kernel, (blocks, 256, 0), &args)?;
        call.fetch("dw", &ws, &mut dw)
    }
}
