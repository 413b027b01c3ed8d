//! Each instruction that real kernels use, with its modifiers, is in a committed kernel that the tests run: the list is
//! `tests/ptx/opcodes.txt`.
#![allow(clippy::unwrap_used)] // a test may stop

use std::collections::BTreeSet;
use std::path::Path;

/// The opcodes of a PTX text: the first word of each statement, after a label, a guard and braces.
fn opcodes(ptx: &str) -> BTreeSet<String> {
    let code = ptx.lines().map(|line| line.split("//").next().unwrap_or(""));
    let statements: Vec<String> =
        code.flat_map(|line| line.split(';').map(str::to_string).collect::<Vec<_>>()).collect();
    let mut found = BTreeSet::new();
    for statement in statements {
        let words = statement.split_whitespace().map(|word| word.trim_start_matches('{'));
        let mut words =
            words.filter(|word| !word.is_empty() && !word.ends_with(':') && !word.starts_with('@'));
        if let Some(word) = words.next().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase())) {
            found.insert(word.to_string());
        }
    }
    found
}

#[test]
fn every_instruction_of_real_kernels_is_in_a_committed_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ptx");
    let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = paths.filter(|path| path.extension().is_some_and(|e| e == "ptx"));
    let have: BTreeSet<String> =
        texts.flat_map(|path| opcodes(&std::fs::read_to_string(path).unwrap())).collect();
    let list = std::fs::read_to_string(folder.join("opcodes.txt")).unwrap();
    let wanted: Vec<&str> = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(wanted.len() > 140);
    let missing: Vec<&&str> = wanted.iter().filter(|opcode| !have.contains(**opcode)).collect();
    assert!(missing.is_empty(), "no committed kernel has {missing:?}: add them to tests/ptx/numbers.cu");
}

#[test]
fn opcodes_are_found_behind_labels_guards_and_braces() {
    let found = opcodes(
        "$L__BB0_1:\n@%p1 bra $L; // a comment; add.s32\n{ cvt.rn.bf16.f32 %h1, %f1; }\n.reg .b32 %r<3>;\n\tret;\n",
    );
    let want = ["bra", "cvt.rn.bf16.f32", "ret"].map(String::from);
    assert_eq!(found, BTreeSet::from(want));
}
