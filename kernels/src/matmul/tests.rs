//! The promises of the matrix product: right values for all layouts, and bits that depend on K alone.

use super::block::{Product, run};
use super::kernel::{self, Micro};
use super::strided::{Lanes, Target};
use super::*;
use crate::philox::Philox;
use crate::{Bf16, Cpu, Float, Layout, Reference, par};

fn numbers<T: Float>(len: usize, seed: u64) -> Vec<T> {
    let mut rng = Philox::new(seed, 0);
    (0..len).map(|_| T::from_f32(2.0 * rng.uniform() - 1.0)).collect()
}

/// Strides of an (m, n) matrix in a slice, by name.
fn strides(order: char, m: usize, n: usize) -> (usize, usize) {
    match order {
        'r' => (n, 1),          // rows
        'c' => (1, m),          // columns: a transposed view
        'p' => (n + 3, 1),      // rows with a gap
        _ => (2 * n.max(1), 2), // every second element
    }
}

/// One product with the given kernel and layouts; returns C in logical order.
fn product<T: Float, U: Float>(
    micro: &Micro,
    (m, k, n): (usize, usize, usize),
    orders: [char; 3],
    (alpha, beta): (f32, f32),
) -> Vec<f64> {
    let (a, b) = (numbers::<T>(m * k, 1), numbers::<T>(k * n, 2));
    let ((ar, ac), (br, bc), (cr, cc)) =
        (strides(orders[0], m, k), strides(orders[1], k, n), strides(orders[2], m, n));
    let spread = |from: &[T], rows: usize, cols: usize, r: usize, c: usize| {
        let mut to = vec![T::default(); (rows * r + cols * c + 1).max(from.len())];
        (0..rows * cols).for_each(|i| to[i / cols * r + i % cols * c] = from[i]);
        to
    };
    let (a, b) = (spread(&a, m, k, ar, ac), spread(&b, k, n, br, bc));
    let old = if beta == 0.0 { vec![U::from_f32(f32::NAN); m * n] } else { numbers::<U>(m * n, 3) };
    let mut c = vec![U::from_f32(-77.0); m * cr + n * cc + 1];
    (0..m * n).for_each(|i| c[i / n * cr + i % n * cc] = old[i]);
    let p = Product {
        a: Lanes::new(&a, m, k, ar, ac),
        b: Lanes::new(&b, n, k, bc, br),
        // SAFETY: c outlives the product, and nobody else uses it meanwhile.
        c: unsafe { Target::from_raw(c.as_mut_ptr(), c.len(), (m, n), cr, cc) },
        alpha,
        beta,
        symmetric: None,
    };
    run(p, micro, true);
    let result = (0..m * n).map(|i| c[i / n * cr + i % n * cc].to_f64()).collect();
    (0..m * n).for_each(|i| c[i / n * cr + i % n * cc] = U::from_f32(-77.0));
    assert!(c.iter().all(|v| v.to_f64() == -77.0), "wrote between the elements of C");
    result
}

/// The same product in f64, and the sum of the absolute values of its terms.
fn expected<T: Float, U: Float>(
    (m, k, n): (usize, usize, usize),
    (alpha, beta): (f32, f32),
) -> Vec<(f64, f64)> {
    let (a, b, old) = (numbers::<T>(m * k, 1), numbers::<T>(k * n, 2), numbers::<U>(m * n, 3));
    let element = |at: usize| {
        let terms = (0..k).map(|l| alpha as f64 * a[at / n * k + l].to_f64() * b[l * n + at % n].to_f64());
        let old = if beta == 0.0 { 0.0 } else { beta as f64 * old[at].to_f64() };
        (terms.clone().sum::<f64>() + old, terms.map(f64::abs).sum::<f64>() + old.abs())
    };
    (0..m * n).map(element).collect()
}

fn check<T: Float, U: Float>(
    micro: &Micro,
    size: (usize, usize, usize),
    orders: [char; 3],
    factors: (f32, f32),
) {
    let got = product::<T, U>(micro, size, orders, factors);
    for (at, (got, (want, terms))) in got.into_iter().zip(expected::<T, U>(size, factors)).enumerate() {
        let bound = U::DTYPE.unit_roundoff() * want.abs() + 8.0 * DType::F32.unit_roundoff() * terms;
        let lanes = micro.lanes;
        assert!((got - want).abs() <= bound, "{lanes} lanes, {size:?} {orders:?} at {at}: {got}, not {want}");
    }
}

#[test]
fn every_kernel_is_right_for_every_layout() {
    let (sizes, layouts) = ([(17, 21, 37), (3, 21, 37), (40, 9, 1)], ['r', 'c', 'p', 's']);
    for (a, b, c) in
        layouts.iter().flat_map(|&a| layouts.iter().flat_map(move |&b| ['r', 'c', 's'].map(|c| (a, b, c))))
    {
        for size in sizes {
            for micro in kernel::all(DType::F32) {
                check::<f32, f32>(micro, size, [a, b, c], (1.0, 0.0));
            }
            for micro in kernel::all(DType::Bf16) {
                check::<Bf16, Bf16>(micro, size, [a, b, c], (1.0, 1.0));
                check::<Bf16, f32>(micro, size, [a, b, c], (-0.5, 0.25));
            }
        }
    }
}

/// What every kernel must do with every size.
fn every_size_is_right<T: Float, U: Float>() {
    for micro in kernel::all(T::DTYPE) {
        for m in 1..=2 * micro.rows + 1 {
            for n in (1..=2 * micro.cols + 1).step_by(1 + m % 3) {
                check::<T, U>(micro, (m, 5, n), ['r', 'c', 'r'], (1.0, 1.0));
            }
        }
        for k in 0..70 {
            for order in ['c', 'r', 's'] {
                check::<T, U>(micro, (micro.rows + 1, k, 7), ['r', order, 'r'], (2.0, 0.0));
                check::<T, U>(micro, (3, k, 37), ['r', order, 'r'], (1.0, 0.5));
                check::<T, U>(micro, (3, k, 37), [order, 'c', 'r'], (1.0, 0.5));
            }
        }
        for order in [['r', 'c', 'r'], ['r', 'r', 'r'], ['c', 'r', 'r'], ['r', 'r', 'c'], ['r', 'c', 's']] {
            check::<T, U>(micro, (150, 1001, 70), order, (1.0, 1.0));
            check::<T, U>(micro, (70, 1000, 150), order, (1.0, 0.0));
        }
        // More than one panel, in K and in lanes.
        check::<T, U>(micro, (20, 2600, 1060), ['r', 'c', 'r'], (1.0, 1.0));
        check::<T, U>(micro, (1060, 2600, 20), ['r', 'r', 'r'], (1.0, 0.0));
        check::<T, U>(micro, (3, 4700, 40), ['r', 'c', 'r'], (1.0, 1.0));
    }
}

#[test]
fn every_size_of_f32_is_right() {
    every_size_is_right::<f32, f32>();
}

#[test]
fn every_size_of_bf16_is_right() {
    every_size_is_right::<Bf16, Bf16>();
    every_size_is_right::<Bf16, f32>();
}

/// Rows must have the bits they have alone.
fn rows_stand_for_themselves<T: Float, U: Float>() {
    for micro in kernel::all(T::DTYPE) {
        for (k, n) in [(700, 90), (64, 33), (257, 16), (1211, 40), (2300, 33)] {
            for orders in [['r', 'c', 'r'], ['r', 'r', 'r'], ['r', 'r', 's'], ['c', 'c', 'r']] {
                for factors in [(0.3, 0.0), (1.0, 1.0)] {
                    let whole = product::<T, U>(micro, (61, k, n), orders, factors);
                    for m in [1, 2, 5, 7, 8, 9, 15, 40] {
                        // The first m rows: numbers() draws row after row.
                        let part = product::<T, U>(micro, (m, k, n), orders, factors);
                        let name = (micro.lanes, micro.terms);
                        assert_eq!(part, whole[..m * n], "{name:?}, k {k}, {orders:?}, first {m} rows");
                    }
                }
            }
        }
    }
}

#[test]
fn the_bits_of_a_row_do_not_depend_on_the_other_rows() {
    rows_stand_for_themselves::<f32, f32>();
    rows_stand_for_themselves::<Bf16, Bf16>();
    rows_stand_for_themselves::<Bf16, f32>();
}

/// One, two and five threads.
fn threads_do_not_matter<T: Float, U: Float>() {
    for micro in kernel::all(T::DTYPE) {
        for size in [(300, 1300, 200), (3, 700, 2000), (40, 2400, 700)] {
            let compute = || product::<T, U>(micro, size, ['r', 'c', 'r'], (1.0, 1.0));
            let one = par::with_threads(1, compute);
            assert_eq!(one, par::with_threads(2, compute));
            assert_eq!(one, par::with_threads(5, compute));
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    threads_do_not_matter::<f32, f32>();
    threads_do_not_matter::<Bf16, Bf16>();
}

#[test]
fn computing_the_transpose_gives_the_same_bits() {
    fn both<T: Float>() {
        for micro in kernel::all(T::DTYPE) {
            let c = product::<T, T>(micro, (45, 530, 70), ['r', 'r', 'r'], (1.0, 1.0));
            assert_eq!(c, product::<T, T>(micro, (45, 530, 70), ['c', 'p', 'c'], (1.0, 1.0)));
        }
    }
    both::<f32>();
    both::<Bf16>();
}

/// A (lead…, rows, cols) view of `data`, in which leading dimensions named in `repeat` have stride 0.
fn stacked<'a>(data: &'a [f32], dims: &[usize], repeat: &[usize]) -> View<'a> {
    let mut strides = vec![0; dims.len()];
    let mut step = 1;
    for axis in (0..dims.len()).rev() {
        if !repeat.contains(&axis) {
            strides[axis] = step;
            step *= dims[axis];
        }
    }
    View::from_slice_strided(data, Layout::strided(dims, &strides, 0).unwrap()).unwrap()
}

#[test]
fn batches_and_broadcast_operands_agree_with_the_definition() {
    let (a, b) = (numbers::<f32>(2 * 3 * 40 * 50, 5), numbers::<f32>(2 * 3 * 50 * 20, 6));
    for (repeat_a, repeat_b) in
        [(vec![], vec![]), (vec![0], vec![1]), (vec![], vec![0, 1]), (vec![], vec![1])]
    {
        let (x, w) = (stacked(&a, &[2, 3, 40, 50], &repeat_a), stacked(&b, &[2, 3, 50, 20], &repeat_b));
        let mut both = Vec::new();
        for backend in [&Cpu as &dyn Backend, &Reference] {
            let mut c = vec![f32::NAN; 2 * 3 * 40 * 20];
            let view = ViewMut::from_slice(&mut c, &[2, 3, 40, 20]).unwrap();
            matmul(backend, x, w, view, 1.0, 0.0).unwrap();
            both.push(c);
        }
        let (cpu, reference) = (&both[0], &both[1]);
        assert!(cpu.iter().zip(reference).all(|(a, b)| (a - b).abs() <= 1e-4), "{repeat_a:?} {repeat_b:?}");
    }
}

#[test]
fn half_of_a_symmetric_product_is_all_of_it() {
    for (n, k) in [(1, 5), (13, 40), (150, 300), (333, 70)] {
        let x = numbers::<f32>(n * k, 4);
        let (rows, t) =
            (View::from_slice(&x, &[n, k]).unwrap(), Layout::strided(&[k, n], &[1, k], 0).unwrap());
        let columns = View::from_slice_strided(&x, t).unwrap();
        let (mut half, mut all) = (vec![0.5f32; n * n], vec![0.5f32; n * n]);
        matmul_symmetric(rows, columns, ViewMut::from_slice(&mut half, &[n, n]).unwrap(), 2.0, 1.0).unwrap();
        matmul(&Cpu, rows, columns, ViewMut::from_slice(&mut all, &[n, n]).unwrap(), 2.0, 1.0).unwrap();
        assert_eq!(half, all, "n {n}, k {k}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let (a, b, mut c) = ([0.0f32; 6], [0.0f32; 8], [0.0f32; 8]);
    let (x, w) = (View::from_slice(&a, &[2, 3]).unwrap(), View::from_slice(&b, &[4, 2]).unwrap());
    let out = ViewMut::from_slice(&mut c, &[2, 2]).unwrap();
    assert!(matches!(matmul(&Cpu, x, w, out, 1.0, 0.0), Err(KernelError::Shape { arg: "b", .. })));
    let out = ViewMut::from_slice(&mut c, &[2]).unwrap();
    let vector = View::from_slice(&a, &[6]).unwrap();
    assert!(matches!(matmul(&Cpu, vector, vector, out, 1.0, 0.0), Err(KernelError::Shape { arg: "a", .. })));
}
