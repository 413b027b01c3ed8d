//! How much of the corpus training reads.

/// Cuts long documents and says when enough was read. Both limits count characters (Unicode scalar values), not
/// bytes.
///
/// A long document is seldom more varied than its beginning, so only a prefix is used. The document that takes the
/// total past the limit is still used; the next one is not.
#[derive(Clone, Debug)]
pub struct Budget {
    doc_cap: usize,
    max_chars: u64,
    used: u64,
}

impl Budget {
    /// At most `doc_cap` characters of each document, and no further document once the total exceeds `max_chars`.
    pub fn new(doc_cap: usize, max_chars: u64) -> Budget {
        Budget { doc_cap, max_chars, used: 0 }
    }

    /// The part of `document` to use, which is counted; `None` if enough was read before.
    pub fn admit<'a>(&mut self, document: &'a str) -> Option<&'a str> {
        if self.is_spent() {
            return None;
        }
        let (prefix, chars) = capped(document, self.doc_cap);
        self.used += chars as u64;
        Some(prefix)
    }

    /// Has the total passed the limit?
    pub fn is_spent(&self) -> bool {
        self.used > self.max_chars
    }

    /// Characters admitted so far.
    pub fn used(&self) -> u64 {
        self.used
    }
}

/// The first `cap` characters, and how many these are.
fn capped(document: &str, cap: usize) -> (&str, usize) {
    // Counting is much faster than walking; and no text has more characters than bytes.
    let chars = document.chars().count();
    if chars <= cap {
        return (document, chars);
    }
    match document.char_indices().nth(cap) {
        Some((end, _)) => (&document[..end], cap),
        None => (document, chars),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted<'a>(docs: &[&'a str], mut budget: Budget) -> Vec<&'a str> {
        docs.iter().map_while(|doc| budget.admit(doc)).collect()
    }

    #[test]
    fn the_cap_counts_characters() {
        assert_eq!(admitted(&["é日本語x", "ab"], Budget::new(3, 100)), ["é日本", "ab"]);
        assert_eq!(admitted(&["ab"], Budget::new(0, 100)), [""]);
    }

    #[test]
    fn the_document_that_crosses_the_limit_is_the_last_one_used() {
        let docs = ["abcd", "ef", "gh", "ij"];
        assert_eq!(admitted(&docs, Budget::new(100, 6)), ["abcd", "ef", "gh"]);
        assert_eq!(admitted(&docs, Budget::new(100, 5)), ["abcd", "ef"]);
        assert_eq!(admitted(&docs, Budget::new(100, 0)), ["abcd"]);
    }
}
