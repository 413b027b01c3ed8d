//! What the benchmarks share, and what makes their results readable.
//!
//! The measuring itself (clock, roof, cases of the registry) is `kernels::measure`, because `nanochat bench kernels` needs
//! it, too. Here: the matrix products as other libraries want to hear of them ([`product`]), rounds in alternation
//! ([`rounds`]), and the way from raw results to `RESULTS.md` ([`tables`], [`sections`]) and to its plot ([`plot`]).
//! Front ends: `criterion.rs` (`cargo bench -p nanochat-benches`), `paired.rs` (ours and theirs in turn), `src/bin/results.rs`
//! (`cargo xtask results`).

pub mod plot;
pub mod product;
pub mod rounds;
pub mod sections;
pub mod tables;
