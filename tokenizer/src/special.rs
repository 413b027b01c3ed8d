//! The nine special tokens: structure that ordinary text can never spell.
//!
//! Their ids follow the last learned token, in the order of [`Special::ALL`]. Encoding never looks for them: a user who
//! types `<|assistant_start|>` gets the tokens of these bytes, so no text can forge a turn.

use std::fmt;

/// A special token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    /// Starts every document; also fills what batches leave empty.
    Bos,
    /// Before what the user says.
    UserStart,
    /// After what the user says.
    UserEnd,
    /// Before what the assistant says.
    AssistantStart,
    /// After what the assistant says.
    AssistantEnd,
    /// Before an expression the assistant sends to the Python tool.
    PythonStart,
    /// After that expression.
    PythonEnd,
    /// Before what the tool answers.
    OutputStart,
    /// After what the tool answers.
    OutputEnd,
}

impl Special {
    /// How many there are.
    pub const COUNT: usize = Special::ALL.len();

    /// All of them, in the order of their ids.
    pub const ALL: [Special; 9] = [
        Special::Bos,
        Special::UserStart,
        Special::UserEnd,
        Special::AssistantStart,
        Special::AssistantEnd,
        Special::PythonStart,
        Special::PythonEnd,
        Special::OutputStart,
        Special::OutputEnd,
    ];

    /// How it is written when ids are shown as text.
    pub const fn name(self) -> &'static str {
        match self {
            Special::Bos => "<|bos|>",
            Special::UserStart => "<|user_start|>",
            Special::UserEnd => "<|user_end|>",
            Special::AssistantStart => "<|assistant_start|>",
            Special::AssistantEnd => "<|assistant_end|>",
            Special::PythonStart => "<|python_start|>",
            Special::PythonEnd => "<|python_end|>",
            Special::OutputStart => "<|output_start|>",
            Special::OutputEnd => "<|output_end|>",
        }
    }

    /// The special token of this name, such as `<|bos|>`.
    pub fn from_name(name: &str) -> Option<Special> {
        Special::ALL.into_iter().find(|special| special.name() == name)
    }

    /// Its place in [`Special::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_lead_back_to_the_token() {
        for (i, special) in Special::ALL.into_iter().enumerate() {
            assert_eq!(special.index(), i);
            assert_eq!(Special::from_name(special.name()), Some(special));
            assert_eq!(special.to_string(), special.name());
        }
        assert_eq!(Special::from_name("<|endoftext|>"), None);
    }
}
