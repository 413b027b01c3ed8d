//! `nanochat chat`: talk to a model in the terminal.
//!
//! Three ways in: `-p` asks one question; a pipe asks a question per line and gets answers and nothing else; a terminal
//! gets line editing, history and commands (`terminal.rs`). `session.rs` is the conversation, `screen.rs` how an answer
//! looks, `command.rs` what begins with a slash.

mod command;
mod screen;
mod session;
mod terminal;

pub use screen::Screen;
pub use session::Session;

use super::shared;
use crate::globals::{Globals, Usage};
use crate::output;
use clap::Args as ClapArgs;
use serde_json::json;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use train::engine::Sampling;

/// `chat`.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  nanochat chat\n  nanochat chat -p 'What is 12 + 30?'\n  echo 'Who are you?' | nanochat chat --temperature 0\n\n\
In the terminal: Enter sends, Alt-Enter or a backslash at the end of a line begins another one, Ctrl-C stops an answer,\n\
/help lists what else there is. `nanochat serve` is the same in the browser."
)]
pub struct Args {
    /// Run to talk to (default: the most recent)
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Ask this, print the answer, end
    #[arg(short, long)]
    prompt: Option<String>,
    /// 0 = always the most likely token
    #[arg(short, long, default_value_t = 0.6)]
    temperature: f32,
    /// Draw from the k most likely tokens (0 = from all)
    #[arg(short = 'k', long, default_value_t = 50)]
    top_k: usize,
    /// Draw from the most likely tokens that add up to this probability (1 = from all)
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Draw only tokens with at least this share of the largest probability
    #[arg(long, default_value_t = 0.0)]
    min_p: f32,
    /// Hold back tokens that occurred (1 = not)
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f32,
    /// Tokens per answer
    #[arg(short, long, default_value_t = 256)]
    max_tokens: usize,
    #[command(flatten)]
    weights: shared::Weights,
}

/// Run the command.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        repetition_penalty: args.repetition_penalty,
        seed: globals.seed,
        ..Sampling::default()
    };
    sampling.check().map_err(|refusal| Usage(format!("--{}", refusal.to_string().replace('_', "-"))))?;
    let loaded =
        shared::load_run(globals, args.run.as_deref(), None)?.for_inference(args.weights.quantize())?;
    let mut session = Session::new(&loaded, sampling, args.max_tokens)?;
    if let Some(prompt) = &args.prompt {
        let mut screen = if globals.json { Screen::silent() } else { Screen::new() };
        let reply = session.ask(prompt, &mut screen)?;
        if globals.json {
            let tokens = reply.tokens;
            output::line(&json!({ "prompt": prompt, "reply": screen.text(), "tokens": tokens }).to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if std::io::stdin().is_terminal() {
        if !globals.quiet {
            output::error(&format!("talking to run {:?}; /help lists commands, Ctrl-D ends", loaded.run));
        }
        talk(&mut session, globals)?;
    } else {
        piped(&mut session)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// In the terminal, until the user ends it.
pub fn talk(session: &mut Session<'_>, globals: &Globals) -> anyhow::Result<()> {
    terminal::talk(session, &globals.layout()?.base().join("chat_history.txt"))
}

/// A question per line of standard input; answers go to standard output, and nothing else does.
fn piped(session: &mut Session<'_>) -> anyhow::Result<()> {
    for question in std::io::stdin().lock().lines() {
        let question = question?;
        match question.trim() {
            "" => continue,
            q if q.eq_ignore_ascii_case("quit") || q.eq_ignore_ascii_case("exit") => break,
            "clear" | "/reset" => session.reset(),
            q => {
                session.ask(q, &mut Screen::new())?;
            }
        }
    }
    Ok(())
}
