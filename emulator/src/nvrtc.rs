//! NVRTC, NVIDIA's run-time compiler, where it is installed: CUDA C++ to PTX with no GPU and no driver. Only what the tests
//! need of it, loaded at run time by its path; `cargo xtask nvrtc` fetches it.

use crate::library::Library;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

/// Why nothing was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NvrtcError {
    /// The library cannot be loaded, or is not NVRTC.
    NotThere(String),
    /// The compiler refused the source; its log.
    Refused(String),
}

impl fmt::Display for NvrtcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NvrtcError::NotThere(why) => write!(f, "NVRTC cannot be used ({why}): run `cargo xtask nvrtc`"),
            NvrtcError::Refused(log) => write!(f, "NVRTC refused the source:\n{log}"),
        }
    }
}

impl std::error::Error for NvrtcError {}

/// A loaded NVRTC.
pub struct Nvrtc {
    functions: Functions,
}

impl Nvrtc {
    /// Loads the library of this path (`libnvrtc.so.12`). It stays loaded until the program ends.
    ///
    /// # Errors
    /// There is no such file, or it lacks a function.
    pub fn load(path: &Path) -> Result<Nvrtc, NvrtcError> {
        Functions::of(path).map(|functions| Nvrtc { functions }).map_err(NvrtcError::NotThere)
    }

    /// The library in the folder where `cargo xtask nvrtc` puts it, or `NANOCHAT_NVRTC` names another one.
    pub fn find(target_folder: &Path) -> Option<PathBuf> {
        let folder = std::env::var_os("NANOCHAT_NVRTC").map_or(target_folder.join("nvrtc"), PathBuf::from);
        let path = folder.join("nvidia/cuda_nvrtc/lib/libnvrtc.so.12");
        path.is_file().then_some(path)
    }

    /// Compiles `source`, which messages call `name`, to PTX. `options` are the compiler's, `--gpu-architecture=compute_80`.
    ///
    /// # Errors
    /// The compiler's log, where it refuses.
    pub fn compile(&self, source: &str, name: &str, options: &[&str]) -> Result<String, NvrtcError> {
        compile(&self.functions, source, name, options)
    }

    /// Compiles the source of a file called `name` for `arch` (`compute_80`), with the numbers of its lines.
    ///
    /// # Errors
    /// As for `compile`.
    pub fn with_lines(&self, source: &str, name: &str, arch: &str) -> Result<String, NvrtcError> {
        let arch = format!("--gpu-architecture={arch}");
        // an absolute name, or the compiler would put the current folder before it
        self.compile(source, &format!("/{name}"), &[&arch, "-lineinfo"])
    }

    /// The text that is committed beside `source`: compiled for `arch` with line numbers, `header` in front, without what says
    /// nothing: empty lines and marks around inline assembly.
    ///
    /// # Errors
    /// As for `compile`.
    pub fn committed(&self, source: &str, name: &str, arch: &str) -> Result<String, NvrtcError> {
        let ptx = self.with_lines(source, name, arch)?;
        Ok(format!("{}\n{}\n", header(source, name), dense(&ptx)))
    }
}

/// The lines of a text that say something. Every line number stays: later ones name earlier ones as the place of a call.
fn dense(ptx: &str) -> String {
    let kept = |line: &&str| !matches!(line.trim(), "" | "// begin inline asm" | "// end inline asm");
    ptx.lines().map(str::trim_end).filter(kept).collect::<Vec<_>>().join("\n")
}

/// The first line of a committed text: which source it is of, and that source's FNV-1a hash, so that a text that is older
/// than its source is noticed without a compiler.
pub fn header(source: &str, name: &str) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let hash = source.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    format!("// made by `cargo xtask nvrtc` from {name}, hash {hash:016x}")
}

type Program = *mut c_void;

type Text = *const c_char;
type Texts = *const *const c_char;
type Create = unsafe extern "C" fn(*mut Program, Text, Text, c_int, Texts, Texts) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, Texts) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Fill = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// The functions that are called, with their C types.
struct Functions {
    create: Create,
    compile: Compile,
    destroy: Destroy,
    log_size: Size,
    log: Fill,
    ptx_size: Size,
    ptx: Fill,
}

impl Functions {
    fn of(path: &Path) -> Result<Functions, String> {
        let library = Library::open(path)?;
        // SAFETY: each is the function that nvrtc.h declares with this type.
        unsafe {
            Ok(Functions {
                create: library.function(c"nvrtcCreateProgram")?,
                compile: library.function(c"nvrtcCompileProgram")?,
                destroy: library.function(c"nvrtcDestroyProgram")?,
                log_size: library.function(c"nvrtcGetProgramLogSize")?,
                log: library.function(c"nvrtcGetProgramLog")?,
                ptx_size: library.function(c"nvrtcGetPTXSize")?,
                ptx: library.function(c"nvrtcGetPTX")?,
            })
        }
    }
}

/// A text of the program, by the two calls that NVRTC has for each: how long, then what.
fn text(program: Program, size: Size, fill: Fill) -> String {
    let mut bytes = 0;
    // SAFETY: a live program, and a place for the size.
    if unsafe { size(program, &mut bytes) } != 0 {
        return String::new();
    }
    let mut buffer = vec![0_u8; bytes.max(1)];
    // SAFETY: the buffer has as many bytes as the library asked for.
    if unsafe { fill(program, buffer.as_mut_ptr().cast()) } != 0 {
        return String::new();
    }
    while buffer.last() == Some(&0) {
        buffer.pop();
    }
    String::from_utf8_lossy(&buffer).into_owned()
}

fn compile(f: &Functions, source: &str, name: &str, options: &[&str]) -> Result<String, NvrtcError> {
    let c =
        |text: &str| CString::new(text).map_err(|_| NvrtcError::Refused("a zero byte in the text".into()));
    let (source, name) = (c(source)?, c(name)?);
    let options: Vec<CString> = options.iter().map(|o| c(o)).collect::<Result<_, _>>()?;
    let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
    let mut program = null_mut();
    // SAFETY: texts that end with zero, no headers, a place for the program.
    let made = unsafe { (f.create)(&mut program, source.as_ptr(), name.as_ptr(), 0, null(), null()) };
    if made != 0 {
        return Err(NvrtcError::NotThere(format!("nvrtcCreateProgram gave {made}")));
    }
    // SAFETY: a live program and as many options as are said.
    let outcome = unsafe { (f.compile)(program, pointers.len() as c_int, pointers.as_ptr()) };
    let result = match outcome {
        0 => Ok(text(program, f.ptx_size, f.ptx)),
        _ => Err(NvrtcError::Refused(text(program, f.log_size, f.log))),
    };
    // SAFETY: the program is live and not used again.
    unsafe { (f.destroy)(&mut program) };
    result
}
