//! Filling the slots of a sentence.
//!
//! A template is plain text with slots in braces: `{s} works as {a v}.` A slot is a key; `{Key}` capitalises the value,
//! `{a key}` and `{A key}` put the indefinite article before it. A slot without a value stays as it is, in braces, where
//! the tests see it. Next: `phrasebook.rs`, the templates of all facts.

/// The values of the slots, by key.
#[derive(Clone, Debug, Default)]
pub struct Slots(Vec<(&'static str, String)>);

impl Slots {
    /// No slot filled.
    pub fn new() -> Self {
        Slots::default()
    }

    /// The same slots and one more; a later value for the same key wins.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.0.push((key, value.to_string()));
        self
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| *k == key).map(|(_, v)| v.as_str())
    }

    fn resolve(&self, slot: &str) -> Option<String> {
        if let Some(value) = self.get(slot) {
            return Some(value.to_string());
        }
        if let Some(value) = slot.strip_prefix("a ").and_then(|key| self.get(key)) {
            return Some(with_article(value));
        }
        if let Some(value) = slot.strip_prefix("A ").and_then(|key| self.get(key)) {
            return Some(capitalised(&with_article(value)));
        }
        self.get(&slot.to_lowercase()).map(capitalised)
    }

    /// The template with its slots filled.
    pub fn fill(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() + 16);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((slot, tail)) = after.split_once('}') else {
                out.push('{');
                rest = after;
                continue;
            };
            match self.resolve(slot) {
                Some(value) => out.push_str(&value),
                None => out.extend(["{", slot, "}"]),
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

/// `a cat`, `an owl`. All words of the corpus follow the letter rule but `a unicorn`-like ones, which it avoids.
fn with_article(word: &str) -> String {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
    format!("{} {word}", if vowel { "an" } else { "a" })
}

/// First letter in upper case.
pub(super) fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_take_articles_and_capitals() {
        let slots = Slots::new().with("s", "Mira").with("v", "otter").with("he", "she");
        assert_eq!(slots.fill("{s} has {a v}. {He} likes it."), "Mira has an otter. She likes it.");
        assert_eq!(slots.fill("{A v} swims."), "An otter swims.");
    }

    #[test]
    fn unknown_slots_and_lone_braces_stay_visible() {
        assert_eq!(Slots::new().fill("{x} and {"), "{x} and {");
    }
}
