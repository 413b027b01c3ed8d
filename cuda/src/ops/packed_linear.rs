//! Products with packed weights, and the packing as int8.

use crate::Cuda;
use crate::bundle::{PACKED_LINEAR, QUANTIZE_INT8};
use crate::call::{Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::packed_linear::{PackedLinear, WIDTH};
use kernels::quantize_int8::QuantizeInt8;
use kernels::{Result, View, ViewMut};

impl<D: Driver> Cuda<D> {
    /// A block per row of x and panel of W.
    fn linear(
        &self,
        op: &'static str,
        x: &View,
        w: &View,
        scale: Option<&View>,
        y: &mut ViewMut,
    ) -> Result<()> {
        let (mut call, [n, k]) = (self.call(op), [y.dims()[1], x.dims()[1]]);
        let (xs, ws) = (call.place("x", x)?, call.place("w", w)?);
        let scales = scale.map(|scale| call.place("scale", scale)).transpose()?;
        let out = call.place("y", &y.as_view())?;
        let mut args: Vec<Value> =
            [Some(xs), Some(ws), scales, Some(out)].iter().flatten().map(Operand::address).collect();
        args.extend([count(op, n)?, count(op, k)?].map(Value::U32));
        let kernel = format!("{op}_{}_{}", suffix(xs.dtype), suffix(out.dtype));
        let blocks = count(op, y.dims()[0] * n.div_ceil(WIDTH))?;
        call.launch_blocks(&PACKED_LINEAR, &kernel, (blocks, 256, 0), &args)?;
        call.fetch("y", &out, y)
    }
}

impl<D: Driver> PackedLinear for Cuda<D> {
    fn packed_linear(&self, x: View, w: View, mut y: ViewMut) -> Result<()> {
        self.linear("packed_linear", &x, &w, None, &mut y)
    }
    fn packed_linear_int8(&self, x: View, w: View, scale: View, mut y: ViewMut) -> Result<()> {
        self.linear("packed_linear_int8", &x, &w, Some(&scale), &mut y)
    }
}

impl<D: Driver> QuantizeInt8 for Cuda<D> {
    fn quantize_int8(&self, w: View, mut q: ViewMut, mut scale: ViewMut) -> Result<()> {
        const OP: &str = "quantize_int8";
        let mut call = self.call(OP);
        let (n, k, words) = (count(OP, w.dims()[0])?, count(OP, w.dims()[1])?, count(OP, q.numel())?);
        let ws = call.place("w", &w)?;
        let outs = [call.place("scale", &scale.as_view())?, call.place("q", &q.as_view())?];
        let args = [ws.address(), outs[0].address(), Value::U32(n), Value::U32(k)];
        call.launch(&QUANTIZE_INT8, "quantize_scales", count(OP, n as usize * 32)?, &args)?;
        let mut args: Vec<Value> = [ws, outs[0], outs[1]].iter().map(Operand::address).collect();
        args.extend([words, n, k].map(Value::U32));
        call.launch(&QUANTIZE_INT8, OP, words, &args)?;
        call.fetch("scale", &outs[0], &mut scale)?;
        call.fetch("q", &outs[1], &mut q)
    }
}
