//! Kernels that are bound by memory move what their formula needs and no more: sectors counted by the emulator, against the bytes that
//! the registry says (one read of each input, one write of each output), in f32 and in bf16.
#![allow(clippy::unwrap_used)] // a test may stop

use cuda::{Cuda, Emulated, Rung};
use kernels::measure::run::{Bench, Case, cases};
use kernels::registry::{Arg, Role};
use kernels::{Bf16, DType, View, ViewMut, layer_norm, matmul, rms_norm};

/// Of one launch each: norms, softmax's relatives, elementwise ones, gates. Nothing is moved but the arrays, and sectors for numbers
/// that are alone.
const ONCE: &[&str] = &[
    "rms_norm_fwd",
    "rms_norm_bwd",
    "add_rms_norm_fwd",
    "add_rms_norm_bwd",
    "layer_norm_fwd",
    "layer_norm_bwd",
    "logsumexp_fwd",
    "relu_squared_fwd",
    "relu_squared_bwd",
    "gelu_fwd",
    "gelu_bwd",
    "gelu_tanh_fwd",
    "gelu_tanh_bwd",
    "gated_relu_squared_fwd",
    "gated_relu_squared_bwd",
    "gated_silu_fwd",
    "gated_silu_bwd",
    "gated_gelu_tanh_fwd",
    "gated_gelu_tanh_bwd",
    "gated_add_fwd",
    "gated_add_bwd_u",
    "gated_add_bwd_g",
    "smear_bwd_g",
    "mix_fwd",
    "dropout",
    "unary_exp",
    "unary_silu",
    "binary_add",
    "binary_div",
    "compare_lt",
    "accumulate",
    "accumulate_scaled",
    "muon_momentum",
    "adamw",
    "adamw_rounded",
    "scale_by",
    "uniform",
    "copy",
    "fill",
];

/// Those that leave sums to a second launch, or whose rows have several warps, each of which reads the row's numbers: all that is
/// less than three quarters of an array.
const NEARLY_ONCE: &[&str] = &[
    "layer_norm_bwd_weights",
    "softcap_cross_entropy_fwd",
    "softcap_cross_entropy_bwd",
    "mix_bwd",
    "mix_bwd_scalar",
    "reduce_sum",
    "reduce_max",
    "reduce_sum_squares",
];

/// Of a sector, the piece of memory that is moved.
const SECTOR: f64 = 32.0;

/// The first of a kernel's real shapes, made smaller by the same rule for all its arguments; but targets know how long logits are.
fn small(info: &'static kernels::KernelInfo, dtype: DType) -> Option<Case> {
    let mut case = cases([info]).into_iter().find(|case| case.dtype == dtype)?;
    for arg in &mut case.sample.args {
        let logits = arg.name == "z";
        for dim in &mut arg.dims {
            *dim = match *dim {
                8 => 2,
                512 | 1024 | 2048 => 64,
                4096 if !logits => 128,
                32768 => 16384,
                768 => 256,
                3072 => 512,
                other => other,
            };
        }
    }
    Some(case)
}

/// What may be moved beyond the arrays: a sector for a number of each row, for a single number one for each warp, and a table of a row's
/// length for each 8 rows, which are a block's. It is less than an array, so that no second reading is hidden in it.
fn alone(case: &Case) -> f64 {
    let args = &case.sample.args;
    let most = args.iter().max_by_key(|arg| arg.numel()).unwrap();
    let (warps, c) = (most.numel().div_ceil(512 / case.dtype.size()), most.dims.last());
    let times = |arg: &Arg| if arg.role == Role::InOut { 2 } else { 1 };
    let little = args.iter().filter(|arg| 16 * arg.numel() <= most.numel());
    let bytes = little.map(|arg| match arg.dims[..] {
        [1] => SECTOR * warps as f64,
        [n] if Some(&n) == c => (4 * n * (most.numel() / n).div_ceil(8)) as f64,
        _ => SECTOR * (arg.numel() * times(arg)) as f64,
    });
    // a step's numbers, which are no argument of the registry: a sector for each block of 256 packs of 16 bytes
    let told = ["adamw", "adamw_rounded", "muon_momentum"].contains(&case.info.name);
    let blocks = if told { most.numel().div_ceil(1024) } else { 0 };
    bytes.sum::<f64>() + SECTOR * blocks as f64
}

/// Bytes of the smallest array that is not one of those.
fn least_array(case: &Case) -> f64 {
    let args = &case.sample.args;
    let most = args.iter().map(Arg::numel).max().unwrap();
    let sizes = args.iter().map(Arg::numel).filter(|n| 16 * n > most);
    (sizes.min().unwrap() * case.dtype.size()) as f64
}

/// Faults of these kernels whose traffic is further from their formula's than `slack` of it allows.
fn wasteful(names: &[&str], slack: fn(&Case) -> f64) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in names {
        let info = kernels::kernels().find(|info| info.name == *name).unwrap_or_else(|| panic!("no {name}"));
        let both = [DType::F32, DType::Bf16].into_iter().filter_map(|dtype| small(info, dtype));
        let mut tried = 0;
        for case in both {
            let gpu = Cuda::new(Emulated::default());
            Bench::new(&case).unwrap().call(&gpu).unwrap();
            let all = gpu.driver().together();
            let (moved, bytes, slack) =
                (SECTOR * (all.read + all.written) as f64, case.cost().bytes, slack(&case));
            assert!(slack < least_array(&case), "{name} {}: {slack} would hide an array", case.shape());
            if moved > bytes + slack || moved < bytes - slack {
                let (dtype, shape) = (case.dtype, case.shape());
                wrong.push(format!(
                    "{name} {dtype} {shape}: {moved} bytes moved, {bytes} needed, slack {slack}"
                ));
            }
            tried += 1;
        }
        assert!(tried > 0, "{name}");
    }
    wrong
}

#[test]
fn norms_and_elementwise_kernels_read_and_write_once() {
    let wrong = wasteful(ONCE, alone);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sums_of_two_launches_read_and_write_little_more() {
    let wrong = wasteful(NEARLY_ONCE, |case| 0.75 * least_array(case));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_rung_of_the_matmul_ladder_writes_each_result_once() {
    let (m, n, k) = (128, 64, 32);
    let (a, b) = (vec![Bf16::from_f32(0.5); m * k], vec![Bf16::from_f32(2.0); k * n]);
    let (a, b) = (View::from_slice(&a, &[m, k]).unwrap(), View::from_slice(&b, &[k, n]).unwrap());
    for rung in [Rung::Naive, Rung::Tiled, Rung::Tensor, Rung::Pipelined] {
        let gpu = Cuda::new(Emulated::default()).with_matmul(rung);
        let (mut half, mut whole) = (vec![Bf16::from_f32(0.0); m * n], vec![0.0_f32; m * n]);
        for beta in [0.0, 0.5] {
            let written = |out, size: usize| {
                matmul::matmul(&gpu, a, b, out, 1.0, beta).unwrap();
                let sectors = gpu.driver().counters().unwrap().store_sectors.0;
                assert_eq!(sectors, (m * n * size / 32) as u64, "{rung:?}, {size} bytes, beta {beta}");
            };
            written(ViewMut::from_slice(&mut half, &[m, n]).unwrap(), 2);
            written(ViewMut::from_slice(&mut whole, &[m, n]).unwrap(), 4);
        }
        assert!(whole.iter().all(|v| *v == 48.0) && half.iter().all(|v| v.to_f32() == 48.0), "{rung:?}");
    }
}

/// Rows longer than a block's shared memory are read once for each pass over them, and come out the same.
#[test]
fn rows_longer_than_shared_memory_are_read_again_and_right() {
    for c in [12_288, 12_296] {
        let (dims, gpu) = ([2, c], Cuda::new(Emulated::default()));
        let x: Vec<f32> = (0..2 * c).map(|i| (i * 37 % 101) as f32 / 101.0 + 3.0).collect();
        let (gain, bias) = (vec![1.5_f32; c], vec![0.25_f32; c]);
        let run = |b: &dyn kernels::Backend| {
            let (mut y, mut mean, mut rstd) = (x.clone(), [0.0_f32; 2], [0.0_f32; 2]);
            let view = |x| View::from_slice(x, &dims).unwrap();
            let table = |x| View::from_slice(x, &[c]).unwrap();
            let stats = [&mut mean, &mut rstd].map(|stat| ViewMut::from_slice(stat, &[2]).unwrap());
            let out = ViewMut::from_slice(&mut y, &dims).unwrap();
            let bias = Some(table(&bias[..]));
            layer_norm::layer_norm_fwd(b, view(&x[..]), table(&gain[..]), bias, 1e-5, out, stats).unwrap();
            let (mut dx, mut z, mut r) = (x.clone(), x.clone(), [0.0_f32; 2]);
            let stats = [&mean, &rstd].map(|stat| View::from_slice(stat, &[2]).unwrap());
            let out = ViewMut::from_slice(&mut dx, &dims).unwrap();
            layer_norm::layer_norm_bwd(b, view(&y[..]), view(&x[..]), table(&gain[..]), stats, out, false)
                .unwrap();
            let (out, stat) = (ViewMut::from_slice(&mut z, &dims), ViewMut::from_slice(&mut r, &[2]));
            rms_norm::rms_norm_fwd(b, view(&x[..]), 1e-6, out.unwrap(), stat.unwrap()).unwrap();
            [y, dx, z].concat()
        };
        let (found, want) = (run(&gpu), run(&kernels::Reference));
        let apart = found.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= 2e-5, "rows of {c}: {apart}");
        // the last, an RMSNorm: once where 48 KiB hold a row, else twice
        let times = if c == 12_288 { 1 } else { 2 };
        assert_eq!(gpu.driver().counters().unwrap().load_sectors.0, (times * 2 * c / 8) as u64);
    }
}
