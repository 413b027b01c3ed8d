//! Rule: no source file is longer than 500 lines. Reason: what people can read in one sitting is 20 to 250 lines; a file
//! that grows past the limit holds two ideas.

use super::tree::{Finding, Tree};

/// The rule in one line.
pub const RULE: &str = "no .rs, .cu or .py file is longer than 500 lines";

const LIMIT: usize = 500;

/// Looks for files over the limit.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.with_extension(&["rs", "cu", "py"]);
    let counted = sources.map(|file| (file, file.text.lines().count()));
    let too_long = counted.filter(|(_, count)| *count > LIMIT);
    too_long
        .map(|(file, count)| {
            file.finding(LIMIT + 1, format!("{count} lines, the limit is {LIMIT}: split it by idea"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_line_is_not() {
        let (fits, long) = ("x\n".repeat(500), "x\n".repeat(501));
        let tree = Tree::of(&[("a.rs", &fits), ("b.cu", &long), ("c.md", &long)]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "b.cu:501: 501 lines, the limit is 500: split it by idea");
    }
}
