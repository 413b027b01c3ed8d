//! The committed PTX is that of the CUDA beside it: by the hash in its first line always, by compiling where NVRTC is there.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop, and says what it leaves out

use emulator::Module;
use emulator::nvrtc::{Nvrtc, header};
use std::path::{Path, PathBuf};

fn sources() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ptx");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "cu")).collect();
    assert!(found.len() >= 4);
    found
}

#[test]
fn every_committed_text_is_of_its_source_and_loads() {
    for path in sources() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let source = std::fs::read_to_string(&path).unwrap();
        let ptx = std::fs::read_to_string(path.with_extension("ptx")).unwrap();
        assert_eq!(
            ptx.lines().next(),
            Some(header(&source, name).as_str()),
            "{name}: run `cargo xtask nvrtc`"
        );
        let module = Module::load(&ptx, name).unwrap_or_else(|e| panic!("{e}"));
        assert!(module.kernels().count() > 0);
    }
}

#[test]
fn compiling_again_gives_the_committed_text() {
    let Some(library) = Nvrtc::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")) else {
        println!("notice: the committed PTX is not compared with NVRTC's: run `cargo xtask nvrtc --fetch`");
        return;
    };
    let nvrtc = Nvrtc::load(&library).unwrap();
    for path in sources() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let source = std::fs::read_to_string(&path).unwrap();
        let ptx = std::fs::read_to_string(path.with_extension("ptx")).unwrap();
        let made = nvrtc.committed(&source, name, "compute_80").unwrap();
        assert!(made == ptx, "{name} is not what NVRTC makes of its source: run `cargo xtask nvrtc`");
        if let Ok(committed) = std::fs::read_to_string(path.with_extension("compute_90.ptx")) {
            let made = nvrtc.committed(&source, name, "compute_90").unwrap();
            assert!(
                made == committed,
                "{name} for compute_90 is older than its source: run `cargo xtask nvrtc`"
            );
        }
        let newer = nvrtc.compile(&source, name, &["--gpu-architecture=compute_90", "-lineinfo"]).unwrap();
        Module::load(&newer, name).unwrap_or_else(|e| panic!("for compute_90: {e}"));
    }
}
