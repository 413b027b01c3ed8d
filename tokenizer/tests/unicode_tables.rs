//! `src/split/tables.rs` is generated: this test makes it anew from the Unicode tables of a regex engine, one character
//! at a time, and compares. After an update of the engine's Unicode version,
//! `NANOCHAT_WRITE_TABLES=1 cargo test -p nanochat-tokenizer --test unicode_tables` writes the file.

use fancy_regex::Regex;
use std::fmt::Write;
use std::path::Path;

const HEADER: &str = "\
//! Ranges of code points by kind, first and last included. Generated: do not edit, see `tests/unicode_tables.rs`.

use super::class::Ranges;
";

#[test]
fn the_committed_tables_are_what_the_generator_makes() {
    let mut file = String::from(HEADER);
    for (name, class) in [("LETTERS", r"\p{L}"), ("NUMBERS", r"\p{N}"), ("WHITE_SPACE", r"\s")] {
        write_table(&mut file, name, class);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/split/tables.rs");
    if std::env::var_os("NANOCHAT_WRITE_TABLES").is_some() {
        std::fs::write(&path, &file).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == file, "tables.rs is stale: run this test once with NANOCHAT_WRITE_TABLES=1");
}

fn write_table(file: &mut String, name: &str, class: &str) {
    write!(file, "\n/// `{class}`\n#[rustfmt::skip]\npub(super) const {name}: &Ranges = &[").unwrap();
    for (i, (first, last)) in ranges(class).into_iter().enumerate() {
        let separator = if i % 6 == 0 { "\n    " } else { " " };
        write!(file, "{separator}({first:#x}, {last:#x}),").unwrap();
    }
    file.push_str("\n];\n");
}

fn ranges(class: &str) -> Vec<(u32, u32)> {
    let regex = Regex::new(&format!("^{class}$")).unwrap();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for c in '\0'..=char::MAX {
        if !regex.is_match(c.encode_utf8(&mut [0; 4])).unwrap() {
            continue;
        }
        let code = u32::from(c);
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == code => *last = code,
            _ => ranges.push((code, code)),
        }
    }
    ranges
}
