//! The vocabulary as text, the way tiktoken keeps it: one line per token, its bytes in base64, a space, its id.

use crate::error::{Result, TokenizerError};
use crate::tokenizer::Tokenizer;
use base64::prelude::{BASE64_STANDARD, Engine};
use std::io::Write;

impl Tokenizer {
    /// Writes the tokens, without the special ones, as lines that tiktoken can load. Error: writing failed.
    pub fn export_tiktoken(&self, out: &mut dyn Write) -> Result<()> {
        for (rank, token) in self.bpe().tokens().iter().enumerate() {
            writeln!(out, "{} {rank}", BASE64_STANDARD.encode(token)).map_err(TokenizerError::Write)?;
        }
        Ok(())
    }

    /// A tokenizer from lines as [`export_tiktoken`](Self::export_tiktoken) writes them, ids ascending from 0.
    ///
    /// Errors: a line that is something else or whose id is not the next one, and those of
    /// [`from_ranks`](Self::from_ranks).
    pub fn import_tiktoken(lines: &[u8]) -> Result<Tokenizer> {
        Tokenizer::from_ranks(parse(lines)?)
    }

    /// A number that tells vocabularies apart: the FNV-1a hash of the lines of
    /// [`export_tiktoken`](Self::export_tiktoken). A model only works with the tokenizer it was trained with.
    pub fn fingerprint(&self) -> u64 {
        self.tiktoken_lines().iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    pub(crate) fn tiktoken_lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        // Writing into memory cannot fail.
        _ = self.export_tiktoken(&mut lines);
        lines
    }
}

/// The byte strings by id.
pub(crate) fn parse(lines: &[u8]) -> Result<Vec<Vec<u8>>> {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let mut ranks = Vec::new();
    if lines.is_empty() {
        return Ok(ranks);
    }
    for (i, line) in lines.split(|&byte| byte == b'\n').enumerate() {
        let corrupt = |problem: &str| TokenizerError::CorruptRanks { line: i + 1, problem: problem.into() };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| corrupt("not text"))?;
        let (token, rank) = line.split_once(' ').ok_or_else(|| corrupt("not `base64 id`"))?;
        let token = BASE64_STANDARD.decode(token).map_err(|_| corrupt("not base64 before the space"))?;
        let rank: u32 = rank.parse().map_err(|_| corrupt("not a number after the space"))?;
        if rank as usize != ranks.len() {
            return Err(TokenizerError::NonContiguousRanks {
                line: i + 1,
                found: rank,
                expected: ranks.len(),
            });
        }
        ranks.push(token);
    }
    Ok(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> Tokenizer {
        let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
        Tokenizer::from_ranks(bytes.chain([b" the".to_vec()]).collect()).unwrap()
    }

    #[test]
    fn lines_go_out_and_in() {
        let lines = tokenizer().tiktoken_lines();
        assert!(lines.starts_with(b"AA== 0\nAQ== 1\n") && lines.ends_with(b"\nIHRoZQ== 256\n"));
        let windows = String::from_utf8(lines.clone()).unwrap().replace('\n', "\r\n");
        for text in [&lines[..], &lines[..lines.len() - 1], windows.as_bytes()] {
            assert_eq!(Tokenizer::import_tiktoken(text).unwrap().tiktoken_lines(), lines);
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for (lines, expected) in [
            (&b"AA== 0\nAQ==1\n"[..], "line 2 of the ranks: not `base64 id`"),
            (b"AA== 0\n\nAQ== 1\n", "line 2 of the ranks: not `base64 id`"),
            (b"A 0\n", "line 1 of the ranks: not base64"),
            (b"AA== x\n", "line 1 of the ranks: not a number"),
            (b"\xff 0\n", "line 1 of the ranks: not text"),
            (b"AA== 0\nAQ== 2\n", "line 2 of the ranks: id 2 where 1 was expected"),
        ] {
            let error = Tokenizer::import_tiktoken(lines).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(matches!(Tokenizer::import_tiktoken(b""), Err(TokenizerError::VocabTooSmall { .. })));
    }

    #[test]
    fn fingerprints_tell_vocabularies_apart() {
        let other = Tokenizer::from_ranks((0..=u8::MAX).map(|byte| vec![byte]).collect()).unwrap();
        assert_ne!(tokenizer().fingerprint(), other.fingerprint());
        assert_eq!(tokenizer().fingerprint(), tokenizer().fingerprint());
    }
}
