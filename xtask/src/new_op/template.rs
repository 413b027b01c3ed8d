//! The files of an example operation, as text: real Rust with `example_op` where the new name goes.
//!
//! Lines between `// BEGIN gradient` and `// END gradient` are left out for an operation without a derivative.

use super::names::{camel, upper};
use crate::tidy::lex::{masks, words};

const PLACEHOLDER: &str = "example_op";

/// `kernels/src/<op>/mod.rs`
pub const KERNEL_MOD: &str = include_str!("templates/kernel/mod.rs");
/// `kernels/src/<op>/reference.rs`
pub const KERNEL_REFERENCE: &str = include_str!("templates/kernel/reference.rs");
/// `kernels/src/<op>/cpu.rs`
pub const KERNEL_CPU: &str = include_str!("templates/kernel/cpu.rs");
/// The same without a backward function.
pub const KERNEL_ONLY_CPU: &str = include_str!("templates/kernel_only/cpu.rs");
/// The method on `Tensor`, in its `impl` block.
pub const TENSOR_METHOD: &str = include_str!("templates/tensor_method.rs");
/// `autograd/src/ops/<op>.rs`
pub const AUTOGRAD_OP: &str = include_str!("templates/autograd_op.rs");
/// `checks/src/registry/<op>.rs`
pub const REGISTRY_ENTRY: &str = include_str!("templates/registry_entry.rs");
/// The checks of the new operation alone, for the self-test.
pub const SELF_TEST: &str = include_str!("templates/self_test.rs");

const ALL: &[&str] = &[
    KERNEL_MOD,
    KERNEL_REFERENCE,
    KERNEL_CPU,
    KERNEL_ONLY_CPU,
    TENSOR_METHOD,
    AUTOGRAD_OP,
    REGISTRY_ENTRY,
    SELF_TEST,
];

/// The template with the name filled in, with or without what belongs to the gradient.
pub fn fill(template: &str, name: &str, gradient: bool) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in template.lines() {
        match line.trim() {
            "// BEGIN gradient" => inside = true,
            "// END gradient" => inside = false,
            mark if mark.starts_with("// ANCHOR") => {} // for the book
            _ if inside && !gradient => {}
            _ => text += &format!("{line}\n"),
        }
    }
    let text = text.replace(PLACEHOLDER, name).replace(&upper(PLACEHOLDER), &upper(name));
    text.replace(&camel(PLACEHOLDER), &camel(name))
}

/// Does the code of the templates use this word?
pub fn uses(word: &str) -> bool {
    ALL.iter().any(|template| words(&masks(template).0).any(|w| w == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_placeholder_or_of_the_marks_is_left() {
        for template in ALL {
            for gradient in [true, false] {
                let text = fill(template, "soft_clip", gradient);
                assert!(!text.to_lowercase().replace('_', "").contains("exampleop"), "{text}");
                assert!(
                    !text.contains("// BEGIN") && !text.contains("// END") && !text.contains("// gradient")
                );
                assert!(!text.contains("// no gradient"), "{text}");
            }
        }
    }

    #[test]
    fn without_a_gradient_no_backward_function_is_left() {
        for template in [KERNEL_MOD, KERNEL_REFERENCE, KERNEL_ONLY_CPU, TENSOR_METHOD, SELF_TEST] {
            let text = fill(template, "soft_clip", false);
            assert!(!text.contains("_bwd") && !text.contains("accumulate"), "{text}");
        }
        assert!(fill(KERNEL_MOD, "soft_clip", true).contains("fn soft_clip_bwd("));
    }

    #[test]
    fn a_word_in_a_comment_is_not_used() {
        assert!(uses("ViewMut") && uses("Cpu") && !uses("bandwidth") && !uses("soft_clip"));
    }
}
