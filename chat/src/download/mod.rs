//! Files from the net, as a manifest lists them: resumed where they were interrupted, tried again with growing pauses, checked
//! by size and SHA-256, and only given their names when they are whole.
//!
//! Nothing else in the project uses a network, and this only when `nanochat data download` is called. A proxy is taken from the
//! usual variables (`HTTPS_PROXY`, `ALL_PROXY`). Reading order: `manifest.rs` (what), `fetch.rs` (one file), `all.rs` (several at
//! once), `server.rs` (what the tests talk to).

pub mod all;
pub mod fetch;
pub mod manifest;
#[cfg(test)]
mod server;

pub use all::download;
pub use fetch::Patience;
pub use manifest::Manifest;
