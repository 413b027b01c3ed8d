//! From the body of a request to what the engine is asked: all limits are here.
//!
//! They are those of the original's web server (at most 500 messages, 8,000 characters each, 32,000 together,
//! temperature 0–2, top-k 0–200, 1–4,096 new tokens), and what goes beyond them is refused, not cut. Three things are
//! wider: a first message of `system` is taken, since standard clients send one, and goes in front of the user's first;
//! messages of one role that follow each other become one; and the prompt may be as long as the context. `max_tokens` is what may be generated at most: the end of the context
//! ends the answer, too.

use super::error::ApiError;
use super::fields::Fields;
use serde_json::Value;
use tokenizer::{Content, Conversation, Message, Part, PartKind, Role, Special, Tokenizer};
use train::engine::{Request, Sampling};

/// Most messages of a conversation.
const MAX_MESSAGES: usize = 500;
/// Most characters of one message, and of all of them.
const MAX_CHARS: [usize; 2] = [8_000, 32_000];
/// Most new tokens.
const MAX_TOKENS: usize = 4_096;
/// Most stop texts, and characters of each.
const MAX_STOP: [usize; 2] = [4, 200];
/// Most alternatives of a token.
const MAX_TOP: usize = 20;
/// Most prompts in one request for completions.
const MAX_PROMPTS: usize = 16;

/// What the server answers with, unless told otherwise.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Name of the model.
    pub model: String,
    /// Sampling.
    pub sampling: Sampling,
    /// New tokens.
    pub max_tokens: usize,
    /// Positions of prompt and answer.
    pub context: usize,
    /// Samples of one prompt.
    pub max_samples: usize,
}

/// A request understood.
#[derive(Debug, PartialEq)]
pub struct Ask {
    /// One for each prompt.
    pub requests: Vec<Request>,
    /// Is the answer to come in pieces?
    pub stream: bool,
    /// With a last piece that counts the tokens?
    pub include_usage: bool,
    /// Put the prompt in front of the answer (completions).
    pub echo: bool,
}

const UNSUPPORTED: &[(&str, &str)] = &[
    ("tools", "the model has a calculator of its own"),
    ("functions", "the model has a calculator of its own"),
    ("tool_choice", "leave it out"),
    ("response_format", "only text is generated"),
    ("logit_bias", "leave it out"),
    ("suffix", "leave it out"),
    ("audio", "only text is generated"),
];

/// The body of `/v1/chat/completions`.
pub fn chat(body: &Value, tokenizer: &Tokenizer, defaults: &Defaults) -> Result<Ask, ApiError> {
    let fields = Fields::of(body)?;
    let max_tokens = match fields.get("max_completion_tokens") {
        Some(_) => fields.count("max_completion_tokens", 1..=MAX_TOKENS)?,
        None => fields.count("max_tokens", 1..=MAX_TOKENS)?,
    };
    let top = fields.count("top_logprobs", 0..=MAX_TOP)?;
    let logprobs = match (fields.flag("logprobs")?, top) {
        (true, top) => Some(top.unwrap_or(0)),
        (false, None | Some(0)) => None,
        (false, Some(_)) => return Err(fields.wrong("top_logprobs", "needs \"logprobs\": true")),
    };
    if fields.flag("echo")? {
        return Err(fields.wrong("echo", "is for /v1/completions").code("unsupported_parameter"));
    }
    let conversation = conversation(&fields)?;
    let truncate = match fields.text("truncation")? {
        None | Some("disabled") => false,
        Some("auto") => true,
        Some(other) => {
            return Err(fields.wrong("truncation", format!("must be auto or disabled, not {other:?}")));
        }
    };
    let wanted = max_tokens.unwrap_or(defaults.max_tokens);
    // Half of the context at most is kept free for the answer when old turns are dropped.
    let reserve = if truncate { wanted.min(defaults.context / 2) } else { 1 };
    let prompt = prompt(conversation, tokenizer, defaults.context.saturating_sub(reserve), truncate)?;
    common(&fields, defaults, vec![prompt], wanted, logprobs)
}

/// The body of `/v1/completions`.
pub fn completion(body: &Value, tokenizer: &Tokenizer, defaults: &Defaults) -> Result<Ask, ApiError> {
    let fields = Fields::of(body)?;
    // Who has the prompt repeated may want nothing else.
    let least = usize::from(!fields.flag("echo")?);
    let max_tokens = fields.count("max_tokens", least..=MAX_TOKENS)?;
    let logprobs = fields.count("logprobs", 0..=MAX_TOP)?;
    if let Some(best_of) = fields.count("best_of", 1..=usize::MAX)?
        && best_of != fields.count("n", 1..=usize::MAX)?.unwrap_or(1)
    {
        return Err(fields.wrong("best_of", "must be the same as n").code("unsupported_parameter"));
    }
    let prompts = prompts(&fields, tokenizer)?;
    if prompts.iter().any(|prompt| prompt.len() >= defaults.context) {
        return Err(too_long(prompts.iter().map(Vec::len).max().unwrap_or(0), defaults.context));
    }
    common(&fields, defaults, prompts, max_tokens.unwrap_or(defaults.max_tokens), logprobs)
}

fn too_long(tokens: usize, context: usize) -> ApiError {
    let message = format!(
        "the prompt has {tokens} tokens, which leaves no room for an answer in a context of {context}; send less of the \
         conversation, or \"truncation\": \"auto\" to have its oldest turns left out"
    );
    ApiError::invalid(message).code("context_length_exceeded")
}

/// What both kinds of requests have.
fn common(
    fields: &Fields,
    defaults: &Defaults,
    prompts: Vec<Vec<u32>>,
    max_tokens: usize,
    logprobs: Option<usize>,
) -> Result<Ask, ApiError> {
    fields.unsupported(UNSUPPORTED)?;
    if let Some(model) = fields.text("model")?
        && model != defaults.model
        && model != "nanochat"
    {
        let error =
            ApiError::not_found(format!("there is no model {model:?} here; this is {:?}", defaults.model));
        return Err(error.code("model_not_found"));
    }
    let f32_of = |field, range| fields.number(field, range).map(|x| x.map(|x| x as f32));
    let plain = defaults.sampling;
    let sampling = Sampling {
        temperature: f32_of("temperature", 0.0..=2.0)?.unwrap_or(plain.temperature),
        top_k: fields.count("top_k", 0..=200)?.unwrap_or(plain.top_k),
        top_p: f32_of("top_p", 1e-6..=1.0)?.unwrap_or(plain.top_p),
        min_p: f32_of("min_p", 0.0..=1.0)?.unwrap_or(plain.min_p),
        repetition_penalty: f32_of("repetition_penalty", 0.01..=10.0)?.unwrap_or(plain.repetition_penalty),
        presence_penalty: f32_of("presence_penalty", -2.0..=2.0)?.unwrap_or(plain.presence_penalty),
        frequency_penalty: f32_of("frequency_penalty", -2.0..=2.0)?.unwrap_or(plain.frequency_penalty),
        seed: seed(fields)?.unwrap_or(plain.seed),
    };
    let samples = fields.count("n", 1..=defaults.max_samples)?.unwrap_or(1);
    let stream = fields.flag("stream")?;
    let include_usage = match fields.get("stream_options") {
        Some(_) if !stream => return Err(fields.wrong("stream_options", "needs \"stream\": true")),
        Some(options) => Fields::at(options, "stream_options")?.flag("include_usage")?,
        None => false,
    };
    let stop = stop(fields)?;
    let echo = fields.flag("echo")?;
    let prompt_logprobs = echo && (logprobs.is_some() || max_tokens == 0);
    let request = |prompt: Vec<u32>| {
        let max_tokens = max_tokens.min(defaults.context.saturating_sub(prompt.len()));
        Request { samples, max_tokens, sampling, stop: stop.clone(), logprobs, prompt_logprobs, prompt }
    };
    Ok(Ask { requests: prompts.into_iter().map(request).collect(), stream, include_usage, echo })
}

fn seed(fields: &Fields) -> Result<Option<u64>, ApiError> {
    let Some(value) = fields.get("seed") else { return Ok(None) };
    let seed = value.as_u64().or_else(|| value.as_i64().map(|negative| negative as u64));
    seed.map(Some).ok_or_else(|| fields.wrong("seed", format!("must be a whole number, not {value}")))
}

fn stop(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let [most, chars] = MAX_STOP;
    let list = match fields.get("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
        Some(one) => one.as_str().map(|text| vec![text]),
    };
    let list = list.ok_or_else(|| fields.wrong("stop", "must be a string or a list of strings"))?;
    let fits = |text: &&str| (1..=chars).contains(&text.chars().count());
    if list.len() > most || !list.iter().all(fits) {
        return Err(fields.wrong("stop", format!("at most {most} texts of 1 to {chars} characters")));
    }
    Ok(list.into_iter().map(String::from).collect())
}

/// Text, a list of texts, ids, or a list of lists of ids. Texts begin a document; ids are taken as they are.
fn prompts(fields: &Fields, tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>, ApiError> {
    let value = fields.get("prompt").ok_or_else(|| fields.wrong("prompt", "is missing"))?;
    let wrong = || {
        fields.wrong(
            "prompt",
            "must be a string, a list of strings, a list of token ids, or a list of such lists",
        )
    };
    let text = |text: &str| -> Result<Vec<u32>, ApiError> {
        if text.chars().count() > MAX_CHARS[1] {
            return Err(fields.wrong("prompt", format!("has more than {} characters", MAX_CHARS[1])));
        }
        Ok(tokenizer.encode_between(Some(tokenizer.bos()), text, None))
    };
    let ids = |list: &[Value]| -> Option<Vec<u32>> {
        let ids = list.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()));
        ids.collect::<Option<Vec<u32>>>().filter(|ids| !ids.is_empty())
    };
    let list = match value {
        Value::String(one) => return Ok(vec![text(one)?]),
        Value::Array(list) => list,
        _ => return Err(wrong()),
    };
    if let Some(one) = ids(list) {
        return Ok(vec![one]);
    }
    if !(1..=MAX_PROMPTS).contains(&list.len()) {
        return Err(
            fields.wrong("prompt", format!("must hold 1 to {MAX_PROMPTS} prompts, not {}", list.len()))
        );
    }
    let one = |value: &Value| match value {
        Value::String(one) => text(one),
        Value::Array(list) => ids(list).ok_or_else(wrong),
        _ => Err(wrong()),
    };
    list.iter().map(one).collect()
}

/// The messages, with their limits checked.
pub fn conversation(fields: &Fields) -> Result<Conversation, ApiError> {
    let messages = fields.get("messages").ok_or_else(|| fields.wrong("messages", "is missing"))?;
    let list = messages.as_array().ok_or_else(|| fields.wrong("messages", "must be a list"))?;
    if !(1..=MAX_MESSAGES).contains(&list.len()) {
        return Err(
            fields.wrong("messages", format!("must hold 1 to {MAX_MESSAGES} messages, not {}", list.len()))
        );
    }
    let (mut total, mut messages) = (0, Vec::with_capacity(list.len()));
    for (i, value) in list.iter().enumerate() {
        let message = Fields::at(value, &format!("messages[{i}]"))?;
        let role = match (message.text("role")?, i) {
            (Some("user"), _) => Role::User,
            (Some("assistant"), _) => Role::Assistant,
            (Some("system" | "developer"), 0) => Role::System,
            (Some(role @ ("system" | "developer")), _) => {
                return Err(message.wrong("role", format!("{role} may be the first message only")));
            }
            (Some(role), _) => {
                return Err(message
                    .wrong("role", format!("must be user or assistant (or system, first), not {role:?}")));
            }
            (None, _) => return Err(message.wrong("role", "is missing")),
        };
        let content = content(&message, role)?;
        let chars = chars(&content);
        total += chars;
        if chars == 0 {
            return Err(message.wrong("content", "is empty"));
        }
        if chars > MAX_CHARS[0] {
            return Err(
                message.wrong("content", format!("has {chars} characters; {} are the most", MAX_CHARS[0]))
            );
        }
        // Some clients say one thing in several messages; the model knows turns that alternate.
        match messages.last_mut().filter(|last: &&mut Message| last.role == role) {
            Some(last) => {
                let before = std::mem::replace(&mut last.content, Content::Text(String::new()));
                last.content = joined(before, content);
            }
            None => messages.push(Message { role, content }),
        }
    }
    if total > MAX_CHARS[1] {
        let most = MAX_CHARS[1];
        return Err(
            fields.wrong("messages", format!("have {total} characters together; {most} are the most"))
        );
    }
    Ok(Conversation { messages })
}

/// A text, or parts: what the assistant did with its tool, or the texts that some clients send in pieces.
fn content(message: &Fields, role: Role) -> Result<Content, ApiError> {
    let value = message.get("content").ok_or_else(|| message.wrong("content", "is missing"))?;
    let wrong = |e: &dyn std::fmt::Display| message.wrong("content", e);
    let content: Content = serde_json::from_value(value.clone()).map_err(|e| wrong(&e))?;
    match content {
        Content::Parts(parts) if role != Role::Assistant => {
            let texts: Option<Vec<String>> =
                parts.into_iter().map(|part| (part.kind == PartKind::Text).then_some(part.text)).collect();
            texts
                .map(|texts| Content::Text(texts.concat()))
                .ok_or_else(|| wrong(&"may hold parts of type text only"))
        }
        content => Ok(content),
    }
}

/// One content of two, texts with an empty line between them.
fn joined(first: Content, second: Content) -> Content {
    match (first, second) {
        (Content::Text(a), Content::Text(b)) => Content::Text(format!("{a}\n\n{b}")),
        (a, b) => {
            let parts = |content| match content {
                Content::Text(text) => vec![Part { kind: PartKind::Text, text }],
                Content::Parts(parts) => parts,
            };
            Content::Parts([parts(a), parts(b)].concat())
        }
    }
}

fn chars(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.chars().count(),
        Content::Parts(parts) => parts.iter().map(|part| part.text.chars().count()).sum(),
    }
}

/// The conversation as ids that end with `<|assistant_start|>`, at most `room` of them. If `truncate`, its oldest turns are
/// left out until it fits, but never the instructions of the system nor the last question.
pub fn prompt(
    mut conversation: Conversation,
    tokenizer: &Tokenizer,
    room: usize,
    truncate: bool,
) -> Result<Vec<u32>, ApiError> {
    if conversation.messages.last().is_none_or(|last| last.role != Role::User) {
        return Err(ApiError::field("messages", "the last message must be from user"));
    }
    let first = usize::from(conversation.messages.first().is_some_and(|first| first.role == Role::System));
    let mut lengths: Vec<usize> =
        conversation.messages.iter().map(|m| length(&m.content, tokenizer)).collect();
    loop {
        while truncate && lengths.len() >= first + 3 && lengths.iter().sum::<usize>() > room {
            // A question and its answer.
            conversation.messages.drain(first..first + 2);
            lengths.drain(first..first + 2);
        }
        let rendered = tokenizer.render_conversation(&conversation, usize::MAX);
        let mut ids = rendered.map_err(|e| ApiError::field("messages", e))?.ids;
        ids.push(tokenizer.special(Special::AssistantStart));
        if ids.len() <= room {
            return Ok(ids);
        }
        if !truncate || lengths.len() < first + 3 {
            return Err(too_long(ids.len(), room + 1));
        }
        lengths[first] += ids.len() - room; // the estimate was too low: a system message is encoded with the first question
    }
}

/// Tokens of a message, nearly.
fn length(content: &Content, tokenizer: &Tokenizer) -> usize {
    2 + match content {
        Content::Text(text) => tokenizer.encode(text).len(),
        Content::Parts(parts) => parts.iter().map(|part| tokenizer.encode(&part.text).len() + 2).sum(),
    }
}

#[cfg(test)]
mod tests;
