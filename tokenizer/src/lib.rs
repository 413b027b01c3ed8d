//! t
pub mod split;
