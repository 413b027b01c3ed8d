//! The optimizers of the classic generation: AdamW for embedding and head, Muon for the matrices of the blocks.

mod adamw;
mod clip;
mod muon;
mod optimizer;

pub use adamw::AdamWState;
pub use clip::clip_grad_norm;
pub use muon::{MuonState, MuonUpdate, NsDtype, muon_step};
pub use optimizer::{Hyper, Optimizer, StepSettings};
