//! All kernels to PTX, as it is committed: `ptx LIBNVRTC`. `cargo xtask nvrtc` calls it.

use cuda::bundle;
use emulator::nvrtc::Nvrtc;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let library = std::env::args().nth(1).ok_or("usage: ptx LIBNVRTC")?;
    let nvrtc = Nvrtc::load(Path::new(&library))?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels/ptx");
    for bundled in bundle::ALL {
        let name = format!("{}.cu", bundled.name);
        let ptx = nvrtc.committed(&bundled.source(), &name, "compute_80")?;
        std::fs::write(folder.join(format!("{}.ptx", bundled.name)), ptx)?;
    }
    Ok(())
}
