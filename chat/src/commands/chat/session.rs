//! A conversation with one model: its turns as text and as ids, and an engine that still knows what it read before.

use super::screen::Screen;
use crate::commands::shared::{Interrupt, Loaded};
use anyhow::Context;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;
use tokenizer::{Content, Conversation, Message, Part as Written, PartKind, Role, Special};
use train::engine::gpt::GptForward;
use train::engine::text::{Part, Piece};
use train::engine::{Engine, Finish, Limits, Request, Sampling, What};

/// Turns and settings.
pub struct Session<'a> {
    loaded: &'a Loaded,
    engine: Engine<GptForward<'a>>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Tokens per answer.
    pub max_tokens: usize,
    turns: VecDeque<Turn>,
}

/// A question and its answer.
struct Turn {
    question: String,
    answer: Vec<Piece>,
    /// From `<|user_start|>` to `<|assistant_end|>`, as the model wrote it.
    ids: Vec<u32>,
}

/// What there is to say about an answer.
pub struct Reply {
    /// Tokens generated.
    pub tokens: usize,
    /// Tokens per second, from the first token on.
    pub per_second: f64,
    /// Did somebody stop it?
    pub stopped: bool,
}

impl<'a> Session<'a> {
    /// Nothing said yet.
    pub fn new(loaded: &'a Loaded, sampling: Sampling, max_tokens: usize) -> anyhow::Result<Self> {
        let context = loaded.gpt.config().sequence_len;
        // Two rows: what was said is still there while the next answer is made.
        let forward = GptForward::for_rows(&loaded.gpt, 2, context)?;
        let limits = Limits { rows: 1, waiting: 1, chunk: context, context };
        let engine = Engine::new(forward, &loaded.tokenizer, limits);
        Ok(Session { loaded, engine, sampling, max_tokens, turns: VecDeque::new() })
    }
    /// Forget everything.
    pub fn reset(&mut self) {
        self.turns.clear();
    }
    /// Finished turns.
    pub fn turns(&self) -> usize {
        self.turns.len()
    }
    /// Ask a question; the answer appears as it comes. Ctrl-C ends it and keeps what has come.
    pub fn ask(&mut self, question: &str, screen: &mut Screen) -> anyhow::Result<Reply> {
        let special = |s| self.loaded.tokenizer.special(s);
        let mut ids = vec![special(Special::UserStart)];
        ids.extend(self.loaded.tokenizer.encode(question));
        ids.extend([special(Special::UserEnd), special(Special::AssistantStart)]);
        let end = special(Special::AssistantEnd);
        let prompt = self.prompt(&ids)?;
        let request = Request { sampling: self.sampling, ..Request::greedy(prompt, self.room()) };
        let id = self.engine.submit(request)?;
        let (interrupt, mut answer) = (Interrupt::new(), Vec::new());
        let (mut first, mut tokens, mut finish) = (None, 0usize, None);
        while finish.is_none() {
            if interrupt.came() {
                self.engine.cancel(id);
            }
            for event in self.engine.step()? {
                let pieces = match event.what {
                    What::Token(token) => {
                        first.get_or_insert_with(Instant::now);
                        tokens += 1;
                        ids.push(token.id);
                        token.text
                    }
                    What::Text(pieces) => pieces,
                    What::Finished(why) => {
                        finish = Some(why);
                        Vec::new()
                    }
                    What::Started { .. } | What::Prompt(_) => Vec::new(),
                };
                if let Err(error) = screen.show(&pieces) {
                    self.engine.cancel(id); // nobody reads it
                    return Err(error);
                }
                answer.extend(pieces);
            }
        }
        if finish == Some(Finish::End) {
            tokens -= 1; // the token that ends it is not part of it
            ids.pop();
        }
        ids.push(end);
        screen.finish()?;
        self.turns.push_back(Turn { question: question.into(), answer, ids });
        anyhow::ensure!(
            finish != Some(Finish::Damaged),
            "the model's logits are not finite; its weights are damaged"
        );
        let seconds = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
        let per_second = tokens.saturating_sub(1) as f64 / seconds.max(1e-9);
        Ok(Reply { tokens, per_second, stopped: finish == Some(Finish::Cancelled) })
    }
    /// Tokens that an answer may have: half of the context at most, the rest is for what was said.
    fn room(&self) -> usize {
        self.max_tokens.clamp(1, (self.loaded.gpt.config().sequence_len / 2).max(1))
    }
    /// `<|bos|>`, as many of the newest turns as leave room for an answer, and the new one.
    fn prompt(&mut self, turn: &[u32]) -> anyhow::Result<Vec<u32>> {
        let room = self.loaded.gpt.config().sequence_len.saturating_sub(1 + self.room());
        anyhow::ensure!(
            turn.len() <= room,
            "the question has {} tokens, this model takes {room} at most; ask more briefly",
            turn.len()
        );
        while self.turns.iter().map(|t| t.ids.len()).sum::<usize>() + turn.len() > room {
            self.turns.pop_front();
        }
        let mut prompt = vec![self.loaded.tokenizer.bos()];
        self.turns.iter().for_each(|t| prompt.extend(&t.ids));
        prompt.extend(turn);
        Ok(prompt)
    }
    /// Write what was said into a file, as a conversation that training could read.
    pub fn save(&self, file: &Path) -> anyhow::Result<()> {
        let mut messages = Vec::with_capacity(2 * self.turns.len());
        for turn in &self.turns {
            messages.push(Message::new(Role::User, turn.question.clone()));
            messages.push(Message { role: Role::Assistant, content: written(&turn.answer) });
        }
        let text = serde_json::to_string_pretty(&Conversation { messages })?;
        std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))
    }
    /// Go on with what [`save`](Self::save) wrote. Nothing is forgotten if the file is no such thing.
    pub fn load(&mut self, file: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let conversation = Conversation::from_json(&text)?;
        let mut turns = VecDeque::new();
        for pair in conversation.messages.chunks(2) {
            let two = Conversation { messages: pair.to_vec() };
            let (Some(question), Some(answer)) = (pair.first(), pair.get(1)) else {
                anyhow::bail!("{}: the last question has no answer", file.display());
            };
            let Content::Text(question) = question.content.clone() else {
                anyhow::bail!("{}: a question is not plain text", file.display());
            };
            let mut ids = self.loaded.tokenizer.render_conversation(&two, usize::MAX)?.ids;
            ids.remove(0); // bos
            turns.push_back(Turn { question, answer: read(&answer.content), ids });
        }
        self.turns = turns;
        Ok(())
    }
}

/// Pieces of one kind as one part each.
fn written(answer: &[Piece]) -> Content {
    let mut parts: Vec<Written> = Vec::new();
    for piece in answer {
        let kind = match piece.part {
            Part::Text => PartKind::Text,
            Part::Python => PartKind::Python,
            Part::Output => PartKind::PythonOutput,
        };
        match parts.last_mut().filter(|last| last.kind == kind) {
            Some(last) => last.text.push_str(&piece.text),
            None => parts.push(Written { kind, text: piece.text.clone() }),
        }
    }
    match parts.as_slice() {
        [] => Content::Text(String::new()),
        [only] if only.kind == PartKind::Text => Content::Text(only.text.clone()),
        _ => Content::Parts(parts),
    }
}

fn read(content: &Content) -> Vec<Piece> {
    let piece = |part, text: &String| Piece { part, text: text.clone() };
    match content {
        Content::Text(text) => vec![piece(Part::Text, text)],
        Content::Parts(parts) => parts
            .iter()
            .map(|part| match part.kind {
                PartKind::Python => piece(Part::Python, &part.text),
                PartKind::PythonOutput => piece(Part::Output, &part.text),
                _ => piece(Part::Text, &part.text),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_being_written_and_read() {
        let piece = |part, text: &str| Piece { part, text: text.into() };
        let answer = [
            piece(Part::Text, "S"),
            piece(Part::Text, "o "),
            piece(Part::Python, "6*7"),
            piece(Part::Output, "42"),
            piece(Part::Text, "done"),
        ];
        let joined =
            [piece(Part::Text, "So ")].into_iter().chain(answer[2..].iter().cloned()).collect::<Vec<_>>();
        assert_eq!(read(&written(&answer)), joined);
        assert_eq!(written(&answer[..2]), Content::Text("So ".into()));
    }
}
