//! Tells code, comments and literals of Rust (and well enough, CUDA C++) apart.
//!
//! Checks look for words such as a keyword or a crate's name. In a doc comment or a message the same word is fine, so
//! they need the text with the other classes blanked out. Blanking replaces each byte by a space and keeps line ends,
//! so line numbers stay right.

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Code,
    Comment,
    Literal,
}

/// The text with comments and literals blanked, and the text with only string and character literals blanked.
pub fn masks(text: &str) -> (String, String) {
    let classes = classify(text.as_bytes());
    (keep(text, &classes, &[Class::Code]), keep(text, &classes, &[Class::Code, Class::Comment]))
}

/// The text with comments blanked, literals kept.
pub fn without_comments(text: &str) -> String {
    keep(text, &classify(text.as_bytes()), &[Class::Code, Class::Literal])
}

fn keep(text: &str, classes: &[Class], wanted: &[Class]) -> String {
    let bytes = text.bytes().zip(classes);
    let kept = bytes.map(|(b, class)| if b == b'\n' || wanted.contains(class) { b } else { b' ' });
    String::from_utf8_lossy(&kept.collect::<Vec<u8>>()).into_owned()
}

/// The words of a line: identifiers and keywords, in order.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Numbered lines, from 1, that contain `word` as a whole word.
pub fn lines_with<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.lines().enumerate().filter(move |(_, line)| words(line).any(|w| w == word)).map(|(i, _)| i + 1)
}

fn classify(bytes: &[u8]) -> Vec<Class> {
    let mut classes = vec![Class::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let (class, length) = if rest.starts_with(b"//") {
            (Class::Comment, find(rest, b"\n").unwrap_or(rest.len()))
        } else if rest.starts_with(b"/*") {
            (Class::Comment, block_comment(rest))
        } else if let Some(length) = raw_string(rest).filter(|_| !after_word) {
            (Class::Literal, length)
        } else if rest[0] == b'"' {
            (Class::Literal, quoted(rest, b'"'))
        } else if let Some(length) = character(rest) {
            (Class::Literal, length)
        } else {
            (Class::Code, 1)
        };
        let end = (at + length.max(1)).min(bytes.len());
        classes[at..end].fill(class);
        at = end;
    }
    classes
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Length of a block comment, with the comments nested in it.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`, if one starts here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = [b"br".as_slice(), b"cr", b"r"].into_iter().find(|p| rest.starts_with(p))?.len();
    let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    Some(find(&rest[open + 1..], &close).map_or(rest.len(), |at| open + 1 + at + close.len()))
}

/// Length of a literal that ends at the next quote without a backslash before it.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a character literal, if one starts here: `'a'` closes after one character, the lifetime `'a` does not.
fn character(rest: &[u8]) -> Option<usize> {
    match *rest {
        [b'\'', b'\\', ..] => Some(quoted(rest, b'\'')),
        [b'\'', first, ..] => {
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        masks(text).0.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert_eq!(code("a // b\nc /* d /* e */ f */ g"), "a c g");
        assert_eq!(code(r#"let s = "x \" // y"; z"#), "let s = ; z");
        assert_eq!(code("r#\"a \" b\"# c br\"d\" e"), "c e");
        assert_eq!(without_comments("\"a // b\" // c").trim(), "\"a // b\"");
    }

    #[test]
    fn lifetimes_are_code_and_characters_are_not() {
        assert_eq!(code("fn f<'a>(x: &'a str) { '\"' '\\'' 'é' b'x' }"), "fn f<'a>(x: &'a str) { b }");
    }

    #[test]
    fn words_that_end_in_r_do_not_start_a_raw_string() {
        assert_eq!(code("for\"text\" x"), "for x");
        assert_eq!(code("r#type y"), "r#type y");
    }

    #[test]
    fn lines_stay_where_they_are() {
        let text = "a\n\"b\nc\"\n/* d\n */ e\n";
        let (code, without_strings) = masks(text);
        assert_eq!((code.len(), without_strings.len()), (text.len(), text.len()));
        assert_eq!(lines_with(&code, "e").collect::<Vec<_>>(), [5]);
        assert_eq!(lines_with(&without_strings, "d").collect::<Vec<_>>(), [4]);
        assert_eq!(lines_with(&without_strings, "b").count(), 0);
    }

    #[test]
    fn only_whole_words_count() {
        assert_eq!(lines_with("unsafe_op\nan unsafe{", "unsafe").collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn unterminated_text_ends_with_the_file() {
        for text in ["\"a", "/* a", "r#\"a", "'", "'\\", "//"] {
            assert!(code(text).is_empty() || text == "'", "{text}");
        }
    }
}
