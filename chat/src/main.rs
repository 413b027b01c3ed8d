//! The nanochat binary.
fn main() {}
