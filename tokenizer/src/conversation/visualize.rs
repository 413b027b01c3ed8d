//! Ids and mask in colour, for looking at training data in a terminal.

use crate::error::Result;
use crate::tokenizer::Tokenizer;

const RED: &str = "\x1b[91m";
const GREEN: &str = "\x1b[92m";
const GRAY: &str = "\x1b[90m";
const RESET: &str = "\x1b[0m";

impl Tokenizer {
    /// Each token as text, separated by `|`: green where the mask is 1 (learned), red where it is 0, on request with
    /// its id in gray. Goes as far as the shorter of the two slices. Error: an id outside the vocabulary.
    pub fn visualize(&self, ids: &[u32], mask: &[u8], with_ids: bool) -> Result<String> {
        let mut shown = Vec::new();
        for (&id, &mask) in ids.iter().zip(mask) {
            let color = if mask == 1 { GREEN } else { RED };
            shown.push(format!("{color}{}{RESET}", self.decode(&[id])?));
            if with_ids {
                shown.push(format!("{GRAY}({id}){RESET}"));
            }
        }
        Ok(shown.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use crate::Tokenizer;

    #[test]
    fn green_is_learned_and_red_is_not() {
        let tokenizer = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        let plain = tokenizer.visualize(&[97, 98], &[0, 1], false).unwrap();
        assert_eq!(plain, "\x1b[91ma\x1b[0m|\x1b[92mb\x1b[0m");
        let with_ids = tokenizer.visualize(&[256], &[0], true).unwrap();
        assert_eq!(with_ids, "\x1b[91m<|bos|>\x1b[0m|\x1b[90m(256)\x1b[0m");
        assert!(tokenizer.visualize(&[300], &[0], false).is_err());
    }
}
