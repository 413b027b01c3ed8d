//! CUDA to PTX, as the committed texts are made: `compile LIBNVRTC SOURCE.cu OUTPUT.ptx ARCH`. `cargo xtask nvrtc` calls it.

use emulator::nvrtc::Nvrtc;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [library, source, output, arch] = args.as_slice() else {
        return Err("usage: compile LIBNVRTC SOURCE.cu OUTPUT.ptx compute_80".into());
    };
    let nvrtc = Nvrtc::load(Path::new(library))?;
    let name = Path::new(source).file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::fs::write(output, nvrtc.committed(&std::fs::read_to_string(source)?, &name, arch)?)?;
    Ok(())
}
