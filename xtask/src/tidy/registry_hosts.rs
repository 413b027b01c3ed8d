//! Rule: no file names the host of a package registry. Reason: where packages come from is the business of each user's
//! cargo and pip configuration (mirrors, offline vendoring); a hard-wired host breaks it. Only `Cargo.lock`, which
//! cargo writes, may.

use super::tree::{Finding, SourceFile, Tree};

/// The rule in one line.
pub const RULE: &str = "no package registry's host is named (Cargo.lock excepted)";

/// Host names, each cut where its dots are, so that this file passes its own check.
const HOSTS: &[&[&str]] = &[
    &["crates", "io"],
    &["pypi", "org"],
    &["pythonhosted", "org"],
    &["npmjs", "com"],
    &["npmjs", "org"],
    &["rubygems", "org"],
    &["proxy", "golang", "org"],
    &["repo", "maven", "apache", "org"],
    &["conda", "anaconda", "org"],
    &["deb", "debian", "org"],
    &["archive", "ubuntu", "com"],
];

/// Looks at every text file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().filter(|f| f.name() != "Cargo.lock").flat_map(examine).collect()
}

fn examine(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in HOSTS.iter().map(|parts| parts.join(".")) {
        for (i, line) in file.text.lines().enumerate() {
            if line.match_indices(&host).any(|(at, _)| is_host(line, at, host.len())) {
                findings.push(
                    file.finding(i + 1, format!("names the package registry {host}: leave that to the user")),
                );
            }
        }
    }
    findings
}

/// Is this a whole name, and not a part of a longer word?
fn is_host(line: &str, at: usize, length: usize) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || "_-".contains(c);
    !line[..at].ends_with(part_of_a_word) && !line[at + length..].starts_with(part_of_a_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn hosts_are_found_in_any_file_and_with_any_prefix() {
        for host in HOSTS.iter().map(|parts| parts.join(".")) {
            for text in
                [host.clone(), format!("https://{host}/x"), format!("registry.{host}"), format!("({host}).")]
            {
                assert_eq!(found("a.md", &text), 1, "{text}");
            }
        }
    }

    #[test]
    fn other_names_that_look_alike_are_fine() {
        for text in ["my-crates.iota", "xpypi.organic", "the crates, io and std"] {
            assert_eq!(found("a.md", text), 0, "{text}");
        }
    }

    #[test]
    fn the_lock_file_is_cargos_own() {
        assert_eq!(found("Cargo.lock", &HOSTS[0].join(".")), 0);
    }
}
