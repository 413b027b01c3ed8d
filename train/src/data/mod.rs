//! From files to batches.
//!
//! [`documents`] reads and writes document files, [`parquet`] and [`shards`] read the shards that publishers distribute,
//! [`source`] walks through them. Loaders of documents: [`stream`] and [`flat`] (one long stream), [`best_fit`] (rows that begin
//! with a document). Loaders of conversations: [`conversations`] and [`padded`] (a row each), [`packer`] (several in a row),
//! [`talk_stream`] (one long stream). [`ahead`] lets a loader work while a step computes. A loader's position is plain data, saved with every checkpoint, so a resumed run
//! continues with the very next token.

pub mod ahead;
pub mod batch;
pub mod best_fit;
pub mod conversations;
pub mod documents;
pub mod flat;
pub mod inspect;
#[cfg(test)]
pub(crate) mod loader_tests;
pub mod order;
pub mod packer;
pub mod padded;
pub mod parquet;
pub mod rows;
pub mod shards;
pub mod source;
pub mod stream;
pub mod talk_stream;

pub use batch::Batch;
pub use conversations::ConversationFeed;
pub use documents::Dataset;
pub use rows::{Loader, Rows};
pub use stream::TokenStream;

/// An empty folder for a test.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("nanochat-train-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
