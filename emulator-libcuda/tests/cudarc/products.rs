//! Matrix products, against loops over numbers whose products and sums are exact in every type.

use crate::child;
use cudarc::cublas::sys::cublasOperation_t::{self, CUBLAS_OP_N, CUBLAS_OP_T};
use cudarc::cublas::sys::{cublasComputeType_t, cublasGemmAlgo_t, cudaDataType_t};
use cudarc::cublas::{CudaBlas, Gemm, GemmConfig, StridedBatchedConfig, result};
use cudarc::driver::{CudaContext, DevicePtr, DevicePtrMut};

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 31 + seed * 17) % 13) as f32 - 6.0).collect()
}

/// A product by its definition: row i of op(A) with column j of op(B).
struct Case {
    turned: [bool; 2],
    sizes: [usize; 3],
    leading: [usize; 3],
    scales: [f32; 2],
}

impl Case {
    fn want(&self, a: &[f32], b: &[f32], c: &[f32]) -> Vec<f32> {
        let ([m, n, k], [lda, ldb, ldc], [alpha, beta]) = (self.sizes, self.leading, self.scales);
        let at = |x: &[f32], turned: bool, ld: usize, row: usize, column: usize| match turned {
            true => x[row * ld + column],
            false => x[column * ld + row],
        };
        let mut out = c.to_vec();
        for i in 0..m {
            for j in 0..n {
                let term = |l| at(a, self.turned[0], lda, i, l) * at(b, self.turned[1], ldb, l, j);
                let sum: f32 = (0..k).map(term).sum();
                let old = if beta == 0.0 { 0.0 } else { beta * c[j * ldc + i] };
                out[j * ldc + i] = alpha * sum + old;
            }
        }
        out
    }

    /// All four ways to transpose, columns further apart than they are long.
    fn all() -> Vec<Case> {
        let [m, n, k] = [7, 5, 11];
        let mut found = Vec::new();
        for turned in [[false, false], [true, false], [false, true], [true, true]] {
            for scales in [[1.0, 0.0], [2.0, 1.0], [-1.0, 3.0]] {
                let leading = [if turned[0] { k } else { m } + 2, if turned[1] { n } else { k } + 1, m + 3];
                found.push(Case { turned, sizes: [m, n, k], leading, scales });
            }
        }
        found
    }

    fn lengths(&self) -> [usize; 3] {
        let [m, n, k] = self.sizes;
        let columns = [if self.turned[0] { m } else { k }, if self.turned[1] { k } else { n }, n];
        std::array::from_fn(|i| self.leading[i] * columns[i])
    }

    fn config(&self) -> GemmConfig<f32> {
        let turn = |yes: bool| -> cublasOperation_t { if yes { CUBLAS_OP_T } else { CUBLAS_OP_N } };
        let ([m, n, k], [lda, ldb, ldc]) = (self.sizes.map(|x| x as i32), self.leading.map(|x| x as i32));
        let ([transa, transb], [alpha, beta]) = (self.turned.map(turn), self.scales);
        GemmConfig { transa, transb, m, n, k, alpha, lda, ldb, beta, ldc }
    }
}

#[test]
fn products_of_f32_single_and_in_batches_have_no_mismatch() {
    child::run("products::products_of_f32_single_and_in_batches_have_no_mismatch", || {
        let stream = CudaContext::new(0).unwrap().default_stream();
        let blas = CudaBlas::new(stream.clone()).unwrap();
        for case in Case::all() {
            let lengths = case.lengths();
            let [a, b, mut c] = [0, 1, 2].map(|i| numbers(2 * lengths[i], i));
            if case.scales[1] == 0.0 {
                c.fill(f32::NAN); // what C holds does not matter then
            }
            let upload = |x: &[f32]| stream.clone_htod(x).unwrap();
            let (da, db, mut dc) = (upload(&a), upload(&b), upload(&c));
            // SAFETY: the buffers have the sizes that the configuration says.
            unsafe { blas.gemm(case.config(), &da, &db, &mut dc) }.unwrap();
            let [la, lb, lc] = lengths;
            let mut want = case.want(&a[..la], &b[..lb], &c[..lc]);
            want.extend(&c[lc..]);
            let same = |got: &[f32], want: &[f32]| {
                got.iter().zip(want).filter(|(g, w)| g != w && !(g.is_nan() && w.is_nan())).count()
            };
            assert_eq!(same(&stream.clone_dtoh(&dc).unwrap(), &want), 0, "one product");
            let mut dc = upload(&c);
            let [stride_a, stride_b, stride_c] = lengths.map(|x| x as i64);
            let config =
                StridedBatchedConfig { gemm: case.config(), batch_size: 2, stride_a, stride_b, stride_c };
            // SAFETY: as above, twice each.
            unsafe { blas.gemm_strided_batched(config, &da, &db, &mut dc) }.unwrap();
            want.splice(lc.., case.want(&a[la..], &b[lb..], &c[lc..]));
            assert_eq!(same(&stream.clone_dtoh(&dc).unwrap(), &want), 0, "a batch of two");
        }
    });
}

/// bf16 with f32 sums, as a model's linear layers call it: `y = x·Wᵀ` by rows is `yᵀ = W·xᵀ` by columns.
#[test]
fn products_of_bf16_and_f64_have_no_mismatch() {
    child::run("products::products_of_bf16_and_f64_have_no_mismatch", || {
        let stream = CudaContext::new(0).unwrap().default_stream();
        let blas = CudaBlas::new(stream.clone()).unwrap();
        let [m, n, k] = [16, 24, 33];
        let case = Case { turned: [true, false], sizes: [m, n, k], leading: [k, k, m], scales: [0.5, 0.0] };
        let [a, b, c] = [numbers(m * k, 3), numbers(n * k, 4), vec![0.0; m * n]];
        let want = case.want(&a, &b, &c);
        let narrow = |x: &[f32]| x.iter().map(|x| (x.to_bits() >> 16) as u16).collect::<Vec<_>>();
        let (da, db) = (stream.clone_htod(&narrow(&a)).unwrap(), stream.clone_htod(&narrow(&b)).unwrap());
        let mut dc = stream.alloc_zeros::<f32>(m * n).unwrap();
        let config = case.config();
        {
            let ((a, _a), (b, _b)) = (da.device_ptr(&stream), db.device_ptr(&stream));
            let (c, _c) = dc.device_ptr_mut(&stream);
            let (bf16, f32) = (cudaDataType_t::CUDA_R_16BF, cudaDataType_t::CUDA_R_32F);
            let (alpha, beta) = (&raw const config.alpha, &raw const config.beta);
            // SAFETY: the buffers have the sizes and types that are said.
            let done = unsafe {
                result::gemm_ex(
                    *blas.handle(),
                    config.transa,
                    config.transb,
                    config.m,
                    config.n,
                    config.k,
                    alpha.cast(),
                    a as *const _,
                    bf16,
                    config.lda,
                    b as *const _,
                    bf16,
                    config.ldb,
                    beta.cast(),
                    c as *mut _,
                    f32,
                    config.ldc,
                    cublasComputeType_t::CUBLAS_COMPUTE_32F,
                    cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
                )
            };
            done.unwrap();
        }
        assert_eq!(stream.clone_dtoh(&dc).unwrap(), want);
        let wide =
            |x: &[f32]| stream.clone_htod(&x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>()).unwrap();
        let (da, db, mut dc) = (wide(&a), wide(&b), wide(&c));
        let GemmConfig { transa, transb, m, n, k, lda, ldb, ldc, .. } = config;
        let config = GemmConfig { transa, transb, m, n, k, alpha: 0.5, lda, ldb, beta: 0.0, ldc };
        // SAFETY: as above.
        unsafe { blas.gemm(config, &da, &db, &mut dc) }.unwrap();
        let got = stream.clone_dtoh(&dc).unwrap();
        assert!(got.iter().zip(&want).all(|(got, want)| *got == f64::from(*want)));
    });
}

#[test]
fn a_product_beyond_a_buffer_is_an_error_that_names_the_matrix() {
    let errors = child::run("products::a_product_beyond_a_buffer_is_an_error_that_names_the_matrix", || {
        let stream = CudaContext::new(0).unwrap().default_stream();
        let blas = CudaBlas::new(stream.clone()).unwrap();
        let case = Case { turned: [false; 2], sizes: [4, 4, 4], leading: [4; 3], scales: [1.0, 0.0] };
        let [a, b, mut c] = [16, 15, 16].map(|n| stream.alloc_zeros::<f32>(n).unwrap());
        let narrow = GemmConfig { lda: 3, ..case.config() };
        // SAFETY: the library refuses it before it reads anything.
        let refused = unsafe { blas.gemm(narrow, &a, &a, &mut c) }.unwrap_err();
        assert!(format!("{refused:?}").contains("INVALID_VALUE"));
        // SAFETY: the library finds that B is too small.
        let refused = unsafe { blas.gemm(case.config(), &a, &b, &mut c) }.unwrap_err();
        assert!(format!("{refused:?}").contains("EXECUTION_FAILED"));
    });
    if !errors.is_empty() {
        assert!(errors.contains("matrix A has 4 rows, and a leading dimension of 3"), "{errors}");
        assert!(
            errors.contains("matrix B of 4 × 4") && errors.contains("of an allocation of 60 bytes"),
            "{errors}"
        );
    }
}
