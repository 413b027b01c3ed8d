//! A kernel told instruction by instruction, then its counters: `cargo run -p nanochat-emulator --example step`, with the name
//! of a kernel of `tests/ptx/barriers.cu` to see another (`missing_wrong`, `tree_right` …).
#![allow(clippy::print_stdout)] // a program for the terminal

use emulator::{Arg, Config, Device, Gpu, Launch, Module, Story, line_table, narrate, occupancy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kernel = std::env::args().nth(1).unwrap_or("missing_right".into());
    let source = include_str!("../tests/ptx/barriers.cu");
    let module = Module::load(include_str!("../tests/ptx/barriers.ptx"), "barriers.ptx")?;
    let mut device = Device::new(Config::default());
    let data: Vec<f32> = (0..128).map(|i| i as f32 / 8.0).collect();
    let (input, out) = (device.upload(&data)?, device.alloc(512)?);
    let args: [Arg; 3] = [out.into(), input.into(), 128_i32.into()];
    let story = Story { source: Some(source), steps: 60, ..Story::default() };
    let launch = Launch { grid: [2, 1, 1], block: [64, 1, 1], ..Launch::of(&module, &kernel, &args) };
    let (text, result) = narrate(&mut device, &launch, &story);
    println!("{text}");
    if let Ok(report) = result {
        println!("{}\n{}", report.counters, line_table(&report.counters, &module, 1, source));
        for gpu in Gpu::ALL {
            let occupancy = occupancy(&gpu, 64, report.live_registers, report.shared_bytes as u32);
            println!(
                "{:<9} {} blocks per multiprocessor, limited by {}",
                gpu.name, occupancy.blocks, occupancy.limit
            );
        }
    }
    Ok(())
}
