//! Two devices beside each other: the same kernel on the same numbers, and how far apart the results are, element by element.
//!
//! The other checks ask whether a device keeps the definition's bounds. This asks something narrower: does a GPU compute what its
//! emulator computes? Sums in another order and approximate instructions make a few units in the last place; more is a finding.

use super::case::Case;
use super::place::{Arguments, Kind};
use super::report::Budget;
use super::run::{Expected, call, outputs};
use crate::backend::Backend;
use crate::element::DType;
use crate::registry::{KernelInfo, Layouts, Sample};

/// How far apart two devices are, over all elements that a kernel wrote in all cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Apart {
    /// Cases that both computed.
    pub cases: usize,
    /// Elements compared.
    pub elements: usize,
    /// Those whose bits differ, other than one NaN and another.
    pub different: usize,
    /// The largest distance in units in the last place; of numbers with a sign each, the way through zero.
    pub ulps: u64,
    /// The largest difference.
    pub largest: f64,
    /// What a device refused, or how it failed.
    pub failures: Vec<String>,
}

/// Runs the kernel's samples, in each dtype, dense and in the layouts' mix, on both.
pub fn apart(info: &KernelInfo, devices: [&dyn Backend; 2], budget: Budget) -> Apart {
    let mut apart = Apart::default();
    let kinds: &[Kind] = if info.layouts == Layouts::Contiguous {
        &[Kind::Contiguous]
    } else {
        &[Kind::Contiguous, Kind::Mixed]
    };
    for sample in (info.samples)().iter().filter(|sample| sample.elements() <= budget.max_elements as f64) {
        for &dtype in info.dtypes {
            for &kind in kinds {
                if let Err(what) = compare(info, sample, dtype, kind, devices, &mut apart) {
                    apart.failures.push(format!("{} {dtype} {}: {what}", info.name, sample.label));
                }
            }
        }
    }
    apart
}

fn compare(
    info: &KernelInfo,
    sample: &Sample,
    dtype: DType,
    kind: Kind,
    devices: [&dyn Backend; 2],
    apart: &mut Apart,
) -> Result<(), String> {
    let scale = info.scales.first().copied().unwrap_or(1.0);
    let case = Case::draw(sample, scale, dtype, 0);
    let expected = Expected::new(info, sample, &case)?;
    let mut both = Vec::new();
    for device in devices {
        let placed = Arguments::place(sample, &case, kind, info.layouts, false);
        let mut arguments = placed.map_err(|e| e.to_string())?;
        call(device, info, sample, &mut arguments, None)?.map_err(|e| e.to_string())?;
        both.push(arguments);
    }
    for (o, (i, _)) in outputs(sample).enumerate() {
        let (a, b) = (&both[0].placed[i], &both[1].placed[i]);
        let (bits, values) = (a.bits().into_iter().zip(b.bits()), a.values().into_iter().zip(b.values()));
        for (index, ((p, q), (x, y))) in bits.zip(values).enumerate() {
            if expected.is_free(o, index) {
                continue;
            }
            apart.elements += 1;
            if p != q && !(x.is_nan() && y.is_nan()) {
                apart.different += 1;
                apart.ulps = apart.ulps.max(distance(a.dtype(), p, q));
                // of a number and a NaN there is no difference, and it is as large as can be
                apart.largest =
                    apart.largest.max(if (x - y).is_nan() { f64::INFINITY } else { (x - y).abs() });
            }
        }
    }
    apart.cases += 1;
    Ok(())
}

/// Steps from one number to the other, by their bits.
fn distance(dtype: DType, p: u64, q: u64) -> u64 {
    let width = match dtype {
        DType::I32 => return (p as u32 as i32).abs_diff(q as u32 as i32).into(),
        DType::Bf16 => 16,
        DType::F64 => 64,
        _ => 32,
    };
    let sign = 1_u64 << (width - 1);
    // the line of numbers as a line of integers: what is negative counts down from zero
    let place = |bits: u64| {
        let size = i128::from(bits & (sign - 1));
        if bits & sign == 0 { size } else { -size }
    };
    u64::try_from(place(p).abs_diff(place(q))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bf16, Cpu, Reference};

    #[test]
    fn neighbours_are_one_step_apart_also_across_zero() {
        let f32_bits = |x: f32| u64::from(x.to_bits());
        assert_eq!(distance(DType::F32, f32_bits(1.0), f32_bits(1.0_f32.next_up())), 1);
        assert_eq!(distance(DType::F32, f32_bits(0.0_f32.next_down()), f32_bits(0.0_f32.next_up())), 2);
        assert_eq!(distance(DType::F32, f32_bits(0.0), f32_bits(-0.0)), 0);
        let half = |x: f32| u64::from(Bf16::from_f32(x).0);
        assert_eq!(distance(DType::Bf16, half(1.0), half(1.0 + 1.0 / 128.0)), 1);
        assert_eq!(distance(DType::I32, 3, u64::from((-4_i32) as u32)), 7);
    }

    #[test]
    fn a_device_is_where_it_is_itself_and_near_the_definition() {
        let info = crate::kernels().find(|info| info.name == "rms_norm_fwd").unwrap();
        let budget = Budget { max_elements: 3000, ..Budget::default() };
        let same = apart(info, [&Cpu, &Cpu], budget);
        assert!(same.cases > 3 && same.elements > 1000 && same.failures.is_empty(), "{same:?}");
        assert_eq!((same.different, same.ulps, same.largest), (0, 0, 0.0));
        let near = apart(info, [&Cpu, &Reference], budget);
        assert_eq!((near.cases, near.elements), (same.cases, same.elements), "{near:?}");
        assert!(near.different < near.elements / 2 && near.ulps <= 4 && near.largest < 1e-2, "{near:?}");
    }
}
