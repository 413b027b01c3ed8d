//! What the benchmarks share, and what makes their results readable.
//!
//! The measuring itself (clock, roof, cases of the registry) is `kernels::measure`, because `nanochat bench kernels` needs
//! it, too. Here: the matrix products as other libraries want to hear of them ([`product`]), rounds in alternation
//! ([`rounds`]), the product as a [`ladder`] of ever faster programs, and the way from raw results to `RESULTS.md`
//! ([`tables`], [`versus`], [`ablations`], [`serving`], [`parts`], [`sections`]) and to its plots ([`plot`], [`curves`]). Front ends: `criterion.rs` (`cargo bench -p nanochat-benches`), `paired.rs` (ours and theirs in turn),
//! `src/bin/results.rs` (`cargo xtask results`), `src/bin/versus.rs` (`cargo xtask bench-vs-torch`).

pub mod ablations;
pub mod curves;
pub mod ladder;
pub mod parts;
pub mod plot;
pub mod product;
pub mod rounds;
pub mod sections;
pub mod serving;
pub mod svg;
pub mod tables;
pub mod versus;
