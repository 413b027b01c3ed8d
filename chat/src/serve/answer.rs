//! From what the engine reports to the JSON of an answer, whole or in pieces, in the shapes of both endpoints.

use super::ask::Ask;
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tokenizer::{Special, Tokenizer};
use train::engine::request::{Logprobs, Token};
use train::engine::text::{Part, Piece};
use train::engine::{Finish, What};

/// Which endpoint's shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
}

/// One answer on its way.
pub struct Answer {
    kind: Kind,
    id: String,
    model: String,
    created: u64,
    tokenizer: Tokenizer,
    prompts: Vec<Vec<u32>>,
    /// What is known of each prompt's tokens behind its first, where that was asked for.
    scored: Option<Vec<Vec<Logprobs>>>,
    samples: usize,
    echo: bool,
    /// Were log-probabilities asked for? Of an empty answer, they are an empty list.
    likely: bool,
    choices: Vec<Choice>,
    reused: usize,
}

/// What is known of one choice.
#[derive(Clone, Debug, Default)]
struct Choice {
    pieces: Vec<Piece>,
    logprobs: Vec<Value>,
    tokens: usize,
    /// Bytes of tokens, for offsets.
    written: usize,
    finish: Option<Finish>,
}

impl Answer {
    /// Nothing has come yet.
    pub fn new(kind: Kind, number: u64, model: &str, tokenizer: &Tokenizer, ask: &Ask) -> Answer {
        let prefix = if kind == Kind::Chat { "chatcmpl" } else { "cmpl" };
        let first = ask.requests.first();
        let samples = first.map_or(1, |request| request.samples);
        let scored = first.is_some_and(|request| request.prompt_logprobs && request.logprobs.is_some());
        let mut answer = Answer {
            kind,
            id: format!("{prefix}-{number:016x}"),
            model: model.into(),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
            tokenizer: tokenizer.clone(),
            prompts: ask.requests.iter().map(|request| request.prompt.clone()).collect(),
            scored: scored.then(|| vec![Vec::new(); ask.requests.len()]),
            samples,
            echo: ask.echo,
            likely: first.is_some_and(|request| request.logprobs.is_some()),
            choices: vec![Choice::default(); samples * ask.requests.len()],
            reused: 0,
        };
        if ask.echo {
            for index in 0..answer.choices.len() {
                let words = answer.prompt_words(index);
                answer.choices[index].written =
                    words.iter().filter_map(|&id| tokenizer.token(id).ok()).map(<[u8]>::len).sum();
            }
        }
        answer
    }
    /// Has every choice ended?
    pub fn is_over(&self) -> bool {
        self.choices.iter().all(|choice| choice.finish.is_some())
    }
    /// Tokens generated so far.
    pub fn generated(&self) -> usize {
        self.choices.iter().map(|choice| choice.tokens).sum()
    }
    /// What was said before the first token: the role, or the prompt again, unless it comes with log-probabilities.
    pub fn openings(&self) -> Vec<Value> {
        let opening = |index: usize| match self.kind {
            Kind::Chat => {
                Some(self.chunk(index, json!({ "role": "assistant", "content": "" }), Value::Null, None))
            }
            Kind::Completion => (self.echo && self.is_scored(index)).then(|| self.repeated(index)),
        };
        (0..self.choices.len()).filter_map(opening).collect()
    }
    /// The ids of a choice's prompt.
    fn prompt(&self, choice: usize) -> &[u32] {
        self.prompts.get(choice / self.samples).map_or(&[], Vec::as_slice)
    }
    /// Those that are part of its text.
    fn prompt_words(&self, choice: usize) -> Vec<u32> {
        let ids = self.prompt(choice).iter().copied();
        ids.filter(|&id| self.tokenizer.as_special(id).is_none()).collect()
    }
    fn prompt_text(&self, choice: usize) -> String {
        self.tokenizer.decode(&self.prompt_words(choice)).unwrap_or_default()
    }
    /// Is everything known of the prompt that is wanted?
    fn is_scored(&self, choice: usize) -> bool {
        let scored = self.scored.as_ref().and_then(|all| all.get(choice / self.samples));
        scored.is_none_or(|found| found.len() + 1 >= self.prompt(choice).len())
    }
    /// A piece that repeats the prompt.
    fn repeated(&self, choice: usize) -> Value {
        let entries = self.prompt_entries(choice);
        let table = if entries.is_empty() { Value::Null } else { Answer::table(0, &entries) };
        self.chunk(choice, json!(self.prompt_text(choice)), table, None)
    }
    /// An entry for each token of the prompt that is part of its text.
    fn prompt_entries(&self, choice: usize) -> Vec<Value> {
        let Some(found) = self.scored.as_ref().and_then(|all| all.get(choice / self.samples)) else {
            return Vec::new();
        };
        let known = [None].into_iter().chain(found.iter().map(Some));
        let ids = self.prompt(choice).iter().zip(known);
        let words = ids.filter(|(id, _)| self.tokenizer.as_special(**id).is_none());
        words.map(|(&id, logprobs)| self.entry(id, logprobs, true)).collect()
    }
    /// Takes what happened to a sample of prompt `prompt`. Returns the pieces to send.
    pub fn add(&mut self, prompt: usize, sample: usize, what: What) -> Vec<Value> {
        let index = prompt * self.samples + sample;
        let piece = match what {
            What::Started { reused } => {
                self.reused += reused;
                None
            }
            What::Prompt(found) => {
                if let Some(scored) = self.scored.as_mut().and_then(|all| all.get_mut(prompt)) {
                    scored.extend(found);
                }
                let choices = index..index + self.samples;
                let repeated = self.scored.is_some() && self.is_scored(index);
                return choices.filter(|_| repeated).map(|choice| self.repeated(choice)).collect();
            }
            What::Token(token) => {
                let logprobs = self.logprobs(&token);
                let choice = &mut self.choices[index];
                choice.tokens += 1;
                choice.logprobs.extend(logprobs.clone());
                self.said(index, token.text, logprobs)
            }
            What::Text(pieces) => self.said(index, pieces, None),
            What::Finished(finish) => {
                let reason = reason(&finish);
                self.choices[index].finish = Some(finish);
                let nothing = if self.kind == Kind::Chat { json!({}) } else { json!("") };
                Some(self.chunk(index, nothing, Value::Null, Some(reason)))
            }
        };
        piece.into_iter().collect()
    }
    fn said(&mut self, index: usize, pieces: Vec<Piece>, logprobs: Option<Value>) -> Option<Value> {
        if pieces.is_empty() && logprobs.is_none() {
            return None;
        }
        let text = words(&pieces);
        let length = logprobs.as_ref().map_or(0, bytes);
        let delta = match self.kind {
            Kind::Completion => json!(text),
            Kind::Chat => {
                let mut delta = Map::from_iter([("content".to_string(), json!(text))]);
                if pieces.iter().any(|piece| piece.part != Part::Text) {
                    delta.insert("parts".into(), parts(&pieces));
                }
                Value::Object(delta)
            }
        };
        let logprobs = match (self.kind, logprobs) {
            (_, None) => Value::Null,
            (Kind::Chat, Some(entry)) => json!({ "content": [entry] }),
            (Kind::Completion, Some(entry)) => Answer::table(self.choices[index].written, &[entry]),
        };
        let choice = &mut self.choices[index];
        choice.written += length;
        for piece in pieces {
            match choice.pieces.last_mut().filter(|last| last.part == piece.part) {
                Some(last) => last.text.push_str(&piece.text),
                None => choice.pieces.push(piece),
            }
        }
        Some(self.chunk(index, delta, logprobs, None))
    }
    /// A token with its log-probability, as the chat endpoint shows it, and three facts of ours beside it.
    fn logprobs(&self, token: &Token) -> Option<Value> {
        let ends = [Special::AssistantEnd, Special::Bos].map(Some);
        // The token that ends an answer has no part in its text.
        let logprobs =
            token.logprobs.as_ref().filter(|_| !ends.contains(&self.tokenizer.as_special(token.id)))?;
        Some(self.entry(token.id, Some(logprobs), !token.sampled))
    }
    /// A token and what is known of it; of the first one of all, nothing is.
    fn entry(&self, id: u32, logprobs: Option<&Logprobs>, forced: bool) -> Value {
        let one = |id: u32, logprob: Option<f32>| {
            let bytes = self.tokenizer.token(id).unwrap_or(&[]);
            let finite = logprob.map(|x| if x.is_finite() { x } else { -9999.0 }); // JSON has no infinity
            json!({
                "token": String::from_utf8_lossy(bytes), "logprob": finite, "bytes": bytes, "id": id,
            })
        };
        let mut entry = one(id, logprobs.map(|found| found.token));
        let top = logprobs.map(|found| found.top.iter().map(|&(id, logprob)| one(id, Some(logprob))));
        entry["top_logprobs"] = top.map_or(Value::Null, |top| Value::Array(top.collect()));
        entry["forced"] = json!(forced);
        entry
    }
    /// Entries in the older shape: a list for each fact.
    fn table(mut at: usize, entries: &[Value]) -> Value {
        let top = |entry: &Value| -> Value {
            let Some(list) = entry["top_logprobs"].as_array() else { return Value::Null };
            let pair = |t: &Value| Some((t["token"].as_str()?.to_string(), t["logprob"].clone()));
            Value::Object(list.iter().filter_map(pair).collect())
        };
        let mut offset = |entry: &Value| {
            let here = at;
            at += bytes(entry);
            here
        };
        json!({
            "tokens": entries.iter().map(|e| e["token"].clone()).collect::<Vec<_>>(),
            "token_logprobs": entries.iter().map(|e| e["logprob"].clone()).collect::<Vec<_>>(),
            "top_logprobs": entries.iter().map(top).collect::<Vec<_>>(),
            "text_offset": entries.iter().map(&mut offset).collect::<Vec<_>>(),
        })
    }
    fn head(&self, object: &str) -> Map<String, Value> {
        let fields = json!({
            "id": self.id, "object": object, "created": self.created, "model": self.model,
            "system_fingerprint": concat!("nanochat-", env!("CARGO_PKG_VERSION")),
        });
        match fields {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
    fn chunk(&self, index: usize, delta: Value, logprobs: Value, finish: Option<&str>) -> Value {
        let (object, key) = match self.kind {
            Kind::Chat => ("chat.completion.chunk", "delta"),
            Kind::Completion => ("text_completion", "text"),
        };
        let mut chunk = self.head(object);
        let mut choice = json!({ "index": index, "logprobs": logprobs, "finish_reason": finish });
        choice[key] = delta;
        chunk.insert("choices".into(), json!([choice]));
        Value::Object(chunk)
    }
    /// Token counts.
    fn usage(&self) -> Value {
        let prompt: usize = self.prompts.iter().map(Vec::len).sum();
        json!({
            "prompt_tokens": prompt, "completion_tokens": self.generated(), "total_tokens": prompt + self.generated(),
            "prompt_tokens_details": { "cached_tokens": self.reused },
        })
    }
    /// The last piece of a stream that was asked to count, with the ids of the prompts, so that whoever has the
    /// answer's can look at attention.
    pub fn closing(&self) -> Value {
        let object = if self.kind == Kind::Chat { "chat.completion.chunk" } else { "text_completion" };
        let mut chunk = self.head(object);
        chunk.insert("choices".into(), json!([]));
        chunk.insert("usage".into(), self.usage());
        chunk.insert("prompt_ids".into(), json!(self.prompts));
        Value::Object(chunk)
    }
    /// The answer as a whole.
    pub fn whole(&self) -> Value {
        let choices: Vec<Value> =
            self.choices.iter().enumerate().map(|(i, choice)| self.choice(i, choice)).collect();
        let mut all = self.head(if self.kind == Kind::Chat { "chat.completion" } else { "text_completion" });
        all.insert("choices".into(), Value::Array(choices));
        all.insert("usage".into(), self.usage());
        Value::Object(all)
    }
    fn choice(&self, index: usize, choice: &Choice) -> Value {
        let text = words(&choice.pieces);
        let finish = choice.finish.as_ref().map(reason);
        let entries = &choice.logprobs;
        match self.kind {
            Kind::Chat => {
                let mut message = json!({ "role": "assistant", "content": text, "refusal": null });
                if choice.pieces.iter().any(|piece| piece.part != Part::Text) {
                    message["parts"] = parts(&choice.pieces);
                }
                let logprobs = if self.likely { json!({ "content": entries }) } else { Value::Null };
                json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": finish })
            }
            Kind::Completion => {
                let text = if self.echo { self.prompt_text(index) + &text } else { text };
                let entries = [self.prompt_entries(index), entries.clone()].concat();
                let logprobs = if self.likely { Answer::table(0, &entries) } else { Value::Null };
                json!({ "index": index, "text": text, "logprobs": logprobs, "finish_reason": finish })
            }
        }
    }
}

/// Bytes of an entry's token.
fn bytes(entry: &Value) -> usize {
    entry["bytes"].as_array().map_or(0, Vec::len)
}

/// The words alone.
fn words(pieces: &[Piece]) -> String {
    pieces.iter().filter(|piece| piece.part == Part::Text).map(|piece| piece.text.as_str()).collect()
}

/// All pieces, under the names that conversations use.
fn parts(pieces: &[Piece]) -> Value {
    let one = |piece: &Piece| {
        let kind = match piece.part {
            Part::Text => "text",
            Part::Python => "python",
            Part::Output => "python_output",
        };
        json!({ "type": kind, "text": piece.text })
    };
    pieces.iter().map(one).collect()
}

fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) => "stop",
        Finish::Length => "length",
        Finish::Cancelled => "cancelled",
        Finish::Damaged => "error",
    }
}
