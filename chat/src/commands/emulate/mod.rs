//! `nanochat emulate`: a CUDA kernel on the emulator, told instruction by instruction under the lines of its source, and what it
//! cost in things that can be counted. Needs no GPU.
//!
//! Read next: `argument.rs` (what `--arg` understands), `report.rs` (tables and JSON), `emulator/src/step/` (the story).

mod argument;
mod report;

use crate::globals::{Globals, Usage};
use crate::output;
use anyhow::{Context, bail};
use argument::{Argument, Placed};
use emulator::nvrtc::Nvrtc;
use emulator::{Arg, Config, Device, Launch, Module, Options, Story, narrate};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `emulate`.
#[derive(clap::Args)]
#[command(
    after_help = "An argument is a number (i32=128, f32=1e-5) or a buffer: f32[128] was never written, f32[128]=iota holds \
0, 1, 2 …,\n=random numbers from -1 to 1, =0.5 that number everywhere. Types: u8 i8 u16 i16 u32 i32 u64 i64 f16 bf16 f32 f64.\n\n\
Examples:\n  nanochat emulate emulator/tests/ptx/barriers.ptx misplaced_wrong --grid 2 --block 64 \\\n      \
--arg f32[128] --arg f32[128]=iota --arg i32=128          a race, found\n  \
nanochat emulate emulator/tests/ptx/rows.ptx rms_norm --grid 4 --block 64 --stats \\\n      \
--arg f32[1024] --arg f32[1024]=random --arg i32=256 --arg f32=1e-5\n                                                            \
counters, by line of the source\n  \
nanochat emulate kernel.cu saxpy --block 256 --arg …       CUDA, where `cargo xtask nvrtc --fetch` was run\n\n\
Exit code 1 if the kernel broke a rule."
)]
pub struct Args {
    /// A kernel's PTX, or its CUDA source
    #[arg(value_name = "FILE.ptx|FILE.cu")]
    file: PathBuf,
    /// The kernel's name (with none, the names of all)
    kernel: Option<String>,
    /// Blocks, in up to three directions
    #[arg(long, value_name = "X[,Y[,Z]]", default_value = "1")]
    grid: Dimensions,
    /// Threads of a block, in up to three directions
    #[arg(long, value_name = "X[,Y[,Z]]", default_value = "32")]
    block: Dimensions,
    /// Dynamic shared memory of a block, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    shared: u64,
    /// An argument, once for each parameter: `i32=128`, `f32[128]`, `f32[128]=iota`
    #[arg(long = "arg", value_name = "ARG")]
    args: Vec<Argument>,
    /// Print the counters instead of the story
    #[arg(long)]
    stats: bool,
    /// Tell of this block, by its number (x fastest)
    #[arg(long, value_name = "N", default_value_t = 0)]
    of_block: u64,
    /// Tell of this warp of the block
    #[arg(long, value_name = "N", default_value_t = 0)]
    warp: u32,
    /// Lanes whose values are shown
    #[arg(long, value_name = "N", default_value_t = 4)]
    lanes: usize,
    /// Instructions to tell of, at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    steps: usize,
    /// The CUDA source of a PTX (default: FILE.cu, where it lies beside it)
    #[arg(long, value_name = "FILE.cu")]
    source: Option<PathBuf>,
    /// Shuffle the order of warps and blocks with this seed
    #[arg(long, value_name = "SEED")]
    order: Option<u64>,
    /// Compile CUDA for this architecture
    #[arg(long, value_name = "ARCH", default_value = "compute_80")]
    arch: String,
}

/// Up to three numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Dimensions([u32; 3]);

impl std::str::FromStr for Dimensions {
    type Err = Usage;

    fn from_str(text: &str) -> Result<Dimensions, Usage> {
        let wrong = || Usage(format!("{text}: one to three numbers above 0, as in 8 or 8,2 or 8,2,1"));
        let parts: Vec<&str> = text.split(',').collect();
        let mut found = [1; 3];
        if parts.len() > 3 {
            return Err(wrong());
        }
        for (place, part) in found.iter_mut().zip(parts) {
            *place = part.trim().parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
        }
        Ok(Dimensions(found))
    }
}

/// A module, and the source whose lines it names.
struct Program {
    module: Module,
    source: Option<String>,
}

/// Run a kernel and print.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let program = load(args)?;
    let names: Vec<&str> = program.module.kernels().collect();
    let Some(kernel) = &args.kernel else {
        bail!(Usage(format!("give the kernel's name: {}", names.join(", "))));
    };
    let Some(info) = program.module.kernel(kernel) else {
        bail!(Usage(format!("there is no kernel {kernel}: the module has {}", names.join(", "))));
    };
    if info.params.len() != args.args.len() {
        let sizes: Vec<String> = info.params.iter().map(|bytes| bytes.to_string()).collect();
        let message = format!(
            "{kernel} has {} parameters (of {} bytes), --arg was given {} times",
            info.params.len(),
            sizes.join(", "),
            args.args.len()
        );
        bail!(Usage(message));
    }
    let mut device = Device::new(Config::default());
    let mut placed = Vec::new();
    for (i, argument) in args.args.iter().enumerate() {
        placed.push(argument.place(&mut device, globals.seed.wrapping_add(i as u64))?);
    }
    let values: Vec<Arg> = placed.iter().map(|p| p.arg.clone()).collect();
    let options =
        Options { order: args.order, threads: globals.threads, large_shared: true, ..Options::default() };
    let launch = Launch {
        grid: args.grid.0,
        block: args.block.0,
        shared_bytes: args.shared,
        options,
        ..Launch::of(&program.module, kernel, &values)
    };
    execute(args, globals, &program, &mut device, &launch, &placed)
}

fn execute(
    args: &Args,
    globals: &Globals,
    program: &Program,
    device: &mut Device,
    launch: &Launch,
    placed: &[Placed],
) -> anyhow::Result<ExitCode> {
    let source = program.source.as_deref();
    let (story, result) = if args.stats || globals.json {
        (None, device.launch(launch))
    } else {
        let story =
            Story { block: args.of_block, warp: args.warp, lanes: args.lanes, steps: args.steps, source };
        let (text, result) = narrate(device, launch, &story);
        (Some(text), result)
    };
    let code = ExitCode::from(u8::from(result.is_err()));
    if globals.json {
        let value = report::json(launch, &result, device, placed)?;
        output::line(&serde_json::to_string_pretty(&value)?)?;
        return Ok(code);
    }
    if let Some(text) = &story {
        output::line(text)?;
    }
    match &result {
        Ok(done) => output::text(&report::text(launch, done, source, args.stats, device, placed)?)?,
        Err(fault) if story.is_none() => output::line(&fault.to_string())?,
        Err(_) => {} // the story ends with it
    }
    Ok(code)
}

fn load(args: &Args) -> anyhow::Result<Program> {
    let file = &args.file;
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if file.extension().is_some_and(|e| e == "cu") {
        let library = nvrtc().context(
            "CUDA source needs NVIDIA's compiler: run `cargo xtask nvrtc --fetch`, name its folder with NANOCHAT_NVRTC, or give the .ptx",
        )?;
        let ptx = Nvrtc::load(&library)?.with_lines(&text, &name, &args.arch)?;
        return Ok(Program { module: Module::load(&ptx, &name)?, source: Some(text) });
    }
    let source = match &args.source {
        Some(path) => {
            Some(std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?)
        }
        None => std::fs::read_to_string(file.with_extension("cu")).ok(),
    };
    Ok(Program { module: Module::load(&text, &name)?, source })
}

/// The compiler, in the build folder of the current directory or of this program.
fn nvrtc() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let built = own.as_deref().and_then(|exe| exe.ancestors().nth(2)).map(Path::to_path_buf);
    [Some(PathBuf::from("target")), built].into_iter().flatten().find_map(|folder| Nvrtc::find(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_one_to_three_numbers_above_zero() {
        assert_eq!("8".parse::<Dimensions>().ok(), Some(Dimensions([8, 1, 1])));
        assert_eq!("8,2,3".parse::<Dimensions>().ok(), Some(Dimensions([8, 2, 3])));
        for wrong in ["", "0", "1,2,3,4", "-1", "8;2"] {
            assert!(wrong.parse::<Dimensions>().is_err(), "{wrong}");
        }
    }
}
