//! AdamW on the CPU: one pass over the four arrays, which is all it costs: the arithmetic hides behind the memory.

use super::{AdamW, FACTORS};
use crate::check::host;
use crate::{Bf16, Cpu, KernelError, Result, View, ViewMut, par, planted, simd};

/// Elements per task.
const PART: usize = 16384;

impl AdamW for Cpu {
    fn adamw(
        &self,
        mut p: ViewMut,
        mut rounded: Option<ViewMut>,
        g: View,
        mut m: ViewMut,
        mut v: ViewMut,
        factors: View,
    ) -> Result<()> {
        const OP: &str = "adamw";
        let factors: [f32; FACTORS] = host(OP, "factors", factors.as_slice::<f32>())?
            .try_into()
            .map_err(|_| KernelError::WrongSpace { op: OP, arg: "factors" })?;
        let rounded = match &mut rounded {
            Some(out) => Some(par::SharedPtr::new(host(OP, "rounded", out.as_mut_slice::<Bf16>())?)),
            None => None,
        };
        let g = host(OP, "g", g.as_slice::<f32>())?;
        let p = host(OP, "p", p.as_mut_slice::<f32>())?;
        let m = par::SharedPtr::new(host(OP, "m", m.as_mut_slice::<f32>())?);
        let v = par::SharedPtr::new(host(OP, "v", v.as_mut_slice::<f32>())?);
        par::for_each_rows(p, 1, PART, |first, p| {
            let g = &g[first..][..p.len()];
            // SAFETY: four arrays of the same length (checked), cut at the same places: no other task has these parts.
            let m = unsafe { std::slice::from_raw_parts_mut(m.get().add(first), p.len()) };
            // SAFETY: as above.
            let v = unsafe { std::slice::from_raw_parts_mut(v.get().add(first), p.len()) };
            simd::vectorize(
                #[inline(always)]
                || step(p, g, m, v, factors),
            );
            if let Some(rounded) = &rounded {
                // SAFETY: as above.
                let rounded = unsafe { std::slice::from_raw_parts_mut(rounded.get().add(first), p.len()) };
                rounded.iter_mut().zip(&*p).for_each(|(out, p)| *out = Bf16::from_f32(*p));
            }
        });
        Ok(())
    }
}

// ANCHOR: step
#[inline(always)]
fn step(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], factors: [f32; FACTORS]) {
    let [keep, step_size, unbias, eps, beta1, beta2, rest1, rest2] = factors;
    let step_size = planted!("adamw.decay_after_the_step", step_size => step_size * keep);
    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        *m = beta1 * *m + rest1 * g;
        *v = beta2 * *v + rest2 * (g * g);
        *p = *p * keep - step_size * (*m / ((*v * unbias).sqrt() + eps));
    }
}
// ANCHOR_END: step

#[cfg(test)]
mod tests {
    use crate::adamw::{AdamWParams, adamw};
    use crate::registry::with_numbers;
    use crate::{Backend, Cpu, Reference, View, ViewMut};

    /// Parameters after one and after two steps, from a start and gradients made of sines.
    fn two_steps<T: crate::Element>(backend: &dyn Backend) -> [Vec<f64>; 2] {
        let sine = |scale: f64, phase: f64| -> Vec<T> {
            (0..6).map(|i| T::from_f64((scale * (0.7 * i as f64 + phase).sin()) as f32 as f64)).collect()
        };
        let (mut p, mut m, mut v) = (sine(0.5, 0.0), vec![T::default(); 6], vec![T::default(); 6]);
        [1u32, 2].map(|step| {
            let g = sine(0.1, 2.0 + 10.0 * (step - 1) as f64);
            let h = AdamWParams { lr: 0.1, beta1: 0.8, beta2: 0.96, eps: 1e-10, weight_decay: 0.01, step };
            let (g, m) = (View::from_slice(&g, &[6]).unwrap(), ViewMut::from_slice(&mut m, &[6]).unwrap());
            let v = ViewMut::from_slice(&mut v, &[6]).unwrap();
            let out = ViewMut::from_slice(&mut p, &[6]).unwrap();
            with_numbers(&h.factors().unwrap(), T::DTYPE, |f| adamw(backend, out, None, g, m, v, f)).unwrap();
            p.iter().map(|p| p.to_f64()).collect()
        })
    }

    #[test]
    fn two_steps_give_the_numbers_worked_out_for_them() {
        let want = [
            [-0.1, 0.221787, 0.592232, 0.531173, 0.267327, -0.075216],
            [-0.114174, 0.137467, 0.538305, 0.509717, 0.267597, -0.036550],
        ];
        for got in [two_steps::<f32>(&Cpu), two_steps::<f64>(&Reference)] {
            for (got, want) in got.iter().zip(&want) {
                assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 2e-6), "{got:?} {want:?}");
            }
        }
    }

    #[test]
    fn a_step_without_gradient_moves_nothing() {
        let (mut p, mut m, mut v) = ([1.0f32, -2.0], [0.0f32; 2], [0.0f32; 2]);
        let h = AdamWParams { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-10, weight_decay: 0.0, step: 1 };
        let (m, v) = (ViewMut::from_slice(&mut m, &[2]).unwrap(), ViewMut::from_slice(&mut v, &[2]).unwrap());
        let g = View::from_slice(&[0.0f32; 2], &[2]).unwrap();
        let out = ViewMut::from_slice(&mut p, &[2]).unwrap();
        with_numbers(&h.factors().unwrap(), g.dtype(), |f| adamw(&Cpu, out, None, g, m, v, f)).unwrap();
        assert_eq!(p, [1.0, -2.0]);
    }
}
