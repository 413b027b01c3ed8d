//! Which of five kinds a character is: all that the split pattern ever asks of a character.
//!
//! The kinds come from Unicode general categories (`\p{L}`, `\p{N}`) and the `White_Space` property (`\s`). Beware of
//! `char::is_alphabetic`, which is a different property: it also holds for combining vowel signs and for Roman
//! numerals. The ranges live in [`super::tables`]; from them the compiler builds one byte per character of the basic
//! plane (64 KiB, of which a text touches a few pages), so that classifying costs one load. The rare characters
//! beyond U+FFFF search the ranges.

use super::tables::{LETTERS, NUMBERS, WHITE_SPACE};

/// The kind of one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// Punctuation, symbols, marks, controls, unassigned: whatever is none of the others.
    Other,
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`, except for the two below.
    Space,
    /// CR or LF.
    Newline,
}

/// Inclusive ranges of code points, ascending and disjoint.
pub(super) type Ranges = [(u32, u32)];

const BASIC_PLANE: usize = 0x10000;

static BASIC: [Class; BASIC_PLANE] = {
    let mut table = [Class::Other; BASIC_PLANE];
    table = filled(table, LETTERS, Class::Letter);
    table = filled(table, NUMBERS, Class::Number);
    table = filled(table, WHITE_SPACE, Class::Space);
    table['\n' as usize] = Class::Newline;
    table['\r' as usize] = Class::Newline;
    table
};

const fn filled(mut table: [Class; BASIC_PLANE], ranges: &Ranges, class: Class) -> [Class; BASIC_PLANE] {
    let mut i = 0;
    while i < ranges.len() && ranges[i].0 < BASIC_PLANE as u32 {
        let mut code = ranges[i].0 as usize;
        while code <= ranges[i].1 as usize && code < BASIC_PLANE {
            table[code] = class;
            code += 1;
        }
        i += 1;
    }
    table
}

/// The kind of the character that starts at byte `at`, and its length in bytes. `text` must be valid UTF-8 and `at` a
/// character boundary before its end; the iterator over pieces, which owns a `&str`, is the only caller.
#[inline(always)]
pub(super) fn class_at(text: &[u8], at: usize) -> (Class, usize) {
    let first = text[at];
    if first < 0x80 {
        return (BASIC[usize::from(first)], 1);
    }
    class_of_multibyte(text, at, first)
}

#[inline]
fn class_of_multibyte(text: &[u8], at: usize, first: u8) -> (Class, usize) {
    let tail = |i: usize| usize::from(text[at + i] & 0x3f);
    match first {
        0xf0.. => {
            let code = usize::from(first & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3);
            (beyond_basic_plane(code as u32), 4)
        }
        0xe0.. => (BASIC[usize::from(first & 0x0f) << 12 | tail(1) << 6 | tail(2)], 3),
        _ => (BASIC[usize::from(first & 0x1f) << 6 | tail(1)], 2),
    }
}

#[cold]
fn beyond_basic_plane(code: u32) -> Class {
    // There is no white space beyond U+FFFF.
    if contains(LETTERS, code) {
        Class::Letter
    } else if contains(NUMBERS, code) {
        Class::Number
    } else {
        Class::Other
    }
}

fn contains(ranges: &Ranges, code: u32) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= code);
    after > 0 && code <= ranges[after - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(c: char) -> Class {
        let mut buffer = [0; 4];
        let (class, len) = class_at(c.encode_utf8(&mut buffer).as_bytes(), 0);
        assert_eq!(len, c.len_utf8());
        class
    }

    #[test]
    fn kinds_follow_the_categories_not_the_alphabetic_property() {
        assert_eq!(class('é'), Class::Letter);
        assert_eq!(class('世'), Class::Letter);
        assert_eq!(class('𝔸'), Class::Letter);
        assert_eq!(class('Ⅷ'), Class::Number); // alphabetic, yet in category Nl
        assert_eq!(class('\u{093f}'), Class::Other); // a vowel sign: alphabetic, yet a mark
        assert_eq!(class('𝟘'), Class::Number);
        assert_eq!(class('🙂'), Class::Other);
    }

    #[test]
    fn white_space_is_unicode_white_space() {
        for c in ['\t', '\u{b}', '\u{c}', ' ', '\u{85}', '\u{a0}', '\u{2028}', '\u{3000}'] {
            assert_eq!(class(c), Class::Space, "{c:?}");
        }
        for c in ['\u{1c}', '\u{200b}', '\u{feff}'] {
            assert_eq!(class(c), Class::Other, "{c:?}"); // Python's str.isspace has the first, \s has not
        }
        assert_eq!(class('\r'), Class::Newline);
        assert_eq!(class('\n'), Class::Newline);
    }
}
