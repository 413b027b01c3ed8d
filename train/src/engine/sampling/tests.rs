//! Filters against their definitions, the kernel against the table, and what a row's number depends on.

use super::*;
use model::generate::sampling_probabilities;
use tensor::Device;

const LOGITS: [f32; 6] = [2.0, -1.0, 3.0, 0.5, 3.0, -4.0];

/// The table behind a prompt of `seen`.
fn table(sampling: &Sampling, seen: &[u32]) -> Vec<(u32, f64)> {
    distribution(&LOGITS, &Draw { sampling, uniform: 0.0, seen, prompt: seen.len() })
}

fn ids(sampling: Sampling, seen: &[u32]) -> Vec<u32> {
    table(&sampling, seen).into_iter().map(|(id, _)| id).collect()
}

#[test]
fn without_filters_the_distribution_is_the_softmax_and_top_k_keeps_the_first_of_equals() {
    for (temperature, top_k) in [(1.0, 0), (0.5, 0), (1.3, 1), (0.8, 3), (0.0, 0), (1.0, 50)] {
        let sampling = Sampling { temperature, top_k, ..Sampling::default() };
        let want = sampling_probabilities(&LOGITS, temperature.into(), Some(top_k));
        let mut got = [0.0; 6];
        table(&sampling, &[]).into_iter().for_each(|(id, p)| got[id as usize] = p);
        let furthest = want.iter().zip(got).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(furthest <= 1e-12, "{sampling:?}: {want:?} {got:?}");
    }
}

#[test]
fn top_p_keeps_the_smallest_set_that_reaches_it() {
    // Probabilities: 0.4 (2), 0.4 (4), 0.147 (0), 0.033 (3), 0.007, 0.0004.
    let kept = |top_p| ids(Sampling { top_p, ..Sampling::default() }, &[]);
    assert_eq!(kept(0.3), [2]);
    assert_eq!(kept(0.5), [2, 4]);
    assert_eq!(kept(0.9), [2, 4, 0]);
    assert_eq!(kept(0.97), [2, 4, 0, 3]);
    assert_eq!(kept(1.0).len(), 6);
}

#[test]
fn of_a_large_vocabulary_enough_is_put_in_order() {
    // Flat and steep: a few are enough, or hardly all.
    for (steepness, top_p) in [(0.0, 0.9), (0.0, 1.0), (1e-4, 0.999), (0.01, 0.5), (1.0, 0.95), (1.0, 1.0)] {
        let logits: Vec<f32> = (0..5000u32).map(|i| -steepness * ((i * 2741) % 5000) as f32).collect();
        let sampling = Sampling { top_p, presence_penalty: 0.5, ..Sampling::default() };
        for uniform in [0.0, 0.37, 0.9, 0.999_999] {
            let found = distribution(&logits, &Draw { sampling: &sampling, uniform, seen: &[], prompt: 0 });
            let mut sorted = found.clone();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let drawn = pick(&found, uniform);
            assert_eq!(drawn, pick(&sorted, uniform), "steepness {steepness}, top-p {top_p}, {uniform}");
            assert!((found.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
            let full =
                distribution(&logits, &Draw { sampling: &sampling, uniform: 1.0, seen: &[], prompt: 0 });
            assert_eq!(full.len(), found.len());
            assert_eq!(drawn, pick(&full, uniform));
        }
    }
}

#[test]
fn min_p_compares_with_the_largest() {
    let kept = |min_p| ids(Sampling { min_p, ..Sampling::default() }, &[]);
    assert_eq!(kept(0.3), [2, 4, 0]); // e^(2 − 3) = 0.37
    assert_eq!(kept(0.4), [2, 4]);
    assert_eq!(kept(1.0), [2, 4]);
}

#[test]
fn the_penalty_lowers_what_occurred_once_however_often_and_whatever_its_sign() {
    let sampling = Sampling { temperature: 0.0, repetition_penalty: 2.0, ..Sampling::default() };
    assert_eq!(ids(sampling, &[]), [2]);
    assert_eq!(ids(sampling, &[2, 2, 2]), [4]);
    let twice = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
    assert_eq!(table(&twice, &[2, 2, 1, 2]), table(&twice, &[1, 2]));
    assert_eq!(ids(sampling, &[2, 4]), [0]); // 1.5 and 1.5 against 2
    let sampling = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
    let p = |seen: &[u32]| table(&sampling, seen).iter().find(|(id, _)| *id == 1).unwrap().1;
    assert!(p(&[1]) < p(&[]), "−1 becomes −2");
    assert_eq!(ids(sampling, &[999]).len(), 6, "an id outside the row is no matter");
}

#[test]
fn presence_counts_once_and_frequency_every_time_and_neither_counts_the_prompt() {
    let penalties = |presence_penalty, frequency_penalty| Sampling {
        presence_penalty,
        frequency_penalty,
        ..Sampling::default()
    };
    let seen = [0, 3, 0, 4, 4, 4, 999]; // the first two are the prompt
    let odds = |sampling: &Sampling| {
        let of = |prompt| distribution(&LOGITS, &Draw { sampling, uniform: 0.0, seen: &seen, prompt });
        let p = |prompt, id| of(prompt).into_iter().find(|&(found, _)| found == id).unwrap().1;
        [0, 3, 4].map(|id| ((p(2, id) / p(2, 2)) / (p(7, id) / p(7, 2))).ln())
    };
    let near = |got: [f64; 3], want: [f64; 3]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6);
    assert!(near(odds(&penalties(0.5, 0.0)), [-0.5, 0.0, -0.5]));
    assert!(near(odds(&penalties(0.0, 0.25)), [-0.25, 0.0, -0.75]));
    assert!(near(odds(&penalties(-1.0, 0.5)), [0.5, 0.0, -0.5]), "negative ones invite");
    let greedy = Sampling { temperature: 0.0, ..penalties(2.0, 0.0) };
    let row = Draw { sampling: &greedy, uniform: 0.0, seen: &[2, 4], prompt: 0 };
    let logits = Tensor::from_slice(&LOGITS, &[1, 6], Device::Cpu).unwrap();
    assert_eq!(draw(&logits, &[row]).unwrap(), [Some(0)], "greedy rows are held back, too");
}

#[test]
fn rows_that_want_different_things_get_what_they_would_get_alone() {
    let of = |temperature, top_k| Sampling { temperature, top_k, ..Sampling::default() };
    let filtered = Sampling { min_p: 0.3, repetition_penalty: 1.5, ..Sampling::default() };
    // Those that the kernel draws for, alike and not, and those that it cannot draw for.
    together_as_alone([of(0.7, 3), of(0.7, 3), of(0.7, 3), of(0.7, 3)]);
    together_as_alone([of(1.0, 3), of(1.0, 2), of(2.0, 3), Sampling::greedy()]);
    together_as_alone([of(1.0, 3), Sampling { top_p: 0.9, ..of(1.0, 0) }, Sampling::greedy(), filtered]);
}

fn together_as_alone(settings: [Sampling; 4]) {
    let logits = Tensor::from_slice(&LOGITS.repeat(4), &[4, 6], Device::Cpu).unwrap();
    for index in 0..50 {
        let row =
            |i: usize| Draw { sampling: &settings[i], uniform: uniform(7, i, index), seen: &[2], prompt: 1 };
        let rows: Vec<Draw> = (0..4).map(row).collect();
        let together = draw(&logits, &rows).unwrap();
        for (i, token) in together.into_iter().enumerate() {
            assert_eq!(draw(&logits.narrow(0, i, 1).unwrap(), &rows[i..=i]).unwrap(), [token]);
            let allowed = ids(settings[i], &[2]);
            assert!(allowed.contains(&token.unwrap()), "row {i}: {token:?} of {allowed:?}");
        }
    }
}

#[test]
fn drawing_follows_the_probabilities() {
    let sampling = Sampling { top_p: 0.97, temperature: 1.2, ..Sampling::default() };
    let table = table(&sampling, &[]);
    let n = 20_000;
    let mut counts = [0.0; 6];
    (0..n).for_each(|i| counts[pick(&table, uniform(3, 0, i)).unwrap() as usize] += 1.0 / n as f64);
    for (id, p) in table {
        assert!((counts[id as usize] - p).abs() < 4.0 * (p / n as f64).sqrt(), "{id}: {counts:?} {p}");
    }
}

#[test]
fn damaged_logits_draw_nothing() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut z = LOGITS;
        z[3] = bad;
        let logits = Tensor::from_slice(&z, &[1, 6], Device::Cpu).unwrap();
        for sampling in [Sampling::default(), Sampling { top_p: 0.5, ..Sampling::default() }] {
            let row = Draw { sampling: &sampling, uniform: 0.5, seen: &[], prompt: 0 };
            assert_eq!(draw(&logits, &[row]).unwrap(), [None]);
        }
    }
}

#[test]
fn logprobs_are_logarithms_of_the_softmax() {
    let found = logprobs(&LOGITS, 3, 3);
    let want = sampling_probabilities(&LOGITS, 1.0, None);
    assert!((f64::from(found.token).exp() - want[3]).abs() < 1e-6);
    assert_eq!(found.top.iter().map(|t| t.0).collect::<Vec<_>>(), [2, 4, 0]);
    assert!((f64::from(found.top[2].1).exp() - want[0]).abs() < 1e-6);
    assert_eq!(logprobs(&LOGITS, 0, 99).top.len(), 6);
}

#[test]
fn samples_of_one_seed_have_streams_of_their_own() {
    let numbers = |sample| (0..8).map(|i| uniform(42, sample, i)).collect::<Vec<_>>();
    assert_ne!(numbers(0), numbers(1));
    assert_eq!(numbers(1), numbers(1));
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let ok = Sampling::default();
    for (bad, field) in [
        (Sampling { temperature: -0.1, ..ok }, "temperature"),
        (Sampling { temperature: f32::NAN, ..ok }, "temperature"),
        (Sampling { top_p: 0.0, ..ok }, "top_p"),
        (Sampling { top_p: 1.1, ..ok }, "top_p"),
        (Sampling { min_p: -0.5, ..ok }, "min_p"),
        (Sampling { repetition_penalty: 0.0, ..ok }, "repetition_penalty"),
        (Sampling { presence_penalty: f32::NAN, ..ok }, "presence_penalty"),
        (Sampling { frequency_penalty: f32::INFINITY, ..ok }, "frequency_penalty"),
    ] {
        assert!(bad.check().unwrap_err().to_string().contains(field));
    }
    assert_eq!(ok.check(), Ok(()));
}
