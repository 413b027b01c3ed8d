//! How fast the emulator is: lane-instructions per second, and the time beside the same arithmetic in a plain scalar loop of
//! Rust that is timed in the same run. `cargo bench -p nanochat-emulator`, with a kernel's name for one of them.
//!
//! Rounds alternate between the variants, so that a change of the machine's clock hits all of them; the fastest round of
//! each counts. Criterion, which times one function after the other, cannot take turns, and would be this crate's only large
//! dependency. `cargo xtask results --emulator` writes the output into `benches/RESULTS.md`. Attention comes from the sample kernels and is left out, with a notice, where they or NVRTC are missing.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)] // a program for the terminal

use emulator::nvrtc::Nvrtc;
use emulator::{Arg, Buffer, Config, Device, Launch, Module, Options};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;

/// A launch that can be repeated.
struct Case {
    name: &'static str,
    module: Module,
    kernel: &'static str,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u64,
    args: Vec<Arg>,
    device: Device,
    /// The same arithmetic in plain Rust.
    scalar: Box<dyn FnMut()>,
}

fn main() {
    println!(
        "| kernel | variant | time | lane-instructions per second | time / scalar loop |\n|---|---|---|---|---|"
    );
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    for mut case in [relu_squared(), rms_norm()].into_iter().chain(attention()) {
        if wanted.as_ref().is_none_or(|name| name == case.name) {
            case.measure();
        }
    }
    load();
}

impl Case {
    fn launch(&mut self, options: &Options) -> (Duration, u64) {
        let started = Instant::now();
        let (grid, block) = (self.grid, self.block);
        let report = self
            .device
            .launch(&Launch {
                grid,
                block,
                shared_bytes: self.shared,
                options: *options,
                ..Launch::of(&self.module, self.kernel, &self.args)
            })
            .unwrap();
        (started.elapsed(), report.lane_instructions)
    }

    fn measure(&mut self) {
        let counted = Options { threads: Some(1), large_shared: true, ..Options::default() };
        let fast = Options { threads: Some(1), large_shared: true, ..Options::fast() };
        let two = Options { threads: Some(2), ..fast };
        let lanes = self.launch(&counted).1;
        let mut best = [Duration::MAX; 4];
        for _ in 0..ROUNDS {
            let started = Instant::now();
            (self.scalar)();
            best[0] = best[0].min(started.elapsed());
            for (best, options) in best[1..].iter_mut().zip([&fast, &counted, &two]) {
                *best = (*best).min(self.launch(options).0);
            }
        }
        for (variant, time) in
            ["scalar", "checks off", "all checks on", "checks off, 2 cores"].iter().zip(best)
        {
            let rate = lanes as f64 / time.as_secs_f64() / 1e9;
            let ratio = time.as_secs_f64() / best[0].as_secs_f64();
            let (name, ms) = (self.name, 1e3 * time.as_secs_f64());
            match *variant {
                "scalar" => println!("| {name} | a scalar loop | {ms:.2} ms | | 1 |"),
                "checks off, 2 cores" => {
                    let gain = best[1].as_secs_f64() / time.as_secs_f64();
                    println!(
                        "| {name} | {variant} | {ms:.2} ms | {rate:.2} G, {gain:.2} times one core | {ratio:.2} |"
                    );
                }
                _ => println!("| {name} | {variant} | {ms:.2} ms | {rate:.2} G | {ratio:.2} |"),
            }
        }
    }
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919) % 1009) as f32 / 500.0 - 0.8).collect()
}

fn narrow(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

fn bf16(x: &[f32]) -> Vec<u16> {
    x.iter().map(|x| narrow(*x)).collect()
}

fn rows() -> Module {
    Module::load(include_str!("../tests/ptx/rows.ptx"), "rows.ptx").unwrap()
}

fn relu_squared() -> Case {
    let n = 1 << 20;
    let mut device = Device::new(Config::default());
    let x = bf16(&numbers(n));
    let (xb, yb) = (device.upload(&x).unwrap(), device.alloc(2 * n as u64).unwrap());
    let mut y = vec![0_u16; n];
    let scalar = move || {
        for (y, x) in y.iter_mut().zip(&x) {
            let f = f32::from_bits(u32::from(*x) << 16).max(0.0);
            *y = narrow(black_box(f * f)); // one number at a time
        }
        black_box(&mut y);
    };
    Case {
        name: "relu_squared",
        module: rows(),
        kernel: "relu_squared",
        grid: [(n / 2048) as u32, 1, 1],
        block: [256, 1, 1],
        shared: 0,
        args: vec![yb.into(), xb.into(), (n as i32).into()],
        device,
        scalar: Box::new(scalar),
    }
}

fn rms_norm() -> Case {
    let (rows_count, columns) = (512, 1024);
    let mut device = Device::new(Config::default());
    let x = numbers(rows_count * columns);
    let (xb, yb) = (device.upload(&x).unwrap(), device.alloc(4 * x.len() as u64).unwrap());
    let mut y = vec![0.0_f32; x.len()];
    let scalar = move || {
        for (x, y) in x.chunks(columns).zip(y.chunks_mut(columns)) {
            let sum = x.iter().fold(0.0, |sum, x| sum + x * x);
            let rstd = 1.0 / (sum / columns as f32 + 1e-5).sqrt();
            y.iter_mut().zip(x).for_each(|(y, x)| *y = black_box(x * rstd));
        }
    };
    Case {
        name: "rms_norm",
        module: rows(),
        kernel: "rms_norm",
        grid: [rows_count as u32, 1, 1],
        block: [256, 1, 1],
        shared: 0,
        args: vec![yb.into(), xb.into(), (columns as i32).into(), 1e-5_f32.into()],
        device,
        scalar: Box::new(scalar),
    }
}

/// The sample's forward attention: B 1, T 512, 2 heads of 128, causal.
fn attention() -> Option<Case> {
    let folder = std::env::var_os("NANOCHAT_PTX_SAMPLES").map(PathBuf::from);
    let library = Nvrtc::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let (Some(folder), Some(library)) = (folder, library) else {
        println!("notice: no attention: set NANOCHAT_PTX_SAMPLES, run `cargo xtask nvrtc --fetch`");
        return None;
    };
    let source = std::fs::read_to_string(folder.join("flash.cu")).unwrap();
    let headers = library.ancestors().nth(3).unwrap().join("cuda_runtime/include");
    let includes = [format!("-I{}", headers.display()), format!("-I{}", folder.display())];
    let options = ["--gpu-architecture=compute_80", &includes[0], &includes[1]];
    let ptx = Nvrtc::load(&library).unwrap().compile(&source, "flash.cu", &options).unwrap();
    let (t, h, d) = (512_usize, 2_usize, 128_usize);
    let mut device = Device::new(Config::default());
    let n = t * h * d;
    let x = numbers(n);
    let [q, k, v]: [Buffer; 3] = std::array::from_fn(|_| device.upload(&bf16(&x)).unwrap());
    let (o, lse) = (device.alloc(2 * n as u64).unwrap(), device.alloc(4 * (h * t) as u64).unwrap());
    let scalar = move || {
        let mut out = vec![0.0_f32; n];
        for (head, row) in (0..h).flat_map(|head| (0..t).map(move |row| (head, row))) {
            let at = |t: usize| (t * h + head) * d;
            let dot =
                |key: usize| (0..d).fold(0.0_f32, |s, i| black_box(s + x[at(row) + i] * x[at(key) + i]));
            let scores: Vec<f32> = (0..=row).map(|key| dot(key) * 0.088).collect();
            let max = scores.iter().fold(f32::MIN, |m, s| m.max(*s));
            let weights: Vec<f32> = scores.iter().map(|s| (s - max).exp()).collect();
            let sum: f32 = weights.iter().sum();
            for i in 0..d {
                let value = (0..=row).fold(0.0_f32, |s, key| black_box(s + weights[key] * x[at(key) + i]));
                out[at(row) + i] = value / sum;
            }
        }
        black_box(out);
    };
    let mut args: Vec<Arg> = vec![o.into(), lse.into(), q.into(), k.into(), v.into()];
    args.extend([(t as i32).into(), (h as i32).into(), (h as i32).into(), 0_i32.into(), 0.127_f32.into()]);
    Some(Case {
        name: "attention",
        module: Module::load(&ptx, "flash.ptx").unwrap(),
        kernel: "flash_fwd",
        grid: [(t / 64) as u32, h as u32, 1],
        block: [128, 1, 1],
        shared: 5 * 64 * 128 * 2,
        args,
        device,
        scalar: Box::new(scalar),
    })
}

/// The largest committed text, and the part of its time that 100 KiB would take.
fn load() {
    let text = include_str!("../tests/ptx/tiles.ptx");
    let times = (0..10).map(|_| {
        let started = Instant::now();
        black_box(Module::load(text, "tiles.ptx").unwrap());
        started.elapsed()
    });
    let ms = 1e3 * times.min().unwrap_or_default().as_secs_f64();
    let kib = text.len() as f64 / 1024.0;
    println!("\nLoading {kib:.0} KiB of PTX takes {ms:.2} ms: {:.2} ms for 100 KiB.", ms / kib * 100.0);
}
