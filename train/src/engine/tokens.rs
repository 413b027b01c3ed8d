//! The tokenizer as the tool machine sees it.

use super::tools::ToolTokens;
use tokenizer::{Special, Tokenizer};

impl ToolTokens for Tokenizer {
    fn bos(&self) -> u32 {
        self.special(Special::Bos)
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
    /// An id outside the vocabulary, which a model with a padded head may draw, is an invalid byte, so no expression
    /// that holds one has a result.
    fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> =
            ids.iter().flat_map(|&id| self.token(id).unwrap_or(&[0xff]).iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_are_spelled_out_and_unknown_ids_are_replaced() {
        let tokenizer = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let ids = [50, 999, ToolTokens::python_end(&tokenizer)];
        assert_eq!(ToolTokens::decode(&tokenizer, &ids), "2\u{fffd}<|python_end|>");
        assert_eq!(ToolTokens::encode(&tokenizer, "1+1"), [49, 43, 49]);
        let specials = [tokenizer.python_start(), tokenizer.output_start(), tokenizer.output_end()];
        assert_eq!(specials, [261, 263, 264]);
        assert_eq!([ToolTokens::bos(&tokenizer), tokenizer.assistant_end()], [256, 260]);
    }
}
