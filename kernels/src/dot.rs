//! Σ a·b over two rows: the products of f32 numbers are exact in f64, eight partial sums in f64 take turns, and are added
//! pairwise at the end. So a dot product that cancels (a gradient of a scalar does) costs one rounding in the end.

use crate::Float;

/// `Σ a[i]·b[i]`, in a fixed order.
#[inline(always)]
pub(crate) fn dot<T: Float>(a: &[T], b: &[T]) -> f64 {
    let product = |a: &T, b: &T| f64::from(a.to_f32()) * f64::from(b.to_f32());
    let mut acc = [0.0f64; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let (a_rest, b_rest) = (a_blocks.remainder(), b_blocks.remainder());
    for (a, b) in a_blocks.zip(b_blocks) {
        acc.iter_mut().zip(a.iter().zip(b)).for_each(|(acc, (a, b))| *acc += product(a, b));
    }
    acc.iter_mut().zip(a_rest.iter().zip(b_rest)).for_each(|(acc, (a, b))| *acc += product(a, b));
    ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]))
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
