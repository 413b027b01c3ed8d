//! `nanochat chat`: talk to a model in the terminal.

use super::shared::{self, Loaded};
use crate::globals::Globals;
use crate::output;
use clap::Args as ClapArgs;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use tokenizer::{Special, Tokenizer};
use train::engine::generate::{Engine, GenerateOptions, Sampling};
use train::engine::gpt::GptForward;

/// `chat`.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  nanochat chat\n  nanochat chat -p 'What is 12 + 30?'\n  echo 'Who are you?' | nanochat chat --temperature 0"
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
    /// Tokens per answer
    #[arg(short, long, default_value_t = 256)]
    max_tokens: usize,
    #[command(flatten)]
    weights: shared::Weights,
}

/// Run the command.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let sampling = Sampling { temperature: args.temperature, top_k: Some(args.top_k), seed: globals.seed };
    if !(args.temperature >= 0.0 && args.temperature.is_finite()) {
        anyhow::bail!(crate::globals::Usage(format!("--temperature {}: give 0 or more", args.temperature)));
    }
    let loaded =
        shared::load_run(globals, args.run.as_deref(), None)?.for_inference(args.weights.quantize())?;
    let mut session = Session::new(&loaded, sampling, args.max_tokens);
    if let Some(prompt) = &args.prompt {
        let reply = session.ask(prompt, !globals.json)?;
        if globals.json {
            output::line(
                &json!({"prompt": prompt, "reply": reply.text, "tokens": reply.tokens}).to_string(),
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !globals.quiet {
        output::error(&format!("talking to run {:?}; `clear` forgets, `quit` ends", loaded.run));
    }
    session.talk()?;
    Ok(ExitCode::SUCCESS)
}

/// A conversation with one model.
pub struct Session<'a> {
    loaded: &'a Loaded,
    sampling: Sampling,
    max_tokens: usize,
    /// Finished turns, a question and its answer each.
    turns: VecDeque<Vec<u32>>,
}

/// One answer.
pub struct Reply {
    /// Its words; a calculation shows as `[expression = result]`.
    pub text: String,
    /// Tokens generated.
    pub tokens: usize,
}

impl<'a> Session<'a> {
    /// Nothing said yet.
    pub fn new(loaded: &'a Loaded, sampling: Sampling, max_tokens: usize) -> Self {
        // Half of the context at most is for the answer, the rest for what was said.
        let max_tokens = max_tokens.clamp(1, (loaded.gpt.config().sequence_len / 2).max(1));
        Session { loaded, sampling, max_tokens, turns: VecDeque::new() }
    }

    /// Read questions from standard input until it ends.
    pub fn talk(&mut self) -> anyhow::Result<()> {
        let interactive = std::io::stdin().is_terminal();
        let mut lines = std::io::stdin().lock().lines();
        loop {
            if interactive {
                output::text("\nyou: ")?;
            }
            let Some(question) = lines.next() else { break };
            let question = question?;
            match question.trim() {
                "" => continue,
                q if q.eq_ignore_ascii_case("quit") || q.eq_ignore_ascii_case("exit") => break,
                "clear" => {
                    self.turns.clear();
                    output::line("(forgotten)")?;
                }
                q => {
                    if interactive {
                        output::text("nanochat: ")?;
                    }
                    self.ask(q, true)?;
                }
            }
        }
        if interactive {
            output::line("\ngoodbye")?;
        }
        Ok(())
    }

    /// Ask one question; the answer is printed as it comes if `stream`.
    pub fn ask(&mut self, question: &str, stream: bool) -> anyhow::Result<Reply> {
        let tokenizer = &self.loaded.tokenizer;
        let special = |s| tokenizer.special(s);
        let mut turn = vec![special(Special::UserStart)];
        turn.extend(tokenizer.encode(question));
        turn.extend([special(Special::UserEnd), special(Special::AssistantStart)]);
        let prompt = self.prompt(&turn)?;
        let options = GenerateOptions {
            num_samples: 1,
            max_tokens: Some(self.max_tokens),
            sampling: self.sampling,
            ..GenerateOptions::default()
        };
        let mut engine = Engine::new(GptForward::new(&self.loaded.gpt), tokenizer);
        let mut screen = Screen::new(tokenizer, stream);
        let mut count = 0;
        for column in engine.generate(&prompt, &options)? {
            let token = column?.tokens[0];
            if token == special(Special::AssistantEnd) || token == tokenizer.bos() {
                break;
            }
            count += 1;
            turn.push(token);
            screen.show(token)?;
        }
        turn.push(special(Special::AssistantEnd));
        self.turns.push_back(turn);
        Ok(Reply { text: screen.finish()?, tokens: count })
    }

    /// `<|bos|>`, as many of the newest turns as leave room for an answer, and the new one.
    fn prompt(&mut self, turn: &[u32]) -> anyhow::Result<Vec<u32>> {
        let room = self.loaded.gpt.config().sequence_len.saturating_sub(1 + self.max_tokens);
        anyhow::ensure!(
            turn.len() <= room,
            "the question has {} tokens, this model takes {room} at most; ask more briefly",
            turn.len()
        );
        while self.turns.iter().map(Vec::len).sum::<usize>() + turn.len() > room {
            self.turns.pop_front();
        }
        let mut prompt = vec![self.loaded.tokenizer.bos()];
        self.turns.iter().for_each(|t| prompt.extend(t));
        prompt.extend(turn);
        Ok(prompt)
    }
}

/// Turns tokens into text on the screen, holding back half characters.
struct Screen<'a> {
    tokenizer: &'a Tokenizer,
    decoder: tokenizer::StreamDecoder,
    stream: bool,
    text: String,
}

impl<'a> Screen<'a> {
    fn new(tokenizer: &'a Tokenizer, stream: bool) -> Self {
        Screen { tokenizer, decoder: tokenizer.stream_decoder(), stream, text: String::new() }
    }
    fn show(&mut self, token: u32) -> anyhow::Result<()> {
        let piece = match self.tokenizer.as_special(token) {
            Some(Special::PythonStart) => "[".to_string(),
            Some(Special::OutputStart) => " = ".to_string(),
            Some(Special::OutputEnd) => "] ".to_string(),
            Some(_) => String::new(),
            None => self.decoder.push(token)?,
        };
        self.put(&piece)
    }
    fn put(&mut self, piece: &str) -> anyhow::Result<()> {
        self.text.push_str(piece);
        if self.stream {
            output::text(piece)?;
        }
        Ok(())
    }
    fn finish(mut self) -> anyhow::Result<String> {
        let decoder = std::mem::replace(&mut self.decoder, self.tokenizer.stream_decoder());
        let rest = decoder.finish();
        self.put(&rest)?;
        if self.stream {
            output::line("")?;
        }
        Ok(self.text)
    }
}
