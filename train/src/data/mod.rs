//! From files to batches.
//!
//! [`documents`] reads and writes document files, [`stream`] cuts pretraining documents into batches, [`conversations`]
//! pads fine-tuning conversations into batches. A loader's position is a few numbers, saved with every checkpoint, so a
//! resumed run continues with the very next token.

pub mod batch;
pub mod conversations;
pub mod documents;
pub mod order;
pub mod stream;

pub use batch::Batch;
pub use conversations::ConversationFeed;
pub use documents::Dataset;
pub use stream::TokenStream;
