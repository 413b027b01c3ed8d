//! The same kernels on a real GPU, where there is one: `NANOCHAT_PTX_HARDWARE=report.txt cargo test -p nanochat-emulator --test
//! opcodes` runs every kernel that the emulator finished on the first GPU, too, and writes a line for each: same bits, or
//! where they differ. Differences are no failures: the tests hold the emulator to the manual, and approximate
//! instructions may differ within their bounds. The driver is loaded at run time; without the variable nothing is.

use emulator::library::Library;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::io::Write;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::{Mutex, OnceLock};

type Pointer = *mut c_void;

/// The functions of the driver that are needed, with their C types.
struct Driver {
    set_current: unsafe extern "C" fn(Pointer) -> c_int,
    load: unsafe extern "C" fn(*mut Pointer, *const c_char) -> c_int,
    unload: unsafe extern "C" fn(Pointer) -> c_int,
    function: unsafe extern "C" fn(*mut Pointer, Pointer, *const c_char) -> c_int,
    alloc: unsafe extern "C" fn(*mut u64, usize) -> c_int,
    free: unsafe extern "C" fn(u64) -> c_int,
    up: unsafe extern "C" fn(u64, *const u8, usize) -> c_int,
    down: unsafe extern "C" fn(*mut u8, u64, usize) -> c_int,
    launch: Launch,
    finish: unsafe extern "C" fn() -> c_int,
    /// The first device's primary context.
    context: usize,
}

type Launch = unsafe extern "C" fn(
    Pointer,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    Pointer,
    *mut Pointer,
    *mut Pointer,
) -> c_int;

/// One kernel at a time, and one writer of the report.
static TURN: Mutex<()> = Mutex::new(());

fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let there = "NANOCHAT_PTX_HARDWARE is set, but the driver cannot be used";
        let library = Library::open(Path::new("libcuda.so.1")).expect(there);
        // SAFETY: every function is one that cuda.h declares with the type it is given.
        unsafe {
            let init: unsafe extern "C" fn(c_uint) -> c_int = library.function(c"cuInit").expect(there);
            let device: unsafe extern "C" fn(*mut c_int, c_int) -> c_int =
                library.function(c"cuDeviceGet").expect(there);
            let retain: unsafe extern "C" fn(*mut Pointer, c_int) -> c_int =
                library.function(c"cuDevicePrimaryCtxRetain").expect(there);
            let (mut ordinal, mut context) = (0, null_mut());
            let codes = [init(0), device(&mut ordinal, 0), retain(&mut context, ordinal)];
            assert_eq!(codes, [0; 3], "the driver does not start");
            Driver {
                set_current: library.function(c"cuCtxSetCurrent").expect(there),
                load: library.function(c"cuModuleLoadData").expect(there),
                unload: library.function(c"cuModuleUnload").expect(there),
                function: library.function(c"cuModuleGetFunction").expect(there),
                alloc: library.function(c"cuMemAlloc_v2").expect(there),
                free: library.function(c"cuMemFree_v2").expect(there),
                up: library.function(c"cuMemcpyHtoD_v2").expect(there),
                down: library.function(c"cuMemcpyDtoH_v2").expect(there),
                launch: library.function(c"cuLaunchKernel").expect(there),
                finish: library.function(c"cuCtxSynchronize").expect(there),
                context: context as usize,
            }
        }
    })
}

/// What kernel `k(out, in)` of this text leaves in `out`, or the driver's error code and the call it came from.
fn run(
    text: &str,
    threads: u32,
    shared: u32,
    input: &[u8],
    out: &mut [u8],
) -> Result<(), (&'static str, i32)> {
    let d = driver();
    let ok = |call, code| if code == 0 { Ok(()) } else { Err((call, code)) };
    let text = CString::new(text).unwrap();
    let (mut module, mut function, mut device) = (null_mut(), null_mut(), [0_u64; 2]);
    // SAFETY: live buffers with the lengths that are said; the module lives until after the launch has finished.
    unsafe {
        ok("cuCtxSetCurrent", (d.set_current)(d.context as Pointer))?;
        ok("cuModuleLoadData", (d.load)(&mut module, text.as_ptr()))?;
        ok("cuModuleGetFunction", (d.function)(&mut function, module, c"k".as_ptr()))?;
        for (at, bytes) in device.iter_mut().zip([out.len(), input.len()]) {
            ok("cuMemAlloc", (d.alloc)(at, bytes.max(16)))?;
        }
        ok("cuMemcpyHtoD", (d.up)(device[0], out.as_ptr(), out.len()))?;
        ok("cuMemcpyHtoD", (d.up)(device[1], input.as_ptr(), input.len()))?;
        let mut arguments: [Pointer; 2] = std::array::from_fn(|i| (&raw mut device[i]).cast());
        let none = null_mut();
        let code =
            (d.launch)(function, 1, 1, 1, threads, 1, 1, shared, none, arguments.as_mut_ptr(), null_mut());
        ok("cuLaunchKernel", code)?;
        ok("cuCtxSynchronize", (d.finish)())?;
        ok("cuMemcpyDtoH", (d.down)(out.as_mut_ptr(), device[0], out.len()))?;
        for at in device {
            ok("cuMemFree", (d.free)(at))?;
        }
        ok("cuModuleUnload", (d.unload)(module))
    }
}

/// Runs a kernel that the emulator has run and reports whether it left the same; nothing without the variable. `width` is
/// the size of one result.
pub fn compare(text: &str, threads: u32, shared: u32, input: &[u8], emulated: &[u8], width: usize) {
    let Some(report) = std::env::var_os("NANOCHAT_PTX_HARDWARE") else { return };
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let mut real = vec![0; emulated.len()];
    let outcome = run(text, threads, shared, input, &mut real);
    let pairs = || emulated.chunks(width).zip(real.chunks(width)).enumerate();
    let differing: Vec<usize> = pairs().filter(|(_, (a, b))| a != b).map(|(i, _)| i).collect();
    let hex = |bytes: &[u8]| bytes.iter().rev().map(|b| format!("{b:02x}")).collect::<String>();
    let body: String =
        text.lines().skip_while(|l| !l.contains("%tid.x")).skip(1).collect::<Vec<_>>().join(" ");
    let verdict = match (outcome, differing.first()) {
        (Err((call, code)), _) => format!("error {code} of {call}"),
        (_, None) => "same".to_string(),
        (_, Some(_)) => {
            let places: Vec<String> = differing
                .iter()
                .take(8)
                .map(|&i| {
                    let at = i * width..(i + 1) * width;
                    format!("[{i}] {} here, {} there", hex(&emulated[at.clone()]), hex(&real[at]))
                })
                .collect();
            format!("{} of {} differ: {}", differing.len(), pairs().count(), places.join("; "))
        }
    };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(report).unwrap();
    writeln!(file, "{verdict} | {body}").unwrap();
}
