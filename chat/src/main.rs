//! `nanochat`: one binary for the whole way from text to a talking model.
//!
//! This file is the table of commands; each command is a file in `commands/`. Exit codes: 0 done, 1 failed check or run,
//! 2 bad usage, 130 stopped by the user.

mod commands;
mod download;
mod globals;
mod output;
mod profile;
#[cfg(unix)]
mod sandbox;
mod serve;

use clap::{Parser, Subcommand};
use globals::Globals;
use std::process::ExitCode;

/// Train, evaluate and talk to a small language model, on an engine written from scratch.
#[derive(Parser)]
#[command(name = "nanochat", version, about, max_term_width = 100)]
#[command(
    after_help = "Examples:\n  nanochat demo                      the whole path on a generated corpus, then a chat prompt\n  nanochat demo --text novel.txt     the same on your own text\n  nanochat train base --depth 4      pretrain on the data set made by `nanochat data`\n  nanochat chat -p 'Who are you?'    one question, one answer\n  nanochat serve                     a page to talk to it, at http://127.0.0.1:8000"
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything below, small: generate data, train, fine-tune, examine, chat
    Demo(commands::demo::Args),
    /// Train and use a tokenizer
    #[command(subcommand)]
    Tok(commands::tok::Command),
    /// Make data sets
    #[command(subcommand)]
    Data(commands::data::Command),
    /// Train a model
    #[command(subcommand)]
    Train(commands::train::Command),
    /// Evaluate a model
    #[command(subcommand)]
    Eval(commands::eval::Command),
    /// All stages by one command, from a list
    Speedrun(commands::speedrun::Args),
    /// A run and those it came from, as a page
    Report(commands::report::Args),
    /// A run as it goes, in the terminal
    Watch(commands::watch::Args),
    /// Talk to a model in the terminal
    Chat(commands::chat::Args),
    /// A web page and an OpenAI-compatible API for a model
    Serve(Box<commands::serve::Args>),
    /// Compare with reference dumps of the original
    Parity(commands::parity::Args),
    /// Check every kernel and every gradient against its definition
    Selftest(commands::selftest::Args),
    /// One training step of a fresh model, every intermediate value explained
    Trace(commands::trace::Args),
    /// Run a CUDA kernel in software, instruction by instruction
    Emulate(commands::emulate::Args),
    /// Measure speed
    #[command(subcommand)]
    Bench(commands::bench::Command),
    /// Would it fit on that GPU, and what would a training step do there?
    Plan(commands::plan::Args),
    /// What this machine has and what would be used
    Doctor(commands::doctor::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse(); // exits with 2 on bad usage
    let run = || -> anyhow::Result<ExitCode> {
        cli.globals.apply()?;
        if !matches!(cli.command, Command::Doctor(_)) {
            cli.globals.open_device()?; // what `doctor` finds missing it says by itself
        }
        let profiled = profile::begin(&cli.globals);
        let result = dispatch(&cli.command, &cli.globals);
        if let Some(profiled) = profiled {
            profiled.end();
        }
        result
    };
    match run() {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS, // the reader has seen enough
        Err(error) => {
            output::error(&format!("error: {error:#}"));
            ExitCode::from(globals::exit_code(&error))
        }
    }
}

fn dispatch(command: &Command, globals: &Globals) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => commands::demo::run(args, globals),
        Command::Tok(command) => commands::tok::run(command, globals),
        Command::Data(command) => commands::data::run(command, globals),
        Command::Train(command) => commands::train::run(command, globals),
        Command::Eval(command) => commands::eval::run(command, globals),
        Command::Speedrun(args) => commands::speedrun::run(args, globals),
        Command::Report(args) => commands::report::run(args, globals),
        Command::Watch(args) => commands::watch::run(args, globals),
        Command::Chat(args) => commands::chat::run(args, globals),
        Command::Serve(args) => commands::serve::run(args, globals),
        Command::Parity(args) => commands::parity::run(args, globals),
        Command::Selftest(args) => commands::selftest::run(args, globals),
        Command::Trace(args) => commands::trace::run(args, globals),
        Command::Emulate(args) => commands::emulate::run(args, globals),
        Command::Bench(command) => commands::bench::run(command, globals),
        Command::Plan(args) => commands::plan::run(args, globals),
        Command::Doctor(args) => commands::doctor::run(args, globals),
    }
}

/// Are these the words of a command? For `speedrun`, before it begins.
fn check_words(words: &[String]) -> anyhow::Result<()> {
    parse_words(words).map(|_| ())
}

/// Run a command that is given as words, with the global options of this call.
fn run_words(words: &[String], globals: &Globals) -> anyhow::Result<ExitCode> {
    dispatch(&parse_words(words)?.command, globals)
}

fn parse_words(words: &[String]) -> anyhow::Result<Cli> {
    let all = std::iter::once("nanochat").chain(words.iter().map(String::as_str));
    Cli::try_parse_from(all).map_err(|e| globals::Usage(format!("nanochat {}: {e}", words.join(" "))).into())
}
