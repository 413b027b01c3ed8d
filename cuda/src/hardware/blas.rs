//! cuBLAS for matrix products, where it is there.
//!
//! f32 as f32 and not as TF32; bf16 with sums in f32, also where a sum is split over blocks. The library chooses among its kernels by
//! the product's sizes, so the last bits of a row may differ between batches of different numbers of rows, unlike with our own
//! kernels: `NANOCHAT_LIBCUBLAS=none` has those.

use super::api::{Handle, functions};
use super::device::Gpu;
use crate::driver::DriverError;
use crate::gemm::{Gemm, Stored};
use emulator::library::Library;
use kernels::DType;
use std::ffi::{c_int, c_longlong, c_uint, c_void};

functions! {
    /// cuBLAS's functions.
    Functions {
        create = c"cublasCreate_v2"(*mut Handle);
        destroy = c"cublasDestroy_v2"(Handle);
        stream = c"cublasSetStream_v2"(Handle, Handle);
        math_mode = c"cublasSetMathMode"(Handle, c_uint);
        gemm = c"cublasGemmStridedBatchedEx"(
            Handle, c_uint, c_uint, c_int, c_int, c_int, *const c_void,
            *const c_void, c_uint, c_int, c_longlong,
            *const c_void, c_uint, c_int, c_longlong,
            *const c_void,
            *mut c_void, c_uint, c_int, c_longlong,
            c_int, c_uint, c_int,
        );
    }
}

/// `CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION`: partial sums stay f32.
const WIDE_SUMS: c_uint = 16;
/// `CUBLAS_COMPUTE_32F`.
const COMPUTE_F32: c_uint = 68;
/// `CUBLAS_GEMM_DEFAULT`.
const DEFAULT: c_int = -1;

/// An open cuBLAS that works in our stream.
pub struct Blas {
    functions: Functions,
    handle: Handle,
}

/// The type's number in `library_types.h`.
fn number(dtype: DType) -> Option<c_uint> {
    match dtype {
        DType::F32 => Some(0),
        DType::Bf16 => Some(14),
        _ => None,
    }
}

impl Blas {
    /// The library under one of these names, or why there is none.
    pub fn open(gpu: &Gpu, names: &[String]) -> Result<Blas, String> {
        let open = |name: &String| Library::open(name.as_ref()).ok();
        let library = names.iter().find_map(open).ok_or("not found")?;
        let functions = Functions::of(&library)?;
        let mut handle = Handle::NULL;
        // SAFETY: a place for a handle.
        let made = unsafe { (functions.create)(&mut handle) };
        if made != 0 {
            return Err(status(made));
        }
        let blas = Blas { functions, handle };
        // SAFETY: our handle and our stream.
        let set = unsafe { (blas.functions.stream)(handle, gpu.stream) };
        // SAFETY: our handle; a mode of `cublasMath_t`.
        let wide = unsafe { (blas.functions.math_mode)(handle, WIDE_SUMS) };
        [set, wide].into_iter().find(|code| *code != 0).map_or(Ok(blas), |code| Err(status(code)))
    }
    /// Multiplies, unless the types are not cuBLAS's.
    pub fn multiply(&self, gpu: &Gpu, product: &Gemm) -> Result<bool, DriverError> {
        let Gemm { sizes, batch, alpha, beta, a, b, c } = product;
        let types = [a, b, c].map(|o| number(o.dtype));
        let [Some(a_type), Some(b_type), Some(c_type)] = types else { return Ok(false) };
        if a_type != b_type || (a.dtype == DType::F32 && c.dtype != DType::F32) {
            return Ok(false);
        }
        let at = |o: &Stored| o.address as *const c_void;
        let transposed = |o: &Stored| c_uint::from(o.transposed);
        // sizes and distances were held to 31 bits when the product was made
        let [m, n, k] = sizes.map(|size| size as c_int);
        let [lda, ldb, ldc] = [a, b, c].map(|o| o.leading as c_int);
        let [step_a, step_b, step_c] = [a, b, c].map(|o| o.step as c_longlong);
        let scale = |factor: &f32| std::ptr::from_ref(factor).cast();
        // SAFETY: our handle; addresses of operands whose layouts were checked to lie in their buffers; factors on the host, which
        // is the mode that a new handle has.
        let code = unsafe {
            (self.functions.gemm)(
                self.handle,
                transposed(a),
                transposed(b),
                m,
                n,
                k,
                scale(alpha),
                at(a),
                a_type,
                lda,
                step_a,
                at(b),
                b_type,
                ldb,
                step_b,
                scale(beta),
                at(c).cast_mut(),
                c_type,
                ldc,
                step_c,
                *batch as c_int,
                COMPUTE_F32,
                DEFAULT,
            )
        };
        match code {
            0 => Ok(true),
            _ => Err(DriverError::Failed {
                what: "multiplying by cuBLAS".into(),
                reason: status(code),
                launches: gpu.trail.recent(),
            }),
        }
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: our handle, which nobody has any more.
        unsafe { (self.functions.destroy)(self.handle) };
    }
}

/// The names of `cublasStatus_t`.
fn status(code: c_int) -> String {
    let name = match code {
        1 => "CUBLAS_STATUS_NOT_INITIALIZED",
        3 => "CUBLAS_STATUS_ALLOC_FAILED",
        7 => "CUBLAS_STATUS_INVALID_VALUE",
        8 => "CUBLAS_STATUS_ARCH_MISMATCH",
        13 => "CUBLAS_STATUS_EXECUTION_FAILED",
        14 => "CUBLAS_STATUS_INTERNAL_ERROR",
        15 => "CUBLAS_STATUS_NOT_SUPPORTED",
        _ => return format!("cuBLAS status {code}"),
    };
    name.into()
}
