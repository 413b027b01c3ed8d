//! Training against its definition: count all pairs anew before every merge.

#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use proptest::prelude::*;
use std::collections::BTreeMap;
use tokenizer::train::Merge;
use tokenizer::{Progress, Tokenizer, TrainOptions, split};

/// The specification, word for word.
fn naive(documents: &[String], wanted: usize) -> Vec<Merge> {
    let mut words: Vec<Vec<u32>> = documents
        .iter()
        .flat_map(|doc| split::pieces(doc))
        .map(|piece| piece.bytes().map(u32::from).collect())
        .collect();
    let mut merges = Vec::new();
    while merges.len() < wanted {
        let mut counts: BTreeMap<(u32, u32), i64> = BTreeMap::new();
        for pair in words.iter().flat_map(|word| word.windows(2)) {
            *counts.entry((pair[0], pair[1])).or_default() += 1;
        }
        // `max_by_key` returns the last maximum, so go from the largest pair to the smallest.
        let Some((pair, count)) = counts.into_iter().rev().max_by_key(|&(_, count)| count) else { break };
        let id = 256 + merges.len() as u32;
        for word in &mut words {
            let mut i = 0;
            while i + 1 < word.len() {
                if (word[i], word[i + 1]) == pair {
                    word.splice(i..i + 2, [id]);
                }
                i += 1;
            }
        }
        merges.push(Merge { left: pair.0, right: pair.1, id, count });
    }
    merges
}

fn ours(documents: &[String], wanted: usize) -> Vec<Merge> {
    let options = TrainOptions { vocab_size: Tokenizer::MIN_VOCAB_SIZE + wanted, ..TrainOptions::default() };
    let (tokenizer, report) = Tokenizer::train(documents, &options, &mut |_| {}).unwrap();
    assert_eq!(report.vocab_size, Tokenizer::MIN_VOCAB_SIZE + report.merges.len());
    assert_eq!(report.warning().is_some(), report.merges.len() < wanted);
    assert_eq!(tokenizer.vocab_size(), report.vocab_size);
    report.merges
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_of_two_letters(documents in prop::collection::vec("[ab]{0,40}", 1..12)) {
        prop_assert_eq!(ours(&documents, 200), naive(&documents, 200));
    }

    #[test]
    fn words_and_spaces(documents in prop::collection::vec("([a-d]{1,5} ){0,12}", 1..6)) {
        prop_assert_eq!(ours(&documents, 60), naive(&documents, 60));
    }

    #[test]
    fn text_of_any_script(documents in prop::collection::vec("[a-cé世🙂 0-9\n!]{0,60}", 1..6)) {
        prop_assert_eq!(ours(&documents, 100), naive(&documents, 100));
    }

    #[test]
    fn the_order_of_documents_does_not_matter(mut documents in prop::collection::vec("[a-c ]{0,30}", 1..8)) {
        let merges = ours(&documents, 50);
        documents.reverse();
        prop_assert_eq!(ours(&documents, 50), merges);
    }
}

#[test]
fn the_twenty_merges_of_the_published_trainer() {
    let documents = [
        "banana bandana banana, banana 2024",
        "low lower lowest newer newest wider",
        "zzzz zzzzz zzz 17 17 17",
        "if (a < b) {\n    a += b;\n}\n",
    ];
    let documents: Vec<String> = documents.iter().chain(&documents).map(|doc| doc.to_string()).collect();
    let merges: Vec<_> =
        ours(&documents, 20).iter().map(|merge| (merge.left, merge.right, merge.count)).collect();
    assert_eq!(
        merges,
        [
            (122, 122, 18),
            (97, 110, 16),
            (32, 98, 10),
            (119, 101, 8),
            (257, 97, 8),
            (49, 55, 6),
            (108, 111, 6),
            (257, 260, 6),
            (32, 32, 4),
            (32, 110, 4),
            (32, 256, 4),
            (32, 262, 4),
            (101, 259, 4),
            (115, 116, 4),
            (258, 263, 4),
            (265, 268, 4),
            (267, 259, 4),
            (32, 40, 2),
            (32, 43, 2),
            (32, 60, 2),
        ]
    );
}

#[test]
fn limits_are_kept_and_no_document_is_read_beyond_them() {
    let mut asked = 0;
    let documents = std::iter::from_fn(|| {
        asked += 1;
        Some("abcdefgh")
    });
    let options = TrainOptions { vocab_size: 300, doc_cap: 3, max_chars: 7 };
    let (_, report) = Tokenizer::train(documents, &options, &mut |_| {}).unwrap();
    assert_eq!((asked, report.documents, report.chars), (3, 3, 9));
    assert_eq!((report.pieces, report.distinct_pieces, report.merges.len()), (3, 1, 2));
}

#[test]
fn progress_reports_all_documents_and_then_the_merges() {
    let mut heard = Vec::new();
    let options = TrainOptions { vocab_size: Tokenizer::MIN_VOCAB_SIZE + 3, ..TrainOptions::default() };
    Tokenizer::train(["abcd", "abcd"], &options, &mut |progress| heard.push(progress)).unwrap();
    assert_eq!(
        heard,
        [Progress::Counting { documents: 2, chars: 8 }, Progress::Merging { done: 3, wanted: 3 }],
    );
}

#[test]
fn a_size_without_room_for_bytes_and_specials_is_refused() {
    let train = |vocab_size| {
        let options = TrainOptions { vocab_size, ..TrainOptions::default() };
        Tokenizer::train(["ab ab"], &options, &mut |_| {})
    };
    let error = train(264).unwrap_err().to_string();
    assert!(error.contains("264") && error.contains("at least 265"), "{error}");
    let (tokenizer, report) = train(265).unwrap();
    assert_eq!((tokenizer.vocab_size(), report.merges.len(), report.warning()), (265, 0, None));
}
