//! Every numerical operation of nanochat, once as definition and once as fast code.
//!
//! One folder per operation: `mod.rs` (formula, shapes, checks, registry entry), `reference.rs` (the definition: naive
//! loops in f64), `cpu.rs` (the fast version). A kernel sees memory through [`View`]s and knows nothing of tensors,
//! gradients or models. Reading order: [`view`], [`rms_norm`], [`matmul`], then whatever you are curious about.
//!
//! Call an operation through its module's function, e.g. `rms_norm::rms_norm_fwd(backend, …)`: it checks the arguments
//! once for all backends and then dispatches.

pub mod backend;
pub mod check;
pub(crate) mod dot;
pub mod element;
pub(crate) mod elementwise;
pub mod error;
pub mod fast_math;
pub(crate) mod lines;
pub mod measure;
pub mod pages;
pub mod par;
pub mod philox;
pub mod planted;
pub mod portable;
pub mod profile;
pub mod registry;
pub(crate) mod rows;
pub(crate) mod runs;
pub mod simd;
pub mod verify;
pub mod view;

pub use backend::{Cpu, Reference};
pub use element::{Bf16, DType, Element, Float};
pub use error::{KernelError, Result};
pub use registry::KernelInfo;
pub use view::{Buffer, Layout, Space, View, ViewMut};

/// Makes the modules, the supertraits of [`Backend`] and the list of registry tables from one line per operation.
macro_rules! ops {
    ($($module:ident: $op:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// One implementation of every operation: nothing but the list of the operations' traits.
        pub trait Backend: Send + Sync $(+ $module::$op)* {}
        impl<B: Send + Sync $(+ $module::$op)*> Backend for B {}

        /// The registry tables, one per operation folder.
        pub static TABLES: &[(&str, &[KernelInfo])] = &[$((stringify!($module), $module::KERNELS)),*];
    };
}

// The operations. Each line is a folder, and the trait it declares.
ops! {
    rms_norm: RmsNorm,
    matmul: Matmul,
    packed_linear: PackedLinear,
    quantize_int8: QuantizeInt8,
    muon: Muon,
    polar_express: PolarExpress,
    normuon: NorMuon,
    copy: CopyCast,
    unary: Unary,
    binary: Binary,
    compare: Compare,
    select: Select,
    accumulate: Accumulate,
    reduce: Reduce,
    arg_reduce: ArgReduce,
    cumsum: CumSum,
    gather: Gather,
    softmax: Softmax,
    relu_squared: ReluSquared,
    channel_gate: ChannelGate,
    gated_add: GatedAdd,
    smear: Smear,
    mix: Mix,
    embedding: Embedding,
    cross_entropy: CrossEntropy,
    rope: Rope,
    attention: Attention,
    paged_attention: PagedAttention,
    adamw: AdamW,
    clip: Clip,
    sort: Sort,
    top_k: TopK,
    sample: Sample,
    random: Random,
    layer_norm: LayerNorm,
    gelu: Gelu,
    gated: Gated,
    dropout: Dropout,
    add_rms_norm: AddRmsNorm,
    rope_norm: RopeNorm,
}

/// Every kernel of every operation.
pub fn kernels() -> impl Iterator<Item = &'static KernelInfo> {
    TABLES.iter().flat_map(|(_, table)| table.iter())
}
