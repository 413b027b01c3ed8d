//! Methods of strings, lists and tuples that string mode can call: at most one argument, no side effects.
//!
//! The point of string mode is `'strawberry'.count('r')`; the other methods are here because a model that
//! learned Python from text will write `'Hello'.lower().count('l')` or `'a b a'.split().count('a')`. All text
//! is ASCII. A method that is missing here behaves like one that Python lacks: the call raises.

use super::value::Value;

/// No method may build a longer text than this (`join` could otherwise grow it without end).
const MAX_TEXT: usize = 1 << 16;

/// Calls `receiver.name(argument)`.
pub fn call(receiver: &Value, name: &str, argument: Option<&Value>) -> Value {
    let result = match (receiver, argument) {
        (Value::Str(s), None) => without_argument(s, name),
        (Value::Str(s), Some(Value::Str(arg))) => with_string(s, name, arg),
        // `strip(None)` and `split(None)` mean the same as no argument.
        (Value::Str(s), Some(Value::None))
            if matches!(name, "strip" | "lstrip" | "rstrip" | "split" | "rsplit") =>
        {
            without_argument(s, name)
        }
        (Value::Str(s), Some(Value::Tuple(items) | Value::List(items))) if name == "join" => join(s, items),
        (Value::Tuple(items) | Value::List(items), Some(item)) => on_items(items, name, item),
        _ => None,
    };
    result.unwrap_or(Value::Raised)
}

fn without_argument(s: &str, name: &str) -> Option<Value> {
    let text = |s: String| Some(Value::Str(s));
    let all = |test: fn(&u8) -> bool| Some(Value::Bool(!s.is_empty() && s.bytes().all(|b| test(&b))));
    let has = |test: fn(&u8) -> bool| s.bytes().any(|b| test(&b));
    match name {
        "lower" | "casefold" => text(s.to_ascii_lowercase()),
        "upper" => text(s.to_ascii_uppercase()),
        "swapcase" => text(s.chars().map(swap_case).collect()),
        "capitalize" => text(capitalize(s)),
        "title" => text(title(s)),
        "strip" => text(s.trim_matches(' ').to_string()),
        "lstrip" => text(s.trim_start_matches(' ').to_string()),
        "rstrip" => text(s.trim_end_matches(' ').to_string()),
        "split" | "rsplit" => Some(Value::List(s.split_ascii_whitespace().map(String::from).collect())),
        "splitlines" => Some(Value::List(if s.is_empty() { Vec::new() } else { vec![s.to_string()] })),
        "isalpha" => all(u8::is_ascii_alphabetic),
        "isalnum" => all(u8::is_ascii_alphanumeric),
        "isdigit" | "isdecimal" | "isnumeric" => all(u8::is_ascii_digit),
        "isspace" => all(u8::is_ascii_whitespace),
        "isascii" | "isprintable" => Some(Value::Bool(true)),
        "isupper" => Some(Value::Bool(has(u8::is_ascii_uppercase) && !has(u8::is_ascii_lowercase))),
        "islower" => Some(Value::Bool(has(u8::is_ascii_lowercase) && !has(u8::is_ascii_uppercase))),
        _ => None,
    }
}

fn with_string(s: &str, name: &str, arg: &str) -> Option<Value> {
    let text = |s: &str| Some(Value::Str(s.to_string()));
    let among = |c: char| arg.contains(c);
    match name {
        // Occurrences that do not overlap; the empty string is found before, between and after all
        // characters.
        "count" => Some(Value::from(s.matches(arg).count())),
        "find" => Some(position(s.find(arg))),
        "rfind" => Some(position(s.rfind(arg))),
        "index" => s.find(arg).map(Value::from),
        "rindex" => s.rfind(arg).map(Value::from),
        "startswith" => Some(Value::Bool(s.starts_with(arg))),
        "endswith" => Some(Value::Bool(s.ends_with(arg))),
        "strip" => text(s.trim_matches(among)),
        "lstrip" => text(s.trim_start_matches(among)),
        "rstrip" => text(s.trim_end_matches(among)),
        "removeprefix" => text(s.strip_prefix(arg).unwrap_or(s)),
        "removesuffix" => text(s.strip_suffix(arg).unwrap_or(s)),
        "split" | "rsplit" if !arg.is_empty() => Some(Value::List(split(s, name, arg))),
        "partition" if !arg.is_empty() => {
            Some(triple(s.split_once(arg).map_or([s, "", ""], |(before, after)| [before, arg, after])))
        }
        "rpartition" if !arg.is_empty() => {
            Some(triple(s.rsplit_once(arg).map_or(["", "", s], |(before, after)| [before, arg, after])))
        }
        "join" => join(s, &arg.chars().map(String::from).collect::<Vec<_>>()),
        _ => None,
    }
}

fn on_items(items: &[String], name: &str, item: &Value) -> Option<Value> {
    let equal = |s: &String| matches!(item, Value::Str(t) if s == t);
    match (name, item) {
        (_, Value::Raised) => None,
        ("count", _) => Some(Value::from(items.iter().filter(|s| equal(s)).count())),
        ("index", _) => items.iter().position(equal).map(Value::from),
        _ => None,
    }
}

/// `find`'s answer: a position, or -1.
fn position(found: Option<usize>) -> Value {
    found.map_or_else(|| Value::from(1).unary(true), Value::from)
}

fn triple(parts: [&str; 3]) -> Value {
    Value::Tuple(parts.map(String::from).to_vec())
}

/// Splitting from the right finds other separators when they overlap themselves: `'aaa'.rsplit('aa')`.
fn split(s: &str, name: &str, separator: &str) -> Vec<String> {
    if name == "split" {
        return s.split(separator).map(String::from).collect();
    }
    let mut parts: Vec<String> = s.rsplit(separator).map(String::from).collect();
    parts.reverse();
    parts
}

fn join(separator: &str, items: &[String]) -> Option<Value> {
    let length =
        items.iter().map(String::len).sum::<usize>() + separator.len() * items.len().saturating_sub(1);
    (length <= MAX_TEXT).then(|| Value::Str(items.join(separator)))
}

fn swap_case(c: char) -> char {
    if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
}

fn capitalize(s: &str) -> String {
    let mut out = s.to_ascii_lowercase();
    if let Some(first) = out.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    out
}

/// A capital wherever a letter follows a non-letter.
fn title(s: &str) -> String {
    let mut inside_word = false;
    let mut convert = |c: char| {
        let out = if inside_word { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
        inside_word = c.is_ascii_alphabetic();
        out
    };
    s.chars().map(&mut convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Value {
        Value::Str(s.to_string())
    }

    #[test]
    fn counting_does_not_overlap_and_the_empty_string_is_everywhere() {
        assert_eq!(call(&text("aaa"), "count", Some(&text("aa"))), Value::from(1));
        assert_eq!(call(&text("abc"), "count", Some(&text(""))), Value::from(4));
        assert_eq!(call(&text(""), "count", Some(&text(""))), Value::from(1));
    }

    #[test]
    fn wrong_arguments_raise() {
        assert_eq!(call(&text("a"), "count", None), Value::Raised);
        assert_eq!(call(&text("a"), "count", Some(&Value::from(1))), Value::Raised);
        assert_eq!(call(&text("a"), "lower", Some(&text("a"))), Value::Raised);
        assert_eq!(call(&text("a"), "split", Some(&text(""))), Value::Raised);
        assert_eq!(call(&Value::from(1), "count", Some(&text("a"))), Value::Raised);
    }

    #[test]
    fn joining_cannot_grow_without_end() {
        let long = text(&"a".repeat(1000));
        assert_eq!(call(&long, "join", Some(&long)), Value::Raised);
        assert_eq!(call(&text("-"), "join", Some(&text("abc"))), text("a-b-c"));
    }
}
