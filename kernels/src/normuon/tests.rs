//! Two steps of the whole optimizer against numbers that the original gives, and what the update promises.

use super::*;
use crate::muon::{momentum_factors, muon_momentum, newton_schulz_scratch};
use crate::polar_express::polar_express;
use crate::registry::with_numbers;
use crate::{Cpu, Element, philox};

/// `scale·sin(0.7·i + phase)`, rounded to f32.
fn sine<T: Element>(n: usize, scale: f64, phase: f64) -> Vec<T> {
    (0..n).map(|i| T::from_f64((scale * (0.7 * i as f64 + phase).sin()) as f32 as f64)).collect()
}

/// Two steps of matrix number `j`: its weights after each.
fn two_steps<T: Element>(b: &dyn Backend, dims: [usize; 2], j: f64) -> [Vec<f64>; 2] {
    let n = dims[0] * dims[1];
    let (mut p, mut buf) = (sine::<T>(n, 0.5, j), vec![T::default(); n]);
    let mut moments = vec![T::default(); second_moments(dims[0], dims[1])];
    [0.0, 1.0].map(|step| {
        let g = sine::<T>(n, 0.1, 2.0 + j + 10.0 * step);
        let (mut u, mut o) = (vec![T::default(); n], vec![T::default(); n]);
        let mut scratch = vec![T::default(); newton_schulz_scratch(&dims)];
        let lens = [scratch.len(), moments.len()];
        let view = |v| View::from_slice::<T>(v, &dims).unwrap();
        let both = [&mut buf, &mut u].map(|v| ViewMut::from_slice(v, &dims).unwrap());
        let [buf, ahead] = both;
        with_numbers(&momentum_factors(0.95).unwrap(), T::DTYPE, |f| {
            muon_momentum(b, buf, view(&g), ahead, f)
        })
        .unwrap();
        let room = ViewMut::from_slice(&mut scratch, &lens[..1]).unwrap();
        polar_express(b, view(&u), ViewMut::from_slice(&mut o, &dims).unwrap(), room, 5, false).unwrap();
        let h = NorMuonParams { lr: 0.02, beta2: 0.9, weight_decay: 0.1 };
        let s = ViewMut::from_slice(&mut moments, &lens[1..]).unwrap();
        let p_out = ViewMut::from_slice(&mut p, &dims).unwrap();
        let factors = h.factors(dims[0], dims[1]).unwrap();
        with_numbers(&factors, T::DTYPE, |f| normuon(b, view(&o), p_out, s, f)).unwrap();
        p.iter().map(|p| p.to_f64()).collect()
    })
}

#[test]
fn two_steps_of_wide_and_tall_matrices_give_the_numbers_of_the_original() {
    // Shape, then for each step: the first row of matrix 0, the sum over it, the sum over matrix 1.
    type Step = (&'static [f64], f64, f64);
    let table: [([usize; 2], [Step; 2]); 2] = [
        (
            [4, 6],
            [
                (&[-0.009773, 0.316610, 0.495595, 0.439726, 0.177666, -0.167078], 1.232456, 0.487556),
                (&[-0.007371, 0.309354, 0.483680, 0.428308, 0.171083, -0.164297], 1.195921, 0.479353),
            ],
        ),
        (
            [6, 4],
            [
                (&[-0.011864, 0.318277, 0.499935, 0.445676], 1.242534, 0.496056),
                (&[-0.013180, 0.307931, 0.485392, 0.433779], 1.201376, 0.475768),
            ],
        ),
    ];
    for (dims, steps) in table {
        for both in [
            [0.0, 1.0].map(|j| two_steps::<f32>(&Cpu, dims, j)),
            [0.0, 1.0].map(|j| two_steps::<f64>(&Reference, dims, j)),
        ] {
            for (step, (row, sum, other)) in steps.into_iter().enumerate() {
                let [first, second] = [&both[0][step], &both[1][step]];
                // Six decimals are printed; the original's own f32 moves the last one or two.
                let near = |got: f64, want: f64, tolerance: f64| (got - want).abs() <= tolerance;
                let rows_agree = row.iter().zip(first).all(|(want, got)| near(*got, *want, 3e-6));
                assert!(rows_agree, "{dims:?} step {step}: {first:?} instead of {row:?}");
                assert!(
                    near(first.iter().sum(), sum, 1e-5),
                    "{dims:?} step {step}: {}",
                    first.iter().sum::<f64>()
                );
                assert!(
                    near(second.iter().sum(), other, 1e-5),
                    "{dims:?} step {step}: {}",
                    second.iter().sum::<f64>()
                );
            }
        }
    }
}

fn step(x: &[f32], p: &mut [f32], s: &mut [f32], dims: [usize; 2], h: NorMuonParams) {
    let (len, p) = (s.len(), ViewMut::from_slice(p, &dims).unwrap());
    let (x, s) = (View::from_slice(x, &dims).unwrap(), ViewMut::from_slice(s, &[len]).unwrap());
    let factors = h.factors(dims[0], dims[1]).unwrap();
    with_numbers(&factors, x.dtype(), |f| normuon(&Cpu, x, p, s, f)).unwrap();
}

#[test]
fn the_update_has_the_norm_of_an_orthogonal_matrix_and_even_rows_after_a_first_step() {
    let (dims, h) = ([12, 5], NorMuonParams { lr: 1.0, beta2: 0.0, weight_decay: 0.0 });
    let x: Vec<f32> = (0..60).map(|i| philox::unit_f32(philox::word(3, 1, i)) - 0.4).collect();
    let (mut p, mut s) = (vec![0.0f32; 60], vec![0.0f32; 12]);
    step(&x, &mut p, &mut s, dims, h);
    let step_size = (12.0f64 / 5.0).sqrt();
    for row in p.chunks(5) {
        // ‖X‖² = 5, spread over 12 rows.
        let square: f64 = row.iter().map(|v| (f64::from(*v) / step_size).powi(2)).sum();
        assert!((square - 5.0 / 12.0).abs() <= 1e-6, "{square}");
    }
}

#[test]
fn no_update_leaves_only_the_decay() {
    let h = NorMuonParams { lr: 0.5, beta2: 0.9, weight_decay: 0.1 };
    let (mut p, mut s) = ([1.0f32, -2.0, 4.0, 0.0], [0.0f32; 2]);
    step(&[0.0; 4], &mut p, &mut s, [2, 2], h);
    assert_eq!(p, [0.95, -1.9, 3.8, 0.0]);
    assert_eq!(s, [0.0; 2]);
}

#[test]
fn a_weight_that_the_update_enlarges_does_not_decay() {
    let with = |weight_decay| {
        let (mut p, mut s) = ([1.0f32, -1.0, 1.0, -1.0], [0.0f32; 2]);
        let h = NorMuonParams { lr: 0.1, beta2: 0.9, weight_decay };
        step(&[1.0, 1.0, -1.0, -1.0], &mut p, &mut s, [2, 2], h);
        p
    };
    let (plain, decayed) = (with(0.0), with(0.5));
    assert_eq!(plain[1..3], decayed[1..3]);
    assert!(decayed[0] < plain[0] && decayed[3] > plain[3]);
}
