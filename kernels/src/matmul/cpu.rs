//! The matrix product on the CPU.

use super::strided::span;
use super::{Mat, MatMut, Matmul, sizes};
use crate::check::host;
use crate::{Bf16, Cpu, DType, Element, Float, Result, View, ViewMut, par};

impl Matmul for Cpu {
    fn matmul(&self, a: View, b: View, mut c: ViewMut, alpha: f32, beta: f32) -> Result<()> {
        match (a.dtype(), c.dtype()) {
            (DType::Bf16, DType::Bf16) => product::<Bf16, Bf16>(&a, &b, &mut c, alpha, beta),
            (DType::Bf16, _) => product::<Bf16, f32>(&a, &b, &mut c, alpha, beta),
            _ => product::<f32, f32>(&a, &b, &mut c, alpha, beta),
        }
    }
}

fn product<T: Float, U: Float>(a: &View, b: &View, c: &mut ViewMut, alpha: f32, beta: f32) -> Result<()> {
    const OP: &str = "matmul";
    let (m, k, n) = sizes(a, b);
    if c.numel() == 0 {
        return Ok(());
    }
    let (al, bl, cl) = (*a.layout(), *b.layout(), *c.layout());
    let r = al.rank();
    let a = host(OP, "a", a.base::<T>())?;
    let b = host(OP, "b", b.base::<T>())?;
    let c = par::SharedPtr::new(host(OP, "c", c.base_mut::<U>())?);
    let (ask, bsk, bsn, csn) = (al.strides()[r - 1], bl.strides()[r - 2], bl.strides()[r - 1], cl.strides()[r - 1]);
    par::for_each_task(cl.numel() / n, |row| {
        let a0 = if k > 0 { al.position(row * k) } else { 0 };
        let b0 = if k > 0 { bl.position(row / m * k * n) } else { 0 };
        let c0 = cl.position(row * n);
        let mut acc = vec![0.0f32; n];
        for l in 0..k {
            let x = a[a0 + l * ask].to_f32();
            for (j, acc) in acc.iter_mut().enumerate() {
                *acc += x * b[b0 + l * bsk + j * bsn].to_f32();
            }
        }
        for (j, acc) in acc.iter().enumerate() {
            // SAFETY: c is injective and each row belongs to one task.
            let c = unsafe { &mut *c.get().add(c0 + j * csn) };
            *c = U::from_f32(alpha * acc + if beta == 0.0 { 0.0 } else { beta * c.to_f32() });
        }
    });
    Ok(())
}

/// `c = alpha · a·b + beta · c` on the calling thread: `a` (m, k), `b` (k, n), `c` (m, n), any strides.
///
/// Same bits per element as [`super::matmul`]. Allocates nothing after the first calls: packing buffers are reused.
/// `beta = 0` ignores the old `c`.
///
/// # Panics
/// If a slice is shorter than its sizes and strides say: the caller's arithmetic is broken.
pub(crate) fn gemm_serial<A: Float, B: Float>(
    (m, k, n): (usize, usize, usize),
    alpha: f32,
    a: Mat<'_, A>,
    b: Mat<'_, B>,
    beta: f32,
    c: MatMut<'_, f32>,
) {
    assert!(a.data.len() >= span(m, k, a.row, a.col), "gemm_serial: a is too short");
    assert!(b.data.len() >= span(k, n, b.row, b.col), "gemm_serial: b is too short");
    assert!(c.data.len() >= span(m, n, c.row, c.col), "gemm_serial: c is too short");
    for i in 0..m {
        for j in 0..n {
            let mut acc = 0.0;
            for l in 0..k {
                acc += a.data[i * a.row + l * a.col].to_f32() * b.data[l * b.row + j * b.col].to_f32();
            }
            let c = &mut c.data[i * c.row + j * c.col];
            *c = alpha * acc + if beta == 0.0 { 0.0 } else { beta * *c };
        }
    }
}
