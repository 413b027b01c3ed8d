//! The kernels that are built in: for each `.cu` file beside its `cpu.rs`, its source, and the PTX that NVRTC made of it.
//!
//! The PTX is committed under `kernels/ptx/`, for compute capability 8.0, with a hash of its source in the first line;
//! `cargo xtask nvrtc` makes it new. So tests, and machines that have a driver only, need no compiler.

/// One `.cu` file and its PTX.
#[derive(Debug)]
pub struct Bundled {
    /// The file's name without its ending, which is also the folder's.
    pub name: &'static str,
    source: &'static str,
    /// What NVRTC made of [`Bundled::source`].
    pub ptx: &'static str,
}

const PRELUDE: &str = include_str!("../../kernels/src/prelude.cuh");

impl Bundled {
    /// The text that is compiled: the prelude, then the kernel's own, whose lines keep their numbers.
    pub fn source(&self) -> String {
        format!("{PRELUDE}\n#line 1 \"/{}.cu\"\n{}", self.name, self.source)
    }
}

macro_rules! bundle {
    ($($constant:ident: $name:literal),* $(,)?) => {
        $(
            #[doc = concat!("`kernels/src/", $name, "/", $name, ".cu`.")]
            pub static $constant: Bundled = Bundled {
                name: $name,
                source: include_str!(concat!("../../kernels/src/", $name, "/", $name, ".cu")),
                ptx: include_str!(concat!("../../kernels/ptx/", $name, ".ptx")),
            };
        )*
        /// Every one of them.
        pub static ALL: &[&Bundled] = &[$(&$constant),*];
    };
}

bundle! {
    ACCUMULATE: "accumulate",
    ADAMW: "adamw",
    ADD_RMS_NORM: "add_rms_norm",
    BINARY: "binary",
    COPY: "copy",
    CROSS_ENTROPY: "cross_entropy",
    EMBEDDING: "embedding",
    MATMUL: "matmul",
    MUON: "muon",
    RANDOM: "random",
    REDUCE: "reduce",
    RELU_SQUARED: "relu_squared",
    RMS_NORM: "rms_norm",
    ROPE: "rope",
    ROPE_NORM: "rope_norm",
    SOFTMAX: "softmax",
    UNARY: "unary",
}
