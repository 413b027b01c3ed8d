//! What a new operation changes: the whole content of every file it makes or edits, computed before anything is written,
//! so that an error leaves the repository as it was.

use super::{edits, names, template};
use crate::tidy::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};

/// One file of the plan.
#[derive(Debug, PartialEq)]
pub struct Change {
    /// Path from the root.
    pub path: String,
    /// Its new content.
    pub text: String,
    /// Which of the six steps it is part of.
    pub step: usize,
    /// Is there such a file already?
    pub edit: bool,
}

/// The file of `Tensor`'s methods that the example belongs to.
const METHODS: &str = "tensor/src/ops/elementwise.rs";

/// All changes for an operation of this name; `gradient`: with a derivative.
pub fn plan(tree: &Tree, name: &str, gradient: bool) -> Result<Vec<Change>, String> {
    names::check(tree, name)?;
    let mut changes = Vec::new();
    let mut new = |step, path: String, text: &str| {
        changes.push(Change { path, text: template::fill(text, name, gradient), step, edit: false });
    };
    let folder = format!("kernels/src/{name}");
    new(1, format!("{folder}/mod.rs"), template::KERNEL_MOD);
    new(1, format!("{folder}/reference.rs"), template::KERNEL_REFERENCE);
    new(
        1,
        format!("{folder}/cpu.rs"),
        if gradient { template::KERNEL_CPU } else { template::KERNEL_ONLY_CPU },
    );
    if gradient {
        new(4, format!("autograd/src/ops/{name}.rs"), template::AUTOGRAD_OP);
        new(5, format!("checks/src/registry/{name}.rs"), template::REGISTRY_ENTRY);
    }
    let mut edit = |step, path: &str, change: &dyn Fn(&str) -> Result<String, String>| {
        let old = tree.get(path).ok_or_else(|| format!("{path} is missing"))?;
        let text = change(&old.text).map_err(|e| format!("{path}: {e}"))?;
        changes.push(Change { path: path.into(), text, step, edit: true });
        Ok::<(), String>(())
    };
    edit(2, "kernels/src/lib.rs", &|text| edits::into_ops_macro(text, name, &names::camel(name)))?;
    edit(2, "cuda/src/ops/unsupported.rs", &|text| {
        edits::into_unsupported(text, name, &names::camel(name), gradient)
    })?;
    let method = template::fill(template::TENSOR_METHOD, name, gradient);
    edit(3, METHODS, &|text| edits::into_impl_tensor(text, &method))?;
    if gradient {
        edit(4, "autograd/src/ops/mod.rs", &|text| edits::into_modules(text, "pub ", name))?;
        edit(5, "checks/src/registry/mod.rs", &|text| {
            edits::into_ops_list(&edits::into_modules(text, "", name)?, name, &names::upper(name))
        })?;
    }
    changes.sort_by_key(|change| change.step);
    Ok(changes)
}

/// Writes the plan. If one file cannot be written, those before it are put back.
pub fn write(root: &Path, changes: &[Change]) -> Result<(), String> {
    let mut done: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
    for change in changes {
        let path = root.join(&change.path);
        let old = fs::read(&path).ok();
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(&path, &change.text));
        done.push((path, old));
        if let Err(error) = written {
            done.iter().rev().for_each(|(path, old)| put_back(path, old.as_deref()));
            return Err(format!("cannot write {}: {error}; nothing was changed", change.path));
        }
    }
    Ok(())
}

/// Restores a file, or removes it and, if that leaves it empty, its folder.
fn put_back(path: &Path, old: Option<&[u8]>) {
    // Errors here have no better answer than the one that is being reported already.
    if let Some(old) = old {
        let _ = fs::write(path, old);
    } else {
        let _ = fs::remove_file(path);
        let _ = path.parent().map(fs::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Tree {
        Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
    }

    fn paths(changes: &[Change]) -> Vec<(usize, &str)> {
        changes.iter().map(|c| (c.step, c.path.as_str())).collect()
    }

    #[test]
    fn an_operation_with_a_gradient_has_files_in_every_layer() {
        let changes = plan(&repository(), "soft_clip", true).unwrap();
        let want = [
            (1, "kernels/src/soft_clip/mod.rs"),
            (1, "kernels/src/soft_clip/reference.rs"),
            (1, "kernels/src/soft_clip/cpu.rs"),
            (2, "kernels/src/lib.rs"),
            (2, "cuda/src/ops/unsupported.rs"),
            (3, "tensor/src/ops/elementwise.rs"),
            (4, "autograd/src/ops/soft_clip.rs"),
            (4, "autograd/src/ops/mod.rs"),
            (5, "checks/src/registry/soft_clip.rs"),
            (5, "checks/src/registry/mod.rs"),
        ];
        assert_eq!(paths(&changes), want);
    }

    #[test]
    fn a_kernel_alone_ends_with_the_method() {
        let changes = plan(&repository(), "soft_clip", false).unwrap();
        assert!(changes.iter().all(|c| c.step <= 3));
        assert!(changes.iter().all(|c| !c.text.contains("soft_clip_bwd")));
    }

    #[test]
    fn a_name_that_exists_and_a_repository_without_the_lists_are_refused() {
        assert!(plan(&repository(), "rms_norm", true).is_err_and(|e| e.contains("kernels/src/rms_norm")));
        assert!(plan(&Tree::of(&[]), "soft_clip", true).is_err_and(|e| e.contains("is missing")));
        let broken = Tree::of(&[("kernels/src/lib.rs", "fn f() {}\n")]);
        assert!(plan(&broken, "soft_clip", true).is_err_and(|e| e.contains("kernels/src/lib.rs: no list")));
    }

    #[test]
    fn a_failed_write_puts_everything_back() {
        let root = std::env::temp_dir().join(format!("nanochat-new-op-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("lib.rs"), "old").unwrap();
        fs::write(root.join("file"), "in the way").unwrap();
        let change = |path: &str| Change { path: path.into(), text: "new".into(), step: 1, edit: false };
        let changes = ["op/mod.rs", "lib.rs", "file/mod.rs"].map(change);
        let error = write(&root, &changes).unwrap_err();
        assert!(error.contains("file/mod.rs") && error.contains("nothing was changed"), "{error}");
        assert_eq!(fs::read_to_string(root.join("lib.rs")).unwrap(), "old");
        assert!(!root.join("op").exists());
        write(&root, &changes[..2]).unwrap();
        assert_eq!(fs::read_to_string(root.join("op/mod.rs")).unwrap(), "new");
        fs::remove_dir_all(&root).unwrap();
    }
}
