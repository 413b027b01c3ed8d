//! What the tests of all loaders share.

use super::rows::Loader;
use super::shards::Listed;
use super::source::{Rank, Source};
use tokenizer::Tokenizer;

/// `n` documents of different lengths, one token for each byte.
pub(crate) fn byte_source(n: usize, salt: usize) -> Source {
    let text = |i: usize| format!("{i}:{}", "x".repeat((i * 7 + salt) % 13));
    let bytes = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
    let documents = Box::new(Listed::new((0..n).map(text).collect(), 4));
    Source::new(documents, &bytes, Rank::default(), 3).unwrap()
}

/// Saves the position before every batch, continues there with a loader that is new, and compares.
pub(crate) fn resumes_exactly(make: impl Fn() -> Box<dyn Loader>, b: usize, t: usize) {
    let mut whole = make();
    for step in 0..40 {
        let mut resumed = make();
        let saved = serde_json::from_str(&whole.position().to_string()).unwrap();
        resumed.seek(&saved).unwrap();
        assert_eq!(whole.rows(b, t).unwrap(), resumed.rows(b, t).unwrap(), "batch {step}");
        assert_eq!(whole.position(), resumed.position(), "batch {step}");
    }
    assert!(whole.epochs_done() > 0, "the test is too short to begin anew");
    whole.restart().unwrap();
    assert_eq!(whole.rows(b, t).unwrap(), make().rows(b, t).unwrap());
    assert!(whole.seek(&serde_json::json!({"other": 1})).is_err());
}
