//! What is asked of the device: a kernel, its threads, its arguments.

use super::options::Options;
use crate::memory::{Buffer, Plain};
use crate::module::Module;

/// One launch of a kernel. `Launch::of` is one warp with default options; the rest is set by name:
/// `Launch { grid: [8, 1, 1], ..Launch::of(&module, "scale", &args) }`.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Where the kernel is.
    pub module: &'a Module,
    /// Its name.
    pub kernel: &'a str,
    /// Blocks in x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y and z.
    pub block: [u32; 3],
    /// Dynamic shared memory of each block.
    pub shared_bytes: u64,
    /// One for each of the kernel's parameters.
    pub args: &'a [Arg],
    /// What is checked and counted, in which order things run.
    pub options: Options,
}

impl<'a> Launch<'a> {
    /// One block of 32 threads, no dynamic shared memory, default options.
    pub fn of(module: &'a Module, kernel: &'a str, args: &'a [Arg]) -> Launch<'a> {
        let options = Options::default();
        Launch { module, kernel, grid: [1; 3], block: [32, 1, 1], shared_bytes: 0, args, options }
    }
}

/// An argument of a kernel: bytes that must be as many as the parameter has.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    pub(super) bytes: Vec<u8>,
}

impl Arg {
    /// A number.
    pub fn new<T: Plain>(value: T) -> Arg {
        let mut bytes = vec![0; T::BYTES];
        value.write(&mut bytes);
        Arg { bytes }
    }

    /// A struct passed by value, as its bytes.
    pub fn raw(bytes: &[u8]) -> Arg {
        Arg { bytes: bytes.into() }
    }
}

impl From<Buffer> for Arg {
    fn from(buffer: Buffer) -> Arg {
        Arg::new(buffer.address)
    }
}

macro_rules! arg_from {
    ($($ty:ty)*) => {$(
        impl From<$ty> for Arg {
            fn from(value: $ty) -> Arg {
                Arg::new(value)
            }
        }
    )*};
}

arg_from! { u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 }
