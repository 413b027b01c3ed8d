//! The kernels that are built in: for each `.cu` file beside its `cpu.rs`, its source, and the PTX that NVRTC made of it.
//!
//! The PTX is committed under `kernels/ptx/`, for compute capability 8.0, with a hash of its source in the first line;
//! `cargo xtask nvrtc` makes it new. So tests, and machines that have a driver only, need no compiler.

/// One `.cu` file and its PTX.
#[derive(Debug)]
pub struct Bundled {
    /// The PTX file's name without its ending.
    pub name: &'static str,
    /// The operation's folder under `kernels/src/`.
    pub folder: &'static str,
    /// Text that comes between the prelude and the source.
    parts: &'static [&'static str],
    source: &'static str,
    /// What NVRTC made of [`Bundled::source`].
    pub ptx: &'static str,
}

const PRELUDE: &str = include_str!("../../kernels/src/prelude.cuh");

impl Bundled {
    /// The text that is compiled: the prelude, parts that several files share, then the kernel's own, whose lines keep their numbers.
    pub fn source(&self) -> String {
        let parts: String = self.parts.iter().map(|part| format!("\n{part}")).collect();
        format!("{PRELUDE}{parts}\n#line 1 \"/{}.cu\"\n{}", self.name, self.source)
    }
}

/// `CONSTANT: "name"` is `kernels/src/name/name.cu`; another place is written `at "folder"/"file"`, and what comes before the
/// source, beside the prelude, `with ["file", …]`.
macro_rules! bundle {
    ($($constant:ident: $name:literal $(at $folder:literal / $file:literal)? $(with [$($part:literal),*])?),* $(,)?) => {
        $(bundle! { @one $constant, $name, [$($folder, $file)?], [$($($part),*)?] })*
        /// Every one of them.
        pub static ALL: &[&Bundled] = &[$(&$constant),*];
    };
    (@one $constant:ident, $name:literal, [], $parts:tt) => {
        bundle! { @one $constant, $name, [$name, $name], $parts }
    };
    (@one $constant:ident, $name:literal, [$folder:literal, $file:literal], [$($part:literal),*]) => {
        #[doc = concat!("`kernels/src/", $folder, "/", $file, ".cu`.")]
        pub static $constant: Bundled = Bundled {
            name: $name,
            folder: $folder,
            parts: &[$(include_str!(concat!("../../kernels/src/", $part))),*],
            source: include_str!(concat!("../../kernels/src/", $folder, "/", $file, ".cu")),
            ptx: include_str!(concat!("../../kernels/ptx/", $name, ".ptx")),
        };
    };
}

bundle! {
    ACCUMULATE: "accumulate",
    ADAMW: "adamw" with ["told.cuh"],
    ADD_RMS_NORM: "add_rms_norm",
    ARG_REDUCE: "arg_reduce" with ["order.cuh"],
    ATTENTION_BWD: "attention_bwd" at "attention"/"backward" with ["attention/shared.cuh", "tensor_cores.cuh"],
    ATTENTION_FWD: "attention_fwd" at "attention"/"forward" with ["attention/shared.cuh", "tensor_cores.cuh"],
    ATTENTION_PLAIN: "attention_plain" at "attention"/"plain" with ["attention/shared.cuh"],
    BINARY: "binary",
    CHANNEL_GATE: "channel_gate",
    CLIP: "clip",
    COMPARE: "compare",
    COPY: "copy",
    CROSS_ENTROPY: "cross_entropy",
    CUMSUM: "cumsum",
    DROPOUT: "dropout" with ["philox.cuh"],
    EMBEDDING: "embedding",
    GATED: "gated",
    GATED_ADD: "gated_add" with ["rows.cuh"],
    GATHER: "gather",
    GELU: "gelu",
    LAYER_NORM: "layer_norm" with ["rows.cuh"],
    MATMUL: "matmul" with ["matmul/shared.cuh"],
    MATMUL_PIPELINED: "matmul_pipelined" at "matmul"/"pipelined" with ["tensor_cores.cuh", "matmul/shared.cuh"],
    MIX: "mix" with ["rows.cuh"],
    MUON: "muon" with ["told.cuh"],
    NORMUON: "normuon" with ["told.cuh"],
    PACKED_LINEAR: "packed_linear",
    PAGED_ATTENTION: "paged_attention",
    QUINTIC: "quintic" at "muon"/"quintic",
    QUANTIZE_INT8: "quantize_int8",
    RANDOM: "random" with ["philox.cuh"],
    REDUCE: "reduce",
    RELU_SQUARED: "relu_squared",
    RMS_NORM: "rms_norm",
    ROPE: "rope",
    ROPE_NORM: "rope_norm",
    SAMPLE: "sample",
    SELECT: "select",
    SMEAR: "smear" with ["rows.cuh"],
    SOFTMAX: "softmax",
    SORT: "sort" with ["order.cuh"],
    TOP_K: "top_k" with ["order.cuh"],
    UNARY: "unary",
}
