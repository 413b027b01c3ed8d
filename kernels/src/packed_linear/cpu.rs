//! From views to the engine that these layers share with the matrix product: `kernels/src/matmul/packed.rs`.

use super::PackedLinear;
use crate::check::host;
use crate::matmul::packed::{self, Packed};
use crate::{Bf16, Cpu, DType, Float, Result, View, ViewMut};

impl PackedLinear for Cpu {
    fn packed_linear(&self, x: View, w: View, y: ViewMut) -> Result<()> {
        const OP: &str = "packed_linear";
        let size = (y.dims()[1], x.dims()[1]);
        let w = match x.dtype() {
            DType::Bf16 => Packed::new(host(OP, "w", w.as_slice::<Bf16>())?, size, 2),
            _ => Packed::new(host(OP, "w", w.as_slice::<f32>())?, size, 4),
        };
        run(OP, x, w, None, y)
    }
    fn packed_linear_int8(&self, x: View, w: View, scale: View, y: ViewMut) -> Result<()> {
        const OP: &str = "packed_linear_int8";
        let size = (y.dims()[1], x.dims()[1]);
        let w = Packed::new(host(OP, "w", w.as_slice::<i32>())?, size, 1);
        run(OP, x, w, Some(host(OP, "scale", scale.as_slice::<f32>())?), y)
    }
}

fn run(op: &'static str, x: View, w: Packed, scale: Option<&[f32]>, y: ViewMut) -> Result<()> {
    match (x.dtype(), y.dtype()) {
        (DType::Bf16, DType::Bf16) => product::<Bf16, Bf16>(op, x, w, scale, y),
        (DType::Bf16, _) => product::<Bf16, f32>(op, x, w, scale, y),
        _ => product::<f32, f32>(op, x, w, scale, y),
    }
}

fn product<T: Float, U: Float>(
    op: &'static str,
    x: View,
    w: Packed,
    scale: Option<&[f32]>,
    mut y: ViewMut,
) -> Result<()> {
    let m = x.dims()[0];
    let x = host(op, "x", x.as_slice::<T>())?;
    packed::run(x, w, scale, m, host(op, "y", y.as_mut_slice::<U>())?);
    Ok(())
}
