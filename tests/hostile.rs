//! Nonsense in, errors out: every method of `Tensor` and `Var` with arguments drawn from a seed, and none may panic.
//!
//! Shapes of rank 0 to 6 with sizes from 0 to `usize::MAX`, all dtypes, both devices, transposed, cut and repeated views,
//! axes and ids in and out of range, NaN and infinity. A call may succeed or be refused; the result is not looked at.
#![allow(clippy::unwrap_used)]

use autograd::ops::attention::attention;
use autograd::ops::cat::cat;
use autograd::ops::checkpoint::checkpoint;
use autograd::ops::select::select;
use autograd::{Tape, Var};
use kernels::arg_reduce::ArgOp;
use kernels::binary::BinaryOp;
use kernels::compare::CompareOp;
use kernels::dropout::DropoutMask;
use kernels::gated::Activation;
use kernels::gelu::GeluForm;
use kernels::philox::Philox;
use kernels::reduce::ReduceOp;
use kernels::unary::UnaryOp;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tensor::{AttentionParams, DType, Device, Result, Tensor, memory};
use tests::LeakCheck;

const DTYPES: [DType; 4] = [DType::F32, DType::Bf16, DType::I32, DType::F64];
const UNARY: [UnaryOp; 6] =
    [UnaryOp::Exp, UnaryOp::Ln, UnaryOp::Relu, UnaryOp::Abs, UnaryOp::Tanh, UnaryOp::Rsqrt];
const BINARY: [BinaryOp; 6] =
    [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Max, BinaryOp::Min];
const HUGE: [usize; 6] =
    [usize::MAX, usize::MAX / 2 + 1, 1 << 62, 1 << 40, u32::MAX as usize + 1, usize::MAX / 8];

/// The source of nonsense.
struct Draw(Philox);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u32) as usize
    }
    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
    /// An axis or an index: mostly small, sometimes absurd.
    fn index(&mut self) -> usize {
        if self.below(12) == 0 { self.pick(&HUGE) } else { self.below(7) }
    }
    fn dims(&mut self) -> Vec<usize> {
        let rank = self.below(7);
        (0..rank)
            .map(
                |_| if self.below(40) == 0 { self.pick(&HUGE) } else { self.pick(&[0, 1, 1, 2, 2, 3, 4, 6]) },
            )
            .collect()
    }
    fn value(&mut self) -> f64 {
        self.pick(&[0.0, 1.0, -1.0, 2.0, 3.0, 0.5, 1e30, -1e-30, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
    }
    fn params(&mut self) -> AttentionParams {
        let window = self.pick(&[None, None, Some(0), Some(2), Some(usize::MAX)]);
        AttentionParams { scale: self.value() as f32, window }
    }
    /// A tensor of shape `dims`; refused shapes are refused here.
    fn filled(&mut self, dims: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
        let mut t = Tensor::full(1.0, dims, dtype, device)?;
        let values: Vec<f64> = (0..t.numel()).map(|_| self.value()).collect();
        t.view_mut()?.store_f64(&values);
        Ok(t)
    }
    fn tensor(&mut self) -> Tensor {
        loop {
            let (dims, dtype) = (self.dims(), self.pick(&DTYPES));
            let device = if self.below(3) == 0 { Device::Reference } else { Device::Cpu };
            let made = self.filled(&dims, dtype, device);
            let Ok(t) = made.and_then(|t| self.seen_otherwise(t)) else { continue };
            return t;
        }
    }
    /// Often a view of it.
    fn seen_otherwise(&mut self, t: Tensor) -> Result<Tensor> {
        let rank = t.rank().max(1);
        match self.below(6) {
            0 => t.transpose(self.below(rank), self.below(rank)),
            1 => t.narrow(self.below(rank), self.below(2), self.below(4)),
            2 => t.expand(&t.dims().iter().map(|&d| if d == 1 { 3 } else { d }).collect::<Vec<_>>()),
            _ => Ok(t),
        }
    }
    /// Nearly right arguments: a tensor of shape `dims` (ids from −1 to 3 for i32), now and then another one.
    fn near(&mut self, dims: &[usize], dtype: DType) -> Tensor {
        if self.below(16) == 0 {
            return self.tensor();
        }
        let n = dims.iter().product();
        let values: Vec<f64> = match dtype {
            DType::I32 => (0..n).map(|_| self.pick(&[0.0, 1.0, 0.0, 1.0, 2.0, 3.0, -1.0])).collect(),
            _ => (0..n).map(|_| self.value()).collect(),
        };
        Tensor::from_f64(&values, dims, dtype, Device::Cpu).unwrap()
    }
    /// Arguments of rope, attention, the paged cache and the loss, nearly right.
    fn model(&mut self) -> ModelArguments {
        let f = self.pick(&[DType::F32, DType::F32, DType::Bf16]);
        let [b, t, v, n] = std::array::from_fn(|_| self.pick(&[0, 1, 1, 2, 2, 3, 5]));
        let (hk, d) = (self.pick(&[0, 1, 1, 2]), self.pick(&[0, 1, 2, 3, 4]));
        let h = hk * self.pick(&[1, 1, 2, 3]);
        let (q, k) = ([b, t, h, 2 * d], [b, t, hk, 2 * d]);
        ModelArguments {
            q: self.near(&q, f),
            kv: [self.near(&k, f), self.near(&k, f)],
            positions: self.near(&[b, t], DType::I32),
            angles: [self.near(&[4, d], DType::F32), self.near(&[4, d], DType::F32)],
            pages: [self.near(&[4, 2, hk, 2 * d], f), self.near(&[4, 2, hk, 2 * d], f)],
            table: self.near(&[b, 2], DType::I32),
            logits: self.near(&[n, v], DType::F32),
            targets: self.near(&[n], DType::I32),
            rows: [self.near(&[n], DType::F32), self.near(&[n], DType::F32)],
            x: self.near(&[n, d], f),
            head: self.near(&[v, d], DType::F32),
            softcap: self.pick(&[0.0, 15.0, 15.0, f32::NAN, -1.0, f32::INFINITY]),
        }
    }
    /// A partner: often one that fits, to get past the first check.
    fn partner(&mut self, of: &Tensor) -> Tensor {
        let fits = match self.below(5) {
            0 => return self.tensor(),
            1 => self.filled(of.dims(), DType::I32, of.device()),
            2 if of.rank() >= 2 => of.transpose(of.rank() - 2, of.rank() - 1),
            3 => self.filled(&of.dims()[..of.rank().min(2)], DType::I32, of.device()),
            _ => self.filled(of.dims(), of.dtype(), of.device()),
        };
        fits.unwrap_or_else(|_| of.clone())
    }
}

/// See [`Draw::model`].
struct ModelArguments {
    q: Tensor,
    kv: [Tensor; 2],
    positions: Tensor,
    angles: [Tensor; 2],
    pages: [Tensor; 2],
    table: Tensor,
    logits: Tensor,
    targets: Tensor,
    rows: [Tensor; 2],
    x: Tensor,
    head: Tensor,
    softcap: f32,
}

/// Method number `which` of `Tensor`; the name is for the report.
fn tensor_method(which: usize, d: &mut Draw) -> (&'static str, Result<()>) {
    let (mut x, mut m) = (d.tensor(), d.model());
    let [y, z] = std::array::from_fn(|_| d.partner(&x));
    let (a, b, c, v, dims) = (d.index(), d.index(), d.index(), d.value(), d.dims());
    let (dtype, device) = (d.pick(&DTYPES), d.pick(&[Device::Cpu, Device::Reference]));
    let axes: Vec<usize> = (0..d.below(4)).map(|_| d.index()).collect();
    match which {
        0 => ("uninit", Tensor::uninit(&dims, dtype, device).map(drop)),
        1 => ("full", Tensor::full(v, &dims, dtype, device).map(drop)),
        2 => ("from_slice", Tensor::from_slice(&[1.0f32; 6], &dims, device).map(drop)),
        3 => ("from_f64", Tensor::from_f64(&[v; 6], &dims, dtype, device).map(drop)),
        4 => ("to_vec", x.to_vec::<f32>().map(drop)),
        5 => ("item", x.item().map(drop)),
        6 => ("contiguous", x.contiguous().map(drop)),
        7 => ("cast", x.cast(dtype).map(drop)),
        8 => ("to_device", x.to_device(device).map(drop)),
        9 => ("copy_from", x.copy_from(&y)),
        10 => ("fill", x.fill(v)),
        11 => ("transpose", x.transpose(a, b).map(drop)),
        12 => ("permute", x.permute(&axes).map(drop)),
        13 => ("narrow", x.narrow(a, b, c).map(drop)),
        14 => ("expand", x.expand(&dims).map(drop)),
        15 => ("reshape", x.reshape(&dims).map(drop)),
        16 => ("unsqueeze", x.unsqueeze(a).map(drop)),
        17 => ("unary", x.unary(d.pick(&UNARY)).map(drop)),
        18 => ("binary", x.binary(d.pick(&BINARY), &y).map(drop)),
        19 => ("affine", x.affine(v, v).map(drop)),
        20 => ("accumulate", x.accumulate(v, &y)),
        21 => ("accumulate_scaled", x.accumulate_scaled(&y, &z)),
        22 => ("write_narrow", x.write_narrow(a, b, &y)),
        23 => ("accumulate_narrow", x.accumulate_narrow(a, b, v, &y)),
        24 => ("cross_entropy_", m.logits.cross_entropy_(&m.targets, m.softcap).map(drop)),
        25 => {
            let [lse, weight] = &m.rows;
            ("cross_entropy_backward_", m.logits.cross_entropy_backward_(&m.targets, m.softcap, lse, weight))
        }
        26 => ("matmul", x.matmul(&y).map(drop)),
        27 => ("matmul_into_dtype", x.matmul_into_dtype(&y, dtype).map(drop)),
        28 => ("matmul_assign", x.matmul_assign(&y, &z, v as f32, v as f32)),
        29 => ("rms_norm", x.rms_norm(v).map(drop)),
        30 => ("relu_squared", x.relu_squared().map(drop)),
        31 => ("rope", m.q.rope(&m.positions, &m.angles[0], &m.angles[1], true).map(drop)),
        32 => ("attention", m.q.attention(&m.kv[0], &m.kv[1], d.params()).map(drop)),
        33 => {
            let [k, v] = &m.pages;
            ("paged_attention", m.q.paged_attention(k, v, &m.table, &m.positions, d.params()).map(drop))
        }
        34 => ("kv_append", m.pages[0].kv_append(&m.kv[0], &m.positions, &m.table)),
        35 => ("embedding", x.embedding(&y, dtype).map(drop)),
        36 => (
            "reduce",
            x.reduce(d.pick(&[ReduceOp::Sum, ReduceOp::Max, ReduceOp::SumSquares]), &axes).map(drop),
        ),
        37 => ("sum_squares", x.sum_squares().map(drop)),
        38 => ("sum_to", x.sum_to(&dims).map(drop)),
        39 => ("scalar", Tensor::scalar(v, dtype, device).map(drop)),
        40 => ("ids", Tensor::ids(&[1, -1], &dims, device).map(drop)),
        41 => ("sum_to its partner", x.sum_to(y.dims()).map(drop)),
        42 => ("compare", x.compare(CompareOp::Lt, &y).map(drop)),
        43 => ("select", y.select(&x, &x).map(drop)),
        44 => ("gather", x.gather(a, &y).map(drop)),
        45 => ("index_select", x.index_select(a, &m.targets).map(drop)),
        46 => ("sort", x.sort(b % 2 == 0).map(drop)),
        47 => ("top_k", x.top_k(a).map(drop)),
        48 => ("cumsum", x.cumsum(a, b % 2 == 0).map(drop)),
        49 => ("softmax", x.softmax().map(drop)),
        50 => ("logsumexp", x.logsumexp().map(drop)),
        51 => ("mean", x.mean(&axes).map(drop)),
        52 => ("arg_reduce", x.arg_reduce(ArgOp::Max, a).map(drop)),
        _ => layer_method(which - 53, d, &x, &y),
    }
}
const TENSOR_METHODS: usize = 53 + LAYER_METHODS;

/// The layers: rows of a batch, a vector over their last axis, gates.
fn layer_method(which: usize, d: &mut Draw, x: &Tensor, y: &Tensor) -> (&'static str, Result<()>) {
    let f = d.pick(&[DType::F32, DType::F32, DType::Bf16]);
    let [b, t, h, c] = std::array::from_fn(|_| d.pick(&[0, 1, 2, 2, 3, 5]));
    let (rows, other) = (d.near(&[b, t, c], f), d.near(&[b, t, c], f));
    let (gain, first) = (d.near(&[c], DType::F32), d.near(&[b, c], f));
    let (heads, more, gates) = (d.near(&[b, t, h, c], f), d.near(&[b, t, h, c], f), d.near(&[b, t, h], f));
    let first_channels = d.below(4);
    let (gate, one, w) =
        (d.near(&[b, t], f), d.near(&[1], DType::F32), d.near(&[h, first_channels], DType::F32));
    let (m, v) = (d.model(), d.value());
    match which {
        0 => ("layer_norm", rows.layer_norm(&gain, Some(&gain).filter(|_| v > 0.0), v).map(drop)),
        1 => ("gelu", x.gelu(GeluForm::Tanh).map(drop)),
        2 => ("gated", x.gated(Activation::Silu, y).map(drop)),
        3 => ("dropout", x.dropout(DropoutMask { p: v, seed: 1, stream: 2 }).map(drop)),
        4 => ("add_rms_norm", rows.add_rms_norm(&other, v).map(drop)),
        5 => ("rope_norm", m.q.rope_norm(&m.positions, &m.angles[0], &m.angles[1], v, 1e-6).map(drop)),
        6 => ("channel_gate", rows.channel_gate(&w, v).map(drop)),
        7 => ("gated_add", heads.gated_add(&gates, &more).map(drop)),
        8 => ("smear", rows.smear(&gate, Some(&first).filter(|_| v > 0.0)).map(drop)),
        _ => ("mix", rows.mix(&one, &other, &one).map(drop)),
    }
}
const LAYER_METHODS: usize = 10;

/// Method number `which` of `Var`, and a sweep from its result where there is one.
fn var_method(which: usize, d: &mut Draw) -> (&'static str, autograd::Result<()>) {
    let tape = Tape::new();
    let x = d.tensor();
    let [y, z] = std::array::from_fn(|_| d.partner(&x));
    let (ids, m) = (d.partner(&x), d.model());
    let (a, b, c, v, dims) = (d.index(), d.index(), d.index(), d.value(), d.dims());
    let axes: Vec<usize> = (0..d.below(4)).map(|_| d.index()).collect();
    let constants: [bool; 2] = std::array::from_fn(|_| d.below(4) == 0);
    let var = |t: &Tensor| {
        let constant = constants[t.rank() % 2];
        if constant { Var::constant(t.clone()) } else { tape.watch(t.clone()).unwrap() }
    };
    let (vx, vy, vz) = (var(&x), var(&y), var(&z));
    let (name, result) = match which {
        0 => ("unary", vx.unary(d.pick(&UNARY))),
        1 => ("binary", vx.binary(d.pick(&BINARY), &vy)),
        2 => ("softmax", vx.softmax()),
        3 => ("cast", vx.cast(d.pick(&DTYPES))),
        4 => ("cat", cat(&[&vx, &vy, &vz], a)),
        5 => ("embedding", vx.embedding(&ids, d.pick(&DTYPES))),
        6 => ("linear", vx.linear(&vy)),
        7 => {
            let (x, w) = (var(&m.x), var(&m.head));
            let loss = x.lm_head_loss(&w, &m.targets, &m.rows[0], m.softcap);
            ("lm_head_loss", loss.map(|[loss, _]| loss))
        }
        8 => ("matmul", vx.matmul(&vy)),
        9 => ("sum", vx.sum(&axes)),
        10 => ("relu_squared", vx.relu_squared()),
        11 => ("rms_norm", vx.rms_norm(v)),
        12 => ("log_softmax", vx.log_softmax()),
        13 => ("rope", var(&m.q).rope(&m.positions, &m.angles[0], &m.angles[1])),
        14 => ("attention", attention(&var(&m.q), &var(&m.kv[0]), &var(&m.kv[1]), d.params())),
        15 => ("reshape", vx.reshape(&dims)),
        16 => ("permute", vx.permute(&axes)),
        17 => ("transpose", vx.transpose(a, b)),
        18 => ("expand", vx.expand(&dims)),
        19 => ("narrow", vx.narrow(a, b, c)),
        20 => ("contiguous", vx.contiguous()),
        21 => ("affine", vx.affine(v, v)),
        22 => ("select", select(&z, &vx, &vy)),
        23 => ("gather", vx.gather(a, &ids)),
        24 => ("index_select", vx.index_select(a, &m.targets)),
        25 => ("sort", vx.sort(b % 2 == 0).map(|(y, _)| y)),
        26 => ("top_k", vx.top_k(a).map(|(y, _)| y)),
        27 => ("cumsum", vx.cumsum(a, b % 2 == 0)),
        28 => ("logsumexp", vx.logsumexp()),
        29 => ("mean", vx.mean(&axes)),
        30 => ("variance", vx.variance(&axes)),
        31 => ("max", vx.max(&axes)),
        32 => ("layer_norm", var(&m.x).layer_norm(&vy, None, v)),
        33 => ("gelu", vx.gelu(GeluForm::Exact)),
        34 => ("gated", vx.gated(Activation::GeluTanh, &vy)),
        35 => ("dropout", vx.dropout(DropoutMask { p: v, seed: 1, stream: 2 })),
        36 => ("add_rms_norm", vx.add_rms_norm(&vy, v).map(|(h, _)| h)),
        37 => ("channel_gate", var(&m.x).channel_gate(&var(&m.head), v)),
        38 => ("mix", vx.mix(&var(&m.rows[0]), &vy, &var(&m.rows[1]))),
        _ => ("checkpoint", checkpoint(|x| x[0].mul(&x[1]), &[&vx, &vy])),
    };
    let swept = result.and_then(|out| {
        let seed = if d.below(2) == 0 { out.value().clone() } else { d.partner(out.value()) };
        tape.backward(&[(&out, seed)]).map(drop)
    });
    (name, swept)
}
const VAR_METHODS: usize = 40;

/// Call methods in turn; report every panic, and methods that were never accepted.
fn survey<E>(methods: usize, rounds: usize, call: fn(usize, &mut Draw) -> (&'static str, ResultOf<E>)) {
    for device in [Device::Cpu, Device::Reference] {
        memory::set_limit(device, 256 << 20); // what is too large must be refused, not tried
    }
    let (mut accepted, mut refused, mut panics) = (vec![0; methods], vec![0; methods], Vec::new());
    for round in 0..rounds as u64 {
        for which in 0..methods {
            let mut draw = Draw(Philox::new(round, which as u64));
            match catch_unwind(AssertUnwindSafe(|| call(which, &mut draw))) {
                Ok((_, Ok(()))) => accepted[which] += 1,
                Ok((_, Err(_))) => refused[which] += 1,
                Err(_) => panics.push((which, round)),
            }
        }
    }
    assert!(
        panics.is_empty(),
        "{} panics, (method, round): {:?}",
        panics.len(),
        &panics[..panics.len().min(20)]
    );
    assert!(accepted.iter().all(|n| *n > 0), "never accepted: {accepted:?}");
    assert!(refused.iter().filter(|n| **n > 0).count() + 3 >= methods, "nothing refused: {refused:?}");
}

type ResultOf<E> = std::result::Result<(), E>;

#[test]
fn no_tensor_method_panics_whatever_it_is_given() {
    let _leaks = LeakCheck::default();
    survey(TENSOR_METHODS, 800, tensor_method);
}

#[test]
fn no_differentiable_operation_panics_whatever_it_is_given() {
    let _leaks = LeakCheck::default();
    survey(VAR_METHODS, 800, var_method);
}

#[test]
fn a_view_larger_than_any_memory_can_be_made_but_not_copied() {
    let _leaks = LeakCheck::default();
    memory::set_limit(Device::Cpu, 256 << 20);
    let x = Tensor::full(1.0, &[1], DType::F32, Device::Cpu).unwrap().expand(&[1 << 59]).unwrap();
    let refused =
        [x.contiguous(), x.copied(), x.unary(UnaryOp::Exp), x.add(&x), x.cast(DType::Bf16), x.relu_squared()];
    assert!(refused.iter().all(|r| matches!(r, Err(tensor::TensorError::OutOfMemory { .. }))), "{refused:?}");
    assert!(x.item().is_err() && x.to_vec::<f32>().is_err() && x.expand(&[8, 1 << 59]).is_err());
}
