//! Encoding against tiktoken, which nanochat encodes with: same vocabulary, same pattern, same ids.

#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use proptest::prelude::*;
use std::sync::LazyLock;
use tiktoken_rs::CoreBPE;
use tokenizer::{Tokenizer, TrainOptions, split::PATTERN};

/// A small vocabulary of our own text: the sources of this crate.
static PAIR: LazyLock<(Tokenizer, CoreBPE)> = LazyLock::new(|| {
    let options = TrainOptions { vocab_size: 1200, ..TrainOptions::default() };
    let (tokenizer, report) = Tokenizer::train(SOURCES, &options, &mut |_| {}).unwrap();
    assert_eq!(report.warning(), None);
    let tiktoken = tiktoken(&tokenizer);
    (tokenizer, tiktoken)
});

const SOURCES: [&str; 4] = [
    include_str!("../src/split/mod.rs"),
    include_str!("../src/train/merges.rs"),
    include_str!("../src/conversation/render.rs"),
    include_str!("split_oracle.rs"),
];

fn tiktoken(tokenizer: &Tokenizer) -> CoreBPE {
    let ranks = (0..tokenizer.bos()).map(|id| (tokenizer.token(id).unwrap().to_vec(), id)).collect();
    CoreBPE::new(ranks, Default::default(), PATTERN).unwrap()
}

fn assert_same(text: &str) {
    let (ours, theirs) = &*PAIR;
    let ids = ours.encode(text);
    assert_eq!(ids, theirs.encode_ordinary(text), "{text:?}");
    assert_eq!(ours.decode(&ids).unwrap(), text);
}

#[test]
fn known_and_unknown_text() {
    for text in SOURCES {
        assert_same(text);
    }
    assert_same(include_str!("goldens.rs"));
    assert_same(include_str!("../src/split/tables.rs"));
}

#[test]
fn pieces_around_the_length_where_the_algorithm_changes() {
    for word in ["merge", "  ", "return ", "世", "ab!"] {
        for n in 1..130 {
            assert_same(&word.replace(' ', "e").repeat(n));
            assert_same(&"e".repeat(n));
            assert_same(&" ".repeat(n));
        }
    }
}

#[test]
fn a_piece_of_a_megabyte_takes_a_moment_not_an_hour() {
    let (ours, _) = &*PAIR;
    for unit in ["a", "ab", "return", "世界"] {
        let text = unit.repeat((1 << 20) / unit.len());
        let start = std::time::Instant::now();
        let ids = ours.encode(&text);
        assert!(start.elapsed().as_secs() < 20, "{unit}: {:?}", start.elapsed());
        assert_eq!(ours.decode(&ids).unwrap(), text);
    }
}

#[test]
fn vocabularies_that_no_training_would_make() {
    // Ids in no sensible order: long tokens before short ones, bytes in reverse and last.
    let mut ranks: Vec<Vec<u8>> =
        ["abcab", "cab", "bc", "aa", "ab", "aab", "ca", "bcab"].map(Vec::from).into();
    ranks.extend((0..=u8::MAX).rev().map(|byte| vec![byte]));
    let ours = Tokenizer::from_ranks(ranks).unwrap();
    let theirs = tiktoken(&ours);
    let mut bits = 1_u64;
    for _ in 0..20_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let len = 1 + (bits >> 60) as usize * 2;
        let text: String = (0..len).map(|i| ['a', 'b', 'c', 'a'][(bits >> (20 + i) & 3) as usize]).collect();
        assert_eq!(ours.encode(&text), theirs.encode_ordinary(&text), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_of_the_language(text in "((let|mut|return|self|ids|usize|[a-z]{1,12})[ .,;(){}\n]){0,30}") {
        assert_same(&text);
    }

    #[test]
    fn any_text(text in any::<String>()) {
        assert_same(&text);
    }
}
