//! The small operations of a block in today's nanochat: gated sums, smearing, mixing by learned numbers, gates from a few channels.

use super::rows::kernel;
use crate::Cuda;
use crate::bundle::{CHANNEL_GATE, GATED_ADD, MIX, SMEAR};
use crate::call::{Operand, arguments, count, suffix};
use crate::driver::{Driver, Value};
use kernels::channel_gate::ChannelGate;
use kernels::gated_add::GatedAdd;
use kernels::mix::Mix;
use kernels::smear::Smear;
use kernels::{Layout, Result, View, ViewMut};

/// Elements of a pack in the kernel of this name.
fn pack(kernel: &str, row: &Operand) -> u32 {
    if kernel.ends_with("packs") { 16 / row.dtype.size() as u32 } else { 1 }
}

/// Rows and columns as the kernels count them.
fn rows(op: &'static str, layout: &Layout) -> Result<[u32; 2]> {
    let (rows, c) = layout.rows();
    count(op, rows * c)?;
    Ok([count(op, rows)?, count(op, c)?])
}

/// Threads for a warp per row.
fn warps(op: &'static str, rows: u32) -> Result<u32> {
    count(op, rows as usize * 32)
}

impl<D: Driver> GatedAdd for Cuda<D> {
    fn gated_add_fwd(&self, v: View, g: View, u: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "gated_add_fwd";
        let (mut call, [n, d]) = (self.call(OP), rows(OP, v.layout())?);
        let all = [call.place("v", &v)?, call.place("u", &u)?, call.place("y", &y.as_view())?];
        let gates = call.place("g", &g)?;
        let (kernel, [a, b, out]) = (kernel(OP, &all), all);
        let mut args = arguments(&[(a, 1), (b, 1), (out, 1), (gates, 0)]);
        args.extend([n, d].map(Value::U32));
        call.launch(&GATED_ADD, &kernel, n * (d / pack(&kernel, &a)), &args)?;
        call.fetch("y", &out, &mut y)
    }
    fn gated_add_bwd_u(&self, dy: View, g: View, mut du: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "gated_add_bwd_u";
        let (mut call, [n, d]) = (self.call(OP), rows(OP, dy.layout())?);
        let all = [call.place("dy", &dy)?, call.place("du", &du.as_view())?];
        let gates = call.place("g", &g)?;
        let (kernel, [a, out]) = (kernel(OP, &all), all);
        let mut args = arguments(&[(a, 1), (out, 1), (gates, 0)]);
        args.extend([n, d, accumulate.into()].map(Value::U32));
        call.launch(&GATED_ADD, &kernel, n * (d / pack(&kernel, &a)), &args)?;
        call.fetch("du", &out, &mut du)
    }
    fn gated_add_bwd_g(&self, dy: View, u: View, mut dg: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "gated_add_bwd_g";
        let (mut call, [n, d]) = (self.call(OP), rows(OP, dy.layout())?);
        let all = [call.place("dy", &dy)?, call.place("u", &u)?];
        let out = call.place("dg", &dg.as_view())?;
        let (kernel, [a, b]) = (kernel(OP, &all), all);
        let mut args = arguments(&[(a, 1), (b, 1), (out, 0)]);
        args.extend([n, d, accumulate.into()].map(Value::U32));
        call.launch(&GATED_ADD, &kernel, warps(OP, n)?, &args)?;
        call.fetch("dg", &out, &mut dg)
    }
}

impl<D: Driver> Smear for Cuda<D> {
    fn smear_fwd(&self, x: View, g: View, prev: Option<View>, mut y: ViewMut) -> Result<()> {
        const OP: &str = "smear_fwd";
        let (mut call, [n, c], t) = (self.call(OP), rows(OP, x.layout())?, count(OP, x.dims()[1])?);
        let (xs, ys) = (call.place("x", &x)?, call.place("y", &y.as_view())?);
        let (gates, before) = (call.place("g", &g)?, call.place_or_null("prev", prev.as_ref(), xs)?);
        let kernel = kernel(OP, &[xs, ys, before]);
        let mut args = arguments(&[(xs, 1), (ys, 1), (gates, 0), (before, 1)]);
        args.extend([n, c, t].map(Value::U32));
        call.launch(&SMEAR, &kernel, n * (c / pack(&kernel, &xs)), &args)?;
        call.fetch("y", &ys, &mut y)
    }
    fn smear_bwd_x(&self, dy: View, g: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "smear_bwd_x";
        let (mut call, [n, c], t) = (self.call(OP), rows(OP, dy.layout())?, count(OP, dy.dims()[1])?);
        let all = [call.place("dy", &dy)?, call.place("dx", &dx.as_view())?];
        let gates = call.place("g", &g)?;
        let (kernel, [a, out]) = (kernel(OP, &all), all);
        let mut args = arguments(&[(a, 1), (out, 1), (gates, 0)]);
        args.extend([n, c, t, accumulate.into()].map(Value::U32));
        call.launch(&SMEAR, &kernel, n * (c / pack(&kernel, &a)), &args)?;
        call.fetch("dx", &out, &mut dx)
    }
    fn smear_bwd_g(
        &self,
        dy: View,
        x: View,
        prev: Option<View>,
        mut dg: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "smear_bwd_g";
        let (mut call, [n, c], t) = (self.call(OP), rows(OP, x.layout())?, count(OP, x.dims()[1])?);
        let (ds, xs) = (call.place("dy", &dy)?, call.place("x", &x)?);
        let out = call.place("dg", &dg.as_view())?;
        let before = call.place_or_null("prev", prev.as_ref(), xs)?;
        let mut args = arguments(&[(ds, 1), (xs, 1), (out, 0), (before, 1)]);
        args.extend([n, c, t, accumulate.into()].map(Value::U32));
        call.launch(&SMEAR, &kernel(OP, &[ds, xs, before]), warps(OP, n)?, &args)?;
        call.fetch("dg", &out, &mut dg)
    }
}

impl<D: Driver> Mix for Cuda<D> {
    fn mix_fwd(&self, a: View, x: View, b: View, z: View, mut y: ViewMut) -> Result<()> {
        const OP: &str = "mix_fwd";
        let (mut call, [n, c]) = (self.call(OP), rows(OP, x.layout())?);
        let all = [call.place("x", &x)?, call.place("z", &z)?, call.place("y", &y.as_view())?];
        let numbers = [call.place("a", &a)?, call.place("b", &b)?];
        let (kernel, [xs, _, out]) = (kernel(OP, &all), all);
        let mut args: Vec<Value> = all.iter().chain(&numbers).map(Operand::address).collect();
        args.extend(all.iter().map(|o| o.strided(1)));
        args.extend([n, c].map(Value::U32));
        call.launch(&MIX, &kernel, n * (c / pack(&kernel, &xs)), &args)?;
        call.fetch("y", &out, &mut y)
    }
    fn mix_bwd_scalar(&self, dy: View, x: View, mut da: ViewMut, accumulate: bool) -> Result<()> {
        const OP: &str = "mix_bwd_scalar";
        let (mut call, [n, c]) = (self.call(OP), rows(OP, x.layout())?);
        let all = [call.place("dy", &dy)?, call.place("x", &x)?];
        let (sums, out) = (call.scratch(n as usize)?, call.place("da", &da.as_view())?);
        let mut args: Vec<Value> = all.iter().chain([&sums]).map(Operand::address).collect();
        args.extend(all.iter().map(|o| o.strided(1)));
        args.extend([n, c].map(Value::U32));
        call.launch(&MIX, &kernel("mix_products", &all), warps(OP, n)?, &args)?;
        let (to, add) = (out.address(), Value::U32(accumulate.into()));
        let args = [sums.address(), to.clone(), to, Value::U32(n), add.clone(), add];
        call.launch_blocks(&MIX, "mix_sum", (1, 256, 0), &args)?;
        call.fetch("da", &out, &mut da)
    }
    fn mix_bwd(
        &self,
        dy: View,
        inputs: [View; 4],
        outputs: [ViewMut; 4],
        accumulate: [bool; 4],
    ) -> Result<()> {
        const OP: &str = "mix_bwd";
        let (mut call, [n, c]) = (self.call(OP), rows(OP, dy.layout())?);
        let ([a, x, b, z], [mut da, mut dx, mut db, mut dz]) = (inputs, outputs);
        let read = [call.place("dy", &dy)?, call.place("x", &x)?, call.place("z", &z)?];
        let written = [call.place("dx", &dx.as_view())?, call.place("dz", &dz.as_view())?];
        let numbers = [call.place("a", &a)?, call.place("b", &b)?];
        let (left, right) = (call.place("da", &da.as_view())?, call.place("db", &db.as_view())?);
        let (sums, all) = (call.scratch(2 * n as usize)?, [&read[..], &written].concat());
        let [add_a, add_x, add_b, add_z] = accumulate.map(|add| Value::U32(add.into()));
        let mut args: Vec<Value> = all.iter().chain(&numbers).chain([&sums]).map(Operand::address).collect();
        args.extend(all.iter().map(|o| o.strided(1)));
        args.extend([Value::U32(n), Value::U32(c), add_x, add_z]);
        call.launch(&MIX, &kernel(OP, &all), warps(OP, n)?, &args)?;
        let args = [sums.address(), left.address(), right.address(), Value::U32(n), add_a, add_b];
        call.launch_blocks(&MIX, "mix_sum", (2, 256, 0), &args)?;
        call.fetch("dx", &written[0], &mut dx)?;
        call.fetch("dz", &written[1], &mut dz)?;
        call.fetch("da", &left, &mut da)?;
        call.fetch("db", &right, &mut db)
    }
}

/// Rows, heads and channels of a gate, and the number of gates.
fn gates(op: &'static str, g: &Layout, w: &View) -> Result<[u32; 4]> {
    let [n, heads] = rows(op, g)?;
    Ok([n, heads, count(op, w.dims()[1])?, n * heads])
}

impl<D: Driver> ChannelGate for Cuda<D> {
    fn channel_gate_fwd(&self, x: View, w: View, scale: f64, mut g: ViewMut) -> Result<()> {
        const OP: &str = "channel_gate_fwd";
        let (mut call, [_, heads, n, all]) = (self.call(OP), gates(OP, g.layout(), &w)?);
        let (xs, ws) = (call.place("x", &x)?, call.place("w", &w)?);
        let out = call.place("g", &g.as_view())?;
        let mut args = arguments(&[(xs, 1), (ws, 1), (out, 1)]);
        args.extend([all, heads, n].map(Value::U32));
        args.push(Value::F32(scale as f32));
        call.launch(&CHANNEL_GATE, &format!("{OP}_{}", suffix(xs.dtype)), all, &args)?;
        call.fetch("g", &out, &mut g)
    }
    fn channel_gate_bwd_x(
        &self,
        dg: View,
        x: View,
        w: View,
        scale: f64,
        mut dx: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "channel_gate_bwd_x";
        let (mut call, [_, heads, n, _]) = (self.call(OP), gates(OP, dg.layout(), &w)?);
        let (ds, xs, ws) = (call.place("dg", &dg)?, call.place("x", &x)?, call.place("w", &w)?);
        let (out, [r, c]) = (call.place("dx", &dx.as_view())?, rows(OP, dx.layout())?);
        let mut args = arguments(&[(ds, 1), (xs, 1), (ws, 1), (out, 1)]);
        args.extend([r * c, c, heads, n].map(Value::U32));
        args.extend([Value::F32(scale as f32), Value::U32(accumulate.into())]);
        call.launch(&CHANNEL_GATE, &format!("{OP}_{}", suffix(out.dtype)), r * c, &args)?;
        call.fetch("dx", &out, &mut dx)
    }
    fn channel_gate_bwd_w(
        &self,
        dg: View,
        x: View,
        w: View,
        scale: f64,
        mut dw: ViewMut,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "channel_gate_bwd_w";
        let (mut call, [r, heads, n, _]) = (self.call(OP), gates(OP, dg.layout(), &w)?);
        let (ds, xs, ws) = (call.place("dg", &dg)?, call.place("x", &x)?, call.place("w", &w)?);
        let out = call.place("dw", &dw.as_view())?;
        let mut args = arguments(&[(ds, 1), (xs, 1), (ws, 1), (out, 1)]);
        args.extend([r, heads, n].map(Value::U32));
        args.extend([Value::F32(scale as f32), Value::U32(accumulate.into())]);
        let kernel = format!("{OP}_{}", suffix(xs.dtype));
        call.launch_blocks(&CHANNEL_GATE, &kernel, (heads * n, 256, 0), &args)?;
        call.fetch("dw", &out, &mut dw)
    }
}
