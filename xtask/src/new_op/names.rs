//! Which names a new operation may have: a Rust identifier in snake case that nothing else has, neither in the
//! repository nor in the code that is about to be written.

use super::template;
use crate::tidy::lex::words;
use crate::tidy::tree::Tree;

/// Words of the language, of the standard library's crates and of ours: no module can be called so.
const RESERVED: &str = "
    abstract alloc as async autograd await become box break checks const continue core crate do dyn else
    enum extern false final fn for gen if impl in kernels let loop macro match mod model move mut
    override priv proc_macro pub ref return self static std struct super tensor test tokenizer train
    trait true try type typeof unsafe unsized use virtual where while yield";

/// The longest name: longer ones would not fit the tables.
const LONGEST: usize = 32;

/// `Err` says what is wrong with the name.
pub fn check(tree: &Tree, name: &str) -> Result<(), String> {
    let head = name.starts_with(|c: char| c.is_ascii_lowercase());
    let tail = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !head || !tail || name.ends_with('_') || name.contains("__") || name.len() > LONGEST {
        return Err(format!(
            "`{name}` is no snake_case name: lower-case letters, digits and single underscores, at most {LONGEST}, \
             such as `soft_clip`"
        ));
    }
    if words(RESERVED).any(|word| word == name) {
        return Err(format!("`{name}` is a reserved word: choose another name"));
    }
    if let Some(word) = [name, &camel(name), &upper(name)].into_iter().find(|word| template::uses(word)) {
        return Err(format!(
            "`{word}` already means something in the code of an operation: choose another name"
        ));
    }
    match taken(tree, name) {
        None => Ok(()),
        Some(place) => Err(format!("there is a `{name}` in {place} already")),
    }
}

/// The file that has the name already, if there is one.
fn taken(tree: &Tree, name: &str) -> Option<String> {
    let modules =
        ["kernels/src", "autograd/src", "autograd/src/ops", "checks/src/registry", "tensor/src/ops"];
    let forms = modules.iter().flat_map(|m| [format!("{m}/{name}"), format!("{m}/{name}.rs")]);
    if let Some(path) = forms.into_iter().find(|path| tree.exists(path)) {
        return Some(path);
    }
    let (method, forward) = (format!("fn {name}("), format!("fn {name}_fwd("));
    let (quoted, item) = (format!("\"{name}\""), camel(name));
    let declares = |line: &str| {
        let mut before = "";
        words(line)
            .any(|w| matches!(std::mem::replace(&mut before, w), "trait" | "struct" | "enum") && w == item)
    };
    let clashes = |path: &str, text: &str, code: &str| match path.split('/').next() {
        Some("tensor" | "autograd") => code.contains(&method) || code.lines().any(declares),
        Some("kernels") => code.contains(&forward) || code.lines().any(declares),
        Some("checks") => path.starts_with("checks/src/registry") && text.contains(&quoted),
        _ => false,
    };
    tree.rust().find(|f| clashes(&f.path, &f.text, &f.code)).map(|f| f.path.clone())
}

/// `SoftClip` for `soft_clip`.
pub fn camel(name: &str) -> String {
    let part = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('_').filter(|p| !p.is_empty()).map(part).collect()
}

/// `SOFT_CLIP` for `soft_clip`.
pub fn upper(name: &str) -> String {
    name.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::of(&[
            ("kernels/src/rms_norm/mod.rs", "pub trait RmsNorm {}\n"),
            ("kernels/src/spread.rs", "pub struct Plane;\n"),
            ("kernels/src/lib.rs", "fn early_fwd() {} // fn later_fwd()\n"),
            ("tensor/src/views.rs", "impl Tensor { pub fn narrow(&self) {} }\n"),
            ("checks/src/registry/nn.rs", "name: \"sum\",\n"),
        ])
    }

    #[test]
    fn a_fresh_snake_case_name_is_fine() {
        for name in ["soft_clip", "gelu2", "later", "narrower"] {
            assert_eq!(check(&tree(), name), Ok(()), "{name}");
        }
        assert_eq!((camel("soft_clip2"), upper("soft_clip2")), ("SoftClip2".into(), "SOFT_CLIP2".into()));
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        let long = "a".repeat(LONGEST + 1);
        for name in
            ["", "SoftClip", "2x", "_x", "x_", "a__b", "soft-clip", "a b", "größe", "../x", "a/b", &long]
        {
            assert!(check(&tree(), name).is_err_and(|e| e.contains("snake_case")), "{name}");
        }
    }

    #[test]
    fn words_of_the_language_and_of_the_templates_are_refused() {
        for name in ["match", "gen", "std", "tensor"] {
            assert!(check(&tree(), name).is_err_and(|e| e.contains("reserved")), "{name}");
        }
        for name in ["vec", "some", "var", "check", "cpu", "op"] {
            assert!(check(&tree(), name).is_err_and(|e| e.contains("already means")), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_taken_is_refused_with_its_place() {
        for (name, place) in [
            ("rms_norm", "kernels/src/rms_norm"),
            ("spread", "kernels/src/spread.rs"),
            ("plane", "kernels/src/spread.rs"),
            ("early", "kernels/src/lib.rs"),
            ("narrow", "tensor/src/views.rs"),
            ("sum", "checks/src/registry/nn.rs"),
        ] {
            let message = check(&tree(), name).unwrap_err();
            assert!(message.contains(place), "{name}: {message}");
        }
    }
}
