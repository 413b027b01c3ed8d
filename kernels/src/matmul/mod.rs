//! Matrix product, the operation that almost all the time goes into: `C = alpha · A·B + beta · C`.
//!
//! `A`: (…, M, K), `B`: (…, K, N), `C`: (…, M, N). A and B may have any strides, so a transposed operand is a view and
//! costs nothing; a leading stride of 0 broadcasts. Sums are kept in f32 over the whole of K (also where everything is
//! stored in bf16) and rounded once. Where the processor multiplies pairs of bf16 (`vdpbf16ps`), bf16 operands are not
//! widened; that instruction takes denormal terms and sums for zeros. `beta = 0` means the old C is not read. The blocking follows Goto & van de Geijn 2008,
//! "Anatomy of high-performance matrix multiplication".
//!
//! Every element of C is computed by one fixed chain of operations that depends on K alone: not on M, not on which rows
//! are neighbours, not on the number of threads. A row of a batch therefore has the bits it would have alone, and
//! decoding one token at a time agrees exactly with processing the whole text.
//!
//! Where to read next: `reference.rs` for the three loops; `cpu.rs` for the way from views to blocks; `block.rs` for the
//! blocking; `kernel_avx512.rs` for the innermost loop; `skinny.rs` for few rows.

mod block;
mod cpu;
mod kernel;
#[cfg(target_arch = "x86_64")]
mod kernel_avx2;
#[cfg(target_arch = "x86_64")]
mod kernel_avx512;
#[cfg(target_arch = "x86_64")]
mod kernel_avx512_bf16;
#[cfg(target_arch = "aarch64")]
mod kernel_neon;
mod kernel_scalar;
mod pack;
#[cfg(target_arch = "x86_64")]
mod pack_avx2;
#[cfg(target_arch = "x86_64")]
mod pack_avx512;
#[cfg(target_arch = "x86_64")]
mod pack_avx512_bf16;
pub(crate) mod packed;
#[cfg(target_arch = "x86_64")]
mod packed_avx512;
pub(crate) mod pool;
mod real;
mod reference;
mod skinny;
#[cfg(target_arch = "x86_64")]
mod stream_avx512;
mod strided;
#[cfg(test)]
mod tests;

pub(crate) use cpu::matmul_symmetric;

use crate::check::{self, FLOATS};
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, KernelError, Result, View, ViewMut, profile};

/// The product.
pub trait Matmul {
    /// See [`matmul`].
    fn matmul(&self, a: View, b: View, c: ViewMut, alpha: f32, beta: f32) -> Result<()>;
}

/// `c = alpha · a·b + beta · c` for each of the leading dimensions.
///
/// `a`: (…, M, K), `b`: (…, K, N), `c`: (…, M, N), the same leading dimensions, rank 2 to 5. Any strides; `c` must own
/// each of its elements. `a` and `b` have one dtype; `c` has the same, or is the accumulator (f32 for bf16).
/// `beta = 0` ignores what `c` held, NaN included. With K = 0 the product is zero.
pub fn matmul(backend: &dyn Backend, a: View, b: View, c: ViewMut, alpha: f32, beta: f32) -> Result<()> {
    const OP: &str = "matmul";
    check::dtype(OP, "a", a.dtype(), FLOATS)?;
    check::dtype(OP, "b", b.dtype(), &[a.dtype()])?;
    check::dtype(OP, "c", c.dtype(), &[a.dtype(), check::accumulator(a.dtype())])?;
    let rank = a.dims().len();
    if rank < 2 {
        let want = "(…, M, K), rank 2 to 5".into();
        return Err(KernelError::Shape { op: OP, arg: "a", got: a.dims().to_vec(), want });
    }
    let (lead, mk) = a.dims().split_at(rank - 2);
    check::rank(OP, "b", b.dims(), rank, "(…, K, N), of the rank of a")?;
    let n = b.dims()[rank - 1];
    let with_lead = |rows, cols| [lead, &[rows, cols]].concat();
    check::dims(OP, "b", b.dims(), &with_lead(mk[1], n))?;
    check::dims(OP, "c", c.dims(), &with_lead(mk[0], n))?;
    check::output(OP, "c", &c, &[("a", &a), ("b", &b)])?;
    let _timed = profile::call(OP, || Cost {
        flops: 2.0 * (c.numel() * mk[1]) as f64,
        bytes: a.traffic() + b.traffic() + profile::written(&c, beta != 0.0),
    });
    backend.matmul(a, b, c, alpha, beta)
}

/// M, K, N of a checked call.
fn sizes(a: &View, b: &View) -> (usize, usize, usize) {
    let r = a.dims().len();
    (a.dims()[r - 2], a.dims()[r - 1], b.dims()[r - 1])
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[KernelInfo {
    name: "matmul",
    doc: "C = alpha·A·B + beta·C",
    samples,
    bench: real::samples,
    run: |b, ins, outs, s| {
        let [x, y] = real::operands(ins, s)?;
        matmul(b, x, y, outs[0].reborrow(), s[0] as f32, s[1] as f32)
    },
    scales: &[1.0, 1e-3],
    dtypes: &[DType::F32, DType::Bf16],
    layouts: Layouts::Any,
    // Blocks of 256 terms of one sign: the rounding errors of the partial sums add up to about √256 / 4 units, and the
    // largest of many thousand results is four times that off.
    tolerance: 16.0,
    roundings: 0.0,
    magnitude: Some(magnitude),
    cost: |s, bytes| {
        let c = s.numel("c");
        Cost { flops: 2.0 * c * real::terms(s) as f64, bytes: s.moved(bytes) }
    },
}];

/// (label, lead, M, K, N, alpha, beta, is C the accumulator).
type Case = (&'static str, &'static [usize], usize, usize, usize, f64, f64, bool);

const CASES: &[Case] = &[
    ("one element", &[], 1, 1, 1, 1.0, 0.0, false),
    ("odd", &[], 17, 19, 23, 1.0, 0.0, false),
    ("odd, added", &[], 17, 19, 23, 0.5, 1.0, false),
    ("scaled and added", &[], 31, 65, 33, -2.0, 0.25, false),
    ("no rows", &[], 0, 8, 8, 1.0, 0.0, false),
    ("nothing to sum", &[], 5, 0, 7, 1.0, 0.0, false),
    ("nothing to sum, added", &[], 5, 0, 7, 1.0, 1.0, false),
    ("one row", &[], 1, 300, 70, 1.0, 0.0, false),
    ("three rows, many sums", &[], 3, 1100, 40, 1.0, 1.0, false),
    ("many sums", &[], 40, 1100, 48, 1.0, 0.0, false),
    ("many sums, added", &[], 40, 1100, 48, 1.0, 1.0, false),
    ("batch", &[3], 20, 24, 18, 1.0, 0.0, false),
    ("heads", &[2, 3], 33, 16, 33, 0.25, 0.0, false),
    ("three leading dimensions", &[2, 1, 3], 5, 7, 9, 1.0, 1.0, false),
    ("into the accumulator", &[], 30, 513, 70, 1.0, 0.0, true),
    ("added to the accumulator", &[], 70, 257, 30, 1.0, 1.0, true),
    ("d4.attn_proj", &[], 128, 256, 256, 1.0, 0.0, false),
];

fn samples() -> Vec<Sample> {
    CASES
        .iter()
        .map(|&(label, lead, m, k, n, alpha, beta, wide)| {
            let dims = |rows, cols| [lead, &[rows, cols]].concat();
            let c = match (beta != 0.0, wide) {
                (false, false) => Arg::out("c", &dims(m, n)),
                (false, true) => Arg::out_f32("c", &dims(m, n)),
                (true, false) => Arg::inout("c", &dims(m, n), Draw::Normal),
                (true, true) => Arg::inout("c", &dims(m, n), Draw::NormalF32),
            };
            let (a, b) = (dims(m, k), dims(k, n));
            Sample::new(label, vec![Arg::input("a", &a, Draw::Normal), Arg::input("b", &b, Draw::Normal), c])
                .with(&[alpha, beta])
        })
        .collect()
}

/// `|alpha| Σ|a·b| + |beta·c|`.
fn magnitude(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let (a, b, c) = (s.dims("a"), s.dims("b"), s.dims("c"));
    let (m, k, n) = (a[a.len() - 2], a[a.len() - 1], b[b.len() - 1]);
    let mut out = vec![0.0; c.iter().product()];
    for (index, o) in out.iter_mut().enumerate() {
        let (i, j, batch) = (index / n % m, index % n, index / (m * n));
        let product = |l: usize| (x[0][(batch * m + i) * k + l] * x[1][(batch * k + l) * n + j]).abs();
        *o = s.scalars[0].abs() * (0..k).map(product).sum::<f64>();
        if s.scalars[1] != 0.0 {
            *o += (s.scalars[1] * x[2][index]).abs();
        }
    }
    vec![out]
}
