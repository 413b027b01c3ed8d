//! The cross entropy on the CPU, rows in parallel. A row of 32,768 logits is 128 KiB, which the second-level cache holds:
//! forward caps and finds the maximum in a first pass and sums exponentials in a second, so main memory is read and
//! written once. Backward is a single pass, in which the target's element is then put right. Sums follow `reduce/order.rs`.

use super::CrossEntropy;
use crate::check::host;
use crate::fast_math::{exp_flushed_f32, tanh_f32};
use crate::reduce::order::{BLOCK, Max, Pairwise, Sum, block, fold};
use crate::{Cpu, Layout, Result, View, ViewMut, par, planted, simd};

impl CrossEntropy for Cpu {
    fn softcap_cross_entropy_fwd(
        &self,
        mut z: ViewMut,
        targets: View,
        softcap: f32,
        mut loss: ViewMut,
        mut lse: ViewMut,
    ) -> Result<()> {
        const OP: &str = "softcap_cross_entropy_fwd";
        let loss = par::SharedPtr::new(host(OP, "loss", loss.as_mut_slice::<f32>())?);
        let lse = par::SharedPtr::new(host(OP, "lse", lse.as_mut_slice::<f32>())?);
        for_each_row(OP, &mut z, &targets, |row, z, target| {
            let sum = simd::vectorize(
                #[inline(always)]
                || cap_and_sum(z, softcap),
            );
            let ignored = planted!("cross_entropy.ignored_row_has_a_loss", 0.0 => sum);
            let row_loss = target.map_or(ignored, |t| sum - z[t]);
            // SAFETY: both have an element per row (checked), and each row belongs to one task.
            unsafe { (*loss.get().add(row), *lse.get().add(row)) = (row_loss, sum) };
        })
    }

    fn softcap_cross_entropy_bwd(
        &self,
        mut z: ViewMut,
        targets: View,
        softcap: f32,
        lse: View,
        weight: View,
    ) -> Result<()> {
        const OP: &str = "softcap_cross_entropy_bwd";
        let lse = host(OP, "lse", lse.as_slice::<f32>())?;
        let (weights, layout) = (host(OP, "weight", weight.base::<f32>())?, *weight.layout());
        for_each_row(OP, &mut z, &targets, |row, z, target| {
            let at = planted!("cross_entropy.stride_of_the_weight_ignored", layout.position(row) => row);
            let (lse, weight) = (lse[row], weights[at]);
            match target {
                Some(target) => simd::vectorize(
                    #[inline(always)]
                    || gradient(z, target, softcap, lse, weight),
                ),
                None => planted!("cross_entropy.ignored_row_keeps_its_logits", z.fill(0.0) => ()),
            }
        })
    }
}

/// Call `f(row, logits, target)` for every row, in parallel; the target is `None` where it is −1.
fn for_each_row(
    op: &'static str,
    z: &mut ViewMut,
    targets: &View,
    f: impl Fn(usize, &mut [f32], Option<usize>) + Sync + Send,
) -> Result<()> {
    let (z_layout, targets_layout): (Layout, Layout) = (*z.layout(), *targets.layout());
    let (rows, v) = z_layout.rows();
    let targets = host(op, "targets", targets.base::<i32>())?;
    let z = par::SharedPtr::new(host(op, "z", z.base_mut::<f32>())?);
    let per_task = par::rows_per_task(v);
    par::for_each_task(rows.div_ceil(per_task), |task| {
        for row in task * per_task..((task + 1) * per_task).min(rows) {
            let at = if v == 0 { 0 } else { z_layout.row_position(row) };
            // SAFETY: rows of an output are disjoint (checked), lie in bounds, and each belongs to one task.
            let z = unsafe { std::slice::from_raw_parts_mut(z.get().add(at), v) };
            f(row, z, usize::try_from(targets[targets_layout.position(row)]).ok());
        }
    });
    Ok(())
}

// ANCHOR: row
/// Caps the logits of a row; returns `ln Σ exp(z)`.
#[inline(always)]
fn cap_and_sum(z: &mut [f32], softcap: f32) -> f32 {
    if softcap > 0.0 {
        let inverse = 1.0 / softcap;
        z.iter_mut().for_each(|z| *z = softcap * tanh_f32(*z * inverse));
    }
    let max = planted!("cross_entropy.maximum_not_subtracted", fold::<Max, f32>(z) => 0.0);
    let (mut sum, mut terms) = (Pairwise::<Sum>::NEW, [0.0; BLOCK]);
    for z in z.chunks(BLOCK) {
        terms.iter_mut().zip(z).for_each(|(term, z)| *term = exp_flushed_f32(z - max));
        sum.push(&block::<Sum, f32>(&terms[..z.len()]));
    }
    max + sum.finish().ln()
}
// ANCHOR_END: row

/// `z ← weight·(exp(z − lse) − onehot)·(1 − (z/softcap)²)`.
#[inline(always)]
fn gradient(z: &mut [f32], target: usize, softcap: f32, lse: f32, weight: f32) {
    let capped = planted!("cross_entropy.derivative_of_the_cap_missing", softcap > 0.0 => false);
    let inverse = if capped { 1.0 / softcap } else { 0.0 };
    let dz = |z: f32, hit: f32| {
        let capped = z * inverse;
        weight * (exp_flushed_f32(z - lse) - hit) * (1.0 - capped * capped)
    };
    let at_target = dz(z[target], 1.0);
    z.iter_mut().for_each(|z| *z = dz(*z, 0.0));
    z[target] = at_target;
}

#[cfg(test)]
mod tests {
    use crate::cross_entropy::{softcap_cross_entropy_bwd, softcap_cross_entropy_fwd};
    use crate::{Cpu, KernelError, Layout, View, ViewMut};

    fn forward(z: &mut [f32], targets: &[i32], softcap: f32) -> (Vec<f32>, Vec<f32>) {
        let n = targets.len();
        let (mut loss, mut lse) = (vec![f32::NAN; n], vec![f32::NAN; n]);
        let shape = [n, z.len() / n];
        let targets = View::from_slice(targets, &[n]).unwrap();
        let loss_out = ViewMut::from_slice(&mut loss, &[n]).unwrap();
        let lse_out = ViewMut::from_slice(&mut lse, &[n]).unwrap();
        let z = ViewMut::from_slice(z, &shape).unwrap();
        softcap_cross_entropy_fwd(&Cpu, z, targets, softcap, loss_out, lse_out).unwrap();
        (loss, lse)
    }

    fn backward(z: &mut [f32], targets: &[i32], softcap: f32, lse: &[f32]) {
        let n = targets.len();
        let shape = [n, z.len() / n];
        let one = View::from_slice_strided(&[1.0f32], Layout::strided(&[n], &[0], 0).unwrap()).unwrap();
        let targets = View::from_slice(targets, &[n]).unwrap();
        let (z, lse) = (ViewMut::from_slice(z, &shape).unwrap(), View::from_slice(lse, &[n]).unwrap());
        softcap_cross_entropy_bwd(&Cpu, z, targets, softcap, lse, one).unwrap();
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_vocabulary() {
        let (loss, _) = forward(&mut vec![0.0; 65_536], &[7], 15.0);
        assert!((loss[0] - 65_536f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_batch_of_ignored_targets_gives_zeros_and_no_nan() {
        let mut z: Vec<f32> = (0..15).map(|i| i as f32).collect();
        let (loss, lse) = forward(&mut z, &[-1; 3], 15.0);
        assert_eq!(loss, [0.0; 3]);
        backward(&mut z, &[-1; 3], 15.0, &lse);
        assert_eq!(z, [0.0; 15]);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let raw: Vec<f32> = (0..14).map(|i| 6.0 * (i as f32).sin()).collect();
        let targets = [3, 6];
        for softcap in [0.0, 5.0] {
            let mut dz = raw.clone();
            let (_, lse) = forward(&mut dz, &targets, softcap);
            backward(&mut dz, &targets, softcap, &lse);
            for i in 0..raw.len() {
                let loss = |by: f32| {
                    let mut z = raw.clone();
                    z[i] += by;
                    forward(&mut z, &targets, softcap).0[i / 7]
                };
                let slope = (loss(0.02) - loss(-0.02)) / 0.04;
                assert!((slope - dz[i]).abs() < 1e-3, "{softcap} {i}: {slope} {}", dz[i]);
            }
        }
    }

    #[test]
    fn a_rows_bits_do_not_depend_on_its_neighbours() {
        let raw: Vec<f32> = (0..3 * 9001).map(|i| (i as f32 * 0.1).sin() * 9.0).collect();
        let mut together = raw.clone();
        let (loss, _) = forward(&mut together, &[1, 2, 9000], 15.0);
        let mut alone = raw[9001..2 * 9001].to_vec();
        assert_eq!(forward(&mut alone, &[2], 15.0).0[0], loss[1]);
        assert_eq!(alone, together[9001..2 * 9001]);
    }

    #[test]
    fn a_target_outside_the_vocabulary_is_refused_and_nan_is_reported() {
        let (mut z, mut loss, mut lse) = ([0.0f32; 4], [0.0f32; 1], [0.0f32; 1]);
        for bad in [4, -2] {
            let targets = [bad];
            let targets = View::from_slice(&targets, &[1]).unwrap();
            let (loss, lse) = (ViewMut::from_slice(&mut loss, &[1]), ViewMut::from_slice(&mut lse, &[1]));
            let z = ViewMut::from_slice(&mut z, &[1, 4]).unwrap();
            let err = softcap_cross_entropy_fwd(&Cpu, z, targets, 15.0, loss.unwrap(), lse.unwrap());
            assert!(matches!(err, Err(KernelError::IndexOutOfRange { arg: "targets", .. })));
        }
        assert!(forward(&mut [0.0, f32::NAN, 1.0], &[0], 15.0).0[0].is_nan());
    }
}
