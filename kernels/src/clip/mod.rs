//! Clipping by global norm (Pascanu et al. 2013, arXiv:1211.5063) without asking the device: the norm and the factor are made where
//! the gradients lie, and the gradients are scaled by a factor that the host never sees.
//!
//! `clip_factor`: from the sums of squares of N gradients, (N), `norm = √Σ sums`, `factor = min(1, max/(norm + 1e-6))`; a `max` of 0
//! clips nothing. The sum is in f64, from first to last. NaN and infinity stay in the norm, so that they can be seen.
//! `scale_by`: `y ← factor·y` in place, y of any dims; a factor of exactly 1 reads and writes nothing.
//! Where to read next: `cpu.rs`, and `clip_grad_norm` in the crate `train`, which calls both.

mod cpu;
mod reference;

use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};
use crate::{Backend, DType, Result, View, ViewMut, check, profile};

/// Added to the norm, so that a gradient of zero is not divided by zero.
pub const NORM_EPS: f64 = 1e-6;

/// Both steps of clipping.
pub trait Clip {
    /// See [`clip_factor`].
    fn clip_factor(&self, sums: View, max: f64, out: ViewMut) -> Result<()>;
    /// See [`scale_by`].
    fn scale_by(&self, factor: View, y: ViewMut) -> Result<()>;
}

/// `out = (norm, factor)` of gradients whose sums of squares are `sums`, (N).
///
/// `sums`, `out`: contiguous, f32. Errors if `max` is negative or not finite.
pub fn clip_factor(b: &dyn Backend, sums: View, max: f64, out: ViewMut) -> Result<()> {
    const OP: &str = "clip_factor";
    check::dtype(OP, "sums", sums.dtype(), &[DType::F32, DType::F64])?;
    check::rank(OP, "sums", sums.dims(), 1, "(N)")?;
    check::contiguous(OP, "sums", sums.layout())?;
    check::dims(OP, "out", out.dims(), &[2])?;
    check::dtype(OP, "out", out.dtype(), &[sums.dtype()])?;
    check::contiguous(OP, "out", out.layout())?;
    check::output(OP, "out", &out, &[("sums", &sums)])?;
    check::parameter(OP, max.is_finite() && max >= 0.0, || {
        format!("the largest norm is {max}, neither 0 nor positive")
    })?;
    let _timed =
        profile::call(OP, || Cost { flops: sums.numel() as f64, bytes: sums.traffic() + out.traffic() });
    b.clip_factor(sums, max, out)
}

/// `y ← factor[0]·y`. `factor`: one element, f32; `y`: contiguous, f32 or bf16.
pub fn scale_by(b: &dyn Backend, factor: View, y: ViewMut) -> Result<()> {
    const OP: &str = "scale_by";
    if factor.numel() != 1 {
        check::dims(OP, "factor", factor.dims(), &[1])?;
    }
    check::dtype(OP, "y", y.dtype(), check::FLOATS)?;
    check::dtype(OP, "factor", factor.dtype(), &[check::accumulator(y.dtype())])?;
    check::contiguous(OP, "y", y.layout())?;
    check::output(OP, "y", &y, &[("factor", &factor)])?;
    let _timed = profile::call(OP, || Cost { flops: y.numel() as f64, bytes: 2.0 * y.traffic() });
    b.scale_by(factor, y)
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "clip_factor",
        doc: "norm = √Σ sums; factor = min(1, max/(norm + 1e-6)), or 1 if max = 0",
        samples: || {
            [
                ("below", 3, 1e6),
                ("above", 7, 0.5),
                ("off", 5, 0.0),
                ("none", 0, 1.0),
                ("d12.weights", 75, 1.0),
            ]
            .map(factor_sample)
            .to_vec()
        },
        bench: || vec![factor_sample(("d12.weights", 75, 1.0))],
        run: |b, ins, outs, s| clip_factor(b, ins[0], s[0], outs[0].reborrow()),
        scales: &[1.0],
        dtypes: &[DType::F32],
        layouts: Layouts::Contiguous,
        tolerance: 2.0,
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| Cost { flops: s.numel("sums"), bytes: s.moved(bytes) },
    },
    KernelInfo {
        name: "scale_by",
        doc: "y ← factor[0]·y",
        samples: || {
            [
                ("one element", &[1][..]),
                ("odd", &[3, 5, 7]),
                ("empty", &[0, 4]),
                ("one row", &[1, 33]),
                ("d4.mlp_up", &[1024, 256]),
            ]
            .map(scale_sample)
            .to_vec()
        },
        bench: || vec![scale_sample(("d12.mlp_up", &[3072, 768]))],
        run: |b, ins, outs, _| scale_by(b, ins[0], outs[0].reborrow()),
        scales: &[1.0, 1e-4],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Contiguous,
        tolerance: 1.0,
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| Cost {
            flops: s.numel("y"),
            bytes: 2.0 * s.bytes_of("y", bytes) + s.bytes_of("factor", bytes),
        },
    },
];

fn factor_sample((label, n, max): (&'static str, usize, f64)) -> Sample {
    let args =
        vec![Arg::input("sums", &[n], Draw::Uniform(0.0, 3.0)).of_any_shape(), Arg::out_f32("out", &[2])];
    Sample::new(label, args).with(&[max])
}

fn scale_sample((label, dims): (&'static str, &[usize])) -> Sample {
    let args = vec![
        Arg::input("factor", &[1], Draw::Uniform(0.0, 1.0)),
        Arg::inout("y", dims, Draw::Normal).of_any_shape(),
    ];
    Sample::new(label, args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Reference};

    fn factor_of<T: crate::Element>(b: &dyn Backend, sums: &[f64], max: f64) -> [f64; 2] {
        let sums: Vec<T> = sums.iter().map(|s| T::from_f64(*s)).collect();
        let mut out = [T::default(); 2];
        let len = [sums.len()];
        let to = ViewMut::from_slice(&mut out, &[2]).unwrap();
        clip_factor(b, View::from_slice(&sums, &len).unwrap(), max, to).unwrap();
        out.map(|v| v.to_f64())
    }

    #[test]
    fn a_norm_of_five_is_halved_by_a_limit_of_two_and_a_half_and_kept_by_one_of_six() {
        for of in
            [|s: &[f64], m| factor_of::<f32>(&Cpu, s, m), |s: &[f64], m| factor_of::<f64>(&Reference, s, m)]
        {
            let near = |got: [f64; 2], want: [f64; 2]| {
                assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6), "{got:?} {want:?}");
            };
            near(of(&[9.0, 16.0], 2.5), [5.0, 0.5]);
            near(of(&[9.0, 16.0], 6.0), [5.0, 1.0]);
            near(of(&[9.0, 16.0], 0.0), [5.0, 1.0]);
            near(of(&[0.0], 1.0), [0.0, 1.0]);
            assert!(of(&[f64::NAN, 1.0], 1.0)[0].is_nan() && of(&[f64::INFINITY], 1.0)[0].is_infinite());
        }
    }
}
