//! A tokenizer on disk: a folder with `ranks.tiktoken` (the tokens) and `meta.json` (how to use them).
//!
//! Files are written beside their place, synced and renamed, so a reader never sees half a file. Should the program die
//! between the two, `meta.json` names the fingerprint of ranks that are no longer there, and loading says so.

use crate::error::{Result, TokenizerError};
use crate::ranks;
use crate::special::Special;
use crate::split::PATTERN;
use crate::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

const RANKS: &str = "ranks.tiktoken";
const META: &str = "meta.json";
const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Meta {
    format_version: u64,
    /// Of the folder it was saved as; for people.
    name: String,
    pattern: String,
    /// Special tokens included.
    vocab_size: usize,
    /// In the order of their ids, which follow the last rank.
    special_tokens: Vec<String>,
    /// [`Tokenizer::fingerprint`] in hexadecimal.
    fingerprint: String,
}

/// All of `meta.json` that is sure to be there in every version.
#[derive(Deserialize)]
struct Versioned {
    format_version: u64,
}

impl Meta {
    fn of(tokenizer: &Tokenizer, dir: &Path) -> Meta {
        Meta {
            format_version: VERSION,
            name: dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            pattern: PATTERN.into(),
            vocab_size: tokenizer.vocab_size(),
            special_tokens: Special::ALL.map(|special| special.name().into()).into(),
            fingerprint: format!("{:016x}", tokenizer.fingerprint()),
        }
    }

    fn read(path: &Path) -> Result<Meta> {
        let json = read(path)?;
        let bad = |problem: String| TokenizerError::Meta { path: path.into(), problem };
        let Versioned { format_version: found } = serde_json::from_slice(&json)
            .map_err(|error| bad(format!("not the meta data of a tokenizer: {error}")))?;
        if found != VERSION {
            return Err(TokenizerError::Version { path: path.into(), found, supported: VERSION });
        }
        let meta: Meta = serde_json::from_slice(&json).map_err(|error| bad(error.to_string()))?;
        if meta.vocab_size < Tokenizer::MIN_VOCAB_SIZE {
            let (requested, minimum) = (meta.vocab_size, Tokenizer::MIN_VOCAB_SIZE);
            return Err(TokenizerError::VocabTooSmall { requested, minimum });
        }
        if meta.pattern != PATTERN {
            return Err(bad(format!("split pattern {:?} is not the one this program knows", meta.pattern)));
        }
        if !meta.special_tokens.iter().eq(&Special::ALL.map(Special::name)) {
            return Err(bad(format!(
                "special tokens {:?} are not the ones this program knows",
                meta.special_tokens
            )));
        }
        Ok(meta)
    }
}

impl Tokenizer {
    /// Writes the tokenizer into the folder `dir`, which is made if it does not exist. Error: the system refuses.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        fs::create_dir_all(dir).map_err(|source| TokenizerError::Io { path: dir.into(), source })?;
        write_atomically(&dir.join(RANKS), &self.tiktoken_lines())?;
        let path = dir.join(META);
        let json = serde_json::to_vec_pretty(&Meta::of(self, dir))
            .map_err(|error| TokenizerError::Meta { path: path.clone(), problem: error.to_string() })?;
        write_atomically(&path, &json)
    }

    /// Reads the tokenizer that [`save`](Self::save) wrote. Errors: a file that is missing, damaged, cut off, of
    /// another version, or that does not belong to the other one.
    pub fn load(dir: impl AsRef<Path>) -> Result<Tokenizer> {
        let dir = dir.as_ref();
        let meta = Meta::read(&dir.join(META))?;
        let path = dir.join(RANKS);
        let ranks = ranks::parse(&read(&path)?)?;
        let vocab_size = ranks.len() + Special::COUNT;
        let mismatch =
            |found: String, expected: String| TokenizerError::RanksMismatch { path, found, expected };
        if vocab_size != meta.vocab_size {
            let expected = meta.vocab_size - Special::COUNT;
            return Err(mismatch(format!("{} tokens", ranks.len()), format!("{expected}")));
        }
        let tokenizer = Tokenizer::from_ranks(ranks)?;
        let found = format!("{:016x}", tokenizer.fingerprint());
        if found != meta.fingerprint {
            return Err(mismatch(format!("tokens with fingerprint {found}"), meta.fingerprint));
        }
        Ok(tokenizer)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => TokenizerError::MissingFile { path: path.into() },
        _ => TokenizerError::Io { path: path.into(), source },
    })
}

/// Afterwards the file is either as before or complete, whatever happens.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    // One name, so that what a killed writer left is overwritten by the next.
    let temporary = path.with_extension("writing");
    let written = write_and_rename(&temporary, path, bytes);
    if written.is_err() {
        _ = fs::remove_file(&temporary); // it may not exist; the first error is the one to report
    }
    written.map_err(|source| TokenizerError::Io { path: path.into(), source })
}

fn write_and_rename(temporary: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    match path.parent() {
        // The rename itself is on disk once the folder is. Only Unix can open a folder as a file.
        Some(dir) if cfg!(unix) && !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> (tempfile::TempDir, Tokenizer) {
        let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
        let tokenizer =
            Tokenizer::from_ranks(bytes.chain([b" the".to_vec(), b"a\n".to_vec()]).collect()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        tokenizer.save(dir.path()).unwrap();
        (dir, tokenizer)
    }

    /// What loading says after `change` was made to a file.
    fn error_after(file: &str, change: impl Fn(&str) -> String) -> TokenizerError {
        let (dir, _) = saved();
        let path = dir.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(&text)).unwrap();
        Tokenizer::load(dir.path()).unwrap_err()
    }

    #[test]
    fn saving_and_loading_gives_the_same_tokenizer_and_leaves_two_files() {
        let (dir, tokenizer) = saved();
        tokenizer.save(dir.path()).unwrap(); // over the old one
        let loaded = Tokenizer::load(dir.path()).unwrap();
        assert_eq!(loaded.tiktoken_lines(), tokenizer.tiktoken_lines());
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [META, RANKS]);
    }

    #[test]
    fn a_missing_file_is_named() {
        for file in [RANKS, META] {
            let (dir, _) = saved();
            fs::remove_file(dir.path().join(file)).unwrap();
            let error = Tokenizer::load(dir.path()).unwrap_err();
            assert!(
                matches!(&error, TokenizerError::MissingFile { path } if path.ends_with(file)),
                "{error}"
            );
        }
    }

    #[test]
    fn damaged_ranks_are_refused() {
        let cut_in_line = error_after(RANKS, |text| text[..text.len() - 6].into());
        assert!(matches!(cut_in_line, TokenizerError::CorruptRanks { line: 258, .. }), "{cut_in_line}");
        let cut_at_line = error_after(RANKS, |text| text[..text.len() - 9].into());
        assert!(matches!(cut_at_line, TokenizerError::RanksMismatch { .. }), "{cut_at_line}");
        let cut_in_number = error_after(RANKS, |text| text[..text.len() - 2].into());
        assert!(
            matches!(cut_in_number, TokenizerError::NonContiguousRanks { line: 258, .. }),
            "{cut_in_number}"
        );
        let other_token = error_after(RANKS, |text| text.replace("IHRoZQ==", "IHRoYQ=="));
        assert!(matches!(other_token, TokenizerError::RanksMismatch { .. }), "{other_token}");
    }

    #[test]
    fn meta_data_of_another_program_is_refused() {
        let version = error_after(META, |_| r#"{"format_version": 2}"#.into());
        assert!(matches!(version, TokenizerError::Version { found: 2, supported: 1, .. }), "{version}");
        let small = error_after(META, |text| text.replace("267", "264"));
        assert!(matches!(small, TokenizerError::VocabTooSmall { requested: 264, minimum: 265 }), "{small}");
        for (from, to) in [("{1,2}", "{1,3}"), ("<|bos|>", "<|endoftext|>"), ("\"name\"", "\"title\"")] {
            let error = error_after(META, |text| text.replace(from, to));
            assert!(matches!(error, TokenizerError::Meta { .. }), "{error}");
        }
        let nothing = error_after(META, |_| String::new());
        assert!(matches!(nothing, TokenizerError::Meta { .. }), "{nothing}");
    }
}
