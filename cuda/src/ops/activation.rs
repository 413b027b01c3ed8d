//! GELU and the gated activations: elementwise, which function is an argument.

use super::elementwise::threads;
use crate::Cuda;
use crate::bundle::{GATED, GELU};
use crate::call::{Operand, arguments, count, suffix};
use crate::driver::{Driver, Value};
use kernels::gated::{Activation, Gated};
use kernels::gelu::{Gelu, GeluForm};
use kernels::{Result, View, ViewMut};

fn form(form: GeluForm) -> u32 {
    match form {
        GeluForm::Exact => 0,
        GeluForm::Tanh => 1,
    }
}

impl<D: Driver> Gelu for Cuda<D> {
    fn gelu_fwd(&self, which: GeluForm, x: View, mut y: ViewMut) -> Result<()> {
        let (kernel, which) = (format!("gelu_fwd_{}", suffix(x.dtype())), form(which));
        let function = Value::Bytes(which.to_le_bytes().to_vec());
        self.map("gelu_fwd", &GELU, &kernel, &x, &mut y, Some(function))
    }
    fn gelu_bwd(&self, which: GeluForm, x: View, dy: View, mut dx: ViewMut, accumulate: bool) -> Result<()> {
        let kernel = format!("gelu_bwd_{}", suffix(x.dtype()));
        let inputs = [("x", &x), ("dy", &dy)];
        self.zip("gelu_bwd", (&GELU, &kernel), inputs, ("dx", &mut dx), accumulate, form(which))
    }
}

fn activation(act: Activation) -> u32 {
    match act {
        Activation::ReluSquared => 0,
        Activation::Silu => 1,
        Activation::GeluTanh => 2,
    }
}

impl<D: Driver> Gated for Cuda<D> {
    fn gated_fwd(&self, act: Activation, a: View, b: View, mut y: ViewMut) -> Result<()> {
        let kernel = format!("gated_fwd_{}", suffix(a.dtype()));
        let inputs = [("a", &a), ("b", &b)];
        self.zip("gated_fwd", (&GATED, &kernel), inputs, ("y", &mut y), false, activation(act))
    }
    fn gated_bwd(
        &self,
        act: Activation,
        a: View,
        b: View,
        dy: View,
        mut da: ViewMut,
        mut db: ViewMut,
    ) -> Result<()> {
        const OP: &str = "gated_bwd";
        let (mut call, n, act) = (self.call(OP), count(OP, a.numel())?, Value::U32(activation(act)));
        let [x, y, ds] = [call.place("a", &a)?, call.place("b", &b)?, call.place("dy", &dy)?];
        let outs = [call.place("da", &da.as_view())?, call.place("db", &db.as_view())?];
        let all = [x, y, ds, outs[0], outs[1]];
        let kernel = format!("{OP}_{}", suffix(x.dtype));
        if all.iter().all(Operand::is_packed) {
            let mut args: Vec<Value> = all.iter().map(Operand::address).collect();
            args.extend([Value::U32(n), act]);
            let pack = 16 / x.dtype.size() as u32;
            call.launch(&GATED, &format!("{kernel}_packs"), threads(n, pack), &args)?;
        } else {
            let mut args = arguments(&all.map(|o| (o, 0)));
            args.extend([Value::U32(n), act]);
            call.launch(&GATED, &format!("{kernel}_strided"), n, &args)?;
        }
        call.fetch("da", &outs[0], &mut da)?;
        call.fetch("db", &outs[1], &mut db)
    }
}
