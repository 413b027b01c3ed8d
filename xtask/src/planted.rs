//! The catalogue of planted bugs, `tests/planted.txt`: a line per bug, `id | file | what is wrong | what must find it`.
//!
//! Read by `mutants.rs`, which switches the bugs on, and by `tidy/planted.rs`, which keeps it in step with the source.

/// Where it is.
pub const PATH: &str = "tests/planted.txt";

/// One bug.
#[derive(Debug, PartialEq)]
pub struct Row<'a> {
    /// Line of the file, from 1.
    pub line: usize,
    /// `rms_norm.tail_forgotten`.
    pub id: &'a str,
    /// The source file it stands in.
    pub file: &'a str,
    /// What is wrong.
    pub what: &'a str,
    /// The check that must find it.
    pub by: Check<'a>,
}

/// A check that must find a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check<'a> {
    /// A check of a registry's entry: `kernel matmul: value`, `op linear: used twice`.
    Entry {
        /// `kernel` or `op`.
        registry: &'a str,
        /// Name of the entry.
        name: &'a str,
        /// Name of the check.
        check: &'a str,
    },
    /// A test: `unit tensor: views::tests::a_test`, `test misuse: a_test`.
    Test {
        /// Is it a unit test of a crate, or one in a file of `tests`?
        unit: bool,
        /// The crate, or the file.
        program: &'a str,
        /// Its full name.
        test: &'a str,
    },
}

impl<'a> Check<'a> {
    fn parse(text: &'a str) -> Option<Check<'a>> {
        let (kind, rest) = text.split_once(' ')?;
        let (name, check) = rest.split_once(": ")?;
        match kind {
            "kernel" | "op" => Some(Check::Entry { registry: kind, name, check }),
            "unit" | "test" => Some(Check::Test { unit: kind == "unit", program: name, test: check }),
            _ => None,
        }
    }
}

impl std::fmt::Display for Check<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Check::Entry { registry, name, check } => write!(f, "{registry} {name}: {check}"),
            Check::Test { unit: true, program, test } => write!(f, "unit {program}: {test}"),
            Check::Test { unit: false, program, test } => write!(f, "test {program}: {test}"),
        }
    }
}

/// The rows, and the numbers of lines that are none.
pub fn parse(text: &str) -> (Vec<Row<'_>>, Vec<usize>) {
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    for (line, content) in text.lines().enumerate().map(|(i, content)| (i + 1, content.trim())) {
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = content.split(" | ").map(str::trim).collect();
        match cells[..] {
            [id, file, what, by] if !what.is_empty() => match Check::parse(by) {
                Some(by) => rows.push(Row { line, id, file, what, by }),
                None => bad.push(line),
            },
            _ => bad.push(line),
        }
    }
    (rows, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_row_is_understood_and_prints_as_it_was() {
        for by in
            ["kernel matmul: value", "op linear: used twice", "unit tensor: a::tests::b", "test misuse: c"]
        {
            let text = format!("# id\n\na.b | x/y.rs | what | {by}\n");
            let (rows, bad) = parse(&text);
            assert!(bad.is_empty() && rows.len() == 1, "{by}");
            assert_eq!((rows[0].line, rows[0].id, rows[0].by.to_string().as_str()), (3, "a.b", by));
        }
    }

    #[test]
    fn lines_that_are_no_rows_are_told() {
        let text = "a.b | x.rs | what\na.b | x.rs | what | nobody: knows\na.b | x.rs | what | kernel add\n";
        assert_eq!(parse(text), (vec![], vec![1, 2, 3]));
    }
}
