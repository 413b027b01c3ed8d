//! The values an expression can have, and Python's arithmetic on them.
//!
//! Errors while computing (division by zero, overflow, a method that does not exist) are a value too,
//! [`Value::Raised`]. Nothing here has side effects, so every part of an expression may be computed at once
//! and an error only counts where Python would have looked: in `1 or 1/0` the right side is thrown away. That
//! makes `parser.rs` a single pass with no syntax tree.

use super::bigint::BigInt;
use super::lexer::MAX_INT_DIGITS;

/// What an expression evaluates to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Python would have raised an exception here.
    Raised,
    /// `None`.
    None,
    /// `...`
    Ellipsis,
    /// `True` or `False`. The characters of string mode spell no arithmetic operator, so a bool never meets
    /// one.
    Bool(bool),
    /// An unbounded integer.
    Int(BigInt),
    /// A double.
    Float(f64),
    /// A string; always ASCII, because the calculator's character sets are.
    Str(String),
    /// A tuple of strings; `()` is the only one that can be written, the others come from methods.
    Tuple(Vec<String>),
    /// A list of strings, made by methods such as `split`.
    List(Vec<String>),
    /// `value.name`, not called yet.
    Method(Box<Value>, String),
}

use Value::{Float, Int, Raised, Tuple};

impl From<usize> for Value {
    fn from(n: usize) -> Self {
        Int(BigInt::from(n as u64))
    }
}

fn or_raised<T>(value: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
    value.map_or(Raised, make)
}

impl Value {
    /// `left op right` for `+ - * / //`.
    pub fn binary(op: &str, left: Value, right: Value) -> Value {
        match (op, &left, &right) {
            ("+", Tuple(a), Tuple(b)) => Tuple([a.as_slice(), b].concat()),
            // A tuple that can meet `*` is empty, so repeating it changes nothing; the count must fit an
            // index.
            ("*", Tuple(items), Int(n)) | ("*", Int(n), Tuple(items)) if items.is_empty() => {
                or_raised(n.to_i64(), |_| Tuple(Vec::new()))
            }
            (_, Int(a), Int(b)) => int_binary(op, a, b),
            _ => match (left.to_f64(), right.to_f64()) {
                (Some(a), Some(b)) => float_binary(op, a, b),
                _ => Raised,
            },
        }
    }

    /// `+self` or `-self`.
    pub fn unary(self, minus: bool) -> Value {
        match self {
            Int(x) => Int(if minus { x.neg() } else { x }),
            Float(x) => Float(if minus { -x } else { x }),
            _ => Raised,
        }
    }

    /// A number as a double; `None` for other types and for integers too large.
    fn to_f64(&self) -> Option<f64> {
        match self {
            Int(x) => x.to_f64(),
            Float(x) => Some(*x),
            _ => None,
        }
    }

    /// Does an `if` take this for true? `None` if computing the value failed.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Raised => None,
            Value::None => Some(false),
            Value::Ellipsis | Value::Method(..) => Some(true),
            Value::Bool(b) => Some(*b),
            Int(x) => Some(!x.is_zero()),
            Float(x) => Some(*x != 0.0),
            Value::Str(s) => Some(!s.is_empty()),
            Tuple(items) | Value::List(items) => Some(!items.is_empty()),
        }
    }

    /// `item in self`.
    pub fn contains(&self, item: &Value) -> Value {
        match (self, item) {
            (_, Raised) => Raised,
            (Value::Str(text), Value::Str(part)) => Value::Bool(text.contains(part.as_str())),
            (Tuple(items) | Value::List(items), Value::Str(s)) => Value::Bool(items.contains(s)),
            (Tuple(_) | Value::List(_), _) => Value::Bool(false),
            _ => Raised,
        }
    }

    /// `self is other`, where Python promises an answer: singletons, small integers, different types. For the
    /// rest identity is an accident of the interpreter, and no answer is given.
    pub fn is(&self, other: &Value) -> Value {
        let small = |x: &BigInt| x.to_i64().filter(|n| (-5..=256).contains(n));
        match (self, other) {
            (Raised, _) | (_, Raised) => Raised,
            (Int(a), Int(b)) => match (small(a), small(b)) {
                (None, None) => Raised,
                (a, b) => Value::Bool(a == b),
            },
            (Tuple(a), Tuple(b)) if a.is_empty() && b.is_empty() => Value::Bool(true),
            (Value::None, Value::None) | (Value::Ellipsis, Value::Ellipsis) => Value::Bool(true),
            (Value::Bool(a), Value::Bool(b)) => Value::Bool(a == b),
            (Value::Str(a), Value::Str(b)) if a != b => Value::Bool(false),
            (a, b) if std::mem::discriminant(a) != std::mem::discriminant(b) => Value::Bool(false),
            _ => Raised,
        }
    }

    /// What `str(value)` prints; `None` where there is nothing to print: an error, Python's `None`, an
    /// integer of too many digits, a method nobody called.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Raised | Value::None | Value::Method(..) => None,
            Value::Ellipsis => Some("Ellipsis".to_string()),
            Value::Bool(true) => Some("True".to_string()),
            Value::Bool(false) => Some("False".to_string()),
            Int(x) => x.to_decimal(MAX_INT_DIGITS),
            Float(x) => Some(float_repr(*x)),
            Value::Str(s) => Some(s.clone()),
            Value::List(items) => Some(format!("[{}]", quoted(items))),
            Tuple(items) if items.len() == 1 => Some(format!("({},)", quoted(items))),
            Tuple(items) => Some(format!("({})", quoted(items))),
        }
    }
}

fn int_binary(op: &str, a: &BigInt, b: &BigInt) -> Value {
    match op {
        "+" => Int(a.add(b)),
        "-" => Int(a.sub(b)),
        "*" => Int(a.mul(b)),
        "/" => or_raised(a.true_div(b), Float),
        "//" => or_raised(a.div_floor(b), Int),
        _ => Raised,
    }
}

/// Doubles overflow to infinity without complaint; only dividing by zero raises.
fn float_binary(op: &str, a: f64, b: f64) -> Value {
    match op {
        "+" => Float(a + b),
        "-" => Float(a - b),
        "*" => Float(a * b),
        "/" | "//" if b == 0.0 => Raised,
        "/" => Float(a / b),
        "//" => Float(float_floor_div(a, b)),
        _ => Raised,
    }
}

/// `a // b`: the quotient is taken after subtracting the exact remainder, so `1//0.1` is 9, not ⌊10.0⌋.
fn float_floor_div(a: f64, b: f64) -> f64 {
    let remainder = a % b;
    let mut quotient = (a - remainder) / b;
    if remainder != 0.0 && (b < 0.0) != (remainder < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0f64.copysign(a / b);
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

/// The shortest digits that read back as `x`, written as Python does: an exponent of at least two digits
/// below 1e-4 and from 1e16 on, otherwise plain with a decimal point.
fn float_repr(x: f64) -> String {
    if x.is_nan() {
        return "nan".to_string();
    }
    if x.is_infinite() {
        return x.to_string();
    }
    let shortest = format!("{x:e}"); // such as -1.5e-7
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let count = digits.bytes().filter(u8::is_ascii_digit).count() as i32;
    // When x lies exactly between two shortest candidates, Python takes the one with an even last digit and
    // Rust's shortest form the upper one. Formatting with the number of digits given rounds ties to even too.
    if x != 0.0 && !(-4..16).contains(&exponent) {
        let even = format!("{x:.*e}", (count - 1) as usize);
        let text = if even.parse() == Ok(x) { even } else { shortest };
        let mantissa = text.split_once('e').map_or(text.as_str(), |(mantissa, _)| mantissa);
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    let decimals = (count - 1 - exponent).max(1) as usize;
    let even = format!("{x:.decimals$}");
    if even.parse() == Ok(x) { even } else { x.to_string() }
}

/// The items as string literals, as they stand inside a printed list.
fn quoted(items: &[String]) -> String {
    let literal = |s: &String| match (s.contains('\''), s.contains('"')) {
        (true, false) => format!("\"{s}\""),
        _ => format!("'{}'", s.replace('\'', "\\'")),
    };
    items.iter().map(literal).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        let cases = [
            (1e16, "1e+16"),
            (9999999999999998.0, "9999999999999998.0"),
            (0.0001, "0.0001"),
            (100.0, "100.0"),
            (7295433188358229.0 / 4.0, "1823858297089557.2"),
            (7295433188358231.0 / 4.0, "1823858297089557.8"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (-2.5e100, "-2.5e+100"),
            (5e-324, "5e-324"),
            (-0.0, "-0.0"),
            (f64::NEG_INFINITY, "-inf"),
            (-f64::NAN, "nan"),
        ];
        for (x, text) in cases {
            assert_eq!(float_repr(x), text);
        }
    }

    #[test]
    fn floor_division_of_floats_keeps_the_remainder_exact() {
        assert_eq!(float_floor_div(1.0, 0.1), 9.0);
        assert_eq!(float_floor_div(-7.5, 2.0), -4.0);
        assert_eq!(float_floor_div(7.0, -0.5), -14.0);
        assert!(float_floor_div(-0.0, 5.0).is_sign_negative());
        assert!(float_floor_div(f64::INFINITY, 2.0).is_nan());
    }

    #[test]
    fn a_list_prints_its_items_quoted() {
        let items = ["a", "it's", "say \"it's\""].map(String::from).to_vec();
        assert_eq!(Value::List(items).to_text().as_deref(), Some(r#"['a', "it's", 'say "it\'s"']"#));
        assert_eq!(Tuple(Vec::new()).to_text().as_deref(), Some("()"));
    }
}
