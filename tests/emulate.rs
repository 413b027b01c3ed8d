//! `nanochat emulate` as a student runs it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

/// Exit code, standard output, standard error of a run in the project's folder.
fn emulate(args: &str) -> (i32, String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanochat"));
    let out = command.current_dir(root).arg("emulate").args(args.split_whitespace()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
}

const RACE: &str = "emulator/tests/ptx/barriers.ptx misplaced_wrong --grid 2 --block 64 --arg f32[128] --arg f32[128]=iota \
                    --arg i32=128";
const NORM: &str = "emulator/tests/ptx/rows.ptx rms_norm --grid 4 --block 64 --arg f32[1024] --arg f32[1024]=0.5 \
                    --arg i32=256 --arg f32=0";

#[test]
fn a_story_has_source_registers_lanes_and_shared_memory_and_ends_with_the_race() {
    let (code, out, _) = emulate(RACE);
    assert_eq!(code, 1);
    let parts = [
        "mov.u32 %r1, %tid.x;",
        "all  = 0 1 2 3 …",
        "barriers.cu:22  s[t] = 0.f;",
        "shared memory: [0x4] 1 [0x8] 2",
        "kernel misplaced_wrong: SharedRace",
        "against a read at PTX line",
    ];
    let mut rest = out.as_str();
    for part in parts {
        let at =
            rest.find(part).unwrap_or_else(|| panic!("{part} is not there, or not in this order:\n{out}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn counters_stand_beside_the_lines_of_the_source_and_buffers_below() {
    let (code, out, err) = emulate(&format!("{NORM} --stats"));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("sectors loaded                256   at least 256 needed"), "{out}");
    assert!(out.contains("__syncthreads();"), "{out}");
    assert!(out.contains("H100") && out.contains("argument 0  f32[1024] = 1 1 1 1"), "{out}");
}

#[test]
fn json_has_the_report_or_the_fault() {
    let json = |args: &str| serde_json::from_str::<serde_json::Value>(&emulate(args).1).unwrap();
    let report = json(&format!("{NORM} --json"));
    assert_eq!(report["report"]["total"]["requests"], 16);
    assert_eq!(report["buffers"][0]["first"][0], "1");
    let fault = json(&format!("{RACE} --json"));
    assert_eq!(fault["fault"]["kind"], "SharedRace");
    assert_eq!(fault["fault"]["cuda"]["file"], "barriers.cu");
}

#[test]
fn mistakes_say_what_would_be_right() {
    for (args, code, message) in [
        ("emulator/tests/ptx/rows.ptx", 2, "relu_squared, rms_norm"),
        ("emulator/tests/ptx/rows.ptx rms", 2, "relu_squared, rms_norm"),
        ("emulator/tests/ptx/rows.ptx rms_norm --arg i32=1", 2, "has 4 parameters (of 8, 8, 4, 4 bytes)"),
        ("emulator/tests/ptx/rows.ptx rms_norm --arg i33=1", 2, "try i32=128"),
        ("emulator/tests/ptx/rows.ptx rms_norm --grid 0", 2, "above 0"),
        ("no/such.ptx k", 1, "no/such.ptx"),
        ("Cargo.toml k", 1, "Cargo.toml:1:"),
    ] {
        let (found, _, err) = emulate(args);
        assert!(found == code && err.contains(message), "{args}: {found} {err}");
    }
}
