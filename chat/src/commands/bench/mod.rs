//! `nanochat bench`: how fast is this machine with this program?
//!
//! Whole training steps, reading a prompt and drawing tokens, many people at a time, and every kernel by itself under
//! the roof of this machine. Comparisons with other people's software are in `benches/`.

mod clients;
mod data;
mod decode;
mod engine;
mod facts;
mod generation;
mod gpu;
mod kernel;
mod kernel_table;
mod load;
mod parts;
mod sampling;
mod serve;
mod server;
pub(crate) mod steps;
mod train;

use crate::globals::Globals;
use std::process::ExitCode;

/// Benchmarks.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Time every kernel, and say what fraction of this machine's roof it reaches
    Kernels(kernel::Args),
    /// Time training steps on random tokens
    Train(Box<train::Args>),
    /// Time training steps with and without each part of the current model, in turn
    Parts(Box<parts::Args>),
    /// Time reading a prompt and drawing tokens after it, with random weights
    Decode(Box<decode::Args>),
    /// Time the preparation of rows, and whether training waits for them
    Data(Box<data::Args>),
    /// Time the engine against the bare loop of `bench decode`, in turn, and what a second turn costs
    Engine(Box<engine::Args>),
    /// Time the engine and the server for one and for many requests at a time, with random weights
    Serve(Box<server::Args>),
}

/// Run one.
pub fn run(command: &Command, globals: &Globals) -> anyhow::Result<ExitCode> {
    match command {
        Command::Kernels(args) => kernel::run(args, globals),
        Command::Train(args) => train::run(args, globals),
        Command::Parts(args) => parts::run(args, globals),
        Command::Decode(args) => decode::run(args, globals),
        Command::Data(args) => data::run(args, globals),
        Command::Engine(args) => engine::run(args, globals),
        Command::Serve(args) => server::run(args, globals),
    }
}
