//! Launches over the cache: writing a token's keys or values, and attention in two steps, chunks and their joining.

use crate::Cuda;
use crate::bundle::PAGED_ATTENTION;
use crate::call::{Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::attention::AttentionParams;
use kernels::paged_attention::PagedAttention;
use kernels::{KernelError, Result, View, ViewMut};

/// Positions of a chunk, and query heads of a block.
const CHUNK: usize = 256;
const WARPS: u32 = 4;

/// The kernels' `Steps`: of what is not there, zeros.
fn steps(operands: [Option<&Operand>; 6]) -> Value {
    let axes = [3, 3, 3, 3, 2, 2];
    let mut bytes = Vec::new();
    for (operand, axes) in operands.into_iter().zip(axes) {
        for axis in 0..axes {
            bytes.extend(operand.map_or(0, |o| o.layout.strides()[axis] as u64).to_le_bytes());
        }
    }
    Value::Bytes(bytes)
}

/// The kernels' `Shape`.
fn shape(fields: [u32; 7]) -> Value {
    Value::Bytes(fields.into_iter().flat_map(u32::to_le_bytes).collect())
}

impl<D: Driver> PagedAttention for Cuda<D> {
    fn kv_append(&self, x: View, positions: View, page_table: View, mut pages: ViewMut) -> Result<()> {
        const OP: &str = "kv_append";
        let sizes = [x.dims()[1], x.dims()[2], x.dims()[3], pages.dims()[1], x.dims()[0] * x.dims()[1]];
        let mut counts = [0; 5];
        for (to, from) in counts.iter_mut().zip(sizes) {
            *to = count(OP, from)?;
        }
        let [t, h, d, page_len, tokens] = counts;
        let mut call = self.call(OP);
        let (xs, table) = (call.place("x", &x)?, call.place("page_table", &page_table)?);
        let (at, out) = (call.place("positions", &positions)?, call.place_large("pages", &pages.as_view())?);
        let mut args: Vec<Value> = [xs, table, at, out].iter().map(Operand::address).collect();
        args.push(steps([Some(&xs), Some(&out), None, None, Some(&table), Some(&at)]));
        args.extend([shape([t, h, 1, d, page_len, 0, 1]), Value::U32(tokens)]);
        let kernel = format!("{OP}_{}", suffix(xs.dtype));
        call.launch_blocks(&PAGED_ATTENTION, &kernel, (tokens, 256, 0), &args)?;
        call.fetch("pages", &out, &mut pages)
    }

    fn paged_attention(
        &self,
        q: View,
        [k_pages, v_pages]: [View; 2],
        page_table: View,
        positions: View,
        p: AttentionParams,
        mut o: ViewMut,
    ) -> Result<()> {
        const OP: &str = "paged_attention";
        let (page_len, longest) = (k_pages.dims()[1], page_table.dims()[1] * k_pages.dims()[1]);
        let sizes = [q.dims()[1], q.dims()[2], q.dims()[3], page_len, longest, k_pages.dims()[2]];
        let mut counts = [0; 6];
        for (to, from) in counts.iter_mut().zip(sizes) {
            *to = count(OP, from)?;
        }
        let [t, h, d, page_len, longest, kv_heads] = counts;
        if d > 256 {
            let what = format!("heads of {d} are too large for the CUDA kernels, which take up to 256");
            return Err(KernelError::Parameter { op: OP, what });
        }
        let (group, chunks) = (h / kv_heads.max(1), longest.div_ceil(CHUNK as u32));
        let window = p.window.map_or(longest, |w| count(OP, w.min(longest as usize)).unwrap_or(longest));
        let tokens = q.dims()[0] * q.dims()[1];
        let queries = count(OP, tokens * q.dims()[2])?;
        let mut call = self.call(OP);
        let [qs, ks, vs] = [
            call.place("q", &q)?,
            call.place_large("k_pages", &k_pages)?,
            call.place_large("v_pages", &v_pages)?,
        ];
        let (table, at) = (call.place("page_table", &page_table)?, call.place("positions", &positions)?);
        let out = call.place("o", &o.as_view())?;
        let floats = queries as usize * chunks as usize * (d as usize + 2);
        let parts = call.scratch(floats.div_ceil(2))?; // of f32
        let by = steps([Some(&qs), Some(&ks), Some(&vs), Some(&out), Some(&table), Some(&at)]);
        let sizes = shape([t, h, group, d, page_len, window, chunks]);
        let form = format!("{}_{}", suffix(qs.dtype), if d <= 128 { 128 } else { 256 });

        let mut args: Vec<Value> = [qs, ks, vs, table, at, parts].iter().map(Operand::address).collect();
        args.extend([by.clone(), sizes.clone(), Value::F32(p.scale)]);
        let blocks = tokens * kv_heads as usize * group.div_ceil(WARPS) as usize * chunks as usize;
        let shared = 4 * (2 * 32 * (d | 1) + WARPS * d);
        let grid = (count(OP, blocks)?, 32 * WARPS, shared);
        call.launch_blocks(&PAGED_ATTENTION, &format!("{OP}_{form}"), grid, &args)?;

        let mut args: Vec<Value> = [parts, at, out].iter().map(Operand::address).collect();
        args.extend([by, sizes, Value::U32(queries)]);
        let grid = (queries.div_ceil(8), 256, 0);
        call.launch_blocks(&PAGED_ATTENTION, &format!("{OP}_join_{form}"), grid, &args)?;
        call.fetch("o", &out, &mut o)
    }
}
