//! Attention's launches: on tensor cores for bf16 heads of up to 128, otherwise without.

use crate::Cuda;
use crate::bundle::{ATTENTION_BWD, ATTENTION_FWD, ATTENTION_PLAIN, Bundled};
use crate::call::{Operand, count, suffix};
use crate::driver::{Driver, Value};
use kernels::attention::{Attention, AttentionParams};
use kernels::{DType, KernelError, Result, View, ViewMut};

/// What all of its kernels are told.
struct Plan {
    op: &'static str,
    dims: [u32; 4],
    group: u32,
    window: u32,
    scale: f32,
    dtype: DType,
}

/// The distances along batch, position and head, as the kernels' `Heads`.
fn heads(operands: &[Operand]) -> impl Iterator<Item = Value> {
    operands.iter().map(|o| {
        let strides = o.layout.strides().iter().take(3).flat_map(|s| (*s as u64).to_le_bytes());
        Value::Bytes(strides.collect())
    })
}

fn addresses(operands: &[Operand]) -> Vec<Value> {
    operands.iter().map(Operand::address).collect()
}

impl Plan {
    fn new(op: &'static str, q: &View, k: &View, p: AttentionParams) -> Result<Plan> {
        let mut dims = [0; 4];
        for (to, from) in dims.iter_mut().zip(q.dims()) {
            *to = count(op, *from)?;
        }
        if dims[3] > 256 {
            let what =
                format!("heads of {} are too large for the CUDA kernels, which take up to 256", dims[3]);
            return Err(KernelError::Parameter { op, what });
        }
        let group = dims[2] / count(op, k.dims()[2])?.max(1);
        let t = q.dims()[1];
        let window = count(op, p.window.unwrap_or(t).min(t))?;
        Ok(Plan { op, dims, group, window, scale: p.scale, dtype: q.dtype() })
    }
    fn on_tensor_cores(&self) -> bool {
        self.dtype == DType::Bf16 && self.dims[3] <= 128
    }
    /// The kernels' `Shape`.
    fn shape(&self, operands: &[Operand]) -> Value {
        let [_, t, h, d] = self.dims;
        let packs = operands.iter().all(Operand::has_packed_rows).into();
        let all = [t, h, self.group, d, self.window, packs];
        Value::Bytes(all.into_iter().flat_map(u32::to_le_bytes).collect())
    }
    /// The module for one direction, and the end of its kernels' names.
    fn module(&self, tensor_cores: &'static Bundled) -> (&'static Bundled, String) {
        let d = self.dims[3];
        match self.on_tensor_cores() {
            true => (tensor_cores, if d <= 64 { "64" } else { "128" }.into()),
            false => {
                let room = match (self.dtype, d) {
                    (DType::F32, ..=128) => 128,
                    _ => 256,
                };
                (&ATTENTION_PLAIN, format!("{}_{room}", suffix(self.dtype)))
            }
        }
    }
    /// Blocks, threads and shared bytes: for each of so many heads, 64 rows to a block or 8; `tiles` of the block's own, and two that
    /// move.
    fn blocks(&self, heads: u32, tiles: u32) -> Result<(u32, u32, u32)> {
        let [b, t, _, d] = self.dims;
        let rows = if self.on_tensor_cores() { 64 } else { 8 };
        let grid = count(self.op, b as usize * heads as usize * t.div_ceil(rows) as usize)?;
        if self.on_tensor_cores() {
            // forward's moving tiles have 64 rows, backward's 32
            return Ok((grid, 128, 192 * d.next_multiple_of(64) * 2));
        }
        Ok((grid, 256, 4 * (tiles * 8 * d + 2 * 32 * (d | 1))))
    }
}

impl<D: Driver> Attention for Cuda<D> {
    fn attention_fwd(
        &self,
        q: View,
        k: View,
        v: View,
        p: AttentionParams,
        mut o: ViewMut,
        mut lse: ViewMut,
    ) -> Result<()> {
        const OP: &str = "attention_fwd";
        let plan = Plan::new(OP, &q, &k, p)?;
        let mut call = self.call(OP);
        let all = [
            call.place("q", &q)?,
            call.place("k", &k)?,
            call.place("v", &v)?,
            call.place("o", &o.as_view())?,
        ];
        let stats = call.place("lse", &lse.as_view())?;
        let mut args = addresses(&all);
        args.push(stats.address());
        args.extend(heads(&all));
        args.extend([plan.shape(&all), Value::F32(plan.scale)]);
        let (module, form) = plan.module(&ATTENTION_FWD);
        call.launch_blocks(module, &format!("{OP}_{form}"), plan.blocks(plan.dims[2], 1)?, &args)?;
        call.fetch("o", &all[3], &mut o)?;
        call.fetch("lse", &stats, &mut lse)
    }

    fn attention_bwd(
        &self,
        [q, k, v, o, lse, d_o]: [View; 6],
        p: AttentionParams,
        [mut dq, mut dk, mut dv]: [ViewMut; 3],
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "attention_bwd";
        let plan = Plan::new(OP, &q, &k, p)?;
        let mut call = self.call(OP);
        let [qs, ks, vs] = [call.place("q", &q)?, call.place("k", &k)?, call.place("v", &v)?];
        let (os, dos, stats) = (call.place("o", &o)?, call.place("do", &d_o)?, call.place("lse", &lse)?);
        let outs = [
            call.place("dq", &dq.as_view())?,
            call.place("dk", &dk.as_view())?,
            call.place("dv", &dv.as_view())?,
        ];
        let delta = call.scratch(lse.numel().div_ceil(2))?; // of f32
        let (module, form) = plan.module(&ATTENTION_BWD);
        let end = [Value::F32(plan.scale), Value::U32(accumulate.into())];

        let all = [qs, ks, vs, os, dos, outs[0]];
        let mut args = addresses(&all[..4]);
        args.extend([stats, dos, outs[0], delta].iter().map(Operand::address));
        args.extend(heads(&all).chain([plan.shape(&all)]).chain(end.clone()));
        call.launch_blocks(module, &format!("{OP}_q_{form}"), plan.blocks(plan.dims[2], 2)?, &args)?;

        let all = [qs, ks, vs, dos, outs[1], outs[2]];
        let mut args = addresses(&all[..3]);
        args.extend([stats, delta, dos, outs[1], outs[2]].iter().map(Operand::address));
        args.extend(heads(&all).chain([plan.shape(&all)]).chain(end));
        let kv_heads = plan.dims[2] / plan.group.max(1);
        call.launch_blocks(module, &format!("{OP}_k_{form}"), plan.blocks(kv_heads, 2)?, &args)?;
        call.fetch("dq", &outs[0], &mut dq)?;
        call.fetch("dk", &outs[1], &mut dk)?;
        call.fetch("dv", &outs[2], &mut dv)
    }
}
