//! What loaders take of memory does not grow: ten thousand batches, counted by an allocator that counts.
//!
//! What a loader holds is what it holds back (documents that wait for their place) and the row group that it reads. Both are
//! bounded, so after the first pass over the data nothing is added, whatever comes and goes meanwhile.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use allocation_counter::measure;
use tokenizer::conversation::{Conversation, Message, Role};
use tokenizer::{Tokenizer, TrainOptions};
use train::data::Loader;
use train::data::best_fit::{self, BestFit};
use train::data::flat::{FlatStream, Step};
use train::data::packer::{self, Overlong, Packer};
use train::data::parquet::write_texts;
use train::data::shards::{Shards, Split};
use train::data::source::{Rank, Source, TOKENIZER_BATCH};
use train::data::talk_stream::TalkStream;

/// Batches that are counted.
const BATCHES: usize = 10_000;
/// Rows and columns of one.
const SHAPE: (usize, usize) = (2, 48);
/// A row group: 256 documents of at most 200 bytes, as texts, as the reader's rows and as it decompresses them.
const GROUP_BYTES: i64 = 1 << 18;

fn texts(salt: usize, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("text {i} of {salt}: {}", "words and ".repeat((i * 7 + salt) % 18))).collect()
}

/// Counts `BATCHES` batches after `first` have gone before; how much more is held at the end than at the beginning is at most
/// `held`, and meanwhile never more than `peak`.
fn stays_flat(name: &str, loader: &mut dyn Loader, first: usize, held: i64, peak: i64) {
    let mut take = |n: usize| {
        for _ in 0..n {
            assert_eq!(loader.rows(SHAPE.0, SHAPE.1).unwrap().ids.len(), SHAPE.0 * SHAPE.1);
        }
    };
    take(first);
    let counted = measure(|| take(BATCHES));
    println!(
        "{name}: {} allocations of {} bytes in all; {} more at the end, {} at most",
        counted.count_total, counted.bytes_total, counted.bytes_current, counted.bytes_max
    );
    assert!(counted.count_total as usize >= 2 * BATCHES, "{name}: batches were counted");
    assert!(counted.bytes_current <= held, "{name} holds {} bytes more", counted.bytes_current);
    assert!((counted.bytes_max as i64) <= peak, "{name} took {} bytes more meanwhile", counted.bytes_max);
}

#[test]
fn ten_thousand_batches_of_any_loader_leave_memory_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for shard in 0..3 {
        write_texts(&dir.path().join(format!("shard_{shard}.parquet")), &texts(shard, 1024), 256).unwrap();
    }
    let options = TrainOptions { vocab_size: 300, ..TrainOptions::default() };
    let (tokenizer, _) = Tokenizer::train(texts(9, 200), &options, &mut |_| {}).unwrap();
    let source = || {
        let shards = Shards::open(dir.path(), Split::Train).unwrap();
        Source::new(Box::new(shards), &tokenizer, Rank::default(), TOKENIZER_BATCH).unwrap()
    };
    // The longest document is 70 tokens of 4 bytes; held are at most a thousand and a batch of the encoder.
    let one = 4 * 70 + 64;
    let mut flat = FlatStream::new(source(), Step::Tokens);
    let batch = TOKENIZER_BATCH as i64 * one;
    stays_flat("flat", &mut flat, 500, batch + GROUP_BYTES, 2 * batch + 2 * GROUP_BYTES);
    let mut best = BestFit::new(source(), best_fit::HELD);
    let many = best_fit::HELD as i64 * one / 2; // long and short ones take turns
    stays_flat("best fit", &mut best, 500, many + GROUP_BYTES, 2 * many + 2 * GROUP_BYTES);

    let talk = |text: String| Conversation {
        messages: vec![Message::new(Role::User, "q"), Message::new(Role::Assistant, text)],
    };
    let talks: Vec<Conversation> = texts(4, 200).into_iter().map(talk).collect();
    let mut packed = Packer::new(&talks, &tokenizer, Rank::default(), packer::HELD, Overlong::Cut).unwrap();
    stays_flat("packed", &mut packed, 500, 4096, 16_384);
    let mut stream = TalkStream::new(&talks, &tokenizer, Rank::default()).unwrap();
    stays_flat("stream of conversations", &mut stream, 500, 4096, 16_384);
}
