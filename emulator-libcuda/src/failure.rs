//! Errors: the driver's codes and names, how faults of the emulator become them, and the text of the last one.

use emulator::{Fault, FaultKind, LoadError, MemoryError};
use std::ffi::{CStr, CString, c_char, c_uint};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Codes of `cuda.h`, with the names and texts that the driver gives them.
macro_rules! codes {
    ($($variant:ident = $code:literal, $name:literal, $text:literal;)*) => {
        /// What a call can return.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($variant = $code,)*
        }

        fn describe(code: c_uint) -> Option<(&'static CStr, &'static CStr)> {
            match code {
                $($code => Some(($name, $text)),)*
                _ => None,
            }
        }
    };
}

codes! {
    Success = 0, c"CUDA_SUCCESS", c"no error";
    InvalidValue = 1, c"CUDA_ERROR_INVALID_VALUE", c"invalid argument";
    OutOfMemory = 2, c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory";
    NotInitialized = 3, c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error";
    NoDevice = 100, c"CUDA_ERROR_NO_DEVICE", c"no CUDA-capable device is detected";
    InvalidDevice = 101, c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal";
    InvalidContext = 201, c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context";
    NoBinary = 209, c"CUDA_ERROR_NO_BINARY_FOR_GPU", c"no kernel image is available for execution on the device";
    InvalidPtx = 218, c"CUDA_ERROR_INVALID_PTX", c"a PTX text was refused";
    FileNotFound = 301, c"CUDA_ERROR_FILE_NOT_FOUND", c"file not found";
    InvalidHandle = 400, c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle";
    NotFound = 500, c"CUDA_ERROR_NOT_FOUND", c"named symbol not found";
    IllegalAddress = 700, c"CUDA_ERROR_ILLEGAL_ADDRESS", c"an illegal memory access was encountered";
    OutOfResources = 701, c"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", c"too many resources requested for launch";
    Timeout = 702, c"CUDA_ERROR_LAUNCH_TIMEOUT", c"the launch timed out";
    Misaligned = 716, c"CUDA_ERROR_MISALIGNED_ADDRESS", c"misaligned address";
    LaunchFailed = 719, c"CUDA_ERROR_LAUNCH_FAILED", c"a kernel broke a rule";
    NotSupported = 801, c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported";
    Unknown = 999, c"CUDA_ERROR_UNKNOWN", c"unknown error";
}

/// Why a call did nothing.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    /// Is the context lost with it?
    pub fatal: bool,
    /// Was it the reason of an earlier call, too? Then it is returned, and not told again.
    pub again: bool,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), fatal: false, again: false }
    }
}

impl From<MemoryError> for Failure {
    fn from(error: MemoryError) -> Failure {
        let code = match error {
            MemoryError::OutOfMemory { .. } => Code::OutOfMemory,
            _ => Code::InvalidValue,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Failure {
        Failure::new(Code::InvalidPtx, error.to_string())
    }
}

impl From<Box<Fault>> for Failure {
    fn from(fault: Box<Fault>) -> Failure {
        let (code, fatal) = match fault.kind {
            FaultKind::Arguments => (Code::InvalidValue, false),
            FaultKind::LaunchLimit => (Code::OutOfResources, false),
            FaultKind::Unsupported => (Code::NoBinary, false),
            FaultKind::OutOfBounds | FaultKind::ReadOnly => (Code::IllegalAddress, true),
            FaultKind::Misaligned => (Code::Misaligned, true),
            FaultKind::Budget | FaultKind::Deadlock => (Code::Timeout, true),
            _ => (Code::LaunchFailed, true),
        };
        Failure { code, message: fault.to_string(), fatal, again: false }
    }
}

/// The last failure's code and text, for `cuGetErrorString`.
static LAST: Mutex<Option<(c_uint, &'static CStr)>> = Mutex::new(None);

/// The result of a function of the driver, as its code.
pub fn answer(function: &str, body: impl FnOnce() -> Result<(), Failure>) -> c_uint {
    outcome(function, body) as c_uint
}

/// What became of `body`; a failure is reported. A panic is a bug of this library, and an error like any other.
pub fn outcome(function: &str, body: impl FnOnce() -> Result<(), Failure>) -> Code {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Code::Success,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(Code::Unknown, "the emulator panicked, which is a bug of it"),
    };
    if !failure.again {
        report(function, &failure);
    }
    failure.code
}

/// Writes a failure to standard error, where a driver has no other place for words, and remembers it.
pub fn report(function: &str, failure: &Failure) {
    let text = format!("{function}: {}", failure.message);
    let _ = writeln!(std::io::stderr(), "emulator-libcuda: {text}");
    let Ok(mut last) = LAST.lock() else { return };
    // The caller may keep the text for ever, so it is never freed: a few hundred bytes for each different failure.
    if let Ok(text) = CString::new(text.replace('\0', "")) {
        *last = Some((failure.code as c_uint, Box::leak(text.into_boxed_c_str())));
    }
}

/// The name of a code.
///
/// # Safety
/// `text` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(error: c_uint, text: *mut *const c_char) -> c_uint {
    let Some((name, _)) = describe(error).filter(|_| !text.is_null()) else {
        return Code::InvalidValue as c_uint;
    };
    // SAFETY: not null, so a place for a pointer, as the caller promises.
    unsafe { text.write(name.as_ptr()) };
    Code::Success as c_uint
}

/// What a code means; what exactly went wrong, where the last failure had this code.
///
/// # Safety
/// `text` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(error: c_uint, text: *mut *const c_char) -> c_uint {
    let Some((_, general)) = describe(error).filter(|_| !text.is_null()) else {
        return Code::InvalidValue as c_uint;
    };
    let last = LAST.lock().ok().and_then(|last| *last);
    let found = last.filter(|(code, _)| *code == error).map_or(general, |(_, exact)| exact);
    // SAFETY: as above.
    unsafe { text.write(found.as_ptr()) };
    Code::Success as c_uint
}
