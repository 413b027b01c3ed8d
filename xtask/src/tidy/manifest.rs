//! Reads just enough of a `Cargo.toml`: which section a line is in and which dependencies it names.
//!
//! Our manifests are written one key per line, so this is a line scanner and no TOML parser. It reads the spellings
//! cargo allows for a dependency: `name.workspace = true`, `name = { … }`, `[dependencies.name]`, and the `package`
//! key that renames.

/// One dependency of a crate.
#[derive(Debug, PartialEq)]
pub struct Dependency {
    /// The section's last word: `dependencies`, `dev-dependencies` or `build-dependencies`.
    pub section: String,
    /// The package's name; one of ours without its `nanochat-`.
    pub name: String,
    /// Line number, from 1.
    pub line: usize,
}

/// A key with the section it is in; the value is what stands after `=`.
pub struct Entry<'a> {
    /// `lints`, `target.'cfg(unix)'.dependencies`, … without brackets.
    pub section: &'a str,
    /// The key as written.
    pub key: &'a str,
    /// The value as written.
    pub value: &'a str,
    /// Line number, from 1.
    pub line: usize,
}

/// Every `key = value` line.
pub fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut section = "";
    let mut entries = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.split_once(']')).map(|(name, _)| name) {
            section = name.trim_matches(['[', ']', ' ']);
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            entries.push(Entry { section, key: key.trim(), value: value.trim(), line: i + 1 });
        }
    }
    entries
}

/// Every dependency the manifest names, in any section.
pub fn dependencies(text: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    for entry in entries(text) {
        let parts: Vec<&str> = entry.section.rsplit('.').collect();
        let is_list = |part: &&str| part.ends_with("dependencies");
        let (section, written) = match parts[..] {
            [list, ..] if is_list(&list) => (list, entry.key.split('.').next().unwrap_or(entry.key)),
            [name, list, ..] if is_list(&list) => (list, name),
            _ => continue,
        };
        let renamed = match entry.key {
            "package" => Some(entry.value),
            _ => entry.value.split_once("package").map(|(_, rest)| rest.trim_start_matches([' ', '='])),
        };
        let name =
            renamed.and_then(|r| r.trim_start().strip_prefix('"')?.split('"').next()).unwrap_or(written);
        let name = name.trim_matches('"');
        let name = name.strip_prefix("nanochat-").unwrap_or(name).to_string();
        // The lines of one `[dependencies.name]` section are one dependency.
        if parts[0] == written && found.last().is_some_and(|d| d.name == name || d.name == written) {
            found.pop();
        }
        found.push(Dependency { section: section.to_string(), name, line: entry.line });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(String, String)> {
        dependencies(text).into_iter().map(|d| (d.section, d.name)).collect()
    }

    #[test]
    fn every_spelling_of_a_dependency_is_read() {
        let text = "[package]\nname = \"x\"\n[dependencies]\ntensor.workspace = true\n# old = \"1\"\n\
                    serde = { version = \"1\" }\nk = { package = \"nanochat-kernels\", path = \"../kernels\" }\n\
                    [dev-dependencies]\nproptest = \"1\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n\
                    [dependencies.rayon]\nversion = \"1\"\nfeatures = []\n[features]\nfast = []\n";
        let pairs = [
            ("dependencies", "tensor"),
            ("dependencies", "serde"),
            ("dependencies", "kernels"),
            ("dev-dependencies", "proptest"),
            ("dependencies", "libc"),
            ("dependencies", "rayon"),
        ];
        let want: Vec<_> = pairs.iter().map(|(s, n)| (s.to_string(), n.to_string())).collect();
        assert_eq!(names(text), want);
    }

    #[test]
    fn a_renamed_dependency_is_known_by_its_package() {
        assert_eq!(
            names("[dependencies.k]\npackage = \"nanochat-kernels\"\npath = \"../kernels\"\n")[0].1,
            "kernels"
        );
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(dependencies("[dependencies]\n\nrayon = \"1\"\n")[0].line, 3);
    }
}
