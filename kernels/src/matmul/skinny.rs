//! Few rows: decoding, where M is the number of sequences.
//!
//! Every number of B is used only M times, so the product is bound by reading B, and packing it before use would read and
//! write it once more. Where B is a transposed matrix (K adjacent: the weights of a linear layer) and the instruction set
//! has a kernel for it, B is transposed in registers and used at once. Same sums in the same order as in `block.rs`, so the
//! bits are the same.

use super::block::{Product, chain, each};
use super::kernel::{Micro, Place, Stream, Tile};
use super::pack::Side;
use super::pool;
use crate::{Bf16, DType};
use std::ops::Range;

/// Bytes of B worth a task of their own.
const TASK_WORK: usize = 1 << 18;

/// The kernel for this product, if it is one for few rows and there is such a kernel.
pub(super) fn stream(p: &Product<'_>, micro: &Micro) -> Option<Stream> {
    let few = p.c.size.0 <= micro.stream_rows && p.b.step == 1 && p.symmetric.is_none();
    few.then_some(if p.b.dtype == DType::Bf16 { micro.stream_bf16 } else { micro.stream_f32 }).flatten()
}

/// The product with that kernel, into the place of C.
pub(super) fn run(
    p: &Product<'_>,
    (micro, stream): (&Micro, Stream),
    c: Place,
    blocks: &[Range<usize>],
    parallel: bool,
) {
    let ((m, n), k) = (p.c.size, p.a.k);
    let rows = Side::rows(p.a, micro);
    let mut a = pool::take(rows.distance(k.div_ceil(micro.terms)));
    rows.pack(micro, 0..1, 0..k, &mut a);
    let (a, bytes) = (&a[..], p.b.dtype.size());
    let tiles = n.div_ceil(micro.cols);
    let per_task = (TASK_WORK / (k * micro.cols * bytes)).max(1);
    each(parallel, tiles.div_ceil(per_task), |task| {
        for tile in task * per_task..((task + 1) * per_task).min(tiles) {
            let first = tile * micro.cols;
            let tile = Tile {
                rows: m,
                cols: micro.cols.min(n - first),
                units: 0,
                a: a.as_ptr(),
                b: std::ptr::null(),
                old: c.from(0, first),
                new: c.from(0, first),
                alpha: p.alpha,
                beta: p.beta,
            };
            let units = blocks.iter().map(|k| k.len().div_ceil(micro.terms));
            chain(micro, tile, units, |tile, index| {
                let k = &blocks[index];
                let b: *const u8 = match p.b.dtype {
                    DType::Bf16 => p.b.at::<Bf16>(first, k.start).cast(),
                    _ => p.b.at::<f32>(first, k.start).cast(),
                };
                // SAFETY: A is packed, B has these columns and terms, and these columns of C belong to this task.
                unsafe { stream(tile, b, p.b.lane * bytes, k.len()) };
            });
        }
    });
}
