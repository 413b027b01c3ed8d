//! cuBLAS: handles, and the matrix products that `cudarc` calls, each of which becomes a `Product`.

use crate::failure::{Code, Failure, outcome};
use crate::handles::Handle;
use crate::host;
use crate::memory;
use crate::product::{Matrix, Number, Product};
use crate::state::{Blas, State, with_context};
use std::ffi::{c_int, c_longlong, c_uint, c_void};

/// Codes of `cublas_api.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Success = 0,
    NotInitialized = 1,
    InvalidValue = 7,
    ExecutionFailed = 13,
    InternalError = 14,
    NotSupported = 15,
}

fn answer(function: &str, body: impl FnOnce() -> Result<(), Failure>) -> c_uint {
    let status = match outcome(function, body) {
        Code::Success => Status::Success,
        Code::InvalidValue => Status::InvalidValue,
        Code::NotSupported => Status::NotSupported,
        Code::InvalidHandle | Code::NotInitialized | Code::InvalidContext => Status::NotInitialized,
        Code::Unknown => Status::InternalError,
        _ => Status::ExecutionFailed,
    };
    status as c_uint
}

/// # Safety
/// `handle` is null or a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasCreate_v2(handle: *mut Handle) -> c_uint {
    answer("cublasCreate_v2", || {
        // SAFETY: as the caller promises.
        with_context(|state| unsafe { host::put(handle, state.blas.add(Blas::default()), "handle") })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasDestroy_v2(handle: Handle) -> c_uint {
    answer("cublasDestroy_v2", || crate::state::with_driver(|state| state.blas.remove(handle).map(|_| ())))
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasSetStream_v2(handle: Handle, stream: Handle) -> c_uint {
    answer("cublasSetStream_v2", || {
        with_context(|state| {
            state.stream(stream)?;
            state.blas.get(handle).map(|_| ())
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasSetPointerMode_v2(handle: Handle, mode: c_uint) -> c_uint {
    answer("cublasSetPointerMode_v2", || {
        with_context(|state| {
            state.blas.get(handle)?.device_pointers = mode == 1;
            Ok(())
        })
    })
}

/// # Safety
/// `mode` is null or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGetPointerMode_v2(handle: Handle, mode: *mut c_uint) -> c_uint {
    answer("cublasGetPointerMode_v2", || {
        with_context(|state| {
            let found = state.blas.get(handle)?.device_pointers;
            // SAFETY: as the caller promises.
            unsafe { host::put(mode, found.into(), "mode") }
        })
    })
}

/// Which matrix units may be used: here there is one way.
#[unsafe(no_mangle)]
pub extern "C" fn cublasSetMathMode(handle: Handle, _mode: c_uint) -> c_uint {
    answer("cublasSetMathMode", || with_context(|state| state.blas.get(handle).map(|_| ())))
}

/// One of the three matrices of a call, with its number type.
struct Operand {
    address: *const c_void,
    ty: Number,
    leading: c_int,
    stride: c_longlong,
}

/// A call, as all of them are.
struct Call {
    handle: Handle,
    /// 0 as it is, 1 transposed, 2 transposed and conjugated.
    operations: [c_uint; 2],
    sizes: [c_int; 3],
    scale: Number,
    alpha: *const c_void,
    beta: *const c_void,
    operands: [Operand; 3],
    batch: c_int,
}

fn number(ty: c_uint) -> Result<Number, Failure> {
    match ty {
        0 => Ok(Number::F32),
        1 => Ok(Number::F64),
        2 => Ok(Number::F16),
        14 => Ok(Number::Bf16),
        _ => {
            Err(Failure::new(Code::NotSupported, format!("data type {ty}: f16, bf16, f32 and f64 are there")))
        }
    }
}

/// The type of `alpha` and `beta` by the compute type.
fn scale(compute: c_uint) -> Result<Number, Failure> {
    match compute {
        64 | 65 => Ok(Number::F16),
        68 | 69 | 74 | 75 | 77 => Ok(Number::F32),
        70 | 71 => Ok(Number::F64),
        _ => Err(Failure::new(
            Code::NotSupported,
            format!("compute type {compute}: f16, f32 and f64 are there"),
        )),
    }
}

impl Call {
    /// # Safety
    /// `alpha` and `beta` are null, or numbers of the scale's type, or addresses of the device, as the handle's mode says.
    unsafe fn run(self, state: &mut State) -> Result<(), Failure> {
        let device = state.blas.get(self.handle)?.device_pointers;
        let mut scale = |at: *const c_void, what: &str| -> Result<f64, Failure> {
            let size = self.scale.bytes();
            let bytes = match device {
                true => memory::read(state, at as u64, size)?,
                // SAFETY: as the caller promises.
                false => unsafe { host::bytes(at, size, what) }?.to_vec(),
            };
            Ok(self.scale.read(&bytes)[0])
        };
        let (alpha, beta) = (scale(self.alpha, "alpha")?, scale(self.beta, "beta")?);
        let refused = |message: String| Failure::new(Code::InvalidValue, message);
        let size = |n: c_int, what: &str| usize::try_from(n).map_err(|_| refused(format!("{what} is {n}")));
        let [m, n, k] = [size(self.sizes[0], "m")?, size(self.sizes[1], "n")?, size(self.sizes[2], "k")?];
        let transposed = match self.operations {
            [a, b] if a <= 2 && b <= 2 => [a > 0, b > 0],
            [a, b] => return Err(refused(format!("operations {a} and {b}: 0, 1 and 2 are there"))),
        };
        let turned = |yes: bool, rows, columns| if yes { (columns, rows) } else { (rows, columns) };
        let shapes = [turned(transposed[0], m, k), turned(transposed[1], k, n), (m, n)];
        let mut matrices = Vec::new();
        for ((operand, (rows, columns)), name) in self.operands.iter().zip(shapes).zip(["A", "B", "C"]) {
            let leading = size(operand.leading, "a leading dimension")?;
            if leading < rows.max(1) {
                return Err(refused(format!(
                    "matrix {name} has {rows} rows, and a leading dimension of {leading}"
                )));
            }
            let (address, number, stride) = (operand.address as u64, operand.ty, operand.stride);
            matrices.push(Matrix { name, address, number, rows, columns, leading, stride });
        }
        let batch = size(self.batch, "batchCount")?;
        let [a, b, c] = [matrices[0], matrices[1], matrices[2]];
        Product { transposed, m, n, k, alpha, beta, a, b, c, batch }.run(state)
    }
}

unsafe fn call(function: &str, of: impl FnOnce() -> Result<Call, Failure>) -> c_uint {
    answer(function, || {
        // SAFETY: `alpha` and `beta` as the caller of the function promises.
        with_context(|state| of().and_then(|call| unsafe { call.run(state) }))
    })
}

fn operand(address: *const c_void, ty: Number, leading: c_int, stride: c_longlong) -> Operand {
    Operand { address, ty, leading, stride }
}

/// Products of one type: single, and of a batch.
macro_rules! products {
    ($($single:ident $batched:ident $number:expr;)*) => {$(
        /// # Safety
        /// `alpha` and `beta` are as the pointer mode says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $single(
            handle: Handle, transa: c_uint, transb: c_uint, m: c_int, n: c_int, k: c_int, alpha: *const c_void,
            a: *const c_void, lda: c_int, b: *const c_void, ldb: c_int, beta: *const c_void, c: *mut c_void, ldc: c_int,
        ) -> c_uint {
            let operands = [operand(a, $number, lda, 0), operand(b, $number, ldb, 0), operand(c, $number, ldc, 0)];
            let (operations, sizes) = ([transa, transb], [m, n, k]);
            let whole = Call { handle, operations, sizes, scale: $number, alpha, beta, operands, batch: 1 };
            // SAFETY: as the caller promises.
            unsafe { call(stringify!($single), || Ok(whole)) }
        }

        /// # Safety
        /// `alpha` and `beta` are as the pointer mode says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $batched(
            handle: Handle, transa: c_uint, transb: c_uint, m: c_int, n: c_int, k: c_int, alpha: *const c_void,
            a: *const c_void, lda: c_int, stride_a: c_longlong, b: *const c_void, ldb: c_int, stride_b: c_longlong,
            beta: *const c_void, c: *mut c_void, ldc: c_int, stride_c: c_longlong, batch: c_int,
        ) -> c_uint {
            let operands = [
                operand(a, $number, lda, stride_a),
                operand(b, $number, ldb, stride_b),
                operand(c, $number, ldc, stride_c),
            ];
            let (operations, sizes) = ([transa, transb], [m, n, k]);
            let whole = Call { handle, operations, sizes, scale: $number, alpha, beta, operands, batch };
            // SAFETY: as the caller promises.
            unsafe { call(stringify!($batched), || Ok(whole)) }
        }
    )*};
}

products! {
    cublasHgemm cublasHgemmStridedBatched Number::F16;
    cublasSgemm_v2 cublasSgemmStridedBatched Number::F32;
    cublasDgemm_v2 cublasDgemmStridedBatched Number::F64;
}

/// # Safety
/// `alpha` and `beta` are as the pointer mode says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGemmEx(
    handle: Handle,
    transa: c_uint,
    transb: c_uint,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: *const c_void,
    a_type: c_uint,
    lda: c_int,
    b: *const c_void,
    b_type: c_uint,
    ldb: c_int,
    beta: *const c_void,
    c: *mut c_void,
    c_type: c_uint,
    ldc: c_int,
    compute: c_uint,
    algorithm: c_int,
) -> c_uint {
    // SAFETY: as the caller promises.
    unsafe {
        cublasGemmStridedBatchedEx(
            handle, transa, transb, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta, c, c_type,
            ldc, 0, 1, compute, algorithm,
        )
    }
}

/// # Safety
/// `alpha` and `beta` are as the pointer mode says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGemmStridedBatchedEx(
    handle: Handle,
    transa: c_uint,
    transb: c_uint,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: *const c_void,
    a_type: c_uint,
    lda: c_int,
    stride_a: c_longlong,
    b: *const c_void,
    b_type: c_uint,
    ldb: c_int,
    stride_b: c_longlong,
    beta: *const c_void,
    c: *mut c_void,
    c_type: c_uint,
    ldc: c_int,
    stride_c: c_longlong,
    batch: c_int,
    compute: c_uint,
    _algorithm: c_int,
) -> c_uint {
    let whole = || {
        let operands = [
            operand(a, number(a_type)?, lda, stride_a),
            operand(b, number(b_type)?, ldb, stride_b),
            operand(c, number(c_type)?, ldc, stride_c),
        ];
        let (operations, sizes, scale) = ([transa, transb], [m, n, k], scale(compute)?);
        Ok(Call { handle, operations, sizes, scale, alpha, beta, operands, batch })
    };
    // SAFETY: as the caller promises.
    unsafe { call("cublasGemmStridedBatchedEx", whole) }
}
