//! A shard that is deleted or damaged while a run reads the ones before it: an error with the file's name, the last checkpoint
//! intact, and the same bits when the file is back.

use crate::life::{Ended, Life};
use crate::list::nanochat;
use crate::state::{self, State};
use std::path::Path;
use train::data::parquet::write_texts;

/// Documents of a shard; a shard is read in about 70 steps.
const DOCUMENTS: usize = 256;

fn run(base: &Path, args: &str) -> Ended {
    Life::start(nanochat(base).args(args.split(' '))).end()
}

fn train(loader: &str) -> String {
    format!(
        "train base --run r --data d --loader {loader} --n-layer 1 --n-embd 32 --n-head 1 --max-seq-len 64 --device-batch-size 2 --num-iterations 190 --save-every 20 --eval-tokens 128 --resume"
    )
}

/// Three shards to learn from and one to validate on, and a vocabulary.
fn prepare(base: &Path) {
    for shard in 0..4 {
        let text = |i: usize| {
            format!("In shard {shard} the document {i} tells of {} and {}.", i * 7 % 31, i * i % 57)
        };
        let texts: Vec<String> = (0..DOCUMENTS).map(text).collect();
        std::fs::create_dir_all(base.join("data/d")).unwrap();
        write_texts(&base.join(format!("data/d/shard_0000{shard}.parquet")), &texts, 32).unwrap();
    }
    assert!(run(base, "tok train --data d --vocab-size 270").status.success());
}

fn whole(dir: &Path, loader: &str) -> State {
    let base = dir.join(format!("whole-{loader}"));
    prepare(&base);
    let ended = run(&base, &(train(loader) + " --keep 1000"));
    assert!(ended.status.success(), "{}", ended.said);
    state::of(&base)
}

/// Let a run begin, do something to the third shard, and see it end with an error; then put the shard back.
fn robbed(dir: &Path, loader: &str, how: &str, harm: impl Fn(&Path), reference: &State) {
    let base = dir.join(format!("{loader}-{how}"));
    prepare(&base);
    let shard = base.join("data/d/shard_00002.parquet");
    let kept = std::fs::read(&shard).unwrap();
    let mut life = Life::start(nanochat(&base).args(train(loader).split(' ')));
    assert!(life.wait_for(|line| line.starts_with("step ")), "{}", life.end().said);
    harm(&shard);
    let mut error = life.end().refused(&["shard_00002.parquet"]);
    println!("{how} while {loader} reads: {}", error.replace(&base.display().to_string(), ""));
    let before = state::of(&base);
    state::checkpoints_agree(&before, reference);
    assert!(!state::newest(&before).is_empty(), "it had saved before");
    error = run(&base, &train(loader)).refused(&[]);
    println!("  resumed without it: {}", error.replace(&base.display().to_string(), ""));
    assert_eq!(state::of(&base), before, "a refused resume changes nothing");
    std::fs::write(&shard, kept).unwrap();
    let ended = run(&base, &train(loader));
    assert!(ended.status.success(), "{}", ended.said);
    state::same_at_the_end(&state::of(&base), reference);
}

#[test]
fn a_shard_that_vanishes_or_is_damaged_is_named_and_the_run_goes_on_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let reference = whole(dir.path(), "flat");
    let robbed = |how, harm: &dyn Fn(&Path)| robbed(dir.path(), "flat", how, harm, &reference);
    robbed("deleted", &|path| std::fs::remove_file(path).unwrap());
    robbed("cut", &|path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    });
    robbed("overwritten", &|path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[100..300].fill(0x5a);
        std::fs::write(path, bytes).unwrap();
    });
}
