//! Σ a·b over two rows: the products of f32 numbers are exact in f64, 16 partial sums in f64 take turns, and are joined
//! as a tree at the end. So a dot product that cancels (a gradient of a scalar does) costs one rounding in the end.

use crate::Float;

/// Partial sums: two vectors of 8.
const LANES: usize = 16;

/// `Σ a[i]·b[i]`, in a fixed order.
#[inline(always)]
pub(crate) fn dot<T: Float>(a: &[T], b: &[T]) -> f64 {
    let product = |a: T, b: T| f64::from(a.to_f32()) * f64::from(b.to_f32());
    let mut acc = [0.0f64; LANES];
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            acc[lane] += product(a[lane], b[lane]);
        }
    }
    acc.iter_mut().zip(a_rest.iter().zip(b_rest)).for_each(|(acc, (a, b))| *acc += product(*a, *b));
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = acc.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    acc[0]
}

#[cfg(test)]
mod tests {
    use super::dot;

    #[test]
    fn every_length_is_summed_to_its_end_and_large_terms_cancel() {
        for n in 0..40 {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            assert_eq!(dot(&a, &vec![1.0; n]), (n * n.saturating_sub(1) / 2) as f64);
        }
        assert_eq!(dot(&[1e7f32, 1.0, -1e7], &[1e7, 1.0, 1e7]), 1.0);
    }
}
