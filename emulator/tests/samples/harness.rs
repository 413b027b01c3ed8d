//! Compiling the samples once, running one of their kernels, comparing.

use emulator::nvrtc::Nvrtc;
use emulator::{Arg, Buffer, Config, Device, Launch, Module, Options, Plain, Report};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

fn folder() -> Option<PathBuf> {
    std::env::var_os("NANOCHAT_PTX_SAMPLES").map(PathBuf::from).filter(|f| f.is_dir())
}

/// A sample's modules for compute_80 and compute_90; empty, with a notice, where they cannot be made.
pub fn modules(file: &'static str) -> Vec<&'static Module> {
    static DONE: OnceLock<Mutex<HashMap<&'static str, Vec<&'static Module>>>> = OnceLock::new();
    let mut done = DONE.get_or_init(Default::default).lock().unwrap();
    if let Some(found) = done.get(file) {
        return found.clone();
    }
    let found = compile(file);
    done.insert(file, found.clone());
    found
}

fn compile(file: &str) -> Vec<&'static Module> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let (Some(folder), Some(library)) = (folder(), Nvrtc::find(&target)) else {
        println!(
            "notice: samples are not tested: set NANOCHAT_PTX_SAMPLES to their folder, run `cargo xtask nvrtc`"
        );
        return Vec::new();
    };
    let nvrtc = Nvrtc::load(&library).unwrap();
    let source = std::fs::read_to_string(folder.join(file)).unwrap();
    let headers = library.ancestors().nth(3).unwrap().join("cuda_runtime/include");
    let include = [format!("-I{}", headers.display()), format!("-I{}", folder.display())];
    let load = |arch: &str| {
        let options = [arch, "-lineinfo", &include[0], &include[1]];
        let ptx = nvrtc.compile(&source, file, &options).unwrap();
        &*Box::leak(Box::new(Module::load(&ptx, file).unwrap()))
    };
    ["--gpu-architecture=compute_80", "--gpu-architecture=compute_90"].map(load).into()
}

/// A device with short ways to fill and read it.
pub struct Gpu(pub Device);

impl Gpu {
    pub fn new() -> Gpu {
        Gpu(Device::new(Config::default()))
    }
    pub fn up<T: Plain>(&mut self, data: &[T]) -> Buffer {
        self.0.upload(data).unwrap()
    }
    pub fn bf16(&mut self, data: &[f32]) -> Buffer {
        let bits: Vec<u16> = data.iter().map(|x| bf16_bits(*x)).collect();
        self.up(&bits)
    }
    pub fn empty(&mut self, bytes: usize) -> Buffer {
        self.0.alloc(bytes as u64).unwrap()
    }
    pub fn f32(&mut self, buffer: Buffer) -> Vec<f32> {
        self.0.download(buffer).unwrap()
    }
    pub fn read_bf16(&mut self, buffer: Buffer) -> Vec<f32> {
        let bits: Vec<u16> = self.0.download(buffer).unwrap();
        bits.into_iter().map(|b| f32::from_bits(u32::from(b) << 16)).collect()
    }
    pub fn run(
        &mut self,
        module: &Module,
        kernel: &str,
        grid: [u32; 3],
        block: [u32; 3],
        shared: u64,
        args: &[Arg],
        options: &Options,
    ) -> Report {
        self.0
            .launch(&Launch {
                grid,
                block,
                shared_bytes: shared,
                options: *options,
                ..Launch::of(module, kernel, args)
            })
            .unwrap_or_else(|fault| panic!("{fault}"))
    }
}

/// Numbers from -1 to 1 around `mean`, rounded to bf16.
pub fn numbers(seed: u32, count: usize, mean: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        round(mean + (state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    (0..count).map(next).collect()
}

pub fn bf16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// To bf16 and back.
pub fn round(x: f32) -> f32 {
    f32::from_bits(u32::from(bf16_bits(x)) << 16)
}

/// |got - want| ≤ relative·|want| + absolute, everywhere; NaN fails.
pub fn close(what: &str, got: &[f32], want: &[f32], relative: f32, absolute: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= relative * w.abs() + absolute, "{what}[{i}]: {g} instead of {w}");
    }
}

/// Half a step of bf16.
pub const HALF_ULP: f32 = 1.0 / 256.0;
