//! Choosing tokens: the launches of the k largest and of a draw, which over a top k is both.

use crate::Cuda;
use crate::bundle::{SAMPLE, TOP_K};
use crate::call::{Call, Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::sample::Sample;
use kernels::top_k::TopK;
use kernels::{DType, Layout, Result, View, ViewMut};

/// `values` and `indices` of the `k` largest of each of `rows` rows of `x`.
fn largest<D: Driver>(
    call: &mut Call<'_, D>,
    op: &'static str,
    (x, values, indices): (&Operand, &Operand, &Operand),
    [rows, v, k]: [usize; 3],
) -> Result<()> {
    let list = call.scratch(rows * k)?;
    let mut args: Vec<Value> = [x, values, indices, &list].iter().map(|o| o.address()).collect();
    args.extend([x, values, indices].iter().map(|o| o.strided(1)));
    args.extend([Value::U32(count(op, v)?), Value::U32(count(op, k)?)]);
    let grid = if k == 0 { 0 } else { count(op, rows)? };
    call.launch_blocks(&TOP_K, &format!("top_k_{}", suffix(x.dtype)), (grid, 256, 0), &args)
}

impl<D: Driver> TopK for Cuda<D> {
    fn top_k(&self, x: View, mut values: ViewMut, mut indices: ViewMut) -> Result<()> {
        const OP: &str = "top_k";
        let mut call = self.call(OP);
        let (xs, vs) = (call.place("x", &x)?, call.place("values", &values.as_view())?);
        let is = call.place("indices", &indices.as_view())?;
        let sizes = [x.dims()[0], x.dims()[1], values.dims()[1]];
        largest(&mut call, OP, (&xs, &vs, &is), sizes)?;
        call.fetch("values", &vs, &mut values)?;
        call.fetch("indices", &is, &mut indices)
    }
}

impl<D: Driver> Sample for Cuda<D> {
    fn sample(
        &self,
        logits: View,
        uniforms: View,
        temperature: f64,
        top_k: Option<usize>,
        mut ids: ViewMut,
    ) -> Result<()> {
        const OP: &str = "sample";
        let (rows, v) = (logits.dims()[0], logits.dims()[1]);
        let mut call = self.call(OP);
        let (zs, us) = (call.place("logits", &logits)?, call.place("uniforms", &uniforms)?);
        let out = call.place("ids", &ids.as_view())?;
        let inverse = if temperature == 0.0 { 0.0 } else { 1.0 / temperature };
        let (from, map, width) = match top_k.filter(|k| *k < v && temperature > 0.0) {
            None => (zs, Value::Address(0), v),
            Some(k) => {
                let layout = Layout::contiguous(&[rows, k])?;
                let room = (rows * k).div_ceil(2);
                let best = call.scratch(room)?.holding(DType::F32, layout);
                let names = call.scratch(room)?.holding(DType::I32, layout);
                largest(&mut call, OP, (&zs, &best, &names), [rows, v, k])?;
                (best, names.address(), k)
            }
        };
        let mut args = vec![from.address(), us.address(), map, out.address()];
        args.extend([from.strided(1), us.strided(0), Value::U32(count(OP, width)?), Value::F64(inverse)]);
        call.launch_blocks(&SAMPLE, OP, (count(OP, rows)?, 256, 0), &args)?;
        call.fetch("ids", &out, &mut ids)
    }
}
