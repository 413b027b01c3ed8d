//! Bits: a packed weight gives those of the plain one, and a row those it would have alone.

use super::{WIDTH, packed_linear, packed_linear_int8};
use crate::matmul::matmul;
use crate::philox::Philox;
use crate::{Bf16, Cpu, Float, Layout, View, ViewMut};

const SIZES: &[(usize, usize, usize)] =
    &[(1, 768, 70), (3, 301, 64), (8, 1025, 33), (9, 40, 96), (40, 600, 50)];

/// `w` (n, k), packed.
fn pack<T: Copy>(w: &[T], (n, k): (usize, usize), zero: T) -> Vec<T> {
    let at = |at: usize| (at / WIDTH / k * WIDTH + at % WIDTH, at / WIDTH % k);
    let number = |i: usize| {
        let (j, l) = at(i);
        if j < n { w[j * k + l] } else { zero }
    };
    (0..n.div_ceil(WIDTH) * k * WIDTH).map(number).collect()
}

fn view<'a, T: crate::Element>(data: &'a [T], dims: &[usize]) -> View<'a> {
    View::from_slice(data, dims).unwrap()
}

fn normal<T: Float>(stream: u64, len: usize) -> Vec<T> {
    let mut rng = Philox::new(5, stream);
    (0..len).map(|_| T::from_f32(rng.normal() as f32)).collect()
}

/// The product with the plain weight, into f32.
fn product<T: Float>(x: &[T], w: &[T], (m, k, n): (usize, usize, usize)) -> Vec<f32> {
    let mut y = vec![0.0f32; m * n];
    let transposed = Layout::strided(&[k, n], &[1, k], 0).unwrap();
    let out = ViewMut::from_slice(&mut y, &[m, n]).unwrap();
    matmul(&Cpu, view(x, &[m, k]), View::from_slice_strided(w, transposed).unwrap(), out, 1.0, 0.0).unwrap();
    y
}

fn bits(y: &[f32]) -> Vec<u32> {
    y.iter().map(|v| v.to_bits()).collect()
}

fn packed_is_plain<T: Float>() {
    for &(m, k, n) in SIZES {
        let (x, w) = (normal::<T>(1, m * k), normal::<T>(2, n * k));
        let packed = pack(&w, (n, k), T::from_f32(0.0));
        let mut y = vec![f32::NAN; m * n];
        let out = ViewMut::from_slice(&mut y, &[m, n]).unwrap();
        let dims = [n.div_ceil(WIDTH), k, WIDTH];
        packed_linear(&Cpu, view(&x, &[m, k]), view(&packed, &dims), out).unwrap();
        assert_eq!(bits(&y), bits(&product(&x, &w, (m, k, n))), "{m} {k} {n} {}", T::DTYPE);
    }
}

#[test]
fn a_packed_weight_has_the_bits_of_the_plain_one() {
    packed_is_plain::<f32>();
    packed_is_plain::<Bf16>();
}

fn int8_is_exact<T: Float>() {
    for &(m, k, n) in SIZES {
        let mut rng = Philox::new(5, 3);
        let q: Vec<i8> = (0..n * k).map(|_| rng.below(256) as u8 as i8).collect();
        let x = normal::<T>(1, m * k);
        let scale: Vec<f32> = (0..n).map(|j| 0.5 + j as f32).collect();
        let w: Vec<T> = q.iter().map(|&v| T::from_f32(v.into())).collect();
        let bytes = pack(&q, (n, k), 0);
        let fours: Vec<i32> =
            bytes.chunks(4).map(|c| i32::from_le_bytes([c[0], c[1], c[2], c[3]].map(|v| v as u8))).collect();
        let mut y = vec![f32::NAN; m * n];
        let out = ViewMut::from_slice(&mut y, &[m, n]).unwrap();
        let dims = [n.div_ceil(WIDTH), k, WIDTH / 4];
        packed_linear_int8(&Cpu, view(&x, &[m, k]), view(&fours, &dims), view(&scale, &[n]), out).unwrap();
        let plain = product(&x, &w, (m, k, n));
        let want: Vec<f32> = plain.iter().enumerate().map(|(i, v)| v * scale[i % n]).collect();
        assert_eq!(bits(&y), bits(&want), "{m} {k} {n} {}", T::DTYPE);
    }
}

#[test]
fn int8_weights_are_multiplied_without_a_rounding_of_their_own() {
    int8_is_exact::<f32>();
    int8_is_exact::<Bf16>();
}
