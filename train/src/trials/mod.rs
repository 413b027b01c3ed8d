//! What many runs say together: differences of pairs with their spread (`paired.rs`), and curves through results of runs that
//! differ in one number (`fit.rs`). Pure functions; `nanochat train compare` and `nanochat train sweep` run the runs.

pub mod fit;
pub mod paired;
