//! What the registry does not say: strides, threads, neighbours, NaN, and agreement with the reference at several tiles.

use super::*;
use crate::{Bf16, Cpu, Element, Layout, Reference, par, philox};

/// Uniform numbers in (−1, 1) times `scale`.
fn numbers(n: usize, stream: u64, scale: f32) -> Vec<f32> {
    (0..n).map(|i| (philox::unit_f32(philox::word(7, stream, i as u64)) * 2.0 - 1.0) * scale).collect()
}

#[derive(Clone)]
struct Problem {
    q: [usize; 4],
    kv: [usize; 4],
    p: AttentionParams,
    /// q, k, v, do
    x: [Vec<f32>; 4],
}

impl Problem {
    fn new([b, t, h, kv_heads, d]: [usize; 5], window: Option<usize>) -> Problem {
        let (q, kv) = ([b, t, h, d], [b, t, kv_heads, d]);
        let (nq, nkv) = (b * t * h * d, b * t * kv_heads * d);
        let x = [numbers(nq, 1, 2.0), numbers(nkv, 2, 2.0), numbers(nkv, 3, 1.0), numbers(nq, 4, 1.0)];
        Problem { q, kv, p: AttentionParams { scale: 1.0 / (d as f32).sqrt(), window }, x }
    }
    /// o, lse, dq, dk, dv, computed in `T`, with statistics in `S`.
    fn run<T: Element, S: Element>(&self, b: &dyn Backend) -> [Vec<f64>; 5] {
        let [q, k, v, d_o] =
            self.x.each_ref().map(|x| x.iter().map(|&x| T::from_f64(x.into())).collect::<Vec<T>>());
        let lse_dims = [self.q[0], self.q[2], self.q[1]];
        let (mut o, mut lse) = (q.clone(), vec![S::from_f64(f64::NAN); lse_dims.iter().product()]);
        let (mut dq, mut dk, mut dv) = (q.clone(), k.clone(), v.clone());
        let (qv, kv, vv) = (
            View::from_slice(&q, &self.q).unwrap(),
            View::from_slice(&k, &self.kv).unwrap(),
            View::from_slice(&v, &self.kv).unwrap(),
        );
        let o_out = ViewMut::from_slice(&mut o, &self.q).unwrap();
        attention_fwd(b, qv, kv, vv, self.p, o_out, ViewMut::from_slice(&mut lse, &lse_dims).unwrap())
            .unwrap();
        attention_bwd(
            b,
            qv,
            kv,
            vv,
            View::from_slice(&o, &self.q).unwrap(),
            View::from_slice(&lse, &lse_dims).unwrap(),
            View::from_slice(&d_o, &self.q).unwrap(),
            self.p,
            ViewMut::from_slice(&mut dq, &self.q).unwrap(),
            ViewMut::from_slice(&mut dk, &self.kv).unwrap(),
            ViewMut::from_slice(&mut dv, &self.kv).unwrap(),
            false,
        )
        .unwrap();
        let wide = |x: &[T]| x.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
        [wide(&o), lse.iter().map(|x| x.to_f64()).collect(), wide(&dq), wide(&dk), wide(&dv)]
    }
}

fn assert_close(got: &[Vec<f64>; 5], want: &[Vec<f64>; 5], tolerance: f64, what: &str) {
    for (name, (got, want)) in ["o", "lse", "dq", "dk", "dv"].iter().zip(got.iter().zip(want)) {
        let largest = want.iter().fold(1.0f64, |m, w| m.max(w.abs()));
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((g - w).abs() <= tolerance * largest, "{what}: {name}[{i}] = {g}, want {w}");
        }
    }
}

const SHAPES: &[([usize; 5], Option<usize>)] = &[
    ([1, 1, 1, 1, 1], None),
    ([2, 7, 3, 3, 6], None),
    ([1, 64, 2, 2, 16], None),
    ([1, 65, 4, 2, 24], None),
    ([1, 130, 6, 1, 8], Some(3)),
    ([1, 200, 2, 2, 96], Some(70)),
    ([1, 90, 2, 2, 16], Some(0)),
    ([1, 600, 1, 1, 16], None),
    ([1, 600, 1, 1, 16], Some(130)),
    ([1, 600, 4, 2, 24], None),
    ([2, 1100, 3, 1, 8], Some(40)),
];

#[test]
fn cpu_agrees_with_the_reference_over_several_tiles_and_tasks() {
    for &(shape, window) in SHAPES {
        let problem = Problem::new(shape, window);
        let what = format!("{shape:?} {window:?}");
        assert_close(&problem.run::<f32, f32>(&Cpu), &problem.run::<f32, f32>(&Reference), 3e-6, &what);
        assert_close(&problem.run::<Bf16, f32>(&Cpu), &problem.run::<Bf16, f32>(&Reference), 8e-3, &what);
    }
}

#[test]
fn one_and_two_threads_give_the_same_bits() {
    let problem = Problem::new([2, 700, 4, 2, 16], Some(400));
    let wide = |threads| par::with_threads(threads, || problem.run::<f32, f32>(&Cpu));
    let narrow = |threads| par::with_threads(threads, || problem.run::<Bf16, f32>(&Cpu));
    assert_eq!(wide(1), wide(2));
    assert_eq!(narrow(1), narrow(3));
}

#[test]
fn a_row_does_not_depend_on_its_batch_neighbours_or_on_later_tokens() {
    neighbours_do_not_matter::<f32>();
    neighbours_do_not_matter::<Bf16>();
}

fn neighbours_do_not_matter<T: Element>() {
    let (t, h, d) = (150, 2, 24);
    let both = Problem::new([2, t, h, h, d], None);
    let [o, lse, dq, dk, dv] = both.run::<T, f32>(&Cpu);
    let mut second = Problem::new([1, t, h, h, d], None);
    for (x, all) in second.x.iter_mut().zip(&both.x) {
        x.copy_from_slice(&all[all.len() / 2..]);
    }
    let halves = [&o, &lse, &dq, &dk, &dv].map(|x| x[x.len() / 2..].to_vec());
    assert_eq!(second.run::<T, f32>(&Cpu), halves);
    let short = 70;
    let mut prefix = Problem::new([1, short, h, h, d], None);
    for (x, all) in prefix.x.iter_mut().zip(&second.x) {
        x.copy_from_slice(&all[..short * h * d]);
    }
    let row = short * h * d;
    assert_eq!(prefix.run::<T, f32>(&Cpu)[0], second.run::<T, f32>(&Cpu)[0][..row]);
}

#[test]
fn what_a_query_cannot_see_does_not_reach_it_even_when_it_is_nan() {
    invisible_is_harmless::<f32>(1e-5);
    invisible_is_harmless::<Bf16>(2e-2);
}

fn invisible_is_harmless<T: Element>(tolerance: f64) {
    for (window, poisoned, bad) in
        [(None, 100, f32::NAN), (Some(20), 70, f32::INFINITY), (Some(64), 3, f32::NAN)]
    {
        let (t, d) = (150, 16);
        let clean = Problem::new([1, t, 1, 1, d], window);
        for input in 0..4 {
            let mut problem = clean.clone();
            problem.x[input][poisoned * d + 5] = bad;
            let (got, want) = (problem.run::<T, f32>(&Cpu), problem.run::<T, f32>(&Reference));
            for (name, (got, want)) in ["o", "lse", "dq", "dk", "dv"].iter().zip(got.iter().zip(&want)) {
                for (i, (g, w)) in got.iter().zip(want).enumerate() {
                    let what = format!("{window:?} input {input} {name}[{i}] = {g}, want {w}");
                    assert_eq!(g.is_nan(), w.is_nan(), "{what}");
                    assert!(w.is_nan() || g == w || (g - w).abs() <= tolerance, "{what}");
                }
            }
        }
    }
}

#[test]
fn tiny_values_and_gradients_are_not_lost() {
    let mut problem = Problem::new([1, 70, 2, 1, 16], None);
    for x in [2, 3] {
        problem.x[x].iter_mut().for_each(|x| *x *= 1e-39);
    }
    let (got, want) = (problem.run::<Bf16, f32>(&Cpu), problem.run::<Bf16, f32>(&Reference));
    for output in [0, 4] {
        let largest = want[output].iter().fold(0.0f64, |m, w| m.max(w.abs()));
        assert!(largest > 1e-40);
        let mut pairs = got[output].iter().zip(&want[output]);
        let step = 2f64.powi(-133); // between denormal bf16: both results are rounded
        assert!(pairs.all(|(g, w)| (g - w).abs() <= 0.02 * largest + step), "output {output}");
    }
}

#[test]
fn strided_heads_are_read_and_written_in_place() {
    // One buffer holds q, k and v of every token side by side, as a fused projection leaves them; o goes to (B, H, T, D).
    let ([b, t, h, d], p) = ([2, 70, 3, 8], AttentionParams { scale: 0.3, window: Some(40) });
    let fused = numbers(b * t * 3 * h * d, 9, 1.0);
    let part = |i: usize| {
        let strides = [t * 3 * h * d, 3 * h * d, d, 1];
        View::from_slice_strided(&fused, Layout::strided(&[b, t, h, d], &strides, i * h * d).unwrap())
            .unwrap()
    };
    let copy = |i: usize| part(i).to_f64().unwrap().iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let (q, k, v) = (copy(0), copy(1), copy(2));
    let contiguous = |x| View::from_slice(x, &[b, t, h, d]).unwrap();
    let n = b * t * h * d;
    let (mut o, mut o2, mut lse, mut lse2) =
        (vec![0.0; n], vec![0.0; n], vec![0.0f32; b * h * t], vec![0.0f32; b * h * t]);
    let by_head = Layout::strided(&[b, t, h, d], &[h * t * d, d, t * d, 1], 0).unwrap();
    let mut out = ViewMut::from_slice_strided::<f32>(&mut o, by_head).unwrap();
    let lse_view = |x| ViewMut::from_slice(x, &[b, h, t]).unwrap();
    attention_fwd(&Cpu, part(0), part(1), part(2), p, out.reborrow(), lse_view(&mut lse)).unwrap();
    let got = out.as_view().to_f64().unwrap();
    let out2 = ViewMut::from_slice::<f32>(&mut o2, &[b, t, h, d]).unwrap();
    attention_fwd(&Cpu, contiguous(&q), contiguous(&k), contiguous(&v), p, out2, lse_view(&mut lse2))
        .unwrap();
    assert_eq!(got, o2.iter().map(|&x| x as f64).collect::<Vec<_>>());
    assert_eq!(lse, lse2);
}

#[test]
fn accumulating_adds_to_what_is_there() {
    let problem = Problem::new([1, 5, 2, 1, 4], None);
    let [.., want_q, want_k, want_v] = problem.run::<f32, f32>(&Reference);
    let [q, k, v, d_o] = &problem.x;
    let (mut o, mut lse) = (q.clone(), vec![0.0f32; 10]);
    let view = |x, dims: &[usize]| View::from_slice::<f32>(x, dims).unwrap();
    let (qv, kv, vv) = (view(q, &problem.q), view(k, &problem.kv), view(v, &problem.kv));
    let o_out = ViewMut::from_slice(&mut o, &problem.q).unwrap();
    attention_fwd(&Cpu, qv, kv, vv, problem.p, o_out, ViewMut::from_slice(&mut lse, &[1, 2, 5]).unwrap())
        .unwrap();
    let (mut dq, mut dk, mut dv) = (vec![1.0; q.len()], vec![2.0; k.len()], vec![3.0; v.len()]);
    attention_bwd(
        &Cpu,
        qv,
        kv,
        vv,
        view(&o, &problem.q),
        view(&lse, &[1, 2, 5]),
        view(d_o, &problem.q),
        problem.p,
        ViewMut::from_slice::<f32>(&mut dq, &problem.q).unwrap(),
        ViewMut::from_slice::<f32>(&mut dk, &problem.kv).unwrap(),
        ViewMut::from_slice::<f32>(&mut dv, &problem.kv).unwrap(),
        true,
    )
    .unwrap();
    for (got, want, old) in [(dq, want_q, 1.0), (dk, want_k, 2.0), (dv, want_v, 3.0)] {
        assert!(got.iter().zip(want).all(|(&g, w)| (g as f64 - old - w).abs() < 1e-5));
    }
}

#[test]
fn heads_that_do_not_divide_and_swapped_arguments_are_refused() {
    let x = vec![0.0f32; 240];
    let mut out = vec![0.0f32; 240];
    let mut lse = vec![0.0f32; 60];
    let p = AttentionParams { scale: 1.0, window: None };
    let mut call = |q: &[usize], k: &[usize], v: &[usize], p: AttentionParams| {
        let view = |dims| View::from_slice(&x, dims).unwrap();
        let (o, lse_dims) = (ViewMut::from_slice(&mut out, q).unwrap(), [q[0], q[2], q[1]]);
        attention_fwd(
            &Cpu,
            view(q),
            view(k),
            view(v),
            p,
            o,
            ViewMut::from_slice(&mut lse, &lse_dims).unwrap(),
        )
    };
    assert!(call(&[1, 5, 4, 4], &[1, 5, 2, 4], &[1, 5, 2, 4], p).is_ok());
    let message = call(&[1, 5, 4, 4], &[1, 5, 3, 4], &[1, 5, 3, 4], p).unwrap_err().to_string();
    assert!(message.contains("4 query heads cannot share 3"), "{message}");
    assert!(call(&[1, 5, 4, 4], &[1, 4, 2, 4], &[1, 4, 2, 4], p).is_err());
    assert!(call(&[1, 5, 4, 4], &[1, 5, 2, 4], &[1, 5, 4, 4], p).is_err());
    assert!(
        call(&[1, 5, 4, 4], &[1, 5, 2, 4], &[1, 5, 2, 4], AttentionParams { scale: f32::NAN, ..p }).is_err()
    );
}

#[test]
fn the_gradient_is_the_slope_of_the_reference() {
    // Central differences of Σ do∘o in f64, one coordinate of each input at a time.
    let problem = Problem::new([1, 6, 2, 1, 3], Some(3));
    let [_, _, dq, dk, dv] = problem.run::<f64, f64>(&Reference);
    let loss = |x: [&[f64]; 3]| {
        let s = Shape::new(&problem.q, &problem.kv);
        let (o, _) = definition::forward(x[0], x[1], x[2], &s, problem.p);
        o.iter().zip(&problem.x[3]).map(|(o, &g)| o * g as f64).sum::<f64>()
    };
    let x: Vec<Vec<f64>> = problem.x.iter().map(|x| x.iter().map(|&x| x as f64).collect()).collect();
    for (input, grad) in [dq, dk, dv].iter().enumerate() {
        for i in 0..grad.len() {
            let moved = |step: f64| {
                let mut x = x.clone();
                x[input][i] += step;
                loss([&x[0], &x[1], &x[2]])
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - grad[i]).abs() < 1e-8, "input {input}[{i}]: {slope} {}", grad[i]);
        }
    }
}
