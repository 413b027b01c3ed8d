//! The lines that a new operation adds to files that list all operations: found by the text around them, each in the
//! place where a person would put it. An edit that does not find its place is an error, and then nothing is written.

/// Adds `    name: Type,` at the end of the list `ops! { … }`.
pub fn into_ops_macro(text: &str, name: &str, type_name: &str) -> Result<String, String> {
    before_end(text, "ops! {", "}", &format!("    {name}: {type_name},\n"))
}

/// Adds the methods of the operation's trait at the end of the list `unsupported! { … }` of what has no CUDA kernel.
pub fn into_unsupported(text: &str, name: &str, type_name: &str, gradient: bool) -> Result<String, String> {
    let backward = format!("        {name}_bwd(View, View, ViewMut, bool);\n");
    let methods = format!("        {name}_fwd(View, ViewMut);\n{}", if gradient { &backward } else { "" });
    let added = format!("    {name}::{type_name} {{\n{methods}    }}\n");
    before_end(text, "unsupported! {", "}", &added)
}

/// Adds `    &name::NAME,` at the end of the list `OPS`.
pub fn into_ops_list(text: &str, name: &str, constant: &str) -> Result<String, String> {
    before_end(text, "pub static OPS: &[&OpInfo] = &[", "];", &format!("    &{name}::{constant},\n"))
}

/// Adds a method at the end of the block `impl Tensor { … }`; `block` is such a block with the method in it.
pub fn into_impl_tensor(text: &str, block: &str) -> Result<String, String> {
    let inside = block.split_once("{\n").and_then(|(_, rest)| rest.trim_end().strip_suffix('}'));
    let method = inside.ok_or("the template of the method is no `impl` block")?;
    before_end(text, "impl Tensor {", "}", method)
}

/// Adds `mod name;` (with `prefix`, say `pub `, in front) to the module lines, in alphabetical order.
pub fn into_modules(text: &str, prefix: &str, name: &str) -> Result<String, String> {
    let line = format!("{prefix}mod {name};\n");
    let start = format!("{prefix}mod ");
    let (mut at, mut place) = (0, None);
    for present in text.split_inclusive('\n') {
        let module = present.strip_prefix(&start).and_then(|rest| rest.trim_end().strip_suffix(';'));
        if let Some(module) = module {
            if module > name {
                place = Some(at);
                break;
            }
            place = Some(at + present.len());
        }
        at += present.len();
    }
    let place = place.ok_or_else(|| format!("no line `{start}…;` to put `{}` beside", line.trim_end()))?;
    Ok(format!("{}{line}{}", &text[..place], &text[place..]))
}

/// Adds `added` before the first line `end` after the first line `start`; both may be one line, as an empty list is written.
fn before_end(text: &str, start: &str, end: &str, added: &str) -> Result<String, String> {
    let (mut at, mut open) = (0, false);
    let empty = format!("{start}{end}");
    for line in text.split_inclusive('\n') {
        if open && line.trim_end() == end {
            return Ok(format!("{}{added}{}", &text[..at], &text[at..]));
        }
        if line.trim_end() == empty {
            let after = &text[at + line.len()..];
            return Ok(format!("{}{start}\n{added}{end}\n{after}", &text[..at]));
        }
        open |= line.trim_end() == start;
        at += line.len();
    }
    Err(format!("no list that starts with a line `{start}` and ends with a line `{end}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_opened() {
        let text = before_end("a\nlist! {}\nb\n", "list! {", "}", "    c\n").unwrap();
        assert_eq!(text, "a\nlist! {\n    c\n}\nb\n");
    }

    #[test]
    fn a_list_grows_at_its_end() {
        let lib =
            "macro_rules! ops {\n    () => {\n    };\n}\n\nops! {\n    a: A,\n    b: B,\n}\n\nfn f() {\n}\n";
        let want = lib.replace("    b: B,\n", "    b: B,\n    soft_clip: SoftClip,\n");
        assert_eq!(into_ops_macro(lib, "soft_clip", "SoftClip"), Ok(want));
        let list = "pub static OPS: &[&OpInfo] = &[\n    &nn::A,\n];\n";
        let want = "pub static OPS: &[&OpInfo] = &[\n    &nn::A,\n    &soft_clip::SOFT_CLIP,\n];\n";
        assert_eq!(into_ops_list(list, "soft_clip", "SOFT_CLIP").as_deref(), Ok(want));
    }

    #[test]
    fn a_method_goes_to_the_end_of_the_block() {
        let file = "use x;\n\nimpl Tensor {\n    fn a() {\n    }\n}\n\nmod tests {\n}\n";
        let block = "impl Tensor {\n    /// B.\n    fn b() {}\n}\n";
        let want =
            "use x;\n\nimpl Tensor {\n    fn a() {\n    }\n    /// B.\n    fn b() {}\n}\n\nmod tests {\n}\n";
        assert_eq!(into_impl_tensor(file, block).as_deref(), Ok(want));
    }

    #[test]
    fn modules_stay_in_order() {
        let index = "//! Ops.\n\npub mod a;\npub mod m;\npub mod z;\nmod private;\n";
        for (name, after) in [("b", "pub mod a;\n"), ("n", "pub mod m;\n"), ("zz", "pub mod z;\n")] {
            let want = index.replace(after, &format!("{after}pub mod {name};\n"));
            assert_eq!(into_modules(index, "pub ", name), Ok(want));
        }
        let first = into_modules(index, "pub ", "_").unwrap();
        assert!(first.contains("\npub mod _;\npub mod a;\n"), "{first}");
        assert!(into_modules(index, "", "q").unwrap().ends_with("mod private;\nmod q;\n"));
    }

    #[test]
    fn an_edit_without_its_place_is_an_error() {
        assert!(into_ops_macro("ops! {\n", "a", "A").is_err());
        assert!(into_ops_list("static OPS\n", "a", "A").is_err());
        assert!(into_impl_tensor("impl Var {\n}\n", "impl Tensor {\n}\n").is_err());
        assert!(into_modules("fn f() {}\n", "pub ", "a").is_err());
    }
}
