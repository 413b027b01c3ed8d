//! Text to ids.

use crate::split::pieces;
use crate::tokenizer::Tokenizer;
use rayon::prelude::*;

impl Tokenizer {
    /// The ids of `text`. The name of a special token in it is ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut ids);
        ids
    }

    /// Appends the ids of `text` to `ids`.
    pub fn encode_into(&self, text: &str, ids: &mut Vec<u32>) {
        let bpe = self.bpe();
        ids.reserve(text.len() / 4); // English has a little over four bytes per token
        for piece in pieces(text) {
            bpe.encode_piece(piece.as_bytes(), ids);
        }
    }

    /// The ids of `text` between two others, which usually are special tokens.
    pub fn encode_between(&self, prepend: Option<u32>, text: &str, append: Option<u32>) -> Vec<u32> {
        let mut ids = Vec::from_iter(prepend);
        self.encode_into(text, &mut ids);
        ids.extend(append);
        ids
    }

    /// [`encode`](Self::encode) of many texts, on rayon's current thread pool. Order is kept.
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Vec<Vec<u32>> {
        self.encode_batch_between(None, texts, None)
    }

    /// [`encode_between`](Self::encode_between) of many texts, on rayon's current thread pool. Order is kept.
    pub fn encode_batch_between<S: AsRef<str> + Sync>(
        &self,
        prepend: Option<u32>,
        texts: &[S],
        append: Option<u32>,
    ) -> Vec<Vec<u32>> {
        texts.par_iter().map(|text| self.encode_between(prepend, text.as_ref(), append)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Special, Tokenizer, TrainOptions};

    #[test]
    fn encodings_of_the_specified_example() {
        let docs = [
            "banana bandana banana, banana 2024",
            "low lower lowest newer newest wider",
            "zzzz zzzzz zzz 17 17 17",
            "if (a < b) {\n    a += b;\n}\n",
        ];
        let options = TrainOptions { vocab_size: 265 + 20, ..TrainOptions::default() };
        let (tokenizer, report) = Tokenizer::train(docs.iter().chain(&docs), &options, &mut |_| {}).unwrap();
        assert_eq!(report.warning(), None);
        let texts = ["banana bandana", " newest lowest", "zzzzz", " zzzzz", ""];
        let expected: [&[u32]; 5] =
            [&[98, 263, 258, 257, 100, 260], &[271, 269, 272, 269], &[256, 256, 122], &[266, 256, 122], &[]];
        assert_eq!(tokenizer.encode_batch(&texts), expected);
        assert_eq!(tokenizer.encode_between(Some(1), "zz", Some(2)), [1, 256, 2]);
    }

    #[test]
    fn text_cannot_spell_a_special_token() {
        let (tokenizer, _) = Tokenizer::train(["<|bos|>"; 9], &TrainOptions::default(), &mut |_| {}).unwrap();
        for special in Special::ALL {
            let ids = tokenizer.encode(special.name());
            assert!(ids.iter().all(|&id| tokenizer.as_special(id).is_none()), "{special}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), special.name());
        }
    }
}
