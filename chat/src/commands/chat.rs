//! `nanochat chat`: talk to a model in the terminal.

use super::shared::{self, Loaded};
use crate::globals::Globals;
use crate::output;
use clap::Args as ClapArgs;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use tokenizer::Special;
use train::engine::collect::drain;
use train::engine::gpt::GptForward;
use train::engine::text::{Part, Piece};
use train::engine::{Engine, Finish, Limits, Request, Sampling, What};

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
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        seed: globals.seed,
        ..Sampling::default()
    };
    if !(args.temperature >= 0.0 && args.temperature.is_finite()) {
        anyhow::bail!(crate::globals::Usage(format!("--temperature {}: give 0 or more", args.temperature)));
    }
    let loaded =
        shared::load_run(globals, args.run.as_deref(), None)?.for_inference(args.weights.quantize())?;
    let mut session = Session::new(&loaded, sampling, args.max_tokens)?;
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
    engine: Engine<GptForward<'a>>,
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
    pub fn new(loaded: &'a Loaded, sampling: Sampling, max_tokens: usize) -> anyhow::Result<Self> {
        // Half of the context at most is for the answer, the rest for what was said.
        let max_tokens = max_tokens.clamp(1, (loaded.gpt.config().sequence_len / 2).max(1));
        let context = loaded.gpt.config().sequence_len;
        // Two rows: what was said is still there while the next answer is made.
        let forward = GptForward::for_rows(&loaded.gpt, 2, context)?;
        let limits = Limits { rows: 1, waiting: 1, chunk: context, context };
        let engine = Engine::new(forward, &loaded.tokenizer, limits);
        Ok(Session { loaded, engine, sampling, max_tokens, turns: VecDeque::new() })
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
        let request = Request { sampling: self.sampling, ..Request::greedy(prompt, self.max_tokens) };
        self.engine.submit(request)?;
        let mut screen = Screen { stream, part: Part::Text, text: String::new() };
        let (mut count, mut failed) = (0, Ok(()));
        drain(&mut self.engine, |event| {
            let shown = match event.what {
                What::Token(token) => {
                    count += 1;
                    turn.push(token.id);
                    screen.show(&token.text)
                }
                What::Text(pieces) => screen.show(&pieces),
                What::Finished(Finish::End) => {
                    count -= 1;
                    turn.pop();
                    Ok(())
                }
                What::Finished(_) | What::Started { .. } => Ok(()),
            };
            if failed.is_ok() {
                failed = shown;
            }
            true
        })?;
        failed?;
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

/// Puts the pieces of an answer on the screen: words as they are, a calculation as `[expression = result]`.
struct Screen {
    stream: bool,
    part: Part,
    text: String,
}

impl Screen {
    fn show(&mut self, pieces: &[Piece]) -> anyhow::Result<()> {
        for piece in pieces {
            self.turn_to(piece.part)?;
            self.put(&piece.text)?;
        }
        Ok(())
    }
    fn turn_to(&mut self, part: Part) -> anyhow::Result<()> {
        let between = match (std::mem::replace(&mut self.part, part), part) {
            (before, after) if before == after => "",
            (Part::Python, Part::Output) => " = ",
            (Part::Text, _) => "[",
            (_, Part::Text) => "] ",
            (Part::Output, _) => "] [",
            (Part::Python, _) => "",
        };
        self.put(between)
    }
    fn put(&mut self, piece: &str) -> anyhow::Result<()> {
        self.text.push_str(piece);
        if self.stream {
            output::text(piece)?;
        }
        Ok(())
    }
    fn finish(mut self) -> anyhow::Result<String> {
        self.turn_to(Part::Text)?;
        if self.stream {
            output::line("")?;
        }
        Ok(self.text)
    }
}
