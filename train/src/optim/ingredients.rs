//! What today's Muon is made of, each with what stands in its place when it is left out: for measuring what it is worth.
//!
//! - Equal rows (MuonEq): rows of u are made equally long. Without: they stay as they are.
//! - Polar Express: a polynomial for each step. Without: Newton–Schulz, the same one five times.
//! - Second moments (NorMuon): rows of X are divided by the root of a running mean square. Without: those means stay 1.
//! - Cautious decay: only weights decay that X does not push towards 0 already. Without: all do.
//!
//! The kernel that has Polar Express makes rows equal itself, so rows stay as they are only where Newton–Schulz is used.
//! Where to read next: `normuon.rs`, which uses this; [`kernels::polar_express`] and [`kernels::normuon`] for the formulas.

use super::muon::NsDtype;
use crate::error::{Result, TrainError};
use kernels::muon::newton_schulz;
use kernels::normuon::NorMuonParams;
use kernels::polar_express::polar_express;
use tensor::{Tensor, TensorError};

/// Steps of Newton–Schulz or Polar Express.
const STEPS: usize = 5;
/// Decay of the second moments.
const BETA2: f64 = 0.9;
/// A row much shorter than this counts as zero.
const SHORTEST_ROW: f64 = 1e-6;
/// The largest decay there is: second moments stay what they are.
const STILL: f64 = 1.0 - f64::EPSILON / 2.0;

/// One of them, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MuonPart {
    /// Rows of equal length.
    EqualRows,
    /// Polynomials by step.
    PolarExpress,
    /// Rows divided by their running size.
    SecondMoments,
    /// Decay where the update does not pull already.
    CautiousDecay,
}

impl MuonPart {
    /// All of them, in the order in which they act.
    pub const EVERY: [MuonPart; 4] =
        [MuonPart::EqualRows, MuonPart::PolarExpress, MuonPart::SecondMoments, MuonPart::CautiousDecay];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            MuonPart::EqualRows => "equal-rows",
            MuonPart::PolarExpress => "polar-express",
            MuonPart::SecondMoments => "second-moments",
            MuonPart::CautiousDecay => "cautious-decay",
        }
    }

    /// What it is, in a line.
    pub fn says(self) -> &'static str {
        match self {
            MuonPart::EqualRows => "Rows made equally long first (MuonEq); only together with polar-express",
            MuonPart::PolarExpress => "A polynomial of its own for each step; else Newton-Schulz",
            MuonPart::SecondMoments => "Rows divided by the root of their mean square (NorMuon)",
            MuonPart::CautiousDecay => {
                "Decay only where the update does not pull towards zero; else everywhere"
            }
        }
    }
}

/// Which of them are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MuonParts([bool; MuonPart::EVERY.len()]);

impl Default for MuonParts {
    /// All.
    fn default() -> MuonParts {
        MuonParts([true; MuonPart::EVERY.len()])
    }
}

impl MuonParts {
    /// All but these. Polar Express cannot do without equal rows.
    pub fn without(parts: &[MuonPart]) -> Result<MuonParts> {
        let chosen = MuonParts(MuonPart::EVERY.map(|part| !parts.contains(&part)));
        if chosen.has(MuonPart::PolarExpress) && !chosen.has(MuonPart::EqualRows) {
            return Err(TrainError::Config(
                "Polar Express makes rows equal itself: leave polar-express out, too".into(),
            ));
        }
        Ok(chosen)
    }

    /// Is it used?
    pub fn has(self, part: MuonPart) -> bool {
        self.0[part as usize]
    }

    /// Those left out.
    pub fn missing(self) -> impl Iterator<Item = MuonPart> {
        MuonPart::EVERY.into_iter().filter(move |part| !self.has(*part))
    }

    /// What second moments begin with: nothing, or what leaves rows as they are.
    pub(super) fn first_second_moment(self) -> f64 {
        if self.has(MuonPart::SecondMoments) { 0.0 } else { 1.0 }
    }

    /// The orthogonal matrix near each of the N of `u`, (N, R, C); `scratch` is Newton–Schulz's.
    pub(super) fn orthogonal(self, u: &Tensor, scratch: &mut Tensor, ns: NsDtype) -> Result<Tensor> {
        let (backend, bf16) = (u.device().backend(), ns == NsDtype::Bf16);
        let mut x = u.uninit_like()?;
        if self.has(MuonPart::PolarExpress) {
            polar_express(backend, u.view(), x.view_mut()?, scratch.view_mut()?, STEPS, bf16)
                .map_err(TensorError::from)?;
            return Ok(x);
        }
        // A norm of rows makes them equally long; how long does not matter, since what follows divides by the whole's. A row of
        // zero stays zero.
        let eps = SHORTEST_ROW * SHORTEST_ROW / u.dim(2).max(1) as f64;
        let equal = self.has(MuonPart::EqualRows).then(|| u.rms_norm(eps)).transpose()?;
        let u = equal.as_ref().map_or(u, |(rows, _)| rows);
        newton_schulz(backend, u.view(), x.view_mut()?, scratch.view_mut()?, STEPS, bf16)
            .map_err(TensorError::from)?;
        Ok(x)
    }

    /// What the kernel is told for (rows, cols) matrices, and what is left of all weights before that, if none is spared.
    pub(super) fn factors(
        self,
        dims: &[usize],
        lr: f64,
        weight_decay: f64,
    ) -> Result<([f64; kernels::normuon::FACTORS], f64)> {
        let beta2 = if self.has(MuonPart::SecondMoments) { BETA2 } else { STILL };
        let (rows, cols) = (dims.first().copied().unwrap_or(1), dims.get(1).copied().unwrap_or(1));
        let h = NorMuonParams { lr, beta2, weight_decay };
        let [step, decay, take] = h.factors(rows, cols).map_err(TensorError::from)?;
        let cautious = self.has(MuonPart::CautiousDecay);
        Ok(if cautious { ([step, decay, take], 1.0) } else { ([step, 0.0, take], 1.0 - decay) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::normuon::{NorMuonState, NorMuonUpdate, normuon_numbers, normuon_step};
    use super::*;
    use crate::optim::beside;
    use tensor::Device;

    const DIMS: [usize; 2] = [6, 4];

    fn waves(scale: f64, phase: f64) -> Tensor {
        let values: Vec<f32> = (0..24).map(|i| (scale * (0.7 * f64::from(i) + phase).sin()) as f32).collect();
        Tensor::from_slice(&values, &DIMS, Device::Cpu).unwrap()
    }

    /// The weights after two steps with decay.
    fn moved(parts: MuonParts, weight_decay: f64) -> Vec<f64> {
        let mut p = waves(0.5, 0.0);
        let mut state = NorMuonState::new(&p, parts).unwrap();
        for i in 0..2 {
            // Rows of very different length.
            let row = Tensor::from_slice(&[1.0f32, 8.0, 1.0, 0.1, 2.0, 1.0], &[6, 1], Device::Cpu).unwrap();
            let g = waves(0.1, 2.0 + 10.0 * f64::from(i)).mul(&row).unwrap();
            step(&mut p, &mut state, g, 0.95, weight_decay, parts);
        }
        p.to_f64_vec()
    }

    /// One update with a rate of 0.02.
    fn step(
        p: &mut Tensor,
        state: &mut NorMuonState,
        g: Tensor,
        momentum: f64,
        decay: f64,
        parts: MuonParts,
    ) {
        let numbers = normuon_numbers(&DIMS, 0.02, momentum, decay, parts).unwrap();
        let numbers = beside(p, &numbers).unwrap();
        normuon_step(vec![NorMuonUpdate { state, p, g }], &numbers, NsDtype::F32, parts).unwrap();
    }

    fn furthest(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn each_part_changes_the_update_and_leaves_its_length() {
        use MuonPart::{CautiousDecay, EqualRows, PolarExpress, SecondMoments};
        let all = moved(MuonParts::default(), 1.0);
        let whole = [&[PolarExpress][..], &[PolarExpress, EqualRows], &[SecondMoments], &[CautiousDecay]];
        for left_out in whole {
            let own = moved(MuonParts::without(left_out).unwrap(), 1.0);
            assert!((1e-4..0.1).contains(&furthest(&all, &own)), "{left_out:?}: {}", furthest(&all, &own));
        }
        let length = |v: Vec<f64>| {
            let start = waves(0.5, 0.0).to_f64_vec();
            v.iter().zip(start).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        let [with, without] = [MuonParts::default(), MuonParts::without(&[SecondMoments]).unwrap()]
            .map(|p| length(moved(p, 0.0)));
        assert!((with / without - 1.0).abs() < 0.05, "{with} {without}");
    }

    #[test]
    fn without_second_moments_an_update_is_the_orthogonal_matrix_at_its_length() {
        let parts = MuonParts::without(&[MuonPart::SecondMoments]).unwrap();
        let (g, mut p) = (waves(0.1, 2.0), Tensor::zeros(&DIMS, tensor::DType::F32, Device::Cpu).unwrap());
        let mut state = NorMuonState::new(&p, parts).unwrap();
        step(&mut p, &mut state, g.clone(), 0.0, 0.0, parts);
        let u = g.reshape(&[1, 6, 4]).unwrap();
        let mut scratch =
            Tensor::zeros(&[kernels::muon::newton_schulz_scratch(u.dims())], tensor::DType::F32, Device::Cpu)
                .unwrap();
        let x = parts.orthogonal(&u, &mut scratch, NsDtype::F32).unwrap();
        let size = -0.02 * 1.5f64.sqrt() * 2.0 / x.sum_squares().unwrap().sqrt(); // lr·√(6/4)·√min(6, 4)/‖X‖
        let want: Vec<f64> = x.to_f64_vec().into_iter().map(|x| x * size).collect();
        assert!(furthest(&p.to_f64_vec(), &want) < 1e-6);
    }

    #[test]
    fn without_caution_everything_decays() {
        let parts = MuonParts::without(&[MuonPart::CautiousDecay]).unwrap();
        let (decayed, kept) = (moved(parts, 0.5), moved(parts, 0.0));
        let mut p = waves(0.5, 0.0);
        let mut state = NorMuonState::new(&p, parts).unwrap();
        let g = Tensor::zeros(&DIMS, tensor::DType::F32, Device::Cpu).unwrap();
        step(&mut p, &mut state, g, 0.95, 0.5, parts);
        let factor = 1.0 - 0.02 * 1.5f64.sqrt() * 0.5;
        let want: Vec<f64> = waves(0.5, 0.0).to_f64_vec().into_iter().map(|v| v * factor).collect();
        assert!(furthest(&p.to_f64_vec(), &want) < 1e-7);
        assert!(furthest(&decayed, &kept) > 1e-3);
    }

    #[test]
    fn polar_express_without_equal_rows_is_refused_with_the_way_out() {
        let message = MuonParts::without(&[MuonPart::EqualRows]).unwrap_err().to_string();
        assert!(message.contains("leave polar-express out"), "{message}");
        assert_eq!(MuonParts::without(&[]).unwrap(), MuonParts::default());
        let both = MuonParts::without(&[MuonPart::PolarExpress, MuonPart::EqualRows]).unwrap();
        assert_eq!(both.missing().count(), 2);
    }
}
