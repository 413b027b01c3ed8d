//! Conversations to learn from: SmolTalk (Ben Allal et al. 2025), and files of one's own.
//!
//! A file of one's own has a JSON array of messages on each line, the user first, in turns. A missing file is an empty task,
//! as long as the caller says so: the original warns and goes on.

use super::{Example, Scoring, Task, hub, no_example};
use crate::error::{Result, TrainError};
use serde::Deserialize;
use std::path::Path;
use tokenizer::conversation::{Content, Conversation, Message, Role};

/// The hub's name.
pub const SMOLTALK: &str = "HuggingFaceTB/smol-smoltalk";

/// Conversations as they are.
pub struct Talk {
    name: String,
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
struct Row {
    messages: Vec<Message>,
}

impl Talk {
    /// SmolTalk's `split`: train or test.
    pub fn smoltalk(tasks: &Path, split: &str) -> Result<Talk> {
        let rows: Vec<Row> = hub::shuffled(tasks, SMOLTALK, "default", split)?;
        let conversations: Vec<_> = rows.into_iter().map(|r| Conversation { messages: r.messages }).collect();
        for (i, c) in conversations.iter().enumerate() {
            alternates(c, true)
                .map_err(|why| TrainError::Config(format!("SmolTalk, conversation {i}: {why}")))?;
        }
        Ok(Talk { name: "SmolTalk".into(), conversations })
    }
    /// A JSON array of messages per line.
    pub fn json_lines(path: &Path) -> Result<Talk> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
        let mut conversations = Vec::new();
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let bad = |why: String| TrainError::bad(path, format!("line {}: {why}", i + 1));
            let messages: Vec<Message> = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
            let conversation = Conversation { messages };
            alternates(&conversation, false).map_err(bad)?;
            if conversation.messages.iter().any(|m| !matches!(m.content, Content::Text(_))) {
                return Err(bad("content must be a string".into()));
            }
            conversations.push(conversation);
        }
        let name =
            path.file_stem().map_or_else(|| "conversations".into(), |s| s.to_string_lossy().into_owned());
        Ok(Talk { name, conversations })
    }
    /// These conversations.
    pub fn of(name: &str, conversations: Vec<Conversation>) -> Talk {
        Talk { name: name.into(), conversations }
    }
}

/// At least a question and an answer, in turns, the user first.
fn alternates(conversation: &Conversation, system: bool) -> std::result::Result<(), String> {
    let spoken = match conversation.messages.split_first() {
        Some((first, rest)) if system && first.role == Role::System => rest,
        _ => &conversation.messages[..],
    };
    if spoken.len() < 2 {
        return Err("fewer than two messages; a question and an answer are needed".into());
    }
    for (i, message) in spoken.iter().enumerate() {
        let expected = if i % 2 == 0 { Role::User } else { Role::Assistant };
        if message.role != expected {
            return Err(format!("message {i} is from {} but should be from {expected}", message.role));
        }
    }
    Ok(())
}

impl Task for Talk {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn len(&self) -> usize {
        self.conversations.len()
    }
    fn example(&self, i: usize) -> Result<Example> {
        let conversation =
            self.conversations.get(i).cloned().ok_or_else(|| no_example(&self.name, i, self.len()))?;
        Ok(Example { conversation, letters: Vec::new() })
    }
    fn scoring(&self) -> Scoring {
        Scoring::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_have_an_array_of_messages_on_each_line() {
        let path = crate::data::scratch("talk").join("me.jsonl");
        let good = r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#;
        std::fs::write(&path, format!("\n{good}\n\n")).unwrap();
        let talk = Talk::json_lines(&path).unwrap();
        assert_eq!((talk.len(), talk.name().as_str()), (1, "me"));
        for (bad, hint) in [
            (r#"[{"role":"user","content":"q"}]"#, "fewer than two"),
            (r#"[{"role":"assistant","content":"q"},{"role":"user","content":"a"}]"#, "should be from user"),
            (r#"{"messages":[]}"#, "line 2"),
        ] {
            std::fs::write(&path, format!("{good}\n{bad}")).unwrap();
            let error = Talk::json_lines(&path).err().unwrap().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
