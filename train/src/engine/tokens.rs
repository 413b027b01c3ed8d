//! The tokenizer as the tool machine sees it.

use super::tools::ToolTokens;
use tokenizer::{Special, Tokenizer};

impl ToolTokens for Tokenizer {
    fn bos(&self) -> u32 {
        Tokenizer::bos(self)
    }
    fn assistant_end(&self) -> u32 {
        self.special(Special::AssistantEnd)
    }
    fn python_start(&self) -> u32 {
        self.special(Special::PythonStart)
    }
    fn python_end(&self) -> u32 {
        self.special(Special::PythonEnd)
    }
    fn output_start(&self) -> u32 {
        self.special(Special::OutputStart)
    }
    fn output_end(&self) -> u32 {
        self.special(Special::OutputEnd)
    }
    fn encode(&self, text: &str) -> Vec<u32> {
        Tokenizer::encode(self, text)
    }
    fn decode(&self, ids: &[u32]) -> String {
        // Ids come from the model's own vocabulary; an id beyond the tokenizer's has no text.
        let known: Vec<u32> = ids.iter().copied().filter(|&id| (id as usize) < self.vocab_size()).collect();
        Tokenizer::decode(self, &known).unwrap_or_default()
    }
}

/// The words of an answer: its text without tool calls and their results.
pub fn spoken(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut words = Vec::new();
    let mut inside = false;
    for &id in ids {
        match tokenizer.as_special(id) {
            Some(Special::PythonStart | Special::OutputStart) => inside = true,
            Some(Special::PythonEnd | Special::OutputEnd) => inside = false,
            Some(_) => {}
            None if !inside => words.push(id),
            None => {}
        }
    }
    ToolTokens::decode(tokenizer, &words)
}
