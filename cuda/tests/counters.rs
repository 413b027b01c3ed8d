//! Kernels that are bound by memory move what their formula needs and no more: sectors counted by the emulator, against the bytes that
//! the registry says (one read of each input, one write of each output), in f32 and in bf16.
#![allow(clippy::unwrap_used)] // a test may stop

use cuda::{Cuda, Emulated};
use kernels::DType;
use kernels::measure::run::{Bench, Case, cases};

/// Of one launch each: RMSNorm alone and after a sum, forward and backward, and elementwise ones of one, two and three operands.
const KERNELS: &[&str] = &[
    "rms_norm_fwd",
    "rms_norm_bwd",
    "add_rms_norm_fwd",
    "add_rms_norm_bwd",
    "relu_squared_fwd",
    "relu_squared_bwd",
    "gelu_tanh_fwd",
    "gated_relu_squared_fwd",
    "unary_exp",
    "binary_add",
    "accumulate",
    "copy",
];
/// Of a sector, the piece of memory that is moved.
const SECTOR: f64 = 32.0;

/// The first of a kernel's real shapes, made smaller by the same rule for all its arguments.
fn small(mut case: Case) -> Case {
    for arg in &mut case.sample.args {
        for dim in &mut arg.dims {
            *dim = match *dim {
                8 => 2,
                512 | 1024 | 2048 => 16,
                768 => 256,
                3072 => 512,
                other => other,
            };
        }
    }
    case
}

#[test]
fn norms_and_elementwise_kernels_read_and_write_once() {
    let mut wrong = Vec::new();
    for name in KERNELS {
        let info = kernels::kernels().find(|info| info.name == *name).unwrap_or_else(|| panic!("no {name}"));
        for dtype in [DType::F32, DType::Bf16] {
            let case = cases([info]).into_iter().find(|case| case.dtype == dtype).unwrap();
            let case = small(case);
            let gpu = Cuda::new(Emulated::default());
            Bench::new(&case).unwrap().call(&gpu).unwrap();
            let counters = gpu.driver().counters().unwrap();
            let moved = SECTOR * (counters.load_sectors.0 + counters.store_sectors.0) as f64;
            let bytes = case.cost().bytes;
            // a number for each row comes in a sector of its own, read or written by the row's warp; tables are read by many rows
            let most = case.sample.args.iter().map(|arg| arg.numel()).max().unwrap();
            let little = case.sample.args.iter().map(|arg| arg.numel()).filter(|n| 16 * n <= most);
            let slack = SECTOR * little.sum::<usize>() as f64;
            if moved > bytes + slack || moved < bytes - slack {
                wrong.push(format!(
                    "{name} {dtype} {}: {moved} bytes moved, {bytes} needed, slack {slack}",
                    case.shape()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
