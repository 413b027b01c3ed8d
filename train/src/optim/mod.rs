//! The optimizers: AdamW for embeddings, head and single numbers, Muon for the matrices of the blocks, in its classic form and as
//! it is today.

mod adamw;
mod clip;
mod ingredients;
mod muon;
mod normuon;
mod numbers;
mod optimizer;

pub use adamw::AdamWState;
pub use clip::clip_grad_norm;
pub use ingredients::{MuonPart, MuonParts};
pub use muon::{MuonState, MuonUpdate, NsDtype, muon_numbers, muon_step};
pub use normuon::{NorMuonState, NorMuonUpdate, normuon_numbers, normuon_step};
pub use numbers::beside;
pub use optimizer::{Hyper, Optimizer, Rule, StepSettings};
