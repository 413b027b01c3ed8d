//! Conversations: what is said, by whom, and how it becomes ids.
//!
//! The JSON is nanochat's:
//!
//! ```json
//! {"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]}
//! ```
//!
//! What the assistant says may also be a list of parts, `{"type": "text" | "python" | "python_output", "text": ...}`,
//! when it used the Python tool. Fields that are not known are skipped.
//!
//! Read next: `render.rs` (ids and mask), `visualize.rs` (colours for people).

mod render;
mod visualize;

use crate::error::{Result, TokenizerError};
pub use render::{DEFAULT_MAX_TOKENS, Rendered};
use serde::de::{SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Messages in the order they were said. The rules they have to follow are those of
/// [`Tokenizer::render_conversation`](crate::Tokenizer::render_conversation), which checks them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The messages.
    pub messages: Vec<Message>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions before the first message of the user.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// What is said: plain text, or for the assistant also parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text and uses of tools.
    Parts(Vec<Part>),
}

/// A part of what the assistant says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What kind of text it is.
    #[serde(rename = "type")]
    pub kind: PartKind,
    /// The text.
    pub text: String,
}

/// What kind of text a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum PartKind {
    /// Words to the user.
    Text,
    /// An expression for the Python tool.
    Python,
    /// What the tool answered.
    PythonOutput,
    /// Anything else. It can be read and written, but not rendered.
    Unknown(String),
}

impl Conversation {
    /// A conversation from JSON. Error: JSON that is something else.
    pub fn from_json(json: &str) -> Result<Conversation> {
        serde_json::from_str(json).map_err(|source| TokenizerError::ConversationJson { source })
    }
}

impl Message {
    /// Plain text, by `role`.
    pub fn new(role: Role, text: impl Into<String>) -> Message {
        Message { role, content: Content::Text(text.into()) }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        })
    }
}

impl From<String> for PartKind {
    fn from(name: String) -> PartKind {
        match name.as_str() {
            "text" => PartKind::Text,
            "python" => PartKind::Python,
            "python_output" => PartKind::PythonOutput,
            _ => PartKind::Unknown(name),
        }
    }
}

impl From<PartKind> for String {
    fn from(kind: PartKind) -> String {
        match kind {
            PartKind::Text => "text".into(),
            PartKind::Python => "python".into(),
            PartKind::PythonOutput => "python_output".into(),
            PartKind::Unknown(name) => name,
        }
    }
}

/// By hand, because the error of a derived untagged enum does not say what is wrong inside a part.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Content, D::Error> {
        struct TextOrParts;

        impl<'de> Visitor<'de> for TextOrParts {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of parts {\"type\", \"text\"}")
            }

            fn visit_str<E>(self, text: &str) -> std::result::Result<Content, E> {
                Ok(Content::Text(text.into()))
            }

            fn visit_string<E>(self, text: String) -> std::result::Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> std::result::Result<Content, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
            }
        }

        deserializer.deserialize_any(TextOrParts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_in_and_out() {
        let json = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"python","text":"1"},{"type":"python_output","text":"2"},{"type":"text","text":"3"},{"type":"image","text":"4"}]}]}"#;
        let conversation = Conversation::from_json(json).unwrap();
        assert_eq!(conversation.messages[0], Message::new(Role::System, "s"));
        assert_eq!(serde_json::to_string(&conversation).unwrap(), json);
    }

    #[test]
    fn unknown_fields_are_skipped_and_errors_say_where() {
        let extra = r#"{"messages":[{"role":"user","content":"q","id":7}],"letters":["A"]}"#;
        assert_eq!(Conversation::from_json(extra).unwrap().messages.len(), 1);
        for (json, hint) in [
            (r#"{"messages":[{"role":"user","content":7}]}"#, "a string or a list of parts"),
            (r#"{"messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "missing field `text`"),
            (r#"{"messages":[{"role":"tool","content":""}]}"#, "unknown variant `tool`"),
            ("[", "EOF"),
        ] {
            let error = Conversation::from_json(json).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
