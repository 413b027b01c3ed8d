//! A conversation as the model sees it: ids, and for each id whether the model shall learn to produce it.
//!
//! | what | ids | mask |
//! |---|---|---|
//! | beginning | bos | 0 |
//! | user | user_start, text, user_end | 0, 0, 0 |
//! | assistant | assistant_start, text or parts, assistant_end | 0, 1, 1 |
//! | part `python` | python_start, text, python_end | 1, 1, 1 |
//! | part `python_output` | output_start, text, output_end | 0, 0, 0 |
//!
//! The model learns what it will have to write itself: its words, its calls of the tool, and to stop. What the tool
//! answers comes from outside. Every text is encoded for itself, so tokens never reach across a boundary.

use super::{Content, Conversation, Message, Part, PartKind, Role};
use crate::error::{Result, TokenizerError};
use crate::special::Special;
use crate::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// nanochat's limit of a rendered conversation. It does not depend on the model.
pub const DEFAULT_MAX_TOKENS: usize = 2048;

/// Ids of a conversation, with a mask of the same length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendered {
    /// Token ids.
    pub ids: Vec<u32>,
    /// 1 where the id is one to learn, as a target: the prediction is made one position before it.
    pub mask: Vec<u8>,
}

impl Rendered {
    fn push(&mut self, id: u32, mask: u8) {
        self.ids.push(id);
        self.mask.push(mask);
    }

    fn push_text(&mut self, tokenizer: &Tokenizer, text: &str, mask: u8) {
        tokenizer.encode_into(text, &mut self.ids);
        self.mask.resize(self.ids.len(), mask);
    }
}

impl Tokenizer {
    /// Ids and mask of a conversation, cut to the first `max_tokens` (nanochat: [`DEFAULT_MAX_TOKENS`]).
    ///
    /// User and assistant alternate, the user first and with plain text. A system message may come before; it is put
    /// in front of the first user message, with an empty line between. Errors: anything else, and parts of unknown
    /// kind.
    pub fn render_conversation(&self, conversation: &Conversation, max_tokens: usize) -> Result<Rendered> {
        self.render_messages(&conversation.messages, max_tokens)
    }

    /// Ids that ask the model for the last message, which must be the assistant's and is left out: what comes before,
    /// cut to [`DEFAULT_MAX_TOKENS`], then assistant_start. For reinforcement learning and evaluation, where the
    /// message that is left out is the reference answer.
    pub fn render_for_completion(&self, conversation: &Conversation) -> Result<Vec<u32>> {
        let Some((last, before)) = conversation.messages.split_last() else {
            return Err(wrong(
                0,
                "the conversation is empty; it needs a message of the assistant to complete",
            ));
        };
        if last.role != Role::Assistant {
            let found =
                format!("the last message is from {}; it must be from assistant to be completed", last.role);
            return Err(wrong(before.len(), found));
        }
        let mut ids = self.render_messages(before, DEFAULT_MAX_TOKENS)?.ids;
        ids.push(self.special(Special::AssistantStart));
        Ok(ids)
    }

    fn render_messages(&self, messages: &[Message], max_tokens: usize) -> Result<Rendered> {
        let turns = turns(messages)?;
        let mut out = Rendered::default();
        out.push(self.bos(), 0);
        for turn in &turns {
            match turn {
                Turn::User(text) => {
                    out.push(self.special(Special::UserStart), 0);
                    out.push_text(self, text, 0);
                    out.push(self.special(Special::UserEnd), 0);
                }
                Turn::Assistant(index, content) => {
                    out.push(self.special(Special::AssistantStart), 0);
                    match content {
                        Content::Text(text) => out.push_text(self, text, 1),
                        Content::Parts(parts) => self.push_parts(&mut out, *index, parts)?,
                    }
                    out.push(self.special(Special::AssistantEnd), 1);
                }
            }
        }
        out.ids.truncate(max_tokens);
        out.mask.truncate(max_tokens);
        Ok(out)
    }

    fn push_parts(&self, out: &mut Rendered, message: usize, parts: &[Part]) -> Result<()> {
        for part in parts {
            let (around, mask) = match &part.kind {
                PartKind::Text => (None, 1),
                PartKind::Python => (Some((Special::PythonStart, Special::PythonEnd)), 1),
                PartKind::PythonOutput => (Some((Special::OutputStart, Special::OutputEnd)), 0),
                PartKind::Unknown(name) => {
                    let problem = format!("unknown part type `{name}`; use text, python or python_output");
                    return Err(wrong(message, problem));
                }
            };
            if let Some((start, _)) = around {
                out.push(self.special(start), mask);
            }
            out.push_text(self, &part.text, mask);
            if let Some((_, end)) = around {
                out.push(self.special(end), mask);
            }
        }
        Ok(())
    }
}

/// A message whose place in the conversation was checked.
enum Turn<'a> {
    User(Cow<'a, str>),
    /// With the number of the message, for errors.
    Assistant(usize, &'a Content),
}

/// Checks who speaks when, and merges the system message into the first message of the user.
fn turns(messages: &[Message]) -> Result<Vec<Turn<'_>>> {
    let (system, spoken, offset) = match messages {
        [first, rest @ ..] if first.role == Role::System => {
            if rest.first().is_none_or(|second| second.role != Role::User) {
                return Err(wrong(0, "a system message must be followed by a message from user"));
            }
            (Some(plain_text(0, first)?), rest, 1)
        }
        _ => (None, messages, 0),
    };
    if spoken.is_empty() {
        return Err(wrong(0, "the conversation is empty; it needs at least one message from user"));
    }
    spoken.iter().enumerate().map(|(i, message)| turn(i, i + offset, message, system)).collect()
}

/// `i` counts from the first message that is not the system's, `index` from the first of all.
fn turn<'a>(i: usize, index: usize, message: &'a Message, system: Option<&str>) -> Result<Turn<'a>> {
    let expected = if i.is_multiple_of(2) { Role::User } else { Role::Assistant };
    if message.role != expected {
        return Err(wrong(index, format!("it is from {} but should be from {expected}", message.role)));
    }
    if expected == Role::Assistant {
        return Ok(Turn::Assistant(index, &message.content));
    }
    let text = plain_text(index, message)?;
    Ok(Turn::User(match system {
        Some(system) if i == 0 => Cow::Owned(format!("{system}\n\n{text}")),
        _ => Cow::Borrowed(text),
    }))
}

fn plain_text(index: usize, message: &Message) -> Result<&str> {
    match &message.content {
        Content::Text(text) => Ok(text),
        Content::Parts(_) => {
            Err(wrong(index, format!("content of {} must be a string, not parts", message.role)))
        }
    }
}

fn wrong(message: usize, problem: impl Into<String>) -> TokenizerError {
    TokenizerError::Conversation { message, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_only() -> Tokenizer {
        Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap()
    }

    fn conversation(messages: &[(Role, &str)]) -> Conversation {
        Conversation { messages: messages.iter().map(|&(role, text)| Message::new(role, text)).collect() }
    }

    const SYSTEM: Role = Role::System;
    const USER: Role = Role::User;
    const ASSISTANT: Role = Role::Assistant;

    #[test]
    fn what_the_assistant_writes_is_learned_and_nothing_else() {
        let json = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[
            {"type":"text","text":"t"},{"type":"python","text":"p"},{"type":"python_output","text":"o"}]}]}"#;
        let tokenizer = bytes_only();
        let rendered = tokenizer.render_conversation(&Conversation::from_json(json).unwrap(), 2048).unwrap();
        let text = tokenizer.decode(&rendered.ids).unwrap();
        assert_eq!(
            text,
            "<|bos|><|user_start|>q<|user_end|><|assistant_start|>t<|python_start|>p<|python_end|>\
             <|output_start|>o<|output_end|><|assistant_end|>"
        );
        assert_eq!(rendered.mask, [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn the_system_message_goes_into_the_first_message_of_the_user() {
        let (tokenizer, system) =
            (bytes_only(), conversation(&[(SYSTEM, "s"), (USER, "u"), (ASSISTANT, "a")]));
        let merged = conversation(&[(USER, "s\n\nu"), (ASSISTANT, "a")]);
        let render = |conversation| tokenizer.render_conversation(conversation, 99).unwrap();
        assert_eq!(render(&system), render(&merged));
    }

    #[test]
    fn cutting_keeps_the_beginning_and_completion_adds_the_start_after_cutting() {
        let tokenizer = bytes_only();
        let long = "x".repeat(3000);
        let conversation = conversation(&[(USER, &long), (ASSISTANT, &long)]);
        let rendered = tokenizer.render_conversation(&conversation, 5).unwrap();
        assert_eq!((rendered.ids.len(), rendered.mask.len()), (5, 5));
        let ids = tokenizer.render_for_completion(&conversation).unwrap();
        assert_eq!(
            (ids.len(), ids.last().copied()),
            (2049, Some(tokenizer.special(Special::AssistantStart)))
        );
    }

    #[test]
    fn broken_conversations_are_refused_by_message_number() {
        let tokenizer = bytes_only();
        for (messages, number) in [
            (&[][..], 0),
            (&[(SYSTEM, "")], 0),
            (&[(SYSTEM, ""), (ASSISTANT, "")], 0),
            (&[(ASSISTANT, "")], 0),
            (&[(USER, ""), (USER, "")], 1),
            (&[(SYSTEM, ""), (USER, ""), (USER, "")], 2),
            (&[(USER, ""), (ASSISTANT, ""), (SYSTEM, "")], 2),
        ] {
            let error = tokenizer.render_conversation(&conversation(messages), 9).unwrap_err();
            assert!(error.to_string().starts_with(&format!("message {number}: ")), "{messages:?}: {error}");
            assert!(tokenizer.render_for_completion(&conversation(messages)).is_err(), "{messages:?}");
        }
    }
}
