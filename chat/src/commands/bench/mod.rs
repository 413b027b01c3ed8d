//! `nanochat bench`: how fast is this machine with this program?
//!
//! Figures of whole commands are here; those of single kernels are criterion's business, in `benches/`.

mod steps;
mod train;

use crate::globals::Globals;
use std::process::ExitCode;

/// Benchmarks.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Time training steps of the classic model on random tokens
    Train(Box<train::Args>),
}

/// Run one.
pub fn run(command: &Command, globals: &Globals) -> anyhow::Result<ExitCode> {
    match command {
        Command::Train(args) => train::run(args, globals),
    }
}
