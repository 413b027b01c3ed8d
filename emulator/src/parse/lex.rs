//! Tokens: names with their dots (`ld.global.u32`, `%tid.x`, `.reg`), numbers, strings, punctuation; comments and
//! white space vanish. Each token knows its line.

use super::{Number, Refusal};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A name, a mnemonic with its modifiers, or a directive (begins with a dot).
    Name,
    Number(Number),
    /// `8.8`, which only `.version` has.
    Decimal,
    /// The text without its quotes.
    Str,
    /// One of `{ } [ ] ( ) < > , ; : @ ! | + - =`
    Mark(u8),
    End,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub line: u32,
}

fn in_name(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$' | b'%' | b'.')
}

/// Cuts the text into tokens; the last one is `End`.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Refusal> {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(text.len() / 4 + 1);
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let start = at;
        let kind = match bytes[at] {
            b'\n' => {
                line += 1;
                at += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            0 if at + 1 == bytes.len() => break, // NVRTC ends its text with one
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|&c| c == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let Some(length) = bytes[at + 2..].windows(2).position(|w| w == b"*/") else {
                    return Err((line, "a comment `/*` has no end".into()));
                };
                line += bytes[at..at + 2 + length].iter().filter(|&&c| c == b'\n').count() as u32;
                at += length + 4;
                continue;
            }
            b'"' => {
                let length = bytes[at + 1..].iter().position(|&c| c == b'"' || c == b'\n');
                match length {
                    Some(length) if bytes[at + 1 + length] == b'"' => at += length + 2,
                    _ => return Err((line, "a string has no end on its line".into())),
                }
                found.push(Token { kind: Kind::Str, text: &text[start + 1..at - 1], line });
                continue;
            }
            c if c.is_ascii_digit() => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.') {
                    at += 1;
                }
                let text = &text[start..at];
                let whole = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
                match text.split_once('.') {
                    Some((major, minor)) if whole(major) && whole(minor) => Kind::Decimal,
                    _ => Kind::Number(number(text).map_err(|message| (line, message))?),
                }
            }
            c if in_name(c) => {
                while at < bytes.len() && in_name(bytes[at]) {
                    at += 1;
                    // `shared::cta` is one name
                    if bytes[at..].starts_with(b"::") && bytes.get(at + 2).is_some_and(|&c| in_name(c)) {
                        at += 2;
                    }
                }
                Kind::Name
            }
            c @ (b'{' | b'}' | b'[' | b']' | b'(' | b')' | b'<' | b'>' | b',' | b';' | b':' | b'@' | b'!'
            | b'|' | b'+' | b'-' | b'=') => {
                at += 1;
                Kind::Mark(c)
            }
            _ => {
                let c = text[at..].chars().next().unwrap_or('?');
                return Err((line, format!("the character {c:?} has no meaning in PTX")));
            }
        };
        found.push(Token { kind, text: &text[start..at], line });
    }
    found.push(Token { kind: Kind::End, text: "the end of the text", line });
    Ok(found)
}

fn number(text: &str) -> Result<Number, String> {
    let wrong = || format!("`{text}` is not a number");
    let hex = |digits: &str, width: usize| {
        let exact = digits.len() == width && digits.bytes().all(|c| c.is_ascii_hexdigit());
        if exact { u64::from_str_radix(digits, 16).map_err(|_| wrong()) } else { Err(wrong()) }
    };
    if let Some(digits) = text.strip_prefix("0f").or(text.strip_prefix("0F")) {
        return Ok(Number::F32(hex(digits, 8)? as u32));
    }
    if let Some(digits) = text.strip_prefix("0d").or(text.strip_prefix("0D")) {
        return Ok(Number::F64(hex(digits, 16)?));
    }
    let digits = text.strip_suffix('U').unwrap_or(text);
    let (digits, radix) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(rest) => (rest, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    u64::from_str_radix(digits, radix).map(|n| Number::Int(n.into())).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).unwrap().iter().map(|t| t.text).collect()
    }

    #[test]
    fn names_keep_their_dots_and_colons() {
        let found = texts("fence.proxy.async.shared::cta; $L__BB0_1: .reg %tid.x");
        let end = "the end of the text";
        assert_eq!(found, ["fence.proxy.async.shared::cta", ";", "$L__BB0_1", ":", ".reg", "%tid.x", end]);
    }

    #[test]
    fn comments_vanish_and_lines_are_counted_through_them() {
        let found = tokens("a // b\n/* c\n d */ e").unwrap();
        assert_eq!((found[1].text, found[1].line), ("e", 3));
    }

    #[test]
    fn numbers_in_every_spelling() {
        assert_eq!(number("0f3F800000"), Ok(Number::F32(0x3f80_0000)));
        assert_eq!(number("0d3FF0000000000000"), Ok(Number::F64(0x3ff0_0000_0000_0000)));
        assert_eq!(number("0x1FU"), Ok(Number::Int(31)));
        assert_eq!(number("18446744073709551615"), Ok(Number::Int(u64::MAX.into())));
        assert_eq!(number("010"), Ok(Number::Int(8)));
        for wrong in ["0f3F80000", "0x", "12a", "1.5", "18446744073709551616"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_has_no_end_or_no_meaning_is_refused_with_its_line() {
        assert_eq!(tokens("\n/* x").unwrap_err().0, 2);
        assert_eq!(tokens("\n\n\"x\n\"").unwrap_err().0, 3);
        assert_eq!(tokens("\n?").unwrap_err().0, 2);
        assert_eq!(tokens("\u{e9}").unwrap_err().0, 1);
    }
}
