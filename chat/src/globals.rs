//! Options that every command takes.

use crate::output;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use kernels::simd::{self, Simd};
use model::{GptOptions, RopeTable};
use std::path::PathBuf;
use tensor::{DType, Device};
use train::run::Layout;

/// Dtype of activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// 32-bit floats
    #[default]
    F32,
    /// bfloat16 activations, f32 weights and sums
    #[value(alias = "bfloat16")]
    Bf16,
}

/// Where tensors live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceArg {
    /// The fast CPU kernels
    #[default]
    Cpu,
    /// The CUDA kernels on the GPU of this number
    Cuda(usize),
    /// The CUDA kernels on the emulator of a GPU: very slow, for checking
    Emulated,
    /// The naive f64 definitions: slow, for checking
    Reference,
}

impl std::str::FromStr for DeviceArg {
    type Err = String;
    fn from_str(text: &str) -> Result<DeviceArg, String> {
        let refusal = || format!("{text:?} is no device; there are cpu, cuda, cuda:N, emulated, reference");
        match text {
            "cpu" => Ok(DeviceArg::Cpu),
            "cuda" => Ok(DeviceArg::Cuda(0)),
            "emulated" => Ok(DeviceArg::Emulated),
            "reference" => Ok(DeviceArg::Reference),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(DeviceArg::Cuda).ok_or_else(refusal)
            }
        }
    }
}

/// Precision of rotary tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableArg {
    /// 32-bit floats
    #[default]
    F32,
    /// Rounded to bf16, as the original keeps them
    Bf16,
}

/// Vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SimdArg {
    /// None beyond the baseline
    Scalar,
    /// NEON (64-bit ARM)
    Neon,
    /// AVX2 and FMA
    Avx2,
    /// AVX-512
    Avx512,
}

/// Global options.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// Where to compute: cpu; cuda, or cuda:N for the GPU of number N; emulated, the CUDA kernels on a GPU in software, and reference,
    /// the definitions in f64, which are for checking
    #[arg(
        long,
        global = true,
        default_value = "cpu",
        value_name = "DEVICE",
        alias = "device-type",
        help_heading = "Global options"
    )]
    pub device: DeviceArg,
    /// Dtype of the activations (default: f32; `bench kernels`: every dtype)
    #[arg(long, global = true, value_enum, help_heading = "Global options")]
    pub dtype: Option<Precision>,
    /// Precision of the rotary tables
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub rope_table: TableArg,
    /// Vector instructions (default: the best this machine has)
    #[arg(long, global = true, value_enum, help_heading = "Global options")]
    pub simd: Option<SimdArg>,
    /// Worker threads (default: all cores); results do not depend on it
    #[arg(long, global = true, value_name = "N", help_heading = "Global options")]
    pub threads: Option<usize>,
    /// Keep each worker thread on a core of its own (Linux): steadier times on a machine that does nothing else
    #[arg(long, global = true, help_heading = "Global options")]
    pub pin: bool,
    /// Seed of everything random
    #[arg(long, global = true, default_value_t = 42, help_heading = "Global options")]
    pub seed: u64,
    /// Machine-readable output where a command has one
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Afterwards, say on standard error which kernels took the time and what took the memory (with --json as JSON)
    #[arg(long, global = true, help_heading = "Global options")]
    pub profile: bool,
    /// Print results only
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Where tokenizers, data and runs are kept
    #[arg(
        long,
        global = true,
        env = "NANOCHAT_BASE_DIR",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub base_dir: Option<PathBuf>,
}

impl Globals {
    /// Fix threads and vector instructions.
    pub fn apply(&self) -> anyhow::Result<()> {
        if let Some(threads) = self.threads {
            if threads == 0 {
                bail!(Usage("--threads 0: give at least 1".into()));
            }
            kernels::par::set_threads(threads);
        }
        if self.pin && !kernels::par::pin() && !self.quiet {
            output::error(
                "--pin: threads are not pinned; there are fewer cores than threads, or this is not Linux",
            );
        }
        if let Some(want) = self.simd {
            let want = match want {
                SimdArg::Scalar => Simd::Scalar,
                SimdArg::Neon => Simd::Neon,
                SimdArg::Avx2 => Simd::Avx2,
                SimdArg::Avx512 => Simd::Avx512,
            };
            let got = simd::set_level(want);
            if got != want {
                bail!(Usage(format!("--simd {}: this machine has {} at most", want.name(), got.name())));
            }
        }
        Ok(())
    }
    /// Opens the GPU, if one is asked for, so that what is wrong with it is said before anything is begun.
    pub fn open_device(&self) -> anyhow::Result<()> {
        if let DeviceArg::Cuda(number) = self.device {
            tensor::open_gpu(number)?;
        }
        Ok(())
    }
    /// The device asked for.
    pub fn device(&self) -> Device {
        match self.device {
            DeviceArg::Cpu => Device::Cpu,
            DeviceArg::Cuda(_) => Device::Cuda,
            DeviceArg::Emulated => Device::Emulated,
            DeviceArg::Reference => Device::Reference,
        }
    }
    /// Dtype of the activations of a model.
    pub fn precision(&self) -> Precision {
        self.dtype.unwrap_or_default()
    }
    /// With a dtype, where none is given: bf16 if the machine multiplies it itself, in about 60 % of the time of f32, else f32.
    pub fn with_fast_dtype(&self) -> Globals {
        let fast = self.device() == Device::Cpu && simd::multiplies_bf16();
        let dtype = self.dtype.unwrap_or(if fast { Precision::Bf16 } else { Precision::F32 });
        Globals { dtype: Some(dtype), ..self.clone() }
    }
    /// How models are built.
    pub fn gpt_options(&self) -> GptOptions {
        let compute = match (self.device, self.precision()) {
            (DeviceArg::Reference, _) => DType::F64,
            (_, Precision::F32) => DType::F32,
            (_, Precision::Bf16) => DType::Bf16,
        };
        let rope_table = match self.rope_table {
            TableArg::F32 => RopeTable::F32,
            TableArg::Bf16 => RopeTable::Bf16,
        };
        GptOptions { device: self.device(), compute, rope_table }
    }
    /// Where things are kept.
    pub fn layout(&self) -> anyhow::Result<Layout> {
        match &self.base_dir {
            Some(dir) => Ok(Layout::new(dir)),
            None => Layout::from_env().context("looking for the base folder"),
        }
    }
}

/// Options that make no sense: exit code 2.
#[derive(Clone, Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Usage {}

/// Exit code of a program that was asked to stop, as shells have it for Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// The user asked to stop between two pieces of work.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped; the same command goes on from here")
    }
}
impl std::error::Error for Stopped {}

/// 2 for bad usage, 130 where the user stopped it, 1 for everything else.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let stopped = |e: &train::TrainError| matches!(e, train::TrainError::Interrupted { .. });
    if error.downcast_ref::<Stopped>().is_some() || error.downcast_ref().is_some_and(stopped) {
        return INTERRUPTED;
    }
    let config = error.downcast_ref::<train::TrainError>().is_some_and(|e| {
        matches!(e, train::TrainError::Config(_) | train::TrainError::Model(model::ModelError::Config(_)))
    });
    let usage =
        error.downcast_ref::<Usage>().is_some() || error.downcast_ref::<model::ConfigError>().is_some();
    if usage || config { 2 } else { 1 }
}

/// What a command's tests need: options parsed as from a command line, without the program's and the command's names.
#[cfg(test)]
pub fn parsed<A: clap::Args>(options: &[&str]) -> (A, Globals) {
    #[derive(clap::Parser)]
    struct Line<A: clap::Args> {
        #[command(flatten)]
        globals: Globals,
        #[command(flatten)]
        args: A,
    }
    let line = <Line<A> as clap::Parser>::parse_from(["nanochat"].iter().chain(options));
    (line.args, line.globals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_has_a_number_and_other_devices_a_name() {
        let parsed = |text: &str| text.parse::<DeviceArg>();
        assert_eq!(parsed("cuda"), Ok(DeviceArg::Cuda(0)));
        assert_eq!(parsed("cuda:3"), Ok(DeviceArg::Cuda(3)));
        assert_eq!(parsed("emulated"), Ok(DeviceArg::Emulated));
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", ""] {
            assert!(parsed(wrong).unwrap_err().contains("cuda:N"), "{wrong}");
        }
    }
}
