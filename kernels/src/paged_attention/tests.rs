//! What the registry does not say: the bits do not depend on chunking, batch or page size; agreement with attention over a
//! whole sequence; what is refused.

use super::*;
use crate::attention::attention_fwd;
use crate::{Bf16, Cpu, Element, Float, Reference, par, philox};

/// Uniform numbers in (−1, 1) times `scale`, rounded to `T`.
fn numbers<T: Element>(n: usize, stream: u64, scale: f32) -> Vec<T> {
    let unit = |i| philox::unit_f32(philox::word(11, stream, i as u64)) * 2.0 - 1.0;
    (0..n).map(|i| T::from_f64((unit(i) * scale) as f64)).collect()
}

/// One sequence's queries, keys and values, and the sizes T, H, Hk, D.
struct Sequence<T> {
    q: Vec<T>,
    k: Vec<T>,
    v: Vec<T>,
    dims: [usize; 4],
    p: AttentionParams,
}

impl<T: Float> Sequence<T> {
    fn new(dims: [usize; 4], window: Option<usize>) -> Self {
        let [t, h, kv_heads, d] = dims;
        let (q, k, v) = (
            numbers(t * h * d, 1, 3.0),
            numbers(t * kv_heads * d, 2, 3.0),
            numbers(t * kv_heads * d, 3, 1.0),
        );
        Sequence { q, k, v, dims, p: AttentionParams { scale: 1.0 / (d as f32).sqrt(), window } }
    }
    /// The outputs of all queries when the sequence is fed in chunks of `chunk` tokens into pages of `page_len`, as the
    /// last of `rows` batch rows that all hold the same sequence.
    fn decode(&self, b: &dyn Backend, chunk: usize, page_len: usize, rows: usize) -> Vec<T> {
        let [t, h, kv_heads, d] = self.dims;
        let max_pages = t.div_ceil(page_len);
        // Pages of the rows interleaved, the last page of a row first.
        let table: Vec<i32> = (0..rows)
            .flat_map(|row| (0..max_pages).map(move |page| ((max_pages - 1 - page) * rows + row) as i32))
            .collect();
        let table = View::from_slice(&table, &[rows, max_pages]).unwrap();
        let pages = [max_pages * rows, page_len, kv_heads, d];
        let mut caches = [(); 2].map(|_| vec![T::from_f32(f32::NAN); pages.iter().product()]);
        let mut out = Vec::new();
        for first in (0..t).step_by(chunk) {
            let n = chunk.min(t - first);
            let repeat = |x: &[T], width: usize| x[first * width..(first + n) * width].repeat(rows);
            let positions: Vec<i32> = (0..rows).flat_map(|_| first as i32..(first + n) as i32).collect();
            let positions = View::from_slice(&positions, &[rows, n]).unwrap();
            for (cache, x) in caches.iter_mut().zip([&self.k, &self.v]) {
                let x = repeat(x, kv_heads * d);
                let x = View::from_slice(&x, &[rows, n, kv_heads, d]).unwrap();
                kv_append(b, x, positions, table, ViewMut::from_slice(cache, &pages).unwrap()).unwrap();
            }
            let (q, q_dims) = (repeat(&self.q, h * d), [rows, n, h, d]);
            let mut o = vec![T::default(); q.len()];
            let [k, v] = caches.each_ref().map(|c| View::from_slice(c, &pages).unwrap());
            let o_view = ViewMut::from_slice(&mut o, &q_dims).unwrap();
            let q = View::from_slice(&q, &q_dims).unwrap();
            paged_attention(b, q, k, v, table, positions, self.p, o_view).unwrap();
            out.extend_from_slice(&o[(rows - 1) * n * h * d..]);
        }
        out
    }
    /// All queries at once, without a cache.
    fn whole(&self) -> Vec<T> {
        let [t, h, kv_heads, d] = self.dims;
        let (q_dims, kv_dims) = ([1, t, h, d], [1, t, kv_heads, d]);
        let (mut o, mut lse) = (self.q.clone(), vec![0.0f32; h * t]);
        attention_fwd(
            &Cpu,
            View::from_slice(&self.q, &q_dims).unwrap(),
            View::from_slice(&self.k, &kv_dims).unwrap(),
            View::from_slice(&self.v, &kv_dims).unwrap(),
            self.p,
            ViewMut::from_slice(&mut o, &q_dims).unwrap(),
            ViewMut::from_slice(&mut lse, &[1, h, t]).unwrap(),
        )
        .unwrap();
        o
    }
}

fn bits<T: Float>(x: &[T]) -> Vec<u32> {
    x.iter().map(|x| x.to_f32().to_bits()).collect()
}

fn largest_difference<T: Float>(x: &[T], y: &[T]) -> f32 {
    assert_eq!(x.len(), y.len());
    x.iter().zip(y).map(|(x, y)| (x.to_f32() - y.to_f32()).abs()).fold(0.0, |m, e| if e <= m { m } else { e })
}

fn chunks_pages_and_batches_do_not_matter<T: Float>() {
    for window in [None, Some(50)] {
        let s = Sequence::<T>::new([150, 4, 2, 24], window);
        let one_by_one = bits(&s.decode(&Cpu, 1, 16, 1));
        for (chunk, page_len, rows) in [(150, 150, 1), (7, 16, 1), (40, 1, 1), (150, 70, 3), (1, 64, 2)] {
            let got = bits(&s.decode(&Cpu, chunk, page_len, rows));
            assert!(got == one_by_one, "chunks of {chunk}, pages of {page_len}, {rows} rows");
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_chunks_pages_or_batch() {
    chunks_pages_and_batches_do_not_matter::<f32>();
    chunks_pages_and_batches_do_not_matter::<Bf16>();
}

#[test]
fn one_and_two_threads_give_the_same_bits() {
    let s = Sequence::<f32>::new([130, 6, 2, 32], None);
    let run = |threads| par::with_threads(threads, || bits(&s.decode(&Cpu, 130, 32, 2)));
    assert_eq!(run(1), run(2));
}

#[test]
fn decoding_agrees_with_attention_over_the_whole_sequence() {
    for (dims, window) in [([150, 4, 2, 24], None), ([200, 2, 2, 64], Some(70)), ([90, 6, 1, 7], Some(0))] {
        let s = Sequence::<f32>::new(dims, window);
        for (backend, name) in [(&Cpu as &dyn Backend, "cpu"), (&Reference, "reference")] {
            let error = largest_difference(&s.decode(backend, 1, 32, 1), &s.whole());
            assert!(error < 3e-6, "{name} {dims:?} {window:?}: {error}");
        }
        let s = Sequence::<Bf16>::new(dims, window);
        // Both round once, so they differ by one step of bf16 at most: 2^-8 at values below 1.
        let error = largest_difference(&s.decode(&Cpu, 1, 32, 1), &s.whole());
        assert!(error <= 1.0 / 256.0, "{error}");
    }
}

#[test]
fn positions_outside_the_pages_and_missing_pages_are_refused() {
    let (x, mut pages) = (vec![0.0f32; 8], vec![0.0f32; 3 * 4 * 8]);
    let mut append = |position: i32, table: &[i32]| {
        let position = [position];
        kv_append(
            &Cpu,
            View::from_slice(&x, &[1, 1, 2, 4]).unwrap(),
            View::from_slice(&position, &[1, 1]).unwrap(),
            View::from_slice(table, &[1, table.len()]).unwrap(),
            ViewMut::from_slice(&mut pages, &[3, 4, 2, 4]).unwrap(),
        )
    };
    assert!(append(7, &[-1, 2]).is_ok());
    let outside = |r: Result<()>, arg: &str| match r {
        Err(KernelError::IndexOutOfRange { arg: got, .. }) => assert_eq!(got, arg),
        other => panic!("{other:?}"),
    };
    outside(append(8, &[0, 1]), "positions");
    outside(append(-1, &[0, 1]), "positions");
    outside(append(3, &[-1, 1]), "page_table");
    outside(append(4, &[0, 3]), "page_table");
}

#[test]
fn a_query_needs_every_page_it_sees_and_no_other() {
    let (x, pages, mut o) = (vec![1.0f32; 4], vec![1.0f32; 2 * 4 * 4], vec![0.0f32; 4]);
    let mut attend = |table: &[i32], window: Option<usize>| {
        let cache = View::from_slice(&pages, &[2, 4, 1, 4]).unwrap();
        paged_attention(
            &Cpu,
            View::from_slice(&x, &[1, 1, 1, 4]).unwrap(),
            cache,
            cache,
            View::from_slice(table, &[1, 3]).unwrap(),
            View::from_slice(&[6], &[1, 1]).unwrap(),
            AttentionParams { scale: 1.0, window },
            ViewMut::from_slice(&mut o, &[1, 1, 1, 4]).unwrap(),
        )
    };
    assert!(attend(&[1, 0, -1], None).is_ok());
    assert!(attend(&[-1, 0, -1], None).is_err());
    assert!(attend(&[-1, 0, -1], Some(2)).is_ok());
    assert!(attend(&[-1, 0, -1], Some(3)).is_err());
}
