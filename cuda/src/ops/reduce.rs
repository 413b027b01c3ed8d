//! Reductions: which axes are kept and summed, how a block is divided, and when a second launch joins the parts.

use crate::Cuda;
use crate::bundle::REDUCE;
use crate::call::{Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::reduce::{Reduce, ReduceOp};
use kernels::{Result, View, ViewMut};

/// Threads of a block.
const THREADS: u32 = 256;
/// Terms that one block sums of one result.
const CHUNK: u32 = 1024;

/// Results of a block, and whether neighbouring threads have neighbouring results.
fn division(x: &Operand, kept: impl Fn(usize) -> bool, terms: u32) -> (u32, bool) {
    let dense = (0..x.layout.rank()).find(|&a| x.layout.strides()[a] == 1 && x.layout.dims()[a] > 1);
    match dense {
        Some(axis) if kept(axis) => (32, true),
        // short rows share a block, a warp to each
        _ if terms <= 64 => (THREADS / 32, false),
        _ => (1, false),
    }
}

/// The kernel's `Shape`.
fn shape(results: u32, terms: u32, chunk: u32, chunks: u32, (width, columns): (u32, bool)) -> Value {
    let fields = [results, terms, chunk, chunks, width, columns.into()];
    Value::Bytes(fields.into_iter().flat_map(u32::to_le_bytes).collect())
}

/// The kernel's `Strided` of rows of `n` in a contiguous array: row number and place in it.
fn dense_rows(rows: u32, n: u32) -> [Value; 2] {
    let strided = |length: u32, step: u32| {
        let dims = [1, 1, 1, 1, length, 0].into_iter().flat_map(u32::to_le_bytes);
        Value::Bytes(
            dims.chain([0, 0, 0, 0, step].map(u64::from).into_iter().flat_map(u64::to_le_bytes)).collect(),
        )
    };
    [strided(rows, n), strided(n, 1)]
}

impl<D: Driver> Reduce for Cuda<D> {
    fn reduce(&self, op: ReduceOp, x: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "reduce";
        let choice = match op {
            ReduceOp::Sum => 0,
            ReduceOp::Max => 1,
            ReduceOp::Min => 2,
            ReduceOp::SumSquares => 3_u32,
        };
        let function = |choice: u32| Value::Bytes(choice.to_le_bytes().to_vec());
        let (mut call, rank) = (self.call(OP), x.dims().len());
        let (xs, ys) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        let results = count(OP, y.numel())?;
        let summed = |axis: usize| y.dims()[axis] != x.dims()[axis];
        let terms = (0..rank).filter(|a| summed(*a)).map(|a| x.dims()[a]).product();
        let (terms, kept) = (count(OP, terms)?, |axis: usize| !summed(axis));
        let chunks = terms.div_ceil(CHUNK).max(1);
        let (width, columns) = division(&xs, kept, terms);
        let out = if chunks > 1 { call.scratch(y.numel() * chunks as usize)? } else { ys };
        let args = [
            xs.address(),
            out.address(),
            xs.axes(rank, kept),
            xs.axes(rank, summed),
            out.strided(0),
            shape(results, terms, CHUNK, chunks, (width, columns)),
            function(choice),
        ];
        let grid = count(OP, results.div_ceil(width) as usize * chunks as usize)?;
        let kernel = format!("reduce_{}_{}", suffix(xs.dtype), suffix(out.dtype));
        call.launch_blocks(&REDUCE, &kernel, (grid, THREADS, 0), &args)?;
        if chunks > 1 {
            let [kept, summed] = dense_rows(results, chunks);
            let whole = shape(results, chunks, chunks, 1, (1, false));
            // the squares are taken already
            let join = function(if op == ReduceOp::SumSquares { 0 } else { choice });
            let args = [out.address(), ys.address(), kept, summed, ys.strided(0), whole, join];
            let kernel = format!("reduce_f64_{}", suffix(ys.dtype));
            call.launch_blocks(&REDUCE, &kernel, (results, THREADS, 0), &args)?;
        }
        call.fetch("y", &ys, &mut y)
    }
}
