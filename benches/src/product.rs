//! A matrix product of the registry, in the terms of other libraries: sizes and strides.

use kernels::DType;
use kernels::measure::run::{Case, cases};

/// `C (+)= A·B` with A (m, k), B (k, n), C (m, n), all stored row by row, A and B possibly as their transposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// Distance in A from row to row and from column to column.
    pub a: [usize; 2],
    /// The same in B.
    pub b: [usize; 2],
    /// Added to what C holds?
    pub add: bool,
}

impl Product {
    /// What a bench sample of `matmul` asks for (see `kernels/src/matmul/real.rs`); `None` for other kernels.
    pub fn of(case: &Case) -> Option<Product> {
        let [a, b, c] = ["a", "b", "c"].map(|name| case.sample.dims(name));
        let (&[a_rows, a_cols], &[_, b_cols], &[m, n]) = (a, b, c) else { return None };
        let &[_, beta, a_transposed, b_transposed] = &case.sample.scalars[..] else { return None };
        let strides = |cols, transposed: f64| if transposed != 0.0 { [1, cols] } else { [cols, 1] };
        Some(Product {
            m,
            n,
            k: if a_transposed != 0.0 { a_rows } else { a_cols },
            a: strides(a_cols, a_transposed),
            b: strides(b_cols, b_transposed),
            add: beta != 0.0,
        })
    }
    /// Floating-point operations.
    pub fn flops(&self) -> f64 {
        2.0 * (self.m * self.n) as f64 * self.k as f64
    }
}

/// Every f32 product of the registry.
pub fn all() -> Vec<(Case, Product)> {
    let matmul = kernels::kernels().filter(|info| info.name == "matmul");
    let f32 = cases(matmul).into_iter().filter(|case| case.dtype == DType::F32);
    f32.filter_map(|case| Product::of(&case).map(|product| (case, product))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_strides_are_those_of_the_three_products_of_a_layer() {
        let find = |label: &str| all().into_iter().find(|(case, _)| case.sample.label == label).unwrap().1;
        let [forward, dgrad, wgrad] = ["d4.mlp_up.fwd", "d4.mlp_up.dgrad", "d4.mlp_up.wgrad"].map(find);
        assert_eq!((forward.m, forward.k, forward.n), (4096, 256, 1024));
        assert_eq!((forward.a, forward.b, forward.add), ([256, 1], [1, 256], false), "x·Wᵀ");
        assert_eq!((dgrad.m, dgrad.k, dgrad.n), (4096, 1024, 256));
        assert_eq!((dgrad.a, dgrad.b, dgrad.add), ([1024, 1], [256, 1], false), "dy·W");
        assert_eq!((wgrad.m, wgrad.k, wgrad.n), (1024, 4096, 256));
        assert_eq!((wgrad.a, wgrad.b, wgrad.add), ([1, 1024], [256, 1], true), "dyᵀ·x");
    }

    #[test]
    fn every_product_costs_what_the_registry_says() {
        assert!(all().len() >= 10);
        for (case, product) in all() {
            assert_eq!(product.flops(), case.cost().flops, "{}", case.name());
        }
    }
}
