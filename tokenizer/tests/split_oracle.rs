//! The hand-written splitter against a regex engine that runs the pattern itself.

#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use fancy_regex::Regex;
use proptest::prelude::*;
use std::sync::LazyLock;
use tokenizer::split::{PATTERN, pieces};

static REGEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(PATTERN).unwrap());

fn assert_same(text: &str) {
    let ours: Vec<&str> = pieces(text).collect();
    let theirs: Vec<&str> = REGEX.find_iter(text).map(|found| found.unwrap().as_str()).collect();
    assert_eq!(ours, theirs, "{text:?}");
    assert_eq!(ours.concat(), text);
}

#[test]
fn every_character_of_unicode_is_split_like_the_regex_does() {
    for c in '\0'..=char::MAX {
        // After a letter, between spaces, behind an apostrophe, doubled between digits, before newlines and a letter.
        assert_same(&format!("a{c} {c}  {c}'{c}1{c}{c}2 \n{c}\r\n{c}b"));
    }
}

/// Characters that meet in the alternatives of the pattern, one or more of every kind and every UTF-8 length.
const NASTY: &str = "'sStTlLvVeEdDmMrRſK kaZé世ß𝔸ª12½Ⅷ٣𝟘 \t\u{b}\n\r\u{85}\u{a0}\u{2028}\u{3000}\u{1c}\u{200b}\
                     .,-_$()🙂\u{301}\u{93f}\0\u{10ffff}’";

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_of_nasty_characters(picks in prop::collection::vec(any::<prop::sample::Index>(), 0..24)) {
        let alphabet: Vec<char> = NASTY.chars().collect();
        assert_same(&picks.iter().map(|pick| *pick.get(&alphabet)).collect::<String>());
    }

    #[test]
    fn texts_of_few_characters(text in "['sl \n\ra1!]{0,30}") {
        assert_same(&text);
    }

    #[test]
    fn texts_of_any_characters(text in any::<String>()) {
        assert_same(&text);
    }
}
