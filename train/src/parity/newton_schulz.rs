//! Matrices before and after the Newton–Schulz iteration, in f32 and in bf16.

use super::input::Tensors;
use super::report::{Checked, Reporter, Tolerance, fail};
use kernels::muon::{newton_schulz, newton_schulz_scratch};
use std::path::Path;
use tensor::{DType, Device, Tensor};

/// A matrix after the iteration in f32.
const F32: Tolerance = Tolerance::MaxAbs(1e-5);
/// The same for a matrix of rank 1, whose noise directions are amplified some 480 times.
const RANK_1: Tolerance = Tolerance::MaxAbs(1e-3);
/// A matrix after the iteration in bf16: entries below 1.3, a unit of bf16 is 2⁻⁸ there, and sums that fall between two
/// bf16 numbers go either way.
const BF16: Tolerance = Tolerance::MaxAbs(2e-2);
/// The iteration's length.
const STEPS: usize = 5;

/// Every matrix before (`G`) and after.
pub(super) fn check(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let data = Tensors::read(file)?;
    let mut cases = 0;
    for (name, g) in &data.map {
        let Some(case) = name.strip_suffix(".G") else {
            if !name.ends_with(".f32") && !name.ends_with(".bf16") {
                report.exact(name, fail("not understood"));
            }
            continue;
        };
        cases += 1;
        for (suffix, bf16) in [("f32", false), ("bf16", true)] {
            let name = format!("{case}.{suffix}");
            let tolerance = match (case, bf16) {
                ("zero", _) => Tolerance::Exact,
                ("rank1", true) => Tolerance::Informational,
                ("rank1", false) => RANK_1,
                (_, false) => F32,
                (_, true) => BF16,
            };
            report.tensors(&name, &orthogonalised(g, bf16)?, data.get(&name)?, tolerance);
        }
    }
    if cases == 0 { fail("holds no matrix `*.G`") } else { Ok(()) }
}

fn orthogonalised(g: &Tensor, bf16: bool) -> Checked<Tensor> {
    if g.rank() != 2 || g.dtype() != DType::F32 {
        return fail(format!("{g:?} is not an f32 matrix"));
    }
    let mut o = g.uninit_like()?;
    let scratch = newton_schulz_scratch(g.dims());
    let mut scratch = Tensor::uninit(&[scratch], DType::F32, Device::Cpu)?;
    newton_schulz(Device::Cpu.backend(), g.view(), o.view_mut()?, scratch.view_mut()?, STEPS, bf16)?;
    Ok(o)
}
