//! Conversations as the chat format stores them: `{"messages": [{"role", "content"}]}`.
//!
//! The content of a message is a string, or for an assistant that uses the calculator a list of parts: `python` holds the
//! expression, `python_output` its value, `text` the words. Next: `talk.rs`, which writes conversations.

use serde::{Deserialize, Serialize};

/// Turns of user and assistant, the user first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conversation {
    /// The turns in order.
    pub messages: Vec<Message>,
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The human.
    User,
    /// The model.
    Assistant,
}

/// A string, or parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Words only.
    Text(String),
    /// Words and tool calls.
    Parts(Vec<Part>),
}

/// One part of an assistant's message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// What the text is.
    #[serde(rename = "type")]
    pub kind: PartKind,
    /// The text.
    pub text: String,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// Words for the user.
    Text,
    /// An expression for the calculator, written by the model.
    Python,
    /// The calculator's result, never a training target.
    PythonOutput,
}

impl Content {
    /// A tool call and the sentence that reports its result.
    pub(super) fn computed(expression: String, output: String, text: String) -> Content {
        let part = |kind, text| Part { kind, text };
        Content::Parts(vec![
            part(PartKind::Python, expression),
            part(PartKind::PythonOutput, output),
            part(PartKind::Text, text),
        ])
    }

    /// All text of the content, one line per part.
    pub fn plain(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Parts(parts) => parts.iter().map(|p| p.text.as_str()).collect::<Vec<_>>().join("\n"),
        }
    }
}

impl Conversation {
    /// A conversation from pairs of question and answer.
    pub(super) fn of(turns: Vec<(String, Content)>) -> Conversation {
        let message = |role, content| Message { role, content };
        let pair = |(q, a)| [message(Role::User, Content::Text(q)), message(Role::Assistant, a)];
        Conversation { messages: turns.into_iter().flat_map(pair).collect() }
    }

    /// What the user says, turn by turn.
    pub fn questions(&self) -> impl Iterator<Item = String> + '_ {
        self.messages.iter().filter(|m| m.role == Role::User).map(|m| m.content.plain())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_that_of_the_chat_format() {
        let turns = vec![
            ("Hi".to_string(), Content::Text("Hello!".to_string())),
            ("1 + 2?".to_string(), Content::computed("1+2".into(), "3".into(), "It is 3.".into())),
        ];
        let conversation = Conversation::of(turns);
        let json = serde_json::to_string(&conversation).unwrap();
        assert_eq!(
            json,
            r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello!"},{"role":"user","content":"1 + 2?"},{"role":"assistant","content":[{"type":"python","text":"1+2"},{"type":"python_output","text":"3"},{"type":"text","text":"It is 3."}]}]}"#
        );
        assert_eq!(serde_json::from_str::<Conversation>(&json).unwrap(), conversation);
    }
}
