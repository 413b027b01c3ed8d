//! Documents of which parts are written by programs: what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
//!
//! The rest of the document is written by people and kept as it is.

/// `document` with `body` between the markers of `name`; the error says what is missing.
pub fn replace(document: &str, name: &str, body: &str) -> Result<String, String> {
    let [begin, end] = ["begin", "end"].map(|word| format!("<!-- {word} {name} -->"));
    let start = document.find(&begin).ok_or_else(|| format!("there is no line `{begin}`"))? + begin.len();
    let length = document[start..].find(&end).ok_or_else(|| format!("no line `{end}` follows `{begin}`"))?;
    Ok(format!("{}\n{}\n{}", &document[..start], body.trim_end(), &document[start + length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        "# Head\n<!-- begin a -->\nold\n<!-- end a -->\nbetween\n<!-- begin b -->\n<!-- end b -->\n";

    #[test]
    fn only_the_named_section_changes_and_doing_it_twice_changes_nothing() {
        let once = replace(DOCUMENT, "a", "new\nlines\n").unwrap();
        assert_eq!(once, DOCUMENT.replace("old", "new\nlines"));
        assert_eq!(replace(&once, "a", "new\nlines").unwrap(), once);
        assert!(replace(&once, "b", "x").unwrap().ends_with("<!-- begin b -->\nx\n<!-- end b -->\n"));
    }

    #[test]
    fn a_missing_marker_is_named() {
        assert!(replace(DOCUMENT, "c", "").unwrap_err().contains("<!-- begin c -->"));
        assert!(replace("<!-- begin a -->", "a", "").unwrap_err().contains("<!-- end a -->"));
    }
}
