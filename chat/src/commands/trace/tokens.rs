//! The token ids that are traced: of a text, or drawn so that the trace needs no data.

use crate::globals::Usage;
use anyhow::{Context, bail};
use kernels::philox::Philox;
use std::path::Path;
use tokenizer::{Special, Tokenizer};

/// The random stream of drawn ids; the streams of weights start at 0.
const STREAM: u64 = 0x7A_CE;

/// One row of T + 1 ids: inputs are the first T, targets the last T.
pub struct Tokens {
    /// The ids.
    pub ids: Vec<i32>,
    /// Where they come from, for the document.
    pub origin: String,
}

/// Ids like those of text: frequencies fall as 1/rank (Zipf's law), and common tokens have small ids. The first is the
/// beginning-of-sequence token, and about one in 400 of the others.
pub fn drawn(seed: u64, vocab: usize, count: usize) -> Tokens {
    let bos = vocab.saturating_sub(Special::COUNT).min(vocab - 1);
    let (first, last) = (10.min(bos), bos);
    let mut rng = Philox::new(seed, STREAM);
    let ids = (0..count)
        .map(|i| {
            let (start, u) = (rng.below(400) == 0, rng.uniform_f64());
            let rank = ((last - first) as f64).max(1.0).powf(u); // log-uniform in [1, n)
            let id = if start || i == 0 { bos } else { first + rank as usize - 1 };
            id as i32
        })
        .collect();
    let origin = format!(
        "token ids drawn at random (seed {seed}) with the frequencies of words in text; beginning of sequence = {bos}. \
         `--text FILE --tokenizer NAME` traces a text instead"
    );
    Tokens { ids, origin }
}

/// The first `count` ids of a text, after a beginning-of-sequence token.
pub fn of_text(path: &Path, tokenizer: &Tokenizer, vocab: usize, count: usize) -> anyhow::Result<Tokens> {
    if tokenizer.vocab_size() > vocab {
        let have = tokenizer.vocab_size();
        bail!(Usage(format!("--vocab-size {vocab}: the tokenizer has {have} ids, give at least that")));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let ids = tokenizer.encode_between(Some(tokenizer.bos()), &text, None);
    if ids.len() < count {
        let (path, have, fits) = (path.display(), ids.len(), ids.len().saturating_sub(1));
        bail!(Usage(format!(
            "{path} has {have} tokens, {count} are needed: use --sequence-len {fits} or a longer text"
        )));
    }
    let origin =
        format!("the first {count} tokens of {}", path.file_name().unwrap_or_default().to_string_lossy());
    Ok(Tokens { ids: ids[..count].iter().map(|&id| id as i32).collect(), origin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_ids_look_like_text_and_do_not_change() {
        let tokens = drawn(42, 65_536, 1025);
        assert_eq!(tokens.ids, drawn(42, 65_536, 1025).ids);
        assert_eq!(tokens.ids[0], 65_527);
        assert!(tokens.ids[1..].contains(&65_527), "documents end");
        assert!(tokens.ids.iter().all(|&id| (10..=65_527).contains(&id)));
        let mean = tokens.ids.iter().map(|&id| f64::from(id)).sum::<f64>() / 1025.0;
        assert!((4000.0..8000.0).contains(&mean), "{mean}");
    }

    #[test]
    fn a_tiny_vocabulary_is_enough() {
        for vocab in [1, 2, 10, 16] {
            assert!(drawn(1, vocab, 50).ids.iter().all(|&id| (0..vocab as i32).contains(&id)), "{vocab}");
        }
    }

    #[test]
    fn a_text_that_is_too_short_is_refused_with_the_length_that_fits() {
        let options = tokenizer::TrainOptions { vocab_size: 270, ..Default::default() };
        let (tokenizer, _) = Tokenizer::train(["low lower lowest"], &options, &mut |_| {}).unwrap();
        let path = std::env::temp_dir().join(format!("nanochat-trace-{}.txt", std::process::id()));
        std::fs::write(&path, "low").unwrap();
        let needed = tokenizer.encode("low").len() + 1;
        let fits = of_text(&path, &tokenizer, 270, needed).unwrap();
        let short = of_text(&path, &tokenizer, 270, needed + 1).err().unwrap().to_string();
        let small = of_text(&path, &tokenizer, 269, needed).err().unwrap().to_string();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(fits.ids[0], tokenizer.bos() as i32);
        assert!(short.contains(&format!("--sequence-len {}", needed - 1)), "{short}");
        assert!(small.contains("at least that"), "{small}");
    }
}
